//! A run that did not complete, tried again in its place.

use jiff::Timestamp;
use rusqlite::params;

use super::rows::micros;
use super::runs::select;
use super::{Result, Store};
use crate::domain::RunId;
use crate::store::watch::Changed;
use crate::store::{Again, Write};

impl Store {
    /// Schedules the next attempt of a top-level run that is over. Returns whether it was: another may have come first.
    pub fn retry(&self, id: RunId, again: &Again, now: Timestamp) -> Result<bool> {
        self.transact_on_runs(|transaction, changed| {
            let Some(run) = select(transaction, id)?.filter(|run| run.state.is_final()) else { return Ok(false) };
            if let Some(attempt) = run.last_attempt() {
                super::writes::apply(transaction, &Write::Attempt { run_id: id, attempt, worker: run.worker })?;
            }
            if let Some(at) = run.finished_at {
                let reason = run.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
                super::writes::apply(transaction, &Write::History { run_id: id, at, state: run.state, reason })?;
            }
            transaction.execute(
                "UPDATE runs SET state = 'scheduled', scheduled_at = ?2, retried_at = ?2, version_id = ?3,
                    reuse_from = CASE WHEN ?4 THEN generation + 1 ELSE reuse_from END, uncounted = attempt, rescues = 0,
                    started_at = NULL, finished_at = NULL, result = NULL, result_sum = NULL, result_preview = NULL,
                    failure = NULL, label = NULL, progress = NULL, fuel = 0, memory_peak_bytes = 0, duration_us = 0, child_states = NULL, worker_id = NULL, wake_at = NULL
                 WHERE id = ?1",
                params![id.as_bytes(), micros(now), again.version, again.from_start],
            )?;
            let history =
                Write::History { run_id: id, at: now, state: crate::domain::State::Scheduled, reason: again.reason.clone() };
            super::writes::apply(transaction, &history)?;
            super::across::keep_holds(transaction, &run)?;
            changed.push(Changed::run(&run));
            Ok(true)
        })
    }
}
