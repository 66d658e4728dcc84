//! What an attempt knows about itself, local time, labels and sleeps.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backend;

/// What an attempt knows about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Context {
    /// The run's id, a UUID.
    pub run_id: String,
    /// The run at the top of the tree; the own id there.
    pub root_id: String,
    /// The flow run that submitted this one.
    #[serde(default)]
    pub parent_id: Option<String>,
    /// The same for all attempts of this work, those of a retried flow included: what a service that takes a payment
    /// or sends a mail should be given, so that it does so once. A UUID.
    #[serde(default)]
    pub idempotency_key: String,
    /// The module's name.
    pub module: String,
    /// The sha-256 of the module's bytes, in hexadecimal.
    pub digest: String,
    /// The entry's name.
    pub entry: String,
    /// `flow` or `task`.
    pub kind: String,
    /// The run's name.
    pub name: String,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// How many attempts there can be: one more than the retries.
    pub max_attempts: u32,
    /// The deployment that the run is one of; not of a child.
    #[serde(default)]
    pub deployment: Option<String>,
    /// What its schedule says, as RFC 3339 in UTC: the time that a late or back-filled run stands for.
    #[serde(default)]
    pub occurrence_at: Option<String>,
    /// The run's IANA time zone.
    pub timezone: String,
    /// Now in that zone, as RFC 3339; [`local_time`] has it in parts.
    pub local_time: String,
    /// The zone's distance from UTC now.
    pub utc_offset_seconds: i32,
}

/// The run as the host sees it now.
pub fn context() -> Context {
    let json = backend::current();
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("the context is not what the contract says: {error}"))
}

/// Now, in the run's time zone. (A sandbox itself knows only UTC.)
pub fn local_time() -> LocalTime {
    let text = context().local_time;
    LocalTime::parse(&text).unwrap_or_else(|| panic!("`{text}` is not a time in RFC 3339"))
}

/// A time of day on a date, in the run's time zone. Shown as RFC 3339: `2026-01-31T08:05:00.250000-03:00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTime {
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    text: String,
}

impl LocalTime {
    /// Reads RFC 3339 text; `None` where it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
        if !text.is_ascii() || bytes.len() < 20 || separators.iter().any(|(at, byte)| bytes[*at] != *byte) {
            return None;
        }
        let number = |from: usize, to: usize| text[from..to].parse::<u8>().ok();
        Some(Self {
            year: text[..4].parse().ok()?,
            month: number(5, 7)?,
            day: number(8, 10)?,
            hour: number(11, 13)?,
            minute: number(14, 16)?,
            second: number(17, 19)?,
            text: text.to_owned(),
        })
    }

    /// The date, as `2026-01-31`.
    pub fn date(&self) -> &str {
        &self.text[..10]
    }

    /// The time of day, as `08:05:00`.
    pub fn time(&self) -> &str {
        &self.text[11..19]
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Gives the run's outcome a word, at most 64 characters, and returns `value`: what a flow that had nothing to do
/// says with `Ok(complete_as("skipped", report))`.
pub fn complete_as<T>(label: &str, value: T) -> T {
    backend::set_label(label);
    value
}

/// Waits. In a flow this is a durable timer: the flow goes on at that time even if the host was restarted.
pub fn sleep(duration: Duration) {
    backend::sleep(duration);
}
