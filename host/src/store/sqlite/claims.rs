//! How a worker takes runs that are due.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, ToSql, params};

use super::across::{hindrance, turn_away};
use super::recovery::crash;
use super::rows::{RUN, micros, run, run_id, to_timestamp};
use super::{Result, Store};
use crate::domain::concurrency::PRIORITY_STEP;
use crate::domain::{Kind, Run, RunId};
use crate::store::watch::Changed;
use crate::store::{Blocked, Claim, Claimed, Claims, MAX_RESCUES};

/// Runs that start their next attempt, and flows that go on with theirs.
const DUE: &str = "FROM runs WHERE kind = ? AND state = 'scheduled' AND worker_id IS NULL AND parent_id IS NULL
    AND blocked_on IS NULL AND paused_at IS NULL AND coalesce(retried_at, created_at) >= ?
    AND (kind = 'task' AND rescues >= 2) = ?";
const _: () = assert!(MAX_RESCUES == 2, "as in the statement above");
/// The order in which those start that are due, as in the indexes: see [`order_of`](crate::domain::concurrency::order_of).
pub(super) const ORDER: &str = "scheduled_at - priority * 60000000";
const _: () = assert!(PRIORITY_STEP.as_micros() == 60_000_000, "as in the statement above");
const PARKED: &str = "FROM runs WHERE wake_at IS NOT NULL AND parent_id IS NULL AND paused_at IS NULL
    AND coalesce(retried_at, created_at) >= ?";

impl Store {
    /// Takes up to `claim.limit` due runs of one kind for `worker`, the longest due first: flows that were parked go on,
    /// all others start their next attempt at the time that `admit` says, unless that names a limit which they wait for.
    pub fn claim(
        &self,
        claim: Claim,
        worker: i64,
        now: Timestamp,
        mut admit: impl FnMut(&Run) -> Result<Timestamp, String>,
    ) -> Result<Claims> {
        self.transact_on_runs(|transaction, changed| {
            let Claims { mut claimed, mut blocked } = Claims::default();
            if claim.kind == Kind::Flow {
                let sql = format!("SELECT id {PARKED} AND wake_at <= ? ORDER BY wake_at LIMIT ?");
                let due = params![micros(claim.since), micros(now), claim.limit as i64];
                for id in ids(transaction, &sql, due)? {
                    let run = take(transaction, RESUME, id, worker, now)?;
                    changed.extend(run.as_ref().map(Changed::run));
                    claimed.extend(run.map(|run| Claimed { run, resumed: true }));
                }
            }
            let left = (claim.limit - claimed.len()) as i64;
            let sql = format!(
                "SELECT id {DUE} AND {ORDER} <= ?4 AND scheduled_at <= ?4 ORDER BY {ORDER}, scheduled_at, id LIMIT ?5"
            );
            let due = params![claim.kind.as_str(), micros(claim.since), claim.alone, micros(now), left];
            for id in ids(transaction, &sql, due)? {
                let Some(mut run) = take(transaction, START, id, worker, now)? else { continue };
                changed.push(Changed::run(&run));
                match hindrance(transaction, &mut run, now, &mut admit)? {
                    None => claimed.push(Claimed { run, resumed: false }),
                    Some((on, until)) => {
                        turn_away(transaction, id, &on)?;
                        blocked.push(Blocked { run, on, until });
                    }
                }
            }
            Ok(Claims { claimed, blocked })
        })
    }

    /// When the next run that is not due yet will be.
    pub fn next_due(&self, claim: Claim) -> Result<Option<Timestamp>> {
        self.read(|connection| {
            let first = |sql: &str, params: &[&dyn ToSql]| {
                connection.prepare_cached(sql)?.query_row(params, |row| row.get::<_, i64>(0)).optional()
            };
            let since = micros(claim.since);
            let mut at = first_scheduled(connection, params![claim.kind.as_str(), since, claim.alone])?;
            if claim.kind == Kind::Flow {
                let parked = first(&format!("SELECT wake_at {PARKED} ORDER BY wake_at LIMIT 1"), &[&since])?;
                at = at.into_iter().chain(parked).min();
            }
            at.map(to_timestamp).transpose()
        })
    }
}

/// The time of the one that is due first.
fn first_scheduled(connection: &Connection, params: impl Params) -> Result<Option<i64>> {
    let sql = format!("SELECT {ORDER}, scheduled_at {DUE} ORDER BY {ORDER}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut first: Option<i64> = None;
    while let Some(row) = rows.next()? {
        // None is due before its place in the order.
        if first.is_some_and(|first| row.get(0).is_ok_and(|order: i64| order >= first)) {
            break;
        }
        let at: i64 = row.get(1)?;
        first = Some(first.map_or(at, |first| first.min(at)));
    }
    Ok(first)
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
