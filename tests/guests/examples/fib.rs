//! Nothing but computation, and nearly all of it calls: what metering costs the most.

use tarefa_sdk::prelude::*;

/// The slow way: about 3 * 1.618^n calls.
fn slow(n: u32) -> u64 {
    if n < 2 { n.into() } else { slow(n - 1) + slow(n - 2) }
}

#[task]
fn fib(n: u32) -> u64 {
    slow(n)
}

/// So many tasks, one after the other: their sum.
#[flow]
fn in_sequence(tasks: u32, n: u32) -> Result<u64> {
    (0..tasks).map(|_| fib(n)).sum()
}

export_module!(flows: [in_sequence], tasks: [fib]);
