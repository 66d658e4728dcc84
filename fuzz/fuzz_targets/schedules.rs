//! Any text is a schedule that can be asked, or an error: as JSON, as a cron expression, as a point in time, as a zone.
#![no_main]

use domain::schedule::Schedule;
use domain::schedule::words::{PORTUGUESE, explain};
use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::fuzz_target;

/// The host's own files.
#[allow(dead_code)]
#[path = "../../host/src/domain"]
mod domain {
    pub mod nearest;
    pub mod schedule;

    fn is_false(value: &bool) -> bool {
        !value
    }

    fn is_zero_ms(value: &u64) -> bool {
        *value == 0
    }
}

const CREATED: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn ask(schedule: &Schedule) {
    let rule = match schedule.rule() {
        Ok(rule) => rule,
        Err(error) => return assert!(!error.is_empty() && error.len() < 2000),
    };
    assert!(!schedule.describe().is_empty() && !schedule.describe_in(&PORTUGUESE).is_empty());
    for from in [CREATED, CREATED + SignedDuration::from_millis(123_456_789)] {
        let Some(next) = rule.next(from, CREATED) else { continue };
        assert!(next > from);
        assert_eq!(rule.previous(next, CREATED), Some(next));
        assert!(rule.count(from, next, CREATED, 5) == 1);
        assert!(schedule.put_off(next) <= SignedDuration::from_hours(24));
    }
}

fuzz_target!(|text: &str| {
    let _ = explain(text);
    let (first, second) = text.split_once('\n').unwrap_or((text, "UTC"));
    let some = Some(first.to_owned());
    // To look for the nearest of all zones takes longer than all else: one of the two is enough.
    match text.len() % 2 {
        0 => ask(&Schedule { cron: some, timezone: second.to_owned(), ..Schedule::default() }),
        _ => ask(&Schedule { at: some, timezone: second.to_owned(), ..Schedule::default() }),
    }
    if let Ok(schedule) = serde_json::from_str::<Schedule>(text) {
        ask(&schedule);
    }
});
