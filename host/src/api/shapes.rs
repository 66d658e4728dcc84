//! What goes over the wire: the JSON of the API, read by the client and written by the server.

mod tag_limits;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::attempt::HistoryItem;
use crate::domain::graph::EdgeKind;
use crate::domain::{
    Attempt, Concurrency, Digest, Entry, Failure, Grants, Hold, Kind, Limits, LimitsPatch, Metering, Rate, Retries,
    RunId, State, StateCounts, Trigger, Usage, WaitingFor,
};

pub use tag_limits::*;

/// One page of a list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give it back as `?cursor=` for the next page; absent on the last.
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    pub status: String,
    pub version: String,
    pub data_dir: String,
    pub slots: usize,
    pub modules: u64,
    pub unfinished_runs: u64,
    /// False while another kind of process than `tarefa serve` holds the data directory.
    pub serves: bool,
}

/// A module in lists and after its registration.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ModuleShape {
    pub name: String,
    /// Of the newest version.
    pub digest: Digest,
    pub size_bytes: u64,
    pub created_at: Timestamp,
    pub entries: Vec<Entry>,
    /// Newest first; only where one module is asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub versions: Option<Vec<VersionShape>>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VersionShape {
    pub digest: Digest,
    pub size_bytes: u64,
    pub created_at: Timestamp,
}

/// The body of `POST /api/runs`.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"module": "flow_paralelo", "parameters": {}}))]
pub struct SubmitShape {
    pub module: String,
    /// May be left out where the module has one flow, or one entry.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Makes the submit safe to repeat; unique per entry.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub idempotency_key: Option<String>,
    /// The earliest time to start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scheduled_at: Option<Timestamp>,
    /// A module version other than the newest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "object")]
    pub limits: Option<LimitsPatch>,
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "object")]
    pub retries: Option<Retries>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metering: Option<Metering>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tags: Option<Vec<String>>,
    /// An IANA time zone name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "object")]
    pub grants: Option<Grants>,
    /// How many runs that have its key in common may run at a time; without a key, runs of the entry that have none.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "object")]
    pub concurrency: Option<Concurrency>,
    /// How many runs of the entry that have a rate may start within a span of time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>, example = "10/1m")]
    pub rate: Option<Rate>,
    /// What is higher starts first; each minute of waiting counts as one more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 0, maximum = 9)]
    pub priority: Option<u8>,
    /// Who submits; `api` where it is absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trigger: Option<Caller>,
}

/// The body of `POST /api/runs/{id}/retry`.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct RetryShape {
    /// A flow takes over nothing of what completed before.
    #[serde(skip_serializing_if = "is_false", default)]
    pub from_start: bool,
    /// `newest`: with the newest version of its module, not the one that it ran with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub module: Option<RetryModule>,
}

/// The code that a run is tried again with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryModule {
    Newest,
}

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

fn is_false(value: &bool) -> bool {
    !value
}

/// What a caller may say of itself; the other triggers are ours to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    #[default]
    Api,
    Cli,
}

/// A run in lists.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RunSummary {
    pub id: RunId,
    pub kind: Kind,
    pub module: String,
    pub digest: Digest,
    pub entry: String,
    /// What people see of the entry.
    pub title: String,
    pub name: String,
    /// The deployment that it is a run of.
    pub deployment: Option<String>,
    pub trigger: Trigger,
    pub tags: Vec<String>,
    pub parent_id: Option<RunId>,
    /// Of a child: the execution of the flow that submitted it, and its place in it, from 0.
    pub generation: Option<u32>,
    pub seq: Option<u32>,
    pub state: State,
    pub waiting_for: Option<WaitingFor>,
    /// The limit that it waits for, such as `tag/db`.
    pub waiting_on: Option<String>,
    pub label: Option<String>,
    pub failure: Option<Failure>,
    /// The first 200 bytes at most of the result's JSON text, cut between two characters.
    pub result_preview: Option<String>,
    /// Child runs of the newest generation by state; only of flows.
    pub children: StateCounts,
    /// Of a flow's child: the run of an earlier generation that did not complete, and that this one goes on for.
    pub retry_of: Option<RunId>,
    /// Of a flow's child: the run of an earlier generation whose result it has.
    pub reused_from: Option<RunId>,
    /// Of a task: the run whose result it has from the cache; that one may have been deleted since.
    pub cached_from: Option<RunId>,
    /// When it was retried by request last.
    pub retried_at: Option<Timestamp>,
    pub n_attempts: u32,
    pub created_at: Timestamp,
    pub scheduled_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub usage: Usage,
}

/// A run with all that is known of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RunShape {
    #[serde(flatten)]
    pub summary: RunSummary,
    pub root_id: RunId,
    #[schema(value_type = Object)]
    pub parameters: Box<RawValue>,
    /// Any JSON.
    #[schema(value_type = Option<serde_json::Value>)]
    pub result: Option<Box<RawValue>>,
    pub limits: Limits,
    pub retries: Retries,
    pub timezone: String,
    pub grants: Grants,
    /// What it holds, beside others, while it runs.
    pub holds: Vec<Hold>,
    /// The rate that its starts count for.
    #[schema(value_type = Option<String>)]
    pub rate: Option<Rate>,
    pub priority: u8,
    pub idempotency_key: Option<String>,
    /// Siblings that it takes data from or waits for.
    pub upstream: crate::domain::run::Upstream,
    /// Of a flow's child: whether a newer generation of its flow counts instead.
    pub superseded: bool,
    pub attempts: Vec<Attempt>,
    pub history: Vec<HistoryItem>,
}

/// The children of a flow, and what lies between them.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct GraphShape {
    /// In the order in which the flow submitted them.
    pub nodes: Vec<GraphNode>,
    pub edges: Vec<GraphEdge>,
    /// Whether there are more nodes or edges than are shown.
    pub truncated: bool,
}

/// A child run in a graph.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct GraphNode {
    pub id: RunId,
    pub seq: Option<u32>,
    pub kind: Kind,
    pub module: String,
    pub entry: String,
    pub name: String,
    pub state: State,
    pub label: Option<String>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl From<RunSummary> for GraphNode {
    fn from(run: RunSummary) -> GraphNode {
        let RunSummary { id, seq, kind, module, entry, name, state, label, started_at, finished_at, .. } = run;
        GraphNode { id, seq, kind, module, entry, name, state, label, started_at, finished_at }
    }
}

/// From a child run to one that depends on it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct GraphEdge {
    pub from: RunId,
    pub to: RunId,
    pub kind: EdgeKind,
}

/// A line of a run's log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LogShape {
    /// Grows with each line; give it back as `?after=`.
    pub no: i64,
    pub at: Timestamp,
    pub run_id: RunId,
    pub attempt: u32,
    pub level: String,
    pub message: String,
}

/// One of the events of `GET /api/runs/{id}/events`.
#[derive(Debug, ToSchema)]
pub struct EventShape {
    pub event: EventKind,
    /// Of a line its number; give it back as `Last-Event-ID`.
    pub id: Option<String>,
    /// A `RunSummary` or, of a line, a `LogShape`, as JSON.
    #[schema(content_media_type = "application/json")]
    pub data: String,
}

#[derive(Clone, Copy, Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum EventKind {
    /// A run is as the data says.
    Run,
    /// A line was added to the log.
    Log,
    /// The run is over: the last event.
    End,
}

impl EventKind {
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Run => "run",
            EventKind::Log => "log",
            EventKind::End => "end",
        }
    }
}

/// `GET /api/stats`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct StatsShape {
    pub items: Vec<StatsItem>,
}

/// The runs that have a key in common.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatsItem {
    /// A state, `module/entry`, label, tag or deployment, or the time at which a span begins.
    pub key: String,
    pub total: u64,
    pub states: StateCounts,
}

/// Every error's body.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorShape {
    pub error: ErrorBody,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    pub kind: crate::error::ErrorKind,
    pub message: String,
}

/// Reads a struct from an object alone: it could be read from a list of its members as well, which nobody means.
fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let object = Option::<serde_json::Map<String, serde_json::Value>>::deserialize(deserializer)?;
    object.map(|object| T::deserialize(object).map_err(serde::de::Error::custom)).transpose()
}
