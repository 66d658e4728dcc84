//! Replays on the wire.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::{Digest, Failure, Kind, RunId};

/// The body of `POST /api/runs/{id}/replay` where it is no component: nothing.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct ReplayRequest {}

/// What came of calling a run once more.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ReplayShape {
    pub run_id: RunId,
    pub kind: Kind,
    pub name: String,
    pub attempt: u32,
    /// What was called.
    pub digest: Digest,
    /// Whether that is another module than the run had.
    pub other_module: bool,
    /// What the original saw or reached that a replay has not.
    pub live: Vec<String>,
    /// Whether it came out the same: outcome, log and fuel. With another module: of a flow, whether it makes the recorded
    /// calls; of a task, whether the outcome is the same.
    pub same: bool,
    /// Whether the original was ended from outside, such as by a time-out: then its record only says how far it had come.
    pub cut_off: bool,
    /// Of a flow: the first call that is not the recorded one.
    pub difference: Option<String>,
    pub same_outcome: bool,
    pub recorded: ReplayedOutcome,
    pub replayed: ReplayedOutcome,
    pub log: ReplayedLog,
    pub fuel: ReplayedFuel,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ReplayedOutcome {
    /// Any JSON.
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Box<RawValue>>,
    pub failure: Option<Failure>,
    pub label: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ReplayedLog {
    pub same: bool,
    /// Whether the recorded log was removed since: then there is nothing to compare.
    pub removed: bool,
    pub recorded_lines: usize,
    pub replayed_lines: usize,
    /// The first that differs, counted from 1, and what it is on each side; null where there is none.
    pub differing_line: Option<usize>,
    pub recorded: Option<String>,
    pub replayed: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ReplayedFuel {
    pub same: bool,
    pub recorded: u64,
    pub replayed: u64,
}
