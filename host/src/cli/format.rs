//! Numbers, times and guests' words as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::shapes::RunSummary;
use crate::domain::RunId;

/// Digits at the end of an id that tell runs apart.
const SHORT_ID: usize = 8;

/// Milliseconds with three digits that count: `340 µs`, `1.2 ms`, `12 ms`, `1.53 s`, `2 min 3 s`, `1 h 2 min`.
pub(super) fn duration(ms: f64) -> String {
    let ms = ms.max(0.0);
    match ms {
        _ if ms < 0.9995 => format!("{:.0} µs", ms * 1000.0),
        _ if ms < 9.95 => format!("{ms:.1} ms"),
        _ if ms < 999.5 => format!("{ms:.0} ms"),
        _ if ms < 9_995.0 => format!("{:.2} s", ms / 1000.0),
        _ if ms < 59_950.0 => format!("{:.1} s", ms / 1000.0),
        _ => {
            let seconds = (ms / 1000.0).round() as u64;
            match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
                (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
                (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
                (days, hours, _, _) => format!("{days} d {hours} h"),
            }
        }
    }
}

/// When something comes, in whole seconds: `in 30 s`, `in 1 min 30 s`, `in 2 d 4 h`; `due` where its time has come.
pub(super) fn countdown(now: Timestamp, at: Timestamp) -> String {
    match (between(now, at) / 1000.0).round() {
        seconds if seconds < 1.0 => "due".to_owned(),
        seconds if seconds < 60.0 => format!("in {seconds} s"),
        seconds => format!("in {}", duration(seconds * 1000.0)),
    }
}

/// A count with an SI prefix: `950`, `1.2 k`, `34.5 M`.
pub(super) fn si(count: u64) -> String {
    scaled(count, 1000.0, &["", " k", " M", " G", " T", " P", " E"])
}

/// `512 B`, `64 KiB`, `1.5 MiB`.
pub(super) fn bytes(count: u64) -> String {
    scaled(count, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

fn scaled(count: u64, base: f64, units: &[&str]) -> String {
    let mut value = count as f64;
    let mut unit = 0;
    while value >= base - 0.05 && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    let number = format!("{value:.1}");
    format!("{}{}", number.trim_end_matches(".0"), units[unit])
}

/// A count with a separator between thousands.
pub(super) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 run`, `2 runs`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}

/// `4 attempts (3 retries)`.
pub(super) fn attempts(count: u64, retries: u64) -> String {
    let attempts = counted(count, "attempt", "attempts");
    if retries == 0 { attempts } else { format!("{attempts} ({})", counted(retries, "retry", "retries")) }
}

/// How much of a run is done, as it says itself: 100 only where it is all.
pub(super) fn percent(run: &RunSummary) -> Option<u64> {
    let progress = run.progress.as_ref()?;
    match (progress.done?, progress.total?) {
        (_, 0) => Some(100),
        (done, total) => u64::try_from(u128::from(done) * 100 / u128::from(total)).ok(),
    }
}

/// The last characters of a run's id, which are enough to name it.
pub(super) fn short_id(id: RunId) -> String {
    let digits = id.0.simple().to_string();
    digits[digits.len() - SHORT_ID..].to_owned()
}

/// The hour of a log line, local, with milliseconds.
pub(super) fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string()
}

/// Date and hour, local.
pub(super) fn date(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Milliseconds from one point in time to another.
pub(super) fn between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1000.0
}

/// How long a run took or has taken until now; nothing where it has not started.
pub(super) fn run_duration(run: &RunSummary, now: Timestamp) -> Option<String> {
    let started = run.started_at?;
    // The usage of a run with one attempt is exact, while the two times are of different clocks' readings.
    if run.finished_at.is_some() && run.n_attempts == 1 && run.usage.duration_ms > 0.0 {
        return Some(duration(run.usage.duration_ms));
    }
    Some(duration(between(started, run.finished_at.unwrap_or(now))))
}

/// A guest's words without what could command a terminal. Lines after the first are indented by `indent`.
pub(super) fn harmless(text: &str, indent: usize) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' => {
                clean.push('\n');
                clean.extend(std::iter::repeat_n(' ', indent));
            }
            '\t' => clean.push('\t'),
            c if c.is_control() => clean.extend(c.escape_default()),
            c => clean.push(c),
        }
    }
    clean
}

/// JSON text with one member a line, in the order and with the numbers that it has.
pub(super) fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().peekable();
    while let Some(c) = chars.next() {
        if in_string {
            text.push(c);
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                text.push(c);
            }
            '{' | '[' => {
                text.push(c);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                // What is empty stays on its line.
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(close);
                } else {
                    depth += 1;
                    new_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => text.push(c),
        }
    }
    text
}

fn new_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact_and_short() {
        let table = [
            (0.0, "0 µs"),
            (0.3404, "340 µs"),
            (0.9996, "1.0 ms"),
            (1.25, "1.2 ms"),
            (12.4, "12 ms"),
            (999.4, "999 ms"),
            (999.6, "1.00 s"),
            (1534.0, "1.53 s"),
            (12_340.0, "12.3 s"),
            (59_960.0, "1 min 0 s"),
            (123_000.0, "2 min 3 s"),
            (3_720_000.0, "1 h 2 min"),
            (90_000_000.0, "1 d 1 h"),
        ];
        for (ms, text) in table {
            assert_eq!(duration(ms), text);
        }
    }

    #[test]
    fn a_countdown_is_in_whole_seconds() {
        let now = Timestamp::UNIX_EPOCH;
        let at = |ms| countdown(now, now + jiff::SignedDuration::from_millis(ms));
        assert_eq!([-5, 29_600, 59_700, 90_400].map(at), ["due", "in 30 s", "in 1 min 0 s", "in 1 min 30 s"]);
    }

    #[test]
    fn counts_are_scaled() {
        assert_eq!([0, 950, 1_200, 34_500_000, 999_960].map(si), ["0", "950", "1.2 k", "34.5 M", "1 M"]);
        assert_eq!([512, 65_536, 1_572_864].map(bytes), ["512 B", "64 KiB", "1.5 MiB"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [attempts(1, 0), attempts(2, 1), attempts(4, 3)],
            ["1 attempt", "2 attempts (1 retry)", "4 attempts (3 retries)"]
        );
    }

    #[test]
    fn json_is_laid_out_without_being_read() {
        let json = r#"{"b":[1.0,{}, [ ]],"a":"x\\\"{,:","n":12345678901234567890}"#;
        let laid_out = "{\n  \"b\": [\n    1.0,\n    {},\n    []\n  ],\n  \"a\": \"x\\\\\\\"{,:\",\n  \"n\": 12345678901234567890\n}";
        assert_eq!(pretty(json), laid_out);
        assert_eq!(pretty("\"é\""), "\"é\"");
    }

    #[test]
    fn a_guest_cannot_command_the_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\r\nc\n", 2), "a\\u{1b}[2Jb\\r\n  c");
        assert_eq!(harmless("é\tç", 0), "é\tç");
    }
}
