//! One try at an entry, in one sandbox.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Failure, State, StateCounts};

/// What an attempt used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Units of fuel; 0 where the run is metered by time.
    pub fuel: u64,
    /// The most that the memories of the sandbox held together, in bytes.
    pub memory_peak_bytes: u64,
    /// Wall time, exact to the microsecond.
    pub duration_ms: f64,
}

/// What one attempt produced.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// JSON text, or why there is none.
    pub result: Result<Arc<str>, Failure>,
    /// The word that a completed run gives its outcome.
    pub label: Option<String>,
    pub usage: Usage,
    /// Of a flow: how its children ended.
    pub children: Option<Arc<StateCounts>>,
}

impl Outcome {
    /// The outcome of an attempt that never had a sandbox.
    pub fn failed(failure: Failure) -> Outcome {
        Outcome { result: Err(failure), label: None, usage: Usage::default(), children: None }
    }
}

/// An attempt as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    pub state: State,
    pub failure: Option<Failure>,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub usage: Usage,
    pub worker: Option<String>,
}

/// One change of a run's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryItem {
    pub at: Timestamp,
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}
