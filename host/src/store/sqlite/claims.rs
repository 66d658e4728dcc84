//! How a worker takes runs that are due.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, ToSql, params};

use super::recovery::crash;
use super::rows::{RUN, micros, run, run_id, to_timestamp};
use super::{Result, Store};
use crate::domain::{Kind, Run, RunId};
use crate::store::watch::Changed;
use crate::store::{Claim, Claimed, MAX_RESCUES};

/// Runs that start their next attempt, and flows that go on with theirs.
const DUE: &str = "FROM runs WHERE kind = ? AND state = 'scheduled' AND worker_id IS NULL AND parent_id IS NULL
    AND paused_at IS NULL AND coalesce(retried_at, created_at) >= ? AND (kind = 'task' AND rescues >= 2) = ?";
const _: () = assert!(MAX_RESCUES == 2, "as in the statement above");
const PARKED: &str = "FROM runs WHERE wake_at IS NOT NULL AND parent_id IS NULL AND paused_at IS NULL
    AND coalesce(retried_at, created_at) >= ?";

impl Store {
    /// Takes up to `claim.limit` due runs of one kind for `worker`, the longest due first: flows that were parked go on,
    /// all others start their next attempt.
    pub fn claim(&self, claim: Claim, worker: i64, now: Timestamp) -> Result<Vec<Claimed>> {
        self.transact_on_runs(|transaction, changed| {
            let mut claimed = Vec::new();
            if claim.kind == Kind::Flow {
                let sql = format!("SELECT id {PARKED} AND wake_at <= ? ORDER BY wake_at LIMIT ?");
                let due = params![micros(claim.since), micros(now), claim.limit as i64];
                for id in ids(transaction, &sql, due)? {
                    let run = take(transaction, RESUME, id, worker, now)?;
                    claimed.extend(run.map(|run| Claimed { run, resumed: true }));
                }
            }
            let left = (claim.limit - claimed.len()) as i64;
            let sql = format!("SELECT id {DUE} AND scheduled_at <= ? ORDER BY scheduled_at, id LIMIT ?");
            let due = params![claim.kind.as_str(), micros(claim.since), claim.alone, micros(now), left];
            for id in ids(transaction, &sql, due)? {
                let run = take(transaction, START, id, worker, now)?;
                claimed.extend(run.map(|run| Claimed { run, resumed: false }));
            }
            changed.extend(claimed.iter().map(|claimed| Changed::run(&claimed.run)));
            Ok(claimed)
        })
    }

    /// When the next run that is not due yet will be.
    pub fn next_due(&self, claim: Claim) -> Result<Option<Timestamp>> {
        self.read(|connection| {
            let first = |sql: &str, params: &[&dyn ToSql]| {
                connection.prepare_cached(sql)?.query_row(params, |row| row.get::<_, i64>(0)).optional()
            };
            let since = micros(claim.since);
            let sql = format!("SELECT scheduled_at {DUE} ORDER BY scheduled_at LIMIT 1");
            let mut at = first(&sql, &[&claim.kind.as_str(), &since, &claim.alone])?;
            if claim.kind == Kind::Flow {
                let parked = first(&format!("SELECT wake_at {PARKED} ORDER BY wake_at LIMIT 1"), &[&since])?;
                at = at.into_iter().chain(parked).min();
            }
            at.map(to_timestamp).transpose()
        })
    }
}

const START: &str = "UPDATE runs SET state = 'running', worker_id = ?2, attempt = attempt + 1, started_at = ?3,
    generation = CASE kind WHEN 'flow' THEN generation + 1 ELSE generation END WHERE id = ?1";
const RESUME: &str = "UPDATE runs SET worker_id = ?2, wake_at = NULL WHERE id = ?1 AND ?3 IS NOT NULL";

fn ids(transaction: &Connection, sql: &str, params: impl Params) -> Result<Vec<RunId>> {
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        ids.push(run_id(row, 0)?);
    }
    Ok(ids)
}

fn take(transaction: &Connection, sql: &str, id: RunId, worker: i64, now: Timestamp) -> Result<Option<Run>> {
    transaction.prepare_cached(sql)?.execute(params![id.as_bytes(), worker, micros(now)])?;
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
