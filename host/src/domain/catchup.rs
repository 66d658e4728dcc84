//! Which occurrences of a schedule are run, and which were missed.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::schedule::Rule;
use super::state::LATE_AFTER;
use super::{Catchup, Schedule};

/// Missed occurrences of a cron expression that are counted one by one; of more there is only said that there are more.
pub const MAX_COUNTED: u64 = 10_000;

/// What has become due of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// In their order.
    pub run: Vec<Timestamp>,
    pub missed: Option<Missed>,
    /// The first occurrence that is not due yet; none where there is no more.
    pub next: Option<Timestamp>,
}

/// Occurrences whose time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    pub first: Timestamp,
    pub last: Timestamp,
    /// At least, where there are [`MAX_COUNTED`].
    pub n: u64,
}

/// What has become due by `now` of a schedule that was added at `created` and whose next occurrence is `next`.
pub fn due(
    schedule: &Schedule,
    rule: &Rule,
    created: Timestamp,
    next: Timestamp,
    now: Timestamp,
    policy: (Catchup, u32),
) -> Due {
    let is_due = |at: Timestamp| at + schedule.put_off(at) <= now;
    let keep = match policy {
        (Catchup::None | Catchup::Last, _) => 1,
        (Catchup::All, most) => most as usize,
    };
    // From the last one back: of what was missed for a year only the end is looked at.
    let mut run = VecDeque::new();
    let mut last = rule.previous(now, created).filter(|last| *last >= next);
    while let Some(at) = last.filter(|at| *at >= next) {
        if run.len() == keep {
            break;
        }
        if is_due(at) {
            run.push_front(at);
        }
        last = rule.previous(at - jiff::SignedDuration::from_micros(1), created);
    }
    let next_at = match run.back() {
        Some(last) => rule.next(*last, created),
        None => Some(next),
    };
    let first_run = run.front().copied();
    let mut missed = first_run.filter(|first| *first > next).and_then(|first| {
        let before = first - jiff::SignedDuration::from_micros(1);
        let n = rule.count(next - jiff::SignedDuration::from_micros(1), before, created, MAX_COUNTED);
        rule.previous(before, created).map(|last| Missed { first: next, last, n })
    });
    if policy.0 == Catchup::None
        && let Some(at) = first_run
        && now.duration_since(at + schedule.put_off(at)) > LATE_AFTER
    {
        run.clear();
        let n = missed.map_or(0, |missed| missed.n) + 1;
        missed = Some(Missed { first: next, last: at, n });
    }
    Due { run: run.into(), missed, next: next_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: &str = "2026-01-02T03:04:05Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    /// What is due of an interval of a minute, `seconds` after its deployment was made.
    fn minutes(seconds: i64, policy: (Catchup, u32)) -> Due {
        let schedule = Schedule { interval_ms: Some(60_000), timezone: "UTC".to_owned(), ..Schedule::default() };
        let rule = schedule.rule().expect("a rule");
        let created = at(CREATED);
        let first = rule.next(created, created).expect("an occurrence");
        due(&schedule, &rule, created, first, created + jiff::SignedDuration::from_secs(seconds), policy)
    }

    /// What is run, what was missed from when to when, and what comes next.
    type Shown = (Vec<i64>, Option<(i64, i64, u64)>, Option<i64>);

    /// Minutes after the start.
    fn shown(due: &Due) -> Shown {
        let minute = |at: Timestamp| at.duration_since(self::at(CREATED)).as_secs() / 60;
        let missed = due.missed.as_ref().map(|missed| (minute(missed.first), minute(missed.last), missed.n));
        (due.run.iter().map(|at| minute(*at)).collect(), missed, due.next.map(minute))
    }

    #[test]
    fn the_policy_says_what_is_run_of_what_has_become_due() {
        use Catchup::{All, Last, None};
        let table = [
            // Nothing is due yet; one is; one is, ten seconds ago.
            (59, Last, 1, (vec![], Option::None, Some(1))),
            (60, Last, 1, (vec![1], Option::None, Some(2))),
            (60, None, 1, (vec![1], Option::None, Some(2))),
            (70, None, 1, (vec![1], Option::None, Some(2))),
            (71, None, 1, (vec![], Some((1, 1, 1)), Some(2))),
            (71, Last, 1, (vec![1], Option::None, Some(2))),
            // Five are.
            (300, Last, 1, (vec![5], Some((1, 4, 4)), Some(6))),
            (300, None, 1, (vec![5], Some((1, 4, 4)), Some(6))),
            (330, None, 1, (vec![], Some((1, 5, 5)), Some(6))),
            (330, All, 3, (vec![3, 4, 5], Some((1, 2, 2)), Some(6))),
            (330, All, 5, (vec![1, 2, 3, 4, 5], Option::None, Some(6))),
            (330, All, 100, (vec![1, 2, 3, 4, 5], Option::None, Some(6))),
        ];
        for (seconds, catchup, most, expected) in table {
            assert_eq!(shown(&minutes(seconds, (catchup, most))), expected, "{seconds} s, {catchup:?} {most}");
        }
    }

    #[test]
    fn an_occurrence_that_is_put_off_is_not_due_before() {
        let schedule = Schedule {
            cron: Some("*/5 * * * *".to_owned()),
            timezone: "UTC".to_owned(),
            jitter_ms: 240_000,
            ..Schedule::default()
        };
        let rule = schedule.rule().expect("a rule");
        let (created, first) = (at(CREATED), at("2026-01-02T03:05:00Z"));
        let put_off = schedule.put_off(first);
        let before = first + put_off - jiff::SignedDuration::from_micros(1);
        let policy = (Catchup::Last, 1);
        let nothing = Due { run: Vec::new(), missed: None, next: Some(first) };
        assert_eq!(due(&schedule, &rule, created, first, before, policy), nothing);
        let due = due(&schedule, &rule, created, first, first + put_off, policy);
        assert_eq!((due.run, due.missed, due.next), (vec![first], None, Some(at("2026-01-02T03:10:00Z"))));
    }

    #[test]
    fn a_schedule_that_is_over_has_no_next_occurrence() {
        let once =
            Schedule { at: Some("2026-01-03T00:00:00Z".to_owned()), timezone: "UTC".to_owned(), ..Schedule::default() };
        let rule = once.rule().expect("a rule");
        let (created, first) = (at(CREATED), at("2026-01-03T00:00:00Z"));
        let due = due(&once, &rule, created, first, at("2027-01-01T00:00:00Z"), (Catchup::Last, 1));
        assert_eq!((due.run, due.missed, due.next), (vec![first], None, None));
    }
}
