//! What a run knows about itself.

use tarefa_sdk::prelude::*;
use tarefa_sdk::{Context, context as current};

#[task(run_name = "the task")]
fn of_task() -> Context {
    current()
}

#[flow]
fn of_flow() -> Result<Vec<Context>> {
    Ok(vec![current(), of_task()?])
}

/// The local date and hour.
#[task]
fn clock() -> (String, u8) {
    let now = local_time();
    (now.date().to_owned(), now.hour)
}

/// Draws that differ from run to run, and from attempt to attempt.
#[task]
fn draws(n: u32) -> Vec<u32> {
    (0..n).map(|_| random_range(0..=u32::MAX)).collect()
}

export_module!(flows: [of_flow], tasks: [of_task, clock, draws]);
