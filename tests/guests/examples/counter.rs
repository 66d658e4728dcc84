//! Counts in a static: a fresh sandbox always answers 1.

use std::sync::atomic::{AtomicU32, Ordering};

use tarefa_sdk::prelude::*;

static COUNT: AtomicU32 = AtomicU32::new(0);

#[task]
fn count() -> u32 {
    COUNT.fetch_add(1, Ordering::Relaxed) + 1
}

/// Every count of `n` runs, in sequence.
#[flow(limits(children = 1_000_000))]
fn count_often(n: u32) -> Result<Vec<u32>> {
    (0..n).map(|_| count()).collect()
}

/// Every count of `n` runs at the same time.
#[flow(limits(children = 1_000_000))]
fn count_together(n: u32) -> Result<Vec<u32>> {
    let runs: Vec<_> = (0..n).map(|_| count::submit()).collect();
    runs.iter().map(|run| run.wait()).collect()
}

export_module!(flows: [count_often, count_together], tasks: [count]);
