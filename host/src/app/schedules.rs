//! What schedules bring: occurrences that are due, and those to come.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::App;
use super::deployments::new_run;
use crate::domain::catchup::{Missed, due};
use crate::domain::schedule::Rule;
use crate::domain::{Deployment, Occurrence, OnConflict, ScheduleId, Skip, SkipReason, TimetableRow, Trigger};
use crate::error::{Error, Result};
use crate::store::Firing;

/// The most occurrences to come that are told at once.
pub const MAX_UPCOMING: usize = 500;
/// Occurrences to come that are shown of one deployment: those of the next hour, this many at most, and at least some.
const HORIZON: SignedDuration = SignedDuration::from_hours(1);
const MAX_OF_DEPLOYMENT: usize = 100;
const MIN_OF_DEPLOYMENT: usize = 3;
/// Schedules that one transaction fires.
const BATCH: usize = 100;

/// An occurrence to come.
#[derive(Clone, Debug)]
pub struct Upcoming {
    pub deployment: String,
    pub row: TimetableRow,
    pub at: Timestamp,
}

impl App {
    /// Runs and skips what is due of up to a hundred schedules. Returns whether there may be more.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read or written.
    pub fn fire_due(&self) -> Result<bool> {
        let now = self.clock.now();
        let due = self.store.due_schedules(now, BATCH)?;
        let mut firings = Vec::with_capacity(due.len());
        for (name, id) in &due {
            let stopped = match self.store.deployment(name) {
                Ok(Some(deployment)) => match self.firing(&deployment, id, now) {
                    Ok(firing) => {
                        firings.extend(firing);
                        continue;
                    }
                    Err(why) => why,
                },
                Ok(None) => "its deployment does not exist".to_owned(),
                Err(error) if error.is_about_the_record() => error.to_string(),
                Err(error) => return Err(error.into()),
            };
            // It would be due for ever, and in the way of the others.
            tracing::error!("the schedule `{id}` of deployment `{name}` is stopped: {stopped}");
            self.store.stop_schedule(name, id, &stopped, now)?;
        }
        if firings.is_empty() {
            return Ok(due.len() == BATCH);
        }
        for fired in self.store.fire(&firings, now)? {
            self.tell_cancelled(&fired.cancelled);
            for run in &fired.runs {
                self.metrics.submitted(Trigger::Schedule);
                tracing::debug!("run `{run}` was submitted by its schedule");
            }
        }
        for kind in [crate::domain::Kind::Task, crate::domain::Kind::Flow] {
            self.events.run_is_due(kind);
        }
        Ok(due.len() == BATCH)
    }

    /// What becomes of the due occurrences of a schedule; nothing where it was deleted, changed or fired by another
    /// meanwhile.
    fn firing(&self, deployment: &Deployment, id: &str, now: Timestamp) -> Result<Option<Firing>, String> {
        let is_due = |row: &&TimetableRow| row.id.0 == id && row.due_at.is_some_and(|due| due <= now);
        let Some(row) = deployment.timetable.iter().find(is_due) else { return Ok(None) };
        let Some(next) = row.next_at else { return Ok(None) };
        let rule = row.schedule.rule()?;
        let policy = (deployment.spec.catchup, deployment.spec.catchup_max);
        let due = due(&row.schedule, &rule, row.created_at, next, now, policy);
        let mut firing = Firing {
            deployment: deployment.name.clone(),
            schedule_id: row.id.clone(),
            was: next,
            updated_at: deployment.updated_at,
            next_at: due.next,
            due_at: due.next.map(|at| at + row.schedule.put_off(at)),
            runs: Vec::with_capacity(due.run.len()),
            skips: due.missed.map(|missed| missed_skip(&row.id, missed)).into_iter().collect(),
        };
        let catches_up = due.run.len() > 1;
        for at in due.run {
            let mut new = new_run(deployment, Trigger::Schedule);
            if catches_up && deployment.spec.overlap != OnConflict::Allow {
                // They are not in each other's way, which would leave one of them.
                new.across.overlap = Some(OnConflict::Queue);
            }
            new.scheduled_at = Some(at + row.schedule.put_off(at));
            new.occurrence = Some(Occurrence { schedule_id: row.id.clone(), at });
            match self.prepare(new) {
                Ok(run) => firing.runs.push(run),
                Err(error) => firing.skips.push(Skip::one(row.id.clone(), at, SkipReason::Refused, error.message)),
            }
        }
        Ok(Some(firing))
    }

    /// The next occurrences of all schedules that are not paused, the first first: those before `until` or, where it is
    /// absent, of each deployment those of the next hour, a hundred at most and three at least.
    pub fn upcoming(&self, until: Option<Timestamp>, limit: usize) -> Result<Vec<Upcoming>> {
        let deployments = self.store.next_deployments(limit)?;
        let due = |deployment: &Deployment| {
            let due = deployment.timetable.iter().filter(|row| row.due_at.is_some());
            due.map(|row| (deployment.name.clone(), row.clone())).collect::<Vec<_>>()
        };
        let rows = deployments.iter().flat_map(due).collect();
        let horizon = self.clock.now() + HORIZON;
        let mut counts = HashMap::<String, usize>::new();
        let wanted = move |upcoming: &Upcoming| {
            let n = counts.entry(upcoming.deployment.clone()).or_default();
            *n += 1;
            match until {
                Some(until) => upcoming.at < until,
                None => *n <= MIN_OF_DEPLOYMENT || (upcoming.at < horizon && *n <= MAX_OF_DEPLOYMENT),
            }
        };
        Ok(merged(rows, wanted)?.take(limit).collect())
    }

    /// The next occurrences of a deployment's schedules, those that are paused included.
    pub fn upcoming_of(&self, deployment: &Deployment, limit: usize) -> Result<Vec<Upcoming>> {
        let now = self.clock.now();
        let ahead = |row: &TimetableRow| {
            let rule = row.schedule.rule().map_err(Error::invalid)?;
            let next_at = row.next_at.and_then(|at| if at > now { Some(at) } else { rule.next(now, row.created_at) });
            Ok((deployment.name.clone(), TimetableRow { next_at, ..row.clone() }))
        };
        let rows = deployment.timetable.iter().map(ahead).collect::<Result<_>>()?;
        Ok(merged(rows, |_| true)?.take(limit).collect())
    }
}

/// The occurrences of several schedules in the order of time; each schedule only as far as they are `wanted`.
fn merged(
    rows: Vec<(String, TimetableRow)>,
    mut wanted: impl FnMut(&Upcoming) -> bool,
) -> Result<impl Iterator<Item = Upcoming>> {
    let rules = rows.iter().map(|(_, row)| row.schedule.rule().map_err(Error::invalid));
    let rules: Vec<Rule> = rules.collect::<Result<_>>()?;
    let first = rows.iter().enumerate().filter_map(|(index, (_, row))| Some(Reverse((row.next_at?, index))));
    let mut next: BinaryHeap<_> = first.collect();
    Ok(std::iter::from_fn(move || {
        loop {
            let Reverse((at, index)) = next.pop()?;
            let (deployment, row) = &rows[index];
            let upcoming = Upcoming { deployment: deployment.clone(), row: row.clone(), at };
            if wanted(&upcoming) {
                next.extend(rules[index].next(at, row.created_at).map(|after| Reverse((after, index))));
                return Some(upcoming);
            }
        }
    }))
}

fn missed_skip(id: &ScheduleId, missed: Missed) -> Skip {
    let Missed { first, last, n } = missed;
    Skip {
        schedule_id: id.clone(),
        first_at: first,
        last_at: last,
        n,
        why: SkipReason::Missed,
        detail: "its time had passed, such as while no server ran".to_owned(),
        run_id: None,
    }
}
