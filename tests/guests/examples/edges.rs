//! Runs as arguments, runs to wait for, and the order in which runs finish.

use std::time::Duration;

use tarefa_sdk::prelude::*;

#[task]
fn value(n: i64) -> i64 {
    n
}

#[task]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[task]
fn fail() -> Result<i64> {
    bail!("no value")
}

#[task]
fn nap(ms: u64) -> u64 {
    sleep(Duration::from_millis(ms));
    ms
}

/// (1 + 2) + (1 + 40), without a wait before the end.
#[flow]
fn diamond() -> Result<i64> {
    let one = value::submit(1);
    let left = add::submit(&one, 2);
    let right = add::submit(&one, 40);
    add::submit(&left, &right).wait()
}

/// What depends on a failure fails too, and so does what depends on that.
#[flow]
fn upstream_failure() -> Vec<Option<String>> {
    let failed = fail::submit();
    let sum = add::submit(&failed, 1);
    let next = add::submit(&sum, 1);
    let after = value::call(1).waits_for(&failed).submit();
    [failed, sum, next, after].iter().map(|run| run.wait().err().map(|error| error.kind().to_owned())).collect()
}

#[flow]
fn waits_for() -> Result<u64> {
    let slow = nap::submit(50);
    let others: Vec<_> = [20, 30].into_iter().map(nap::submit).collect();
    nap::call(1).waits_for(&slow).waits_for_all(&others).name("after the others").run()
}

/// The naps in the order in which they end.
#[flow]
fn completion_order(naps: Vec<u64>) -> Result<Vec<u64>> {
    let runs: Vec<_> = naps.into_iter().map(nap::submit).collect();
    completions(&runs).map(|run| run.wait()).collect()
}

/// An edge that nobody declared: the result of one is an argument of the next.
#[flow]
fn by_value() -> Result<i64> {
    let one = value(1)?;
    add(one, 2)
}

#[task]
fn words(text: String) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[task]
fn count(words: Vec<String>) -> usize {
    words.len()
}

/// Two tasks return the same: the one that the flow heard of last is what it passes on.
#[flow]
fn latest() -> Result<usize> {
    let runs = [words::submit("a b c"), words::submit("a b c")];
    let mut words = Vec::new();
    for run in &runs {
        words = run.wait()?;
    }
    count(words)
}

/// What was gathered from several tasks is no result of one; the next one takes all of it.
#[flow]
fn gathered() -> Result<usize> {
    let runs = [words::submit("a b"), words::submit("c d")];
    let all = runs.iter().map(|run| run.wait()).collect::<Result<Vec<_>>>()?.concat();
    count(words(all.join(" "))?)
}

export_module!(
    flows: [diamond, upstream_failure, waits_for, completion_order, by_value, latest, gathered],
    tasks: [value, add, fail, nap, words, count],
);
