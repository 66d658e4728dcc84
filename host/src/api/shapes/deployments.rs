//! Deployments and their schedules on the wire.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Caller, RunSummary};
use crate::domain::{
    Catchup, Concurrency, DeploymentSpec, Digest, Grants, Kind, LimitsPatch, Metering, NotifyRule, OnConflict, Rate,
    RetentionPatch, Retries, RunId, Schedule, ScheduleId, SkipReason,
};

/// A deployment: what it says, and where it is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DeploymentShape {
    pub name: String,
    pub module: String,
    pub entry: String,
    pub kind: Option<Kind>,
    /// What people see of the entry.
    pub title: String,
    /// The version that it stays with; null where each run takes the newest.
    pub digest: Option<Digest>,
    pub description: Option<String>,
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    pub schedules: Vec<ScheduleShape>,
    pub paused: bool,
    pub overlap: OnConflict,
    pub catchup: Catchup,
    pub catchup_max: u32,
    pub concurrency: Option<Concurrency>,
    #[schema(value_type = Option<String>)]
    pub rate: Option<Rate>,
    pub priority: u8,
    pub limits: Option<LimitsPatch>,
    pub retries: Option<Retries>,
    pub metering: Option<Metering>,
    pub tags: Option<Vec<String>>,
    pub timezone: Option<String>,
    pub grants: Option<Grants>,
    pub retention: Option<RetentionPatch>,
    /// With `********` in the place of each secret.
    pub notify: Vec<NotifyRule>,
    pub project: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The first of its schedules' next occurrences; null where none fires.
    pub next_at: Option<Timestamp>,
    /// Occurrences that were skipped.
    pub n_skipped: u64,
    /// Whether the call that this answers changed anything; absent where it could not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed: Option<bool>,
    pub last_run: Option<RunSummary>,
    /// Why it cannot be carried out now, such as for a module that was deleted.
    pub broken: Option<String>,
}

impl DeploymentShape {
    /// What it says, as it was put.
    pub fn spec(&self) -> DeploymentSpec {
        DeploymentSpec {
            module: self.module.clone(),
            entry: Some(self.entry.clone()),
            digest: self.digest.clone(),
            description: self.description.clone(),
            parameters: self.parameters.clone(),
            schedules: self.schedules.iter().map(ScheduleShape::schedule).collect(),
            paused: self.paused,
            overlap: self.overlap,
            catchup: self.catchup,
            catchup_max: self.catchup_max,
            concurrency: self.concurrency.clone(),
            rate: self.rate,
            priority: self.priority,
            limits: self.limits.clone(),
            retries: self.retries.clone(),
            metering: self.metering,
            tags: self.tags.clone(),
            timezone: self.timezone.clone(),
            grants: self.grants.clone(),
            retention: self.retention,
            notify: self.notify.clone(),
            project: self.project.clone(),
        }
    }
}

/// A schedule of a deployment, and where it is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ScheduleShape {
    /// A hash of what it says.
    pub id: ScheduleId,
    /// What it says in words.
    pub description: String,
    pub cron: Option<String>,
    pub interval_ms: Option<u64>,
    pub at: Option<String>,
    pub anchor: Option<Timestamp>,
    /// An IANA time zone name.
    pub timezone: String,
    pub jitter_ms: u64,
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    pub paused: bool,
    /// The next occurrence; null where there is no more, and where it or its deployment is paused.
    pub next_at: Option<Timestamp>,
}

impl ScheduleShape {
    /// What it says, as it was put.
    pub fn schedule(&self) -> Schedule {
        Schedule {
            cron: self.cron.clone(),
            interval_ms: self.interval_ms,
            at: self.at.clone(),
            anchor: self.anchor,
            timezone: self.timezone.clone(),
            jitter_ms: self.jitter_ms,
            start: self.start,
            end: self.end,
            paused: self.paused,
        }
    }
}

/// The body of `POST /api/deployments/{name}/runs`.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct TriggerShape {
    /// In the place of the deployment's of the same names.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Makes the call safe to repeat; unique per entry.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub idempotency_key: Option<String>,
    /// The earliest time to start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub scheduled_at: Option<Timestamp>,
    /// Who triggers; `api` where it is absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trigger: Option<Caller>,
}

/// The body of `POST /api/deployments/{name}/backfill`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "2026-11-01T00:00:00Z", "to": "2026-11-08T00:00:00Z", "dry_run": true}))]
pub struct BackfillShape {
    pub from: Timestamp,
    /// Not included.
    pub to: Timestamp,
    /// Only of this schedule.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schedule_id: Option<ScheduleId>,
    /// How many of these runs may run at a time; all where it is absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 1, maximum = 100_000)]
    pub concurrency: Option<u32>,
    /// Only tell what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a backfill came to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct BackfilledShape {
    pub n_occurrences: usize,
    /// Those for which a run was submitted.
    pub n_submitted: usize,
    /// Those that were run before.
    pub n_run_before: usize,
    /// Those that the deployment's limit on concurrency has skipped.
    pub n_skipped: usize,
}

/// The body of calls that take nothing.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct EmptyShape {}

/// An occurrence to come.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct UpcomingShape {
    pub deployment: String,
    pub schedule_id: ScheduleId,
    /// The schedule in words.
    pub description: String,
    pub at: Timestamp,
    /// In the schedule's time zone, with its offset.
    #[schema(example = "2026-11-24T09:00:00-03:00")]
    pub local: String,
    pub timezone: String,
    /// When it is due, with the schedule's jitter.
    pub due_at: Timestamp,
    /// Whether it will not be run as long as nothing is resumed.
    pub paused: bool,
}

/// Occurrences to come.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct UpcomingList {
    /// The first first.
    pub items: Vec<UpcomingShape>,
}

/// Occurrences of one schedule that were skipped, one after the other, for one reason.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SkipShape {
    pub no: i64,
    pub schedule_id: ScheduleId,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// How many; of a cron expression's missed ones at least so many where it is 10,000.
    pub n: u64,
    pub why: SkipReason,
    pub detail: String,
    /// The run that was in the way.
    pub run_id: Option<RunId>,
    /// When they were skipped, the last of them.
    pub at: Timestamp,
}

/// A deployment that the newest version of its module cannot carry out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct BrokenShape {
    pub deployment: String,
    pub why: String,
}
