//! Runs with tags, which may be limited.

use std::time::Duration;

use tarefa_sdk::prelude::*;

#[task(tags = ["db"])]
fn query(ms: u64) {
    sleep(Duration::from_millis(ms));
}

#[task(tags = ["gpu"])]
fn train(ms: u64) {
    sleep(Duration::from_millis(ms));
}

#[task(tags = ["db", "gpu"])]
fn load(ms: u64) {
    sleep(Duration::from_millis(ms));
}

/// The first attempt fails.
#[task(tags = ["db"], retries = 1, retry_delay = "1h")]
fn second_time() -> Result<()> {
    ensure!(context().attempt > 1, "the first attempt fails");
    Ok(())
}

#[task(tags = ["db"])]
fn fails() -> Result<()> {
    bail!("as it does")
}

#[task(tags = ["db"])]
fn traps() {
    panic!("as it does");
}

/// `n` queries at the same time.
#[flow]
fn queries(n: u32, ms: u64) -> Result<u32> {
    let runs: Vec<_> = (0..n).map(|_| query::submit(ms)).collect();
    runs.iter().map(|run| run.wait()).collect::<Result<Vec<_>>>()?;
    Ok(n)
}

/// As `queries`, with the tag of its own.
#[flow(tags = ["db"])]
fn session(n: u32, ms: u64) -> Result<u32> {
    queries(n, ms)
}

/// `n` of each kind at the same time.
#[flow]
fn mixed(n: u32, ms: u64) -> Result<u32> {
    let runs: Vec<_> = (0..n).flat_map(|_| [query::submit(ms), train::submit(ms), load::submit(ms)]).collect();
    runs.iter().map(|run| run.wait()).collect::<Result<Vec<_>>>()?;
    Ok(n)
}

/// All that can go wrong, twice; how often it did.
#[flow]
fn troubles() -> u32 {
    let runs: Vec<_> = (0..2).flat_map(|_| [fails::submit(), traps::submit()]).collect();
    runs.iter().map(|run| u32::from(run.wait().is_err())).sum()
}

#[flow(tags = ["db"])]
fn waits(name: String) -> Result<Value> {
    wait_for_signal(&name)
}

/// Waits in a flow below it.
#[flow]
fn waits_below(name: String) -> Result<Value> {
    waits(name)
}

export_module!(
    flows: [queries, session, mixed, troubles, waits, waits_below],
    tasks: [query, train, load, second_time, fails, traps],
);
