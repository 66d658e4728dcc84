//! Signals: words with a payload that a flow waits for.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::argument::unreadable;
use crate::{Result, backend};

/// Waits for a signal of that name, and returns its payload. One that was sent before is there at once, the oldest
/// first. Only flows wait; however long it takes, a flow that waits costs nothing.
///
/// ```
/// # use tarefa_sdk::{prelude::*, testing};
/// #[data]
/// struct Decision { approved: bool }
///
/// #[flow]
/// fn publish(text: String) -> Result<Option<String>> {
///     let decision: Decision = wait_for_signal("decision")?;
///     Ok(decision.approved.then_some(text))
/// }
/// # testing::send_signal("decision", json!({"approved": true}));
/// # assert_eq!(publish("x".into()).unwrap().as_deref(), Some("x"));
/// ```
///
/// # Errors
/// Where the payload is no `T`.
pub fn wait_for_signal<T: DeserializeOwned>(name: &str) -> Result<T> {
    match wait(name, None)? {
        Some(payload) => Ok(payload),
        None => unreachable!("a wait without a time ends with a signal"),
    }
}

/// As [`wait_for_signal`], no longer than `timeout`; `None` where none came.
///
/// # Errors
/// Where the payload is no `T`.
pub fn wait_for_signal_within<T: DeserializeOwned>(name: &str, timeout: Duration) -> Result<Option<T>> {
    wait(name, Some(timeout))
}

fn wait<T: DeserializeOwned>(name: &str, timeout: Option<Duration>) -> Result<Option<T>> {
    let timeout_ms = timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    let payload = backend::wait_for_signal(name, timeout_ms);
    let read =
        |json: String| serde_json::from_str(&json).map_err(|error| unreadable("the payload of the signal", &error));
    payload.map(read).transpose()
}

/// Sends a signal to the run of a flow. A flow sends each signal once, however often it is called again; a task sends
/// again when it is tried again.
///
/// # Errors
/// Where there is no such run, or it is over or a task's.
pub fn send_signal(run_id: &str, name: &str, payload: &impl Serialize) -> Result<()> {
    backend::send_signal(run_id, name, &serde_json::to_string(payload)?)
}
