//! What becomes of occurrences: each is run or skipped once, in the transaction that moves its schedule on.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{micros, run_id};
use super::{Result, Store};
use crate::domain::{Run, RunId, ScheduleId, Skip, SkipReason};
use crate::store::watch::Changed;
use crate::store::{Fired, Firing, Inserted, Skipped};

impl Store {
    /// When the next occurrence of any schedule is due.
    pub fn next_occurrence(&self) -> Result<Option<Timestamp>> {
        self.read(|connection| {
            let sql = "SELECT due_at FROM schedules WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1";
            let at = connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0)).optional()?;
            at.map(super::rows::to_timestamp).transpose()
        })
    }

    /// The names of deployments with schedules that are due, and of these schedules, the longest due first.
    pub fn due_schedules(&self, now: Timestamp, limit: usize) -> Result<Vec<(String, String)>> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT deployment, id FROM schedules WHERE due_at <= ? ORDER BY due_at LIMIT ?")?;
            let rows = statement.query_map(params![micros(now), limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Fires a schedule no more that cannot be read or carried out, and puts on record why.
    pub fn stop_schedule(&self, deployment: &str, id: &str, why: &str, now: Timestamp) -> Result<()> {
        self.transact(|transaction| {
            let stopped: Option<i64> = transaction
                .query_row(
                    "UPDATE schedules SET due_at = NULL WHERE deployment = ? AND id = ? AND due_at IS NOT NULL
                     RETURNING coalesce(next_at, 0)",
                    [deployment, id],
                    |row| row.get(0),
                )
                .optional()?;
            let Some(next) = stopped else { return Ok(()) };
            let at = super::rows::to_timestamp(next)?;
            let why = format!("the schedule was stopped: {why}");
            let skip = Skip::one(ScheduleId(id.to_owned()), at, SkipReason::Refused, why);
            record(transaction, deployment, &skip, now)
        })
    }

    /// Runs and skips what is due, all in one transaction. What another was quicker with stays as that one left it.
    pub fn fire(&self, firings: &[Firing], now: Timestamp) -> Result<Vec<Fired>> {
        self.transact_on_runs(|transaction, changed| {
            firings.iter().map(|firing| fire(transaction, changed, firing, now)).collect()
        })
    }

    /// Puts runs of occurrences on record, but for those whose occurrence was run before; with `dry_run` only tells.
    pub fn insert_occurrences(&self, runs: &[Run], dry_run: bool) -> Result<Vec<Inserted>> {
        self.transact_on_runs(|transaction, changed| {
            let insert = |run: &Run| {
                if let Some(id) = run_of(transaction, run)? {
                    return Ok(Inserted::Exists(id));
                }
                if dry_run {
                    return Ok(Inserted::Inserted { cancelled: Vec::new() });
                }
                super::runs::insert_submitted(transaction, changed, run)
            };
            runs.iter().map(insert).collect()
        })
    }
}

fn fire(transaction: &Connection, changed: &mut Vec<Changed>, firing: &Firing, now: Timestamp) -> Result<Fired> {
    let Firing { deployment, schedule_id, .. } = firing;
    let moved = transaction
        .prepare_cached(
            "UPDATE schedules SET next_at = ?1, due_at = ?2
             WHERE deployment = ?3 AND id = ?4 AND next_at = ?5 AND due_at IS NOT NULL
                AND EXISTS (SELECT 1 FROM deployments WHERE name = ?3 AND updated_at = ?6)",
        )?
        .execute(params![
            firing.next_at.map(micros),
            firing.due_at.map(micros),
            deployment,
            schedule_id.0,
            micros(firing.was),
            micros(firing.updated_at),
        ])?;
    let mut fired = Fired::default();
    if moved == 0 {
        return Ok(fired);
    }
    for skip in &firing.skips {
        record(transaction, deployment, skip, now)?;
    }
    for run in &firing.runs {
        // Such as before the clock was set back.
        if run_of(transaction, run)?.is_some() {
            continue;
        }
        match super::runs::insert_submitted(transaction, changed, run)? {
            Inserted::Inserted { cancelled } => {
                fired.runs.push(run.id);
                fired.cancelled.extend(cancelled);
            }
            Inserted::Exists(_) => {}
            Inserted::Skipped(skipped) => record(transaction, deployment, &conflict(run, skipped), now)?,
        }
    }
    Ok(fired)
}

/// An occurrence whose run was skipped for others.
fn conflict(run: &Run, skipped: Skipped) -> Skip {
    let Skipped { name, max, by } = skipped;
    let occurrence = run.occurrence.clone().expect("it is the run of an occurrence");
    let detail = format!("the limit of `{name}` is {max}");
    let skip = Skip::one(occurrence.schedule_id, occurrence.at, SkipReason::Conflict, detail);
    Skip { run_id: Some(by), ..skip }
}

/// The run on record of the same occurrence.
fn run_of(transaction: &Connection, run: &Run) -> Result<Option<RunId>> {
    let Some(occurrence) = &run.occurrence else { return Ok(None) };
    let sql = "SELECT id FROM runs WHERE deployment = ? AND schedule_id = ? AND occurrence_at = ?";
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows =
        statement.query(params![run.deployment.as_deref(), occurrence.schedule_id.0, micros(occurrence.at)])?;
    rows.next()?.map(|row| run_id(row, 0)).transpose()
}

/// Puts on record that occurrences were not run. Those that follow each other for the same reason are one record.
pub(super) fn record(transaction: &Connection, deployment: &str, skip: &Skip, now: Timestamp) -> Result<()> {
    let last: Option<(i64, String, String, Option<[u8; 16]>)> = transaction
        .prepare_cached(
            "SELECT no, why, detail, run_id FROM skips WHERE deployment = ? AND schedule_id = ? ORDER BY no DESC LIMIT 1",
        )?
        .query_row(params![deployment, skip.schedule_id.0], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let by = skip.run_id.as_ref().map(RunId::as_bytes);
    if let Some((no, why, detail, run_id)) = &last
        && *why == skip.why.as_str()
        && *detail == skip.detail
        && run_id.as_ref() == by
        && (skip.why != SkipReason::Missed && skip.why != SkipReason::Paused)
    {
        transaction
            .prepare_cached("UPDATE skips SET last_at = ?, n = n + ?, at = ? WHERE no = ?")?
            .execute(params![micros(skip.last_at), skip.n as i64, micros(now), no])?;
        return Ok(());
    }
    transaction
        .prepare_cached(
            "INSERT INTO skips (deployment, schedule_id, first_at, last_at, n, why, detail, run_id, at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            deployment,
            skip.schedule_id.0,
            micros(skip.first_at),
            micros(skip.last_at),
            skip.n as i64,
            skip.why.as_str(),
            skip.detail,
            by,
            micros(now),
        ])?;
    Ok(())
}
