//! Runs for occurrences that are over.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::App;
use super::deployments::new_run;
use crate::domain::concurrency::MAX_CONCURRENT;
use crate::domain::{Deployment, Hold, Occurrence, OnConflict, ScheduleId, TimetableRow, Trigger};
use crate::error::{Error, Result};
use crate::store::Inserted;

/// The most occurrences that one call submits runs for.
pub const MAX_BACKFILL: usize = 10_000;
/// Runs that one transaction puts on record.
const BATCH: usize = 200;

/// Which occurrences are to be run.
#[derive(Clone, Debug)]
pub struct Backfill {
    pub from: Timestamp,
    /// Not included.
    pub to: Timestamp,
    /// Only of this schedule.
    pub schedule_id: Option<ScheduleId>,
    /// How many of the runs may run at a time.
    pub concurrency: Option<u32>,
    /// Whether nothing is submitted.
    pub dry_run: bool,
}

/// What a backfill came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backfilled {
    pub n_occurrences: usize,
    /// Those for which a run was submitted.
    pub n_submitted: usize,
    /// Those that were run before.
    pub n_run_before: usize,
    /// Those that the deployment's limit on concurrency has skipped.
    pub n_skipped: usize,
}

impl App {
    /// Submits a run for each occurrence from `from` on, before `to`, that was not run. They begin in that order.
    ///
    /// # Errors
    ///
    /// `not_found`; `invalid` for the span and for more than [`MAX_BACKFILL`] occurrences, and as [`App::submit`].
    pub fn backfill(&self, name: &str, backfill: &Backfill) -> Result<Backfilled> {
        let deployment = self.deployment(name)?;
        if let Some(max) = backfill.concurrency
            && !(1..=MAX_CONCURRENT).contains(&max)
        {
            return Err(Error::invalid(format!("`concurrency` is {max}; it goes from 1 to {MAX_CONCURRENT}")));
        }
        let occurrences = self.past_occurrences(&deployment, backfill)?;
        let mut done = Backfilled { n_occurrences: occurrences.len(), ..Backfilled::default() };
        for batch in occurrences.chunks(BATCH) {
            let runs = batch.iter().map(|occurrence| {
                let mut new = new_run(&deployment, Trigger::Backfill);
                new.occurrence = Some(occurrence.clone());
                // Its schedules go on meanwhile.
                new.across.overlap = None;
                let mut run = self.prepare(new)?;
                if let Some(max) = backfill.concurrency {
                    let name = format!("backfill/{name}");
                    let across = Arc::make_mut(run.across.get_or_insert_default());
                    across.holds.push(Hold { name, max, on_conflict: OnConflict::Queue });
                }
                Ok(run)
            });
            let runs = runs.collect::<Result<Vec<_>>>()?;
            for inserted in self.store.insert_occurrences(&runs, backfill.dry_run)? {
                match inserted {
                    Inserted::Inserted { cancelled } => {
                        done.n_submitted += 1;
                        self.tell_cancelled(&cancelled);
                    }
                    Inserted::Exists(_) => done.n_run_before += 1,
                    Inserted::Skipped(_) => done.n_skipped += 1,
                }
            }
            if let Some(run) = runs.first().filter(|_| !backfill.dry_run) {
                self.events.run_is_due(run.kind);
            }
        }
        if !backfill.dry_run {
            (0..done.n_submitted).for_each(|_| self.metrics.submitted(Trigger::Backfill));
        }
        Ok(done)
    }

    fn past_occurrences(&self, deployment: &Deployment, backfill: &Backfill) -> Result<Vec<Occurrence>> {
        let Backfill { from, to, schedule_id, .. } = backfill;
        let now = self.clock.now();
        if from >= to || *to > now {
            return Err(Error::invalid(format!(
                "a backfill goes from a time to a later one that has passed; `{from}` to `{to}` does not, now is `{now}`"
            )));
        }
        let wanted = |row: &&TimetableRow| schedule_id.as_ref().is_none_or(|id| row.id == *id);
        let rows: Vec<&TimetableRow> = deployment.timetable.iter().filter(wanted).collect();
        if rows.is_empty() {
            let which = schedule_id.as_ref().map(|id| format!(" `{id}`")).unwrap_or_default();
            return Err(Error::invalid(format!("deployment `{}` has no schedule{which}", deployment.name)));
        }
        let mut occurrences = Vec::new();
        for row in rows {
            let rule = row.schedule.rule().map_err(Error::invalid)?;
            let mut after = *from - SignedDuration::from_micros(1);
            while let Some(at) = rule.next(after, row.created_at).filter(|at| at < to) {
                if occurrences.len() == MAX_BACKFILL {
                    return Err(Error::invalid(format!(
                        "there are more than {MAX_BACKFILL} occurrences from `{from}` to `{to}`; take a shorter span"
                    )));
                }
                occurrences.push(Occurrence { schedule_id: row.id.clone(), at });
                after = at;
            }
        }
        occurrences.sort_by_key(|occurrence| occurrence.at);
        Ok(occurrences)
    }
}
