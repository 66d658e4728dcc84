//! Much output, much input, many children.

use std::time::Duration;

use tarefa_sdk::prelude::*;

#[task]
fn output(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[task]
fn log(bytes: usize) {
    let line = "y".repeat(100);
    for _ in 0..bytes / line.len() {
        info!("{line}");
    }
}

#[task]
fn one_line(bytes: usize) {
    info!("{}", "z".repeat(bytes));
}

#[task]
fn print(bytes: usize) {
    print!("{}", "p".repeat(bytes));
}

#[task]
fn length(text: String) -> usize {
    text.len()
}

/// A large result on its way to another task.
#[flow]
fn pass(bytes: usize) -> Result<usize> {
    length::submit(&output::submit(bytes)).wait()
}

/// Waits for a large result, and sleeps before it uses it.
#[flow]
fn read_twice(bytes: usize, ms: u64) -> Result<usize> {
    let text = output(bytes)?;
    sleep(Duration::from_millis(ms));
    Ok(text.len())
}

/// A large result that only another task takes, long after.
#[flow]
fn pass_later(bytes: usize, ms: u64) -> Result<usize> {
    let large = output::submit(bytes);
    sleep(Duration::from_millis(ms));
    length::submit(&large).wait()
}

#[flow(limits(children = 10))]
fn children(n: u32) -> Result<usize> {
    let runs: Vec<_> = (0..n).map(|_| output::submit(1)).collect();
    runs.iter().map(|run| Ok(run.wait()?.len())).sum()
}

export_module!(flows: [pass, read_twice, pass_later, children], tasks: [output, log, one_line, print, length]);
