//! Deployments: named, configured ways to run an entry.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::concurrency::{Concurrency, OnConflict, Rate, check_priority};
use super::notify;
use super::{
    Digest, Grants, LimitsPatch, Metering, NotifyRule, RetentionPatch, Retries, RunId, Schedule, ScheduleId,
    SettingsPatch,
};

/// Schedules of one deployment: who needs more means another expression.
pub const MAX_SCHEDULES: usize = 100;
/// The longest description, in bytes.
pub const MAX_DESCRIPTION: usize = 4096;
/// How many missed occurrences `all` catches up on where nothing else is said, and at most.
pub const DEFAULT_CATCHUP_MAX: u32 = 100;
pub const MAX_CATCHUP_MAX: u32 = 10_000;

/// A deployment on record.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    pub name: String,
    /// With the name of its entry in place.
    pub spec: DeploymentSpec,
    pub created_at: Timestamp,
    /// Grows with each change, so that who changes it can tell whether another did meanwhile.
    pub updated_at: Timestamp,
    /// In the order of `spec.schedules`.
    pub timetable: Vec<TimetableRow>,
}

/// Where a schedule is.
#[derive(Clone, Debug, PartialEq)]
pub struct TimetableRow {
    pub id: ScheduleId,
    pub schedule: Schedule,
    /// When it was added to its deployment, which its intervals are counted from.
    pub created_at: Timestamp,
    /// The next occurrence; none where there is no more.
    pub next_at: Option<Timestamp>,
    /// When that one is run or skipped; none also where the schedule or its deployment is paused.
    pub due_at: Option<Timestamp>,
}

/// Occurrences of a schedule that were not run.
#[derive(Clone, Debug, PartialEq)]
pub struct Skip {
    pub schedule_id: ScheduleId,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub n: u64,
    pub why: SkipReason,
    /// More of it, in words.
    pub detail: String,
    /// The run that was in the way.
    pub run_id: Option<RunId>,
}

impl Skip {
    /// A single occurrence.
    pub fn one(schedule_id: ScheduleId, at: Timestamp, why: SkipReason, detail: String) -> Skip {
        Skip { schedule_id, first_at: at, last_at: at, n: 1, why, detail, run_id: None }
    }
}

/// Why an occurrence was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// As many runs as may were unfinished.
    Conflict,
    /// No server ran at its time.
    Missed,
    /// The schedule or its deployment was paused.
    Paused,
    /// The run could not be submitted, such as for its parameters.
    Refused,
}

impl SkipReason {
    const ALL: [SkipReason; 4] = [SkipReason::Conflict, SkipReason::Missed, SkipReason::Paused, SkipReason::Refused];

    pub fn as_str(self) -> &'static str {
        match self {
            SkipReason::Conflict => "conflict",
            SkipReason::Missed => "missed",
            SkipReason::Paused => "paused",
            SkipReason::Refused => "refused",
        }
    }

    pub fn parse(text: &str) -> Option<SkipReason> {
        SkipReason::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What a deployment says: the body of `PUT /api/deployments/{name}`, and a table of `tarefa.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"module": "flow_para_agendar", "schedules": [{"interval_ms": 30000}]}))]
pub struct DeploymentSpec {
    pub module: String,
    /// May be left out where the module has one flow, or one entry.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entry: Option<String>,
    /// A version that it stays with; absent, each run takes the newest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// What each run is given where it is not told otherwise.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(max_items = 100)]
    pub schedules: Vec<Schedule>,
    /// Whether none of its schedules fires.
    #[serde(skip_serializing_if = "super::is_false", default)]
    pub paused: bool,
    /// What becomes of an occurrence that comes while a run of the deployment is unfinished.
    #[serde(default = "default_overlap")]
    pub overlap: OnConflict,
    /// What becomes of occurrences that were missed while no server ran.
    #[serde(default)]
    pub catchup: Catchup,
    /// How many of them `all` runs at most, the latest.
    #[serde(default = "default_catchup_max")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub catchup_max: u32,
    /// How many of its runs may run at a time, all together or for each value of a key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub concurrency: Option<Concurrency>,
    /// How many of its runs may start within a span of time, such as `10/1m`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>)]
    pub rate: Option<Rate>,
    /// From 0 to 9: what is higher starts first; each minute of waiting counts as one more.
    #[serde(skip_serializing_if = "is_zero", default)]
    #[schema(minimum = 0, maximum = 9)]
    pub priority: u8,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limits: Option<LimitsPatch>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retries: Option<Retries>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metering: Option<Metering>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tags: Option<Vec<String>>,
    /// The IANA time zone that its runs see; a schedule has its own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grants: Option<Grants>,
    /// How long its runs and their logs stay on record after their end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retention: Option<RetentionPatch>,
    /// Whom to tell what becomes of its runs, besides whom the server's own rules tell.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[schema(max_items = 20)]
    pub notify: Vec<NotifyRule>,
    /// The project whose `tarefa.toml` it is kept in step with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(pattern = "^[a-z][a-z0-9_-]{0,63}$")]
    pub project: Option<String>,
}

/// What becomes of occurrences that were missed while no server ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Catchup {
    /// All are skipped.
    None,
    /// The latest one runs.
    #[default]
    Last,
    /// All run, the latest `catchup_max` at most.
    All,
}

fn default_overlap() -> OnConflict {
    OnConflict::Skip
}

fn default_catchup_max() -> u32 {
    DEFAULT_CATCHUP_MAX
}

fn is_zero(value: &u8) -> bool {
    *value == 0
}

impl DeploymentSpec {
    /// Says what is wrong with it, as far as that can be told without its module.
    ///
    /// # Errors
    ///
    /// Names the field, its value and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if let Some(description) = &self.description
            && description.len() > MAX_DESCRIPTION
        {
            return Err(format!("`description` has {} bytes; the most is {MAX_DESCRIPTION}", description.len()));
        }
        if self.schedules.len() > MAX_SCHEDULES {
            return Err(format!("{} schedules; the most is {MAX_SCHEDULES}", self.schedules.len()));
        }
        let mut ids = Vec::with_capacity(self.schedules.len());
        for schedule in &self.schedules {
            schedule.check()?;
            let id = schedule.id();
            if ids.contains(&id) {
                return Err(format!("the schedule `{schedule}` stands twice in the list"));
            }
            ids.push(id);
        }
        if !(1..=MAX_CATCHUP_MAX).contains(&self.catchup_max) {
            return Err(format!("`catchup_max` is {}; it goes from 1 to {MAX_CATCHUP_MAX}", self.catchup_max));
        }
        if let Some(concurrency) = &self.concurrency {
            concurrency.check()?;
        }
        if let Some(rate) = &self.rate {
            rate.check()?;
        }
        notify::check_rules(&self.notify)?;
        if let Some(project) = &self.project {
            super::module::check_name("project", project)?;
        }
        check_priority(self.priority)
    }

    /// All that it says as JSON, secrets included: for the store, and for who gives them to a server.
    pub fn stored(&self) -> Value {
        let mut json = serde_json::to_value(self).expect("a deployment is plain data");
        if !self.notify.is_empty() {
            json["notify"] = notify::stored(&self.notify);
        }
        json
    }

    /// How its runs are carried out.
    pub fn settings(&self) -> SettingsPatch {
        let (dirs, http) = self.grants.clone().map(|grants| (grants.dirs, grants.http)).unzip();
        SettingsPatch {
            limits: self.limits.clone(),
            retries: self.retries.clone(),
            metering: self.metering,
            tags: self.tags.clone(),
            timezone: self.timezone.clone(),
            dirs,
            http,
        }
    }
}
