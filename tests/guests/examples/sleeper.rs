//! Sleeps, in tasks and in flows.

use std::time::{Duration, Instant};

use tarefa_sdk::prelude::*;

#[task(run_name = "nap({ms} ms)")]
fn nap(ms: u64) -> u64 {
    sleep(Duration::from_millis(ms));
    ms
}

/// Reads the clock before and after, in milliseconds.
#[task]
fn measured(ms: u64) -> u128 {
    let start = Instant::now();
    sleep(Duration::from_millis(ms));
    start.elapsed().as_millis()
}

#[flow]
fn flow_sleeps(ms: u64) -> u128 {
    let start = Instant::now();
    sleep(Duration::from_millis(ms));
    start.elapsed().as_millis()
}

/// `n` naps at the same time.
#[flow]
fn naps(n: u32, ms: u64) -> Result<u64> {
    let runs: Vec<_> = (0..n).map(|_| nap::submit(ms)).collect();
    runs.iter().map(|run| run.wait()).sum()
}

/// A nap for each of `ms`, all at the same time.
#[flow]
fn naps_of(ms: Vec<u64>) -> Result<Vec<u64>> {
    nap::map(ms)
}

/// Sleeps, says so, and computes until it is ended.
#[flow]
fn computes_after_a_sleep(ms: u64) -> u64 {
    sleep(Duration::from_millis(ms));
    info!("slept");
    (0..u64::MAX).fold(0, |sum, n| std::hint::black_box(sum ^ n))
}

export_module!(flows: [flow_sleeps, naps, naps_of, computes_after_a_sleep], tasks: [nap, measured]);
