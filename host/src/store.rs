//! What is kept: modules, runs, attempts, logs and journals, in SQLite.
//!
//! Writes that nobody waits for are appended to a queue. Whoever needs them on record commits everything that waits in
//! one transaction, on its own thread; what nobody asks for is committed within [`FLUSH_INTERVAL`]. Where each commit is
//! synced to disk, one thread commits for all.

mod sqlite;
mod watch;

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{Attempt, Kind, Run, RunId, ShownState, State, StateCounts, Trigger};
use crate::error::{Error, ErrorKind};

pub use sqlite::{LogFilter, Store, StoreError};
pub use watch::{News, Watch};

/// How long a write may wait for somebody to commit it.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(5);
/// Writes that may wait; who appends more commits them first.
pub const MAX_QUEUED_WRITES: usize = 4096;

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct StoreConfig {
    pub path: std::path::PathBuf,
    /// Pages of 2 KiB that the database may have; tests fill a small one.
    pub max_pages: Option<u32>,
    /// Whether each commit is synced to disk before anything in it is acknowledged.
    pub synced: bool,
}

/// The place of a write in the order of all writes. It is on record once that many are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Ticket(pub u64);

/// A write that can wait for others.
#[derive(Clone, Debug)]
pub enum Write {
    /// A run that is not on record yet, in whatever state it is.
    Insert(Run),
    /// The state, result and times of a run on record; nothing where its state is final already.
    Update(Run),
    /// An attempt after which there is another.
    Attempt {
        run_id: RunId,
        attempt: Attempt,
        worker: Option<i64>,
    },
    /// A change of state that no attempt tells.
    History {
        run_id: RunId,
        at: Timestamp,
        state: State,
        reason: String,
    },
    Log(LogLine),
}

/// One line of a log on its way to the store.
#[derive(Clone, Debug)]
pub struct LogLine {
    pub root_id: RunId,
    pub run_id: RunId,
    pub attempt: u32,
    /// Counts the lines of the attempt.
    pub line: u32,
    pub at: Timestamp,
    /// From 0, trace, to 4, error.
    pub level: u8,
    pub message: String,
}

/// A line of a log on record.
#[derive(Clone, Debug)]
pub struct StoredLine {
    /// Grows with each line.
    pub no: i64,
    pub run_id: RunId,
    pub attempt: u32,
    pub at: Timestamp,
    pub level: u8,
    pub message: String,
}

/// What an insert met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    Inserted,
    /// The idempotency key stands for this run already.
    Exists(RunId),
}

/// Which runs a list shows or statistics count; what is absent does not filter.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// One of these; any where it is empty.
    pub states: Vec<ShownState>,
    /// By this time what is late is late.
    pub now: Timestamp,
    pub kind: Option<Kind>,
    pub module: Option<String>,
    pub entry: Option<String>,
    /// Only runs without a parent.
    pub top: bool,
    pub parent: Option<RunId>,
    pub label: Option<String>,
    /// One of the run's tags.
    pub tag: Option<String>,
    pub deployment: Option<String>,
    pub trigger: Option<Trigger>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// A part of the run's name, entry, module or id.
    pub text: Option<String>,
}

/// What statistics count runs by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    State,
    /// `module/entry`.
    Entry,
    Label,
    /// Each of a run's tags.
    Tag,
    Deployment,
    /// Spans of the time at which runs were submitted, this many milliseconds long.
    Time {
        bucket_ms: u64,
    },
}

/// Runs that have a key in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub key: GroupKey,
    pub states: StateCounts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupKey {
    Word(String),
    /// When a span begins.
    At(Timestamp),
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// In the order of time, else the largest first; no more than were asked for.
    pub groups: Vec<Group>,
    /// How many groups there are in all.
    pub n_groups: usize,
    /// How many runs are in them.
    pub n_runs: u64,
}

/// Which runs a worker takes.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    pub kind: Kind,
    pub limit: usize,
    /// Only runs that were submitted at this time or later.
    pub since: Timestamp,
}

/// What a cancellation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It is over, and so is all below it.
    AtOnce,
    /// A worker holds it and has to end it.
    Asked,
    /// It was final before.
    Already(State),
    NoSuchRun,
}

/// What a deletion of a run met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deleted {
    Done,
    /// It is not final.
    Unfinished(State),
    /// It is a part of this run, which is at the top.
    PartOf(RunId),
    NoSuchRun,
}

/// What a start found of a worker that died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Runs that start again.
    pub scheduled: usize,
    /// Children of flows that start again, and what was being cancelled.
    pub cancelled: usize,
    /// Runs whose worker died too often.
    pub crashed: usize,
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        let kind = match &error {
            StoreError::Full(_) => ErrorKind::Unavailable,
            StoreError::Refused(_) => ErrorKind::Invalid,
            _ => ErrorKind::Internal,
        };
        Error { kind, message: error.to_string(), source: Some(error.into()) }
    }
}
