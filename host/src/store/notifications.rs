//! What the store has of notifications.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{NotifyEvent, RunId};

/// What somebody may want to be told of.
#[derive(Clone, Debug)]
pub struct Occasion {
    /// Its number, where it is on record and waits to be written out.
    pub no: Option<i64>,
    pub event: NotifyEvent,
    pub at: Timestamp,
    /// None where that is gone.
    pub about: Option<About>,
}

#[derive(Clone, Debug)]
pub enum About {
    Run(RunId),
    Missed(Missed),
}

/// Occurrences of a schedule that were not run.
#[derive(Clone, Debug, Serialize)]
pub struct Missed {
    #[serde(skip)]
    pub deployment: String,
    pub schedule_id: String,
    /// As it is written.
    pub schedule: String,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub n: i64,
    pub why: String,
}

/// Somebody is to be told.
#[derive(Clone, Debug)]
pub struct NewNotification {
    /// The same each time that it is tried.
    pub id: String,
    /// The rule that says so: its deployment, or nothing where it is the server's, `/` and its hash.
    pub rule: String,
    pub target: String,
    pub event: NotifyEvent,
    pub at: Timestamp,
    pub run_id: Option<RunId>,
    pub deployment: Option<String>,
    pub schedule_id: Option<String>,
    /// What is sent.
    pub body: String,
}

/// A notification whose time has come.
#[derive(Clone, Debug)]
pub struct DueNotification {
    pub no: i64,
    pub id: String,
    pub rule: String,
    pub event: NotifyEvent,
    pub run_id: Option<RunId>,
    pub body: String,
    /// So far.
    pub tries: u32,
}

/// What became of a notification.
#[derive(Clone, Debug)]
pub struct StoredNotification {
    pub no: i64,
    pub id: String,
    pub rule: String,
    pub target: String,
    pub event: NotifyEvent,
    pub at: Timestamp,
    pub run_id: Option<RunId>,
    pub deployment: Option<String>,
    pub tries: u32,
    pub tried_at: Option<Timestamp>,
    /// None where it was taken or given up.
    pub next_at: Option<Timestamp>,
    /// Why the last try failed.
    pub error: Option<String>,
}

impl StoredNotification {
    pub fn state(&self) -> NotificationState {
        match (self.next_at, &self.error) {
            (Some(_), _) => NotificationState::Pending,
            (None, None) => NotificationState::Delivered,
            (None, Some(_)) => NotificationState::GivenUp,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationState {
    Pending,
    Delivered,
    GivenUp,
}

/// Which notifications a list shows; what is absent does not filter.
#[derive(Clone, Debug, Default)]
pub struct NotificationFilter {
    pub run: Option<RunId>,
    pub deployment: Option<String>,
    pub state: Option<NotificationState>,
}
