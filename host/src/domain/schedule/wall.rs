//! When a cron expression comes in a time zone: on the wall, and then in time.
//!
//! `croner` finds the next time on the wall. What becomes of it where clocks are changed is decided here, as in crontab:
//!
//! - An expression that *names times*, neither of whose first two fields begins with `*`, comes once for each of them.
//!   A time that is skipped comes at the moment of the change, and so do all that are skipped together, once. Of a time
//!   that the clock shows twice the first counts.
//! - Any other *follows the clock*: it comes whenever the clock shows such a time. So `*/15 * * * *` comes every 15
//!   minutes through both changes, and what the clock never shows does not come.

use std::sync::LazyLock;

use croner::parser::CronParser;
use croner::{Cron, CronComponent};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::cron::{Expression, Field};

/// A day matches either field, or both. Parsing takes croner 12 µs, most of it for years, so each is parsed once.
static EITHER_DAY: LazyLock<Cron> = LazyLock::new(|| any("* * 1 * 1"));
static BOTH_DAYS: LazyLock<Cron> = LazyLock::new(|| any("* * 1 * +1"));

fn any(expression: &str) -> Cron {
    CronParser::new().parse(expression).expect("it is a cron expression")
}

const INSTANT: SignedDuration = SignedDuration::from_nanos(1);

pub(super) struct WallCron {
    cron: Cron,
    zone: TimeZone,
    names_times: bool,
}

/// A change of the clock: at that moment it goes from one time on the wall to another.
struct Change {
    at: Timestamp,
    from: DateTime,
    to: DateTime,
    before: Offset,
    after: Offset,
}

impl WallCron {
    pub(super) fn new(expression: &Expression, zone: TimeZone) -> WallCron {
        let mut cron = if expression.either_day() { EITHER_DAY.clone() } else { BOTH_DAYS.clone() };
        let pattern = &mut cron.pattern;
        fill(&mut pattern.minutes, expression.minute);
        fill(&mut pattern.hours, expression.hour);
        fill(&mut pattern.days, expression.day);
        fill(&mut pattern.months, expression.month);
        fill(&mut pattern.days_of_week, expression.weekday);
        WallCron { cron, zone, names_times: expression.names_times() }
    }

    /// The first occurrence after `time`.
    pub(super) fn next(&self, time: Timestamp) -> Option<Timestamp> {
        let mut offset = self.zone.to_offset(time);
        let wall = offset.to_datetime(time);
        let mut found = match self.change_by(time) {
            // What the clock shows for the second time has come already.
            Some(change) if self.names_times && change.from > wall => self.first_from(change.from)?,
            _ => self.cron.find_next_occurrence(&wall, false).ok()?,
        };
        let mut time = time;
        loop {
            let at = offset.to_timestamp(found).ok()?;
            let Some(change) = self.change_after(time, offset).filter(|change| change.at <= at) else {
                return Some(at);
            };
            if change.to > change.from {
                if found < change.to && self.names_times {
                    return Some(change.at);
                }
                if found < change.to {
                    found = self.first_from(change.to)?;
                }
            } else if !self.names_times && change.to <= wall {
                // Only what was on the wall before the search began can come again without having been found.
                found = self.first_from(change.to)?;
            }
            (time, offset) = (change.at, change.after);
        }
    }

    /// The last occurrence at `time` or before.
    pub(super) fn previous(&self, time: Timestamp) -> Option<Timestamp> {
        let mut offset = self.zone.to_offset(time);
        let mut wall = offset.to_datetime(time);
        let mut found = self.cron.find_previous_occurrence(&wall, true).ok()?;
        let mut time = time;
        loop {
            let Some(change) = self.change_by(time) else { return offset.to_timestamp(found).ok() };
            let (forward, first) = (change.to > change.from, if self.names_times { change.from } else { change.to });
            if found >= first.max(change.to) {
                return offset.to_timestamp(found).ok();
            }
            if forward && found >= change.from && self.names_times {
                return Some(change.at);
            }
            if found >= change.from || wall < change.from {
                found = self.cron.find_previous_occurrence(&change.from, false).ok()?;
            }
            (time, offset, wall) = (change.at - INSTANT, change.before, change.from);
        }
    }

    fn first_from(&self, wall: DateTime) -> Option<DateTime> {
        self.cron.find_next_occurrence(&wall, true).ok()
    }

    fn change_after(&self, time: Timestamp, before: Offset) -> Option<Change> {
        let change = self.zone.following(time).next()?;
        Some(Change::new(change.timestamp(), before, change.offset()))
    }

    /// The last change at `time` or before.
    fn change_by(&self, time: Timestamp) -> Option<Change> {
        let change = self.zone.preceding(time.checked_add(INSTANT).ok()?).next()?;
        let at = change.timestamp();
        Some(Change::new(at, self.zone.to_offset(at.checked_sub(INSTANT).ok()?), change.offset()))
    }
}

impl Change {
    fn new(at: Timestamp, before: Offset, after: Offset) -> Change {
        Change { at, from: before.to_datetime(at), to: after.to_datetime(at), before, after }
    }
}

fn fill(component: &mut CronComponent, field: Field) {
    const PLAIN: u8 = 1;
    for value in component.min..=component.max {
        let bit = if field.contains(u32::from(value)) {
            component.set_bit(value, PLAIN)
        } else {
            component.unset_bit(value, PLAIN)
        };
        bit.expect("the value is in the component's range");
    }
}
