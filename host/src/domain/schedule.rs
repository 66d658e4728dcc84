//! When a deployment runs: a cron expression, an interval, or one point in time.
//!
//! - A **cron expression** is what crontab(5) takes, read by the clock of the schedule's zone; what happens
//!   where that clock is changed is said in `wall`.
//! - An **interval** is time that passes: no change of a clock makes it longer or shorter. It is counted from the
//!   deployment's creation, which is no occurrence itself, or from its `anchor`, which is one, as is what lies before it.
//! - A **point in time** that is given as the clock of the zone shows it must be shown exactly once.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

pub mod cron;
mod times;
mod wall;
pub mod words;

use cron::Expression;
use wall::WallCron;

/// The shortest and the longest interval: a second, and ten years.
pub const MIN_INTERVAL_MS: u64 = 1000;
pub const MAX_INTERVAL_MS: u64 = 315_360_000_000;
/// What is put off longer than a day belongs to another day.
pub const MAX_JITTER_MS: u64 = 86_400_000;

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
            (_, Some(ms), _) => write!(f, "every {} ({})", words::ENGLISH.duration(ms), self.timezone),
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

    /// How long an occurrence is put off: from 0 to `jitter_ms`, drawn from the schedule and the occurrence, so that
    /// whoever asks is told the same.
    pub fn put_off(&self, occurrence: Timestamp) -> SignedDuration {
        if self.jitter_ms == 0 {
            return SignedDuration::ZERO;
        }
        let hash = Sha256::digest(format!("{} {}", self.id(), occurrence.as_microsecond()));
        let draw = hash[..8].iter().fold(0_u64, |draw, byte| draw << 8 | u64::from(*byte));
        SignedDuration::from_millis((draw % (self.jitter_ms.min(MAX_JITTER_MS) + 1)) as i64)
    }

    /// The schedule, ready to be asked.
    ///
    /// # Errors
    ///
    /// As [`Schedule::check`].
    pub fn rule(&self) -> Result<Rule, String> {
        let zone = times::zone(&self.timezone)?;
        self.check_span()?;
        let when = match (&self.cron, self.interval_ms, &self.at) {
            (Some(cron), None, None) => When::Cron(Box::new(WallCron::new(&Expression::parse(cron)?, zone))),
            (None, Some(ms), None) => {
                When::Every { ms: self.check_interval(ms)?, anchor: self.anchor.map(times::whole) }
            }
            (None, None, Some(at)) => When::At(times::point(at, &zone, &self.timezone)?),
            (None, None, None) => return Err("a schedule needs one of `cron`, `interval_ms` and `at`".to_owned()),
            _ => return Err("a schedule has only one of `cron`, `interval_ms` and `at`: give each its own".to_owned()),
        };
        if self.at.is_some() && (self.start.is_some() || self.end.is_some()) {
            return Err("`start` and `end` do not go with `at`, which is one point in time".to_owned());
        }
        if self.anchor.is_some() && self.interval_ms.is_none() {
            return Err("`anchor` goes only with `interval_ms`".to_owned());
        }
        Ok(Rule { when, start: self.start, end: self.end })
    }

    fn check_span(&self) -> Result<(), String> {
        for (name, time) in [("anchor", self.anchor), ("start", self.start), ("end", self.end)] {
            time.map_or(Ok(()), |time| times::check_year(name, &time.to_string(), time))?;
        }
        if let (Some(start), Some(end)) = (self.start, self.end)
            && start >= end
        {
            return Err(format!("`start` is {start}, which is not before `end`, {end}"));
        }
        match self.jitter_ms {
            0..=MAX_JITTER_MS => Ok(()),
            ms => Err(format!("`jitter_ms` is {ms}; the most is {MAX_JITTER_MS} (a day)")),
        }
    }

    fn check_interval(&self, ms: u64) -> Result<i64, String> {
        if !(MIN_INTERVAL_MS..=MAX_INTERVAL_MS).contains(&ms) {
            return Err(format!(
                "`interval_ms` is {ms}; it goes from {MIN_INTERVAL_MS} (a second) to {MAX_INTERVAL_MS} (ten years)"
            ));
        }
        if self.jitter_ms >= ms {
            return Err(format!("`jitter_ms` is {}, which is not less than `interval_ms`, {ms}", self.jitter_ms));
        }
        Ok(ms as i64)
    }
}

/// A schedule that was checked.
pub struct Rule {
    when: When,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

enum When {
    Cron(Box<WallCron>),
    Every { ms: i64, anchor: Option<Timestamp> },
    At(Timestamp),
}

/// Less than what tells two occurrences apart.
const INSTANT: SignedDuration = SignedDuration::from_nanos(1);

impl Rule {
    /// The first occurrence after `after`, where the deployment was created at `created`. None where there is no more.
    pub fn next(&self, after: Timestamp, created: Timestamp) -> Option<Timestamp> {
        let after = match self.start.and_then(|start| start.checked_sub(INSTANT).ok()) {
            Some(before) => after.max(before),
            None => after,
        };
        let at = match &self.when {
            When::Cron(cron) => cron.next(after)?,
            When::Every { ms, anchor } => {
                let first = if anchor.is_some() { i64::MIN } else { 1 };
                nth(
                    anchor.unwrap_or(created),
                    *ms,
                    intervals(after, anchor.unwrap_or(created), *ms).checked_add(1)?.max(first),
                )?
            }
            When::At(at) => Some(*at).filter(|at| *at > after)?,
        };
        Some(at).filter(|at| self.end.is_none_or(|end| *at < end))
    }

    /// The last occurrence at `at_or_before` or earlier.
    pub fn previous(&self, at_or_before: Timestamp, created: Timestamp) -> Option<Timestamp> {
        let until = match self.end.and_then(|end| end.checked_sub(INSTANT).ok()) {
            Some(before) => at_or_before.min(before),
            None => at_or_before,
        };
        let at = match &self.when {
            When::Cron(cron) => cron.previous(until)?,
            When::Every { ms, anchor } => {
                let n = intervals(until, anchor.unwrap_or(created), *ms);
                Some(n).filter(|n| anchor.is_some() || *n >= 1).and_then(|n| nth(anchor.unwrap_or(created), *ms, n))?
            }
            When::At(at) => Some(*at).filter(|at| *at <= until)?,
        };
        Some(at).filter(|at| self.start.is_none_or(|start| *at >= start))
    }

    /// How many occurrences come after `from` and not after `to`. Those of a cron expression are counted one by one,
    /// `cap` at most.
    pub fn count(&self, from: Timestamp, to: Timestamp, created: Timestamp, cap: u64) -> u64 {
        let When::Every { ms, anchor } = &self.when else {
            return self.upcoming(from, created).take_while(|at| *at <= to).take(cap as usize).count() as u64;
        };
        let place = |at: Timestamp| intervals(at, anchor.unwrap_or(created), *ms);
        let (first, last) = (self.next(from, created), self.previous(to, created));
        first.zip(last).map_or(0, |(first, last)| u64::try_from(place(last) - place(first) + 1).unwrap_or(0))
    }

    /// The occurrences after `after`, in their order.
    pub fn upcoming(&self, after: Timestamp, created: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next(after, created), move |at| self.next(*at, created))
    }
}

/// How many whole intervals have passed since `anchor`; less than none before it.
fn intervals(at: Timestamp, anchor: Timestamp, ms: i64) -> i64 {
    let passed = at.as_nanosecond() - anchor.as_nanosecond();
    passed.div_euclid(i128::from(ms) * 1_000_000) as i64
}

fn nth(anchor: Timestamp, ms: i64, n: i64) -> Option<Timestamp> {
    anchor.checked_add(SignedDuration::from_millis(ms.checked_mul(n)?)).ok()
}

#[cfg(test)]
mod tests;
