//! Fails until a given attempt.

use tarefa_sdk::prelude::*;

fn attempt(succeeds_at: u32) -> Result<u32> {
    let attempt = context().attempt;
    ensure!(attempt >= succeeds_at, "attempt {attempt} fails until {succeeds_at}");
    Ok(attempt)
}

#[task(retries = 3, retry_delay = ["1s", "5s", "10s"])]
fn listed(succeeds_at: u32) -> Result<u32> {
    attempt(succeeds_at)
}

#[task(retries = 3, retry_delay = "2s")]
fn fixed(succeeds_at: u32) -> Result<u32> {
    attempt(succeeds_at)
}

#[task(retries = 5, retry_delay = "1s", backoff = "exponential", max_delay = "5s")]
fn exponential(succeeds_at: u32) -> Result<u32> {
    attempt(succeeds_at)
}

#[task(retries = 3, retry_delay = "10s", jitter = 0.5)]
fn jittered(succeeds_at: u32) -> Result<u32> {
    attempt(succeeds_at)
}

#[task(retries = 3)]
fn at_once(succeeds_at: u32) -> Result<u32> {
    attempt(succeeds_at)
}

/// Two failures and a success, in a flow.
#[flow]
fn third_time() -> Result<u32> {
    listed(3)
}

export_module!(flows: [third_time], tasks: [listed, fixed, exponential, jittered, at_once]);
