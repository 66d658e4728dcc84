//! Flows that run flows.

use tarefa_sdk::prelude::*;

#[task]
fn leaf(n: u32) -> u32 {
    n
}

/// One flow in another, `depth` deep, with a task at the bottom.
#[flow]
fn deep(depth: u32) -> Result<u32> {
    if depth == 0 { leaf(1) } else { Ok(deep(depth - 1)? + 1) }
}

/// As `deep`, of flows that keep no journal.
#[flow(durable = false)]
fn deep_anew(depth: u32) -> Result<u32> {
    if depth == 0 { leaf(1) } else { Ok(deep_anew(depth - 1)? + 1) }
}

#[flow]
fn children(m: u32) -> Result<u32> {
    Ok(leaf::map(0..m)?.len().try_into()?)
}

/// `n` child flows of `m` tasks each, all at the same time.
#[flow]
fn wide(n: u32, m: u32) -> Result<u32> {
    let runs: Vec<_> = (0..n).map(|_| children::submit(m)).collect();
    runs.iter().map(|run| run.wait()).sum()
}

export_module!(flows: [deep, deep_anew, children, wide], tasks: [leaf]);
