//! How a worker takes runs that are due.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::recovery::crash;
use super::rows::{RUN, micros, run, run_id, to_timestamp};
use super::{Result, Store};
use crate::domain::{Run, RunId};
use crate::store::Claim;
use crate::store::watch::Changed;

const DUE: &str = "FROM runs WHERE kind = ? AND state = 'scheduled' AND worker_id IS NULL AND created_at >= ?";

impl Store {
    /// Takes up to `claim.limit` due runs of one kind for `worker`, the longest due first, and starts their next
    /// attempt.
    pub fn claim(&self, claim: Claim, worker: i64, now: Timestamp) -> Result<Vec<Run>> {
        self.transact_on_runs(|transaction, changed| {
            let mut statement = transaction
                .prepare_cached(&format!("SELECT id {DUE} AND scheduled_at <= ? ORDER BY scheduled_at, id LIMIT ?"))?;
            let mut rows =
                statement.query(params![claim.kind.as_str(), micros(claim.since), micros(now), claim.limit as i64])?;
            let mut ids = Vec::new();
            while let Some(row) = rows.next()? {
                ids.push(run_id(row, 0)?);
            }
            let mut claimed = Vec::with_capacity(ids.len());
            for id in ids {
                claimed.extend(start(transaction, id, worker, now)?);
            }
            changed.extend(claimed.iter().map(Changed::run));
            Ok(claimed)
        })
    }

    /// When the next run that is not due yet will be.
    pub fn next_due(&self, claim: Claim) -> Result<Option<Timestamp>> {
        self.read(|connection| {
            let sql = format!("SELECT scheduled_at {DUE} ORDER BY scheduled_at LIMIT 1");
            let mut statement = connection.prepare_cached(&sql)?;
            let at: Option<i64> =
                statement.query_row(params![claim.kind.as_str(), micros(claim.since)], |row| row.get(0)).optional()?;
            at.map(to_timestamp).transpose()
        })
    }
}

fn start(transaction: &Connection, id: RunId, worker: i64, now: Timestamp) -> Result<Option<Run>> {
    transaction
        .prepare_cached(
            // Without durable replay each claim of a flow is an execution from the start.
            "UPDATE runs SET state = 'running', worker_id = ?2, attempt = attempt + 1, started_at = ?3,
                generation = CASE kind WHEN 'flow' THEN generation + 1 ELSE generation END
             WHERE id = ?1",
        )?
        .execute(params![id.as_bytes(), worker, micros(now)])?;
    let mut statement = transaction.prepare_cached(&format!("{RUN} WHERE r.id = ?"))?;
    let mut rows = statement.query([id.as_bytes()])?;
    match rows.next()?.map(run).transpose() {
        Err(error) if error.is_about_the_record() => {
            // It cannot be carried out, and must not stop those behind it.
            crash(transaction, id, &error, now)?;
            Ok(None)
        }
        run => run,
    }
}
