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
