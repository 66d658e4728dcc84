//! What becomes of occurrences, on its way to the record and from it.

use jiff::Timestamp;

use super::Cancelled;
use crate::domain::{Run, RunId, ScheduleId, Skip};

/// What becomes of the due occurrences of one schedule.
#[derive(Clone, Debug)]
pub struct Firing {
    pub deployment: String,
    pub schedule_id: ScheduleId,
    /// The occurrence that was the next so far, and when the deployment was changed last: where either is another by
    /// now, nothing is done.
    pub was: Timestamp,
    pub updated_at: Timestamp,
    pub next_at: Option<Timestamp>,
    pub due_at: Option<Timestamp>,
    pub runs: Vec<Run>,
    pub skips: Vec<Skip>,
}

/// What came of a firing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fired {
    /// Those that are on record now.
    pub runs: Vec<RunId>,
    /// Those that were cancelled for them.
    pub cancelled: Vec<(RunId, Cancelled)>,
}

/// Skipped occurrences on record.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSkip {
    /// Grows with each record.
    pub no: i64,
    pub skip: Skip,
    /// When they were skipped last.
    pub at: Timestamp,
}
