//! What is kept: modules, runs, attempts, logs and journals, in SQLite.
//!
//! Writes that nobody waits for are appended to a queue. Whoever needs them on record commits everything that waits in
//! one transaction, on its own thread; what nobody asks for is committed within [`FLUSH_INTERVAL`]. Where each commit is
//! synced to disk, one thread commits for all.

mod artifacts;
mod notifications;
mod schedules;
mod sqlite;
mod variables;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::journal::JournalEntry;
use crate::domain::{Attempt, CacheKey, Failure, Kind, Progress, Run, RunId, ShownState, State, StateCounts, Trigger};
use crate::error::{Error, ErrorKind};

pub use artifacts::{ArtifactRow, StoredArtifact};
pub use notifications::{
    About, DueNotification, Missed, NewNotification, NotificationFilter, NotificationState, Occasion,
    StoredNotification,
};
pub use schedules::{Fired, Firing, StoredSkip};
pub use sqlite::{LogFilter, Over, Part, Pruned, Storage, Store, StoreError};
pub use variables::{SetVariable, StoredVariable};
pub use watch::{News, Watch};

/// How long a write may wait for somebody to commit it.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(5);
/// Writes that may wait; who appends more commits them first.
pub const MAX_QUEUED_WRITES: usize = 4096;

/// A larger result of a child is not kept in memory, but read when it is asked for.
pub const MAX_READ_RESULT: usize = 16 << 10;

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
    /// The unfinished children of a flow that is parked: no worker holds them.
    Release {
        parent: RunId,
        generation: u32,
    },
    /// A signal that a flow is told of.
    TakeSignal {
        no: i64,
        at: Timestamp,
    },
    /// A run's result stands for those of runs that have the same key.
    Result {
        key: CacheKey,
        run_id: RunId,
    },
    /// What a flow was told.
    Journal {
        run_id: RunId,
        generation: u32,
        entry: JournalEntry,
    },
    Log(LogLine),
    /// How far a run is.
    Progress {
        root_id: RunId,
        run_id: RunId,
        progress: Arc<Progress>,
    },
    Artifact(Box<ArtifactRow>),
}

/// A child as far as its flow, called again from the start, has to know it.
#[derive(Clone, Debug)]
pub struct Past {
    pub id: RunId,
    pub seq: u32,
    /// A checksum of what the flow asked for.
    pub request_sum: Option<i64>,
    /// The child of an earlier generation whose result it has.
    pub reused_from: Option<RunId>,
    /// The child of an earlier generation that it goes on for.
    pub retry_of: Option<RunId>,
    /// None where it is unfinished.
    pub ended: Option<Ended>,
}

/// How a child ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub state: State,
    pub at: Timestamp,
    /// None where its flow is not told.
    pub no: Option<u64>,
    pub failure: Option<Failure>,
    /// None where there is none, or where it is large.
    pub result: Option<Arc<str>>,
}

/// A child of an earlier generation that a new one may take over.
#[derive(Clone, Debug)]
pub struct Taken {
    pub id: RunId,
    pub module: Arc<str>,
    pub entry: Arc<str>,
    pub input_sum: i64,
    pub state: State,
    /// The run of a generation before that it took over or goes on for.
    pub stands_for: Option<RunId>,
}

impl Taken {
    /// The run that was the first of those that stand for each other.
    pub fn origin(&self) -> RunId {
        self.stands_for.unwrap_or(self.id)
    }
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
    Inserted {
        /// Runs that were cancelled for it.
        cancelled: Vec<(RunId, Cancelled)>,
    },
    /// The idempotency key stands for this run already.
    Exists(RunId),
    /// It is not on record: a limit has it skipped.
    Skipped(Skipped),
}

/// Why a run was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The limit.
    pub name: String,
    pub max: u32,
    /// Of those that were there, the one that came first.
    pub by: RunId,
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
    /// Only tasks whose worker died with them as often as they are tried again beside others; else all but these.
    pub alone: bool,
}

/// How many runs with a tag may run at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagLimit {
    pub tag: String,
    pub max: u32,
}

/// What a claim came to.
#[derive(Debug, Default)]
pub struct Claims {
    pub claimed: Vec<Claimed>,
    /// Due runs that limits across runs keep from starting; they are not found again before they are unblocked.
    pub blocked: Vec<Blocked>,
}

#[derive(Debug)]
pub struct Blocked {
    pub run: Run,
    /// The limit.
    pub on: String,
    /// Of a rate: when it lets the next one start.
    pub until: Option<Timestamp>,
}

/// A run whose worker died this often while it ran is tried once more, a task without any other beside it, and is then
/// taken for what killed them.
pub const MAX_RESCUES: u32 = 2;

/// A run that a worker took.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub run: Run,
    /// Whether it goes on with its attempt, from its journal.
    pub resumed: bool,
}

/// A signal on its way to a run.
#[derive(Clone, Debug)]
pub struct NewSignal<'a> {
    pub run: RunId,
    pub name: &'a str,
    /// JSON text.
    pub payload: &'a str,
    /// The flow that sends it, its generation and the place in its journal: it sends each once.
    pub sender: Option<(RunId, u32, u32)>,
}

/// What sending a signal met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signalled {
    Kept,
    NoSuchRun,
    /// A task waits for no signals.
    IsTask,
    Final(State),
    /// As many wait there already as are kept.
    Full,
}

/// A signal that nobody was told of yet.
#[derive(Clone, Debug)]
pub struct Signal {
    pub no: i64,
    /// JSON text.
    pub payload: Arc<str>,
}

/// How a run is tried again.
#[derive(Clone, Debug)]
pub struct Again {
    /// The version of its module, maybe another one.
    pub version: i64,
    /// Whether a flow takes over nothing of what completed before.
    pub from_start: bool,
    /// For its history.
    pub reason: String,
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
    /// Runs that go on or start again.
    pub given_back: usize,
    /// What was being cancelled, and what nobody will carry out any more.
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
