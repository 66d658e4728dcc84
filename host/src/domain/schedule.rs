//! When a deployment runs: a cron expression, an interval, or one point in time.

use std::fmt;

use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

/// The shortest and the longest interval: a second, and ten years.
pub const MIN_INTERVAL_MS: u64 = 1000;
pub const MAX_INTERVAL_MS: u64 = 315_360_000_000;

/// When a deployment runs. One of `cron`, `interval_ms` and `at` says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Five fields, as in a crontab.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(example = "0 9-18 * * 1-5")]
    pub cron: Option<String>,
    /// Milliseconds from one occurrence to the next.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(minimum = 1000)]
    pub interval_ms: Option<u64>,
    /// One point in time: RFC 3339, or a local time of the schedule's zone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(example = "2027-01-31T09:00:00Z")]
    pub at: Option<String>,
    /// Of an interval: a time that its occurrences are counted from; absent, the deployment's creation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub anchor: Option<Timestamp>,
    /// An IANA time zone name.
    #[serde(default = "utc")]
    pub timezone: String,
    /// Each occurrence is put off by a time from 0 to this, drawn from the schedule and the occurrence.
    #[serde(skip_serializing_if = "super::is_zero_ms", default)]
    pub jitter_ms: u64,
    /// No occurrence is before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub start: Option<Timestamp>,
    /// No occurrence is at this time or later.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub end: Option<Timestamp>,
    #[serde(skip_serializing_if = "super::is_false", default)]
    pub paused: bool,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Names a schedule by what it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct ScheduleId(pub String);

impl fmt::Display for ScheduleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As it is written.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.cron, self.interval_ms, &self.at) {
            (Some(cron), ..) => write!(f, "{cron} ({})", self.timezone),
            (_, Some(ms), _) => write!(f, "every {} ({})", super::retry::human_ms(ms), self.timezone),
            (.., Some(at)) => write!(f, "at {at} ({})", self.timezone),
            _ => f.write_str("never"),
        }
    }
}

impl Schedule {
    /// # Errors
    ///
    /// Names what is wrong, its value and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        self.rule().map(drop)
    }

    /// A hash of what it says, whether paused or not.
    pub fn id(&self) -> ScheduleId {
        let said = Schedule { paused: false, ..self.clone() };
        let json = serde_json::to_vec(&said).expect("a schedule is plain data");
        ScheduleId(Sha256::digest(&json)[..6].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The schedule, ready to be asked.
    ///
    /// # Errors
    ///
    /// As [`Schedule::check`].
    pub fn rule(&self) -> Result<Rule, String> {
        let zone = TimeZone::get(&self.timezone)
            .map_err(|_| format!("unknown time zone `{}`", self.timezone.escape_debug()))?;
        let when = match (&self.cron, self.interval_ms, &self.at) {
            (Some(cron), None, None) => {
                let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
                When::Cron(Box::new(
                    parser.parse(cron).map_err(|error| format!("invalid cron expression `{cron}`: {error}"))?,
                ))
            }
            (None, Some(ms), None) => When::Every(ms),
            (None, None, Some(at)) => When::At(at.parse().map_err(|_| format!("invalid time `{at}`"))?),
            _ => return Err("a schedule has one of `cron`, `interval_ms` and `at`".to_owned()),
        };
        Ok(Rule { when, zone, anchor: self.anchor, start: self.start, end: self.end })
    }
}

/// A schedule that was checked.
pub struct Rule {
    when: When,
    zone: TimeZone,
    anchor: Option<Timestamp>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

enum When {
    Cron(Box<croner::Cron>),
    Every(u64),
    At(Timestamp),
}

impl Rule {
    /// The first occurrence after `after`, where the deployment was created at `created`. None where there is no more.
    pub fn next(&self, after: Timestamp, created: Timestamp) -> Option<Timestamp> {
        let after = self.start.map_or(after, |start| after.max(start - SignedDuration::from_micros(1)));
        let at = match &self.when {
            When::Cron(cron) => cron.find_next_occurrence(&after.to_zoned(self.zone.clone()), false).ok()?.timestamp(),
            When::Every(ms) => {
                let every = i64::try_from(*ms).ok()?;
                let anchor = self.anchor.unwrap_or(created);
                let past = after.duration_since(anchor).as_millis() as i64;
                anchor + SignedDuration::from_millis((past.div_euclid(every) + 1) * every)
            }
            When::At(at) => Some(*at).filter(|at| *at > after)?,
        };
        Some(at).filter(|at| self.end.is_none_or(|end| *at < end))
    }
}

impl Schedule {
    pub fn describe(&self) -> String {
        self.to_string()
    }

    pub fn put_off(&self, _occurrence: Timestamp) -> SignedDuration {
        SignedDuration::ZERO
    }
}

impl Rule {
    pub fn previous(&self, at_or_before: Timestamp, created: Timestamp) -> Option<Timestamp> {
        let mut at = self.next(created - SignedDuration::from_micros(1), created)?;
        while let Some(next) = self.next(at, created).filter(|next| *next <= at_or_before) {
            at = next;
        }
        Some(at).filter(|at| *at <= at_or_before)
    }

    pub fn count(&self, from: Timestamp, to: Timestamp, created: Timestamp, cap: u64) -> u64 {
        let (mut n, mut at) = (0, from);
        while n < cap
            && let Some(next) = self.next(at, created).filter(|next| *next <= to)
        {
            (n, at) = (n + 1, next);
        }
        n
    }
}
