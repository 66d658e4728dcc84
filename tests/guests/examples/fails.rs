//! Failures: returned, permanent, caught, and while children still run.

use std::time::Duration;

use tarefa_sdk::prelude::*;

#[task]
fn fail(message: String) -> Result<()> {
    bail!("{message}")
}

#[task(retries = 3, retry_delay = "1s")]
fn give_up() -> Result<()> {
    Err(TaskError::permanent("no retry can help").with_details(json!({ "code": 7 })))
}

#[task]
fn nap(ms: u64) {
    sleep(Duration::from_millis(ms));
}

#[task]
fn says_no() -> Result<(), &'static str> {
    Err("no")
}

/// Fails while `n` children are under way.
#[flow]
fn while_children_run(n: u32, #[default(60_000)] ms: u64) -> Result<()> {
    let _runs: Vec<_> = (0..n).map(|_| nap::submit(ms)).collect();
    bail!("the flow fails first")
}

/// Returns while `n` children are under way: the host waits for them.
#[flow]
fn without_waiting(n: u32, #[default(100)] ms: u64) {
    for _ in 0..n {
        nap::submit(ms);
    }
}

/// Passes its child's failure on.
#[flow]
fn passes_on() -> Result<()> {
    give_up()
}

/// Copes with its child's failure.
#[flow]
fn catches() -> Value {
    match give_up() {
        Ok(()) => Value::Null,
        Err(error) => json!({
            "kind": error.kind(),
            "message": error.message(),
            "retryable": error.is_retryable(),
            "details": error.details(),
        }),
    }
}

/// How each of `n` naps ended: the kind of its failure, if it failed.
#[flow]
fn kinds(n: u32, ms: u64) -> Vec<Option<String>> {
    let naps: Vec<_> = (0..n).map(|_| nap::submit(ms)).collect();
    naps.iter().map(|nap| nap.wait().err().map(|error| error.kind().to_owned())).collect()
}

/// Asks twice for the same result.
#[flow]
fn waits_twice() -> Result<bool> {
    let failed = fail::submit("twice");
    let (first, second) = (failed.wait(), failed.wait());
    Ok(first == second && first.is_err())
}

#[flow(retries = 2)]
fn flow_with_retries() -> Result<()> {
    fail("every time".to_owned())
}

export_module!(
    flows: [while_children_run, without_waiting, passes_on, catches, kinds, waits_twice, flow_with_retries],
    tasks: [fail, give_up, nap, says_no],
);
