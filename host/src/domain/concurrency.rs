//! Limits across runs: how many of them may run at a time, how many may start within a span of time, and who comes first.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest key of a concurrency limit, in bytes.
pub const MAX_KEY: usize = 200;
/// The most runs that a limit lets run at a time: what is more is none.
pub const MAX_CONCURRENT: u32 = 100_000;
pub const MAX_PRIORITY: u8 = 9;
/// The most starts of a rate: each is remembered for its span.
pub const MAX_RATE: u32 = 10_000;
/// The longest span of a rate: a day.
pub const MAX_RATE_SPAN_MS: u64 = 86_400_000;

/// What becomes of a run that comes while as many run as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// It runs beside them.
    Allow,
    /// It waits for its turn.
    Queue,
    /// It waits for its turn, unless another waits already: then it is skipped.
    QueueOne,
    /// It is skipped.
    Skip,
    /// It takes the place of the oldest one, which is cancelled.
    CancelRunning,
}

/// How many runs may run at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// A template such as `{customer}`, filled with the parameters: each value has its own limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    #[schema(minimum = 1, maximum = 100_000)]
    pub max: u32,
    #[serde(default = "queue")]
    pub on_conflict: OnConflict,
}

fn queue() -> OnConflict {
    OnConflict::Queue
}

impl Concurrency {
    /// # Errors
    ///
    /// Names what is out of range, and the range.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MAX_CONCURRENT).contains(&self.max) {
            return Err(format!("`concurrency.max` is {}; it goes from 1 to {MAX_CONCURRENT}", self.max));
        }
        match &self.key {
            Some(key) if key.is_empty() || key.len() > MAX_KEY => {
                Err(format!("`concurrency.key` has {} bytes; it takes 1 to {MAX_KEY}", key.len()))
            }
            _ => Ok(()),
        }
    }
}

/// # Errors
///
/// Names the value and the range.
pub fn check_priority(priority: u8) -> Result<(), String> {
    match priority {
        0..=MAX_PRIORITY => Ok(()),
        _ => Err(format!("`priority` is {priority}; it goes from 0 to {MAX_PRIORITY}")),
    }
}

/// How many runs may start within any span of that length, written as `10/1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub span_ms: u64,
}

impl Rate {
    /// # Errors
    ///
    /// Names what is out of range, and the range.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MAX_RATE).contains(&self.count) {
            return Err(format!("the rate `{self}` lets {} start; it goes from 1 to {MAX_RATE}", self.count));
        }
        if !(1..=MAX_RATE_SPAN_MS).contains(&self.span_ms) {
            return Err(format!("the rate `{self}` has a span of {} ms; the most is a day", self.span_ms));
        }
        Ok(())
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let wrong = || format!("`{}` is no rate: write it as `10/1m`, which is ten each minute", text.escape_debug());
        let (count, span) = text.split_once('/').ok_or_else(wrong)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let unit_at = span.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = span.split_at(unit_at);
        if !digits(count) || !(number.is_empty() || digits(number)) {
            return Err(wrong());
        }
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let number: u64 = if number.is_empty() { 1 } else { number.parse().map_err(|_| wrong())? };
        let span_ms = number.checked_mul(unit_ms).ok_or_else(wrong)?;
        Ok(Rate { count: count.parse().map_err(|_| wrong())?, span_ms })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.span_ms {
            ms if ms != 0 && ms % 86_400_000 == 0 => (ms / 86_400_000, "d"),
            ms if ms != 0 && ms % 3_600_000 == 0 => (ms / 3_600_000, "h"),
            ms if ms != 0 && ms % 60_000 == 0 => (ms / 60_000, "m"),
            ms if ms != 0 && ms % 1000 == 0 => (ms / 1000, "s"),
            ms => (ms, "ms"),
        };
        write!(f, "{}/{number}{unit}", self.count)
    }
}

impl Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
