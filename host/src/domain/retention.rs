//! How long what is over stays on record.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const DAY_MS: u64 = 86_400_000;
/// The shortest that anything is kept: who waits for a run's end must find it.
pub const MIN_KEEP_MS: u64 = 60_000;
/// The longest, 100 years: what is longer is for ever.
pub const MAX_KEEP_MS: u64 = 36_500 * DAY_MS;
/// An idempotency key, and the run that it stands for, are kept at least this long past the run's end.
pub const MIN_KEEP_KEY: SignedDuration = SignedDuration::from_hours(24);

/// How long something stays on record after the end of its run, written as `30d` or `forever`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Milliseconds.
    For(u64),
    Forever,
}

/// How long runs that are over stay on record, with all below them, and how long their logs do, which may go before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Retention {
    #[schema(value_type = String, example = "30d")]
    pub runs: Keep,
    #[schema(value_type = String, example = "14d")]
    pub logs: Keep,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { runs: Keep::For(30 * DAY_MS), logs: Keep::For(14 * DAY_MS) }
    }
}

/// What a deployment says of its own runs; what is absent is as the server has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionPatch {
    /// A span such as `7d` or `12h`, a minute at least, or `forever`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>, pattern = "^([1-9][0-9]{0,3}[dh]|forever)$", example = "7d")]
    pub runs: Option<Keep>,
    /// The same, for what they and all below them wrote to their logs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>, pattern = "^([1-9][0-9]{0,3}[dh]|forever)$", example = "1d")]
    pub logs: Option<Keep>,
}

impl Retention {
    pub fn with(self, own: RetentionPatch) -> Retention {
        Retention { runs: own.runs.unwrap_or(self.runs), logs: own.logs.unwrap_or(self.logs) }
    }
}

impl Keep {
    /// What ended before this time is not kept at `now`; none where all is.
    pub fn since(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Keep::For(ms) => now.checked_sub(SignedDuration::from_millis(i64::try_from(ms).ok()?)).ok(),
            Keep::Forever => None,
        }
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Keep, String> {
        if text == "forever" {
            return Ok(Keep::Forever);
        }
        let span: Option<Span> = text.parse().ok();
        let span = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
        let ms = span.and_then(|span| u64::try_from(span.as_millis()).ok()).ok_or_else(|| {
            format!("`{}` is no time to keep something: write it as `30d`, `12h` or `forever`", text.escape_debug())
        })?;
        match ms {
            MIN_KEEP_MS..=MAX_KEEP_MS => Ok(Keep::For(ms)),
            _ => Err(format!(
                "`{}` is out of range: it goes from `1m` to `36500d`, or is `forever`",
                text.escape_debug()
            )),
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = match self {
            Keep::Forever => return f.write_str("forever"),
            Keep::For(ms) => *ms,
        };
        let units = [(DAY_MS, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
        let (unit_ms, unit) = units.into_iter().find(|(unit, _)| ms.is_multiple_of(*unit)).unwrap_or((1, "ms"));
        write!(f, "{}{unit}", ms / unit_ms)
    }
}

impl Serialize for Keep {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Keep, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_keep_is_written_as_it_is_read() {
        for (text, ms) in
            [("30d", 30 * DAY_MS), ("36h", 129_600_000), ("1m", 60_000), ("90s", 90_000), ("36500d", MAX_KEEP_MS)]
        {
            assert_eq!(text.parse(), Ok(Keep::For(ms)), "{text}");
            assert_eq!(Keep::For(ms).to_string(), text);
        }
        for (text, same) in [("2w", "14d"), ("1 day 12h", "36h"), ("60 min", "1h"), ("forever", "forever")] {
            assert_eq!(text.parse::<Keep>().map(|keep| keep.to_string()), Ok(same.to_owned()));
        }
        for bad in ["", "30", "-3d", "soon", "0d", "59s", "36501d", "1 month", "for ever", "1e9d"] {
            let error = bad.parse::<Keep>().expect_err(bad);
            assert!(error.contains("forever"), "{error}");
        }
    }

    #[test]
    fn what_a_deployment_does_not_say_is_as_the_server_has_it() {
        let patch: RetentionPatch = serde_json::from_str(r#"{"logs": "forever"}"#).expect("it is well formed");
        let retention = Retention::default().with(patch);
        assert_eq!(
            serde_json::to_value(retention).expect("JSON"),
            serde_json::json!({"runs": "30d", "logs": "forever"})
        );
        let now = "2026-03-01T00:00:00Z".parse().expect("a time");
        assert_eq!(retention.runs.since(now), Some("2026-01-30T00:00:00Z".parse().expect("a time")));
        assert_eq!(retention.logs.since(now), None);
        assert!(serde_json::from_str::<RetentionPatch>(r#"{"log": "1d"}"#).is_err());
    }
}
