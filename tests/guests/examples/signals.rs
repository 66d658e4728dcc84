//! Flows that wait for signals, and runs that send them.

use std::time::{Duration, Instant};

use tarefa_sdk::prelude::*;

/// What came, and the time in milliseconds that passed for the flow.
#[flow]
fn waits(name: String, timeout_ms: Option<u64>) -> Result<(Value, u64)> {
    let start = Instant::now();
    let payload = match timeout_ms {
        Some(ms) => wait_for_signal_within(&name, Duration::from_millis(ms))?.unwrap_or(json!("timeout")),
        None => wait_for_signal(&name)?,
    };
    Ok((payload, start.elapsed().as_millis() as u64))
}

/// `n` payloads of the same name, in the order in which they came; each is noted by a task.
#[flow]
fn collects(name: String, n: u32) -> Result<Vec<Value>> {
    (0..n).map(|_| note(wait_for_signal(&name)?)).collect()
}

#[task]
fn note(payload: Value) -> Value {
    payload
}

#[task]
fn tells(run_id: String, name: String, payload: Value) -> Result<()> {
    send_signal(&run_id, &name, &payload)
}

/// Sends a signal by itself, sleeps, and sends another.
#[flow]
fn tells_twice(run_id: String, name: String) -> Result<()> {
    send_signal(&run_id, &name, &1)?;
    sleep(Duration::from_secs(1));
    send_signal(&run_id, &name, &2)
}

#[task]
fn task_waits() -> Result<Value> {
    wait_for_signal("any")
}

/// Needs an approval, then a file; the approval is asked for once, however often it is retried.
#[flow]
fn approved(name: String) -> Result<String> {
    let by: String = wait_for_signal("approval")?;
    read(name)?;
    Ok(by)
}

#[task]
fn read(name: String) -> Result<String> {
    Ok(std::fs::read_to_string(format!("/data/{name}"))?)
}

/// Runs a task after each step.
#[flow]
fn steps(n: u32) -> Result<u32> {
    for step in 0..n {
        note(json!(step))?;
        sleep(Duration::from_secs(1));
    }
    Ok(n)
}

export_module!(
    flows: [waits, collects, tells_twice, approved, steps],
    tasks: [note, tells, task_waits, read]
);
