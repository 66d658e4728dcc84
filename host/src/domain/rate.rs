//! Rates: how many runs may start within a span of time.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// The most starts of a rate: each is remembered for its span.
pub const MAX_RATE: u32 = 10_000;
/// The longest span of a rate: a day.
pub const MAX_RATE_SPAN_MS: u64 = 86_400_000;

/// How many runs may start within any span of that length, written as `10/1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub span_ms: u64,
}

impl Rate {
    pub fn span(&self) -> SignedDuration {
        SignedDuration::from_millis(i64::try_from(self.span_ms).unwrap_or(i64::MAX))
    }

    /// # Errors
    ///
    /// Names what is out of range, and the range.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MAX_RATE).contains(&self.count) {
            return Err(format!("the rate `{self}` lets {} start; it goes from 1 to {MAX_RATE}", self.count));
        }
        if !(1..=MAX_RATE_SPAN_MS).contains(&self.span_ms) {
            return Err(format!("the rate `{self}` has a span of {} ms; it goes from 1 ms to a day", self.span_ms));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rate_has_a_number_and_a_unit() {
        let table = [
            ("10/1m", 10, 60_000),
            ("1/s", 1, 1000),
            ("3/250ms", 3, 250),
            ("100/2h", 100, 7_200_000),
            ("5/1min", 5, 60_000),
            ("10000/1d", 10_000, MAX_RATE_SPAN_MS),
        ];
        for (text, count, span_ms) in table {
            let rate: Rate = text.parse().expect(text);
            assert_eq!(rate, Rate { count, span_ms }, "{text}");
            rate.check().expect(text);
            assert_eq!(serde_json::from_value::<Rate>(json!(text)).expect(text), rate);
        }
    }

    #[test]
    fn a_rate_that_is_none_is_refused_with_what_is_allowed() {
        let unreadable = [
            "",
            "10",
            "10/",
            "/1m",
            "10/1",
            "10/1w",
            "10/m1",
            "-1/1m",
            "1.5/1m",
            "10/1.5m",
            "+1/1m",
            "1 /1m",
            "1/ 1m",
            "1/1m ",
            "1/1M",
            "1/1m/1m",
            "4294967296/1m",
            "1/18446744073709551615d",
            "1/99999999999999999999s",
            "٣/1m",
            "1/1\u{0}",
        ];
        for text in unreadable {
            let error = text.parse::<Rate>().expect_err(text);
            assert!(error.ends_with("is no rate: write it as `10/1m`, which is ten each minute"), "{error}");
            assert!(!error.contains(char::is_control), "{error}");
        }
        let out_of_range = |text: &str| text.parse::<Rate>().expect(text).check().expect_err(text);
        for text in ["0/1m", "10001/1m", "4294967295/1s"] {
            assert!(out_of_range(text).ends_with("it goes from 1 to 10000"), "{text}");
        }
        for text in ["1/0s", "1/2d", "1/86400001ms", "1/213503982334d"] {
            assert!(out_of_range(text).ends_with("it goes from 1 ms to a day"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_rate_reads_as_it_is_written(count in 0..=u32::MAX, span_ms in 0..=u64::MAX) {
            let rate = Rate { count, span_ms };
            prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        }

        #[test]
        fn no_text_makes_a_rate_panic(text in "[0-9]*/?[0-9]*[a-z]*.*") {
            if let Ok(rate) = text.parse::<Rate>() {
                let _ = rate.check();
            }
        }
    }
}
