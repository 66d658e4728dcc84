//! Runs: submitted, listed, shown, cancelled.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::across::Met;
use super::filter::{self, Conditions};
use super::logs::is_below;
use super::recovery::number_the_end;
use super::rows::{self, LISTED, RUN, json, micros, run, state, timestamp, usage};
use super::{Result, Store};
use crate::domain::attempt::HistoryItem;
use crate::domain::{Attempt, Run, RunId, State, StateCounts};
use crate::store::watch::Changed;
use crate::store::{Cancelled, Inserted, RunFilter};

impl Store {
    /// Puts a submitted run on record before it returns.
    pub fn insert_run(&self, run: &Run) -> Result<Inserted> {
        self.transact_on_runs(|transaction, changed| insert_submitted(transaction, changed, run))
    }

    pub fn run(&self, id: RunId) -> Result<Option<Run>> {
        self.read(|connection| select(connection, id))
    }

    /// Those of `ids` that are `top` or lie below it; without inputs, and with previews of results. `root` is the top of their tree.
    pub fn runs_below(&self, top: RunId, root: RunId, ids: &[RunId]) -> Result<Vec<Run>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("{LISTED} WHERE r.id = ?"))?;
            let mut below = HashMap::from([(top, true)]);
            let mut runs = Vec::with_capacity(ids.len());
            for &id in ids {
                if top == root || is_below(connection, id, &mut below)? {
                    runs.extend(statement.query([id.as_bytes()])?.next()?.map(run).transpose()?);
                }
            }
            Ok(runs)
        })
    }

    /// At most `limit` runs, newest first, from the one after `before` on; without inputs, and with previews of results.
    pub fn runs(&self, filter: &RunFilter, before: Option<RunId>, limit: usize) -> Result<Vec<Run>> {
        let mut conditions = Conditions::of(filter);
        if let Some(before) = before {
            conditions.and("r.id < ?", [filter::id(before)]);
        }
        let Conditions { sql, mut values } = conditions;
        values.push(Value::Integer(limit as i64));
        self.read(|connection| {
            let sql = format!("{LISTED} WHERE {sql} ORDER BY r.id DESC LIMIT ?");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(values))?;
            let mut runs = Vec::new();
            while let Some(row) = rows.next()? {
                runs.push(run(row)?);
            }
            Ok(runs)
        })
    }

    /// Children of one generation of a flow from place `from` on, in order; without inputs, and with
    /// previews of results.
    pub fn children(&self, parent: RunId, generation: u32, from: u32, limit: usize) -> Result<Vec<Run>> {
        let family = RunId::children(parent, generation);
        let first = RunId::child(parent, generation, from);
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "{LISTED} WHERE r.id BETWEEN ? AND ? AND r.parent_id = ? ORDER BY r.id LIMIT ?"
            ))?;
            let mut rows =
                statement.query(params![first.as_bytes(), family.end().as_bytes(), parent.as_bytes(), limit as i64])?;
            let mut runs = Vec::new();
            while let Some(row) = rows.next()? {
                runs.push(run(row)?);
            }
            Ok(runs)
        })
    }

    /// How many children of each state one generation of a flow has.
    pub fn count_children(&self, parent: RunId, generation: u32) -> Result<StateCounts> {
        let family = RunId::children(parent, generation);
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT state, count(*) FROM runs WHERE id BETWEEN ? AND ? AND parent_id = ? GROUP BY state",
            )?;
            let params = params![family.start().as_bytes(), family.end().as_bytes(), parent.as_bytes()];
            let mut rows = statement.query(params)?;
            let mut counts = StateCounts::new();
            while let Some(row) = rows.next()? {
                counts.insert(state(row, 0)?, row.get::<_, i64>(1)? as u64);
            }
            Ok(counts)
        })
    }

    /// How many runs are not final.
    pub fn count_unfinished(&self) -> Result<u64> {
        self.read(|connection| {
            let sql = "SELECT count(*) FROM runs WHERE finished_at IS NULL";
            Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))? as u64)
        })
    }

    /// The attempts of a run after which there was another, and the name of the worker with the given number.
    pub fn attempts(&self, id: RunId) -> Result<Vec<Attempt>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT a.number, a.state, a.failure, a.started_at, a.finished_at, a.fuel, a.memory_peak_bytes,
                    a.duration_us, w.name
                 FROM attempts a LEFT JOIN workers w ON w.id = a.worker_id WHERE a.run_id = ? ORDER BY a.number",
            )?;
            let mut rows = statement.query([id.as_bytes()])?;
            let mut attempts = Vec::new();
            while let Some(row) = rows.next()? {
                attempts.push(Attempt {
                    number: row.get(0)?,
                    state: state(row, 1)?,
                    failure: json(row, 2)?,
                    started_at: timestamp(row, 3)?,
                    finished_at: rows::timestamp_or_null(row, 4)?,
                    usage: usage(row, 5)?,
                    worker: row.get(8)?,
                });
            }
            Ok(attempts)
        })
    }

    /// Changes of a run's state that its attempts do not tell, in order.
    pub fn history(&self, id: RunId) -> Result<Vec<HistoryItem>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT at, state, reason FROM history WHERE run_id = ? ORDER BY no")?;
            let mut rows = statement.query([id.as_bytes()])?;
            let mut items = Vec::new();
            while let Some(row) = rows.next()? {
                items.push(HistoryItem { at: timestamp(row, 0)?, state: state(row, 1)?, reason: row.get(2)? });
            }
            Ok(items)
        })
    }

    /// Cancels a run and all below it: what no worker holds is over at once, the rest is asked to end.
    pub fn cancel(&self, id: RunId, now: Timestamp, reason: &str) -> Result<Cancelled> {
        self.transact_on_runs(|transaction, changed| cancel(transaction, changed, id, now, reason))
    }
}

/// See [`Store::cancel`].
pub(super) fn cancel(
    transaction: &Connection,
    changed: &mut Vec<Changed>,
    id: RunId,
    now: Timestamp,
    reason: &str,
) -> Result<Cancelled> {
    let Some(run) = select(transaction, id)? else { return Ok(Cancelled::NoSuchRun) };
    if run.state.is_final() {
        return Ok(Cancelled::Already(run.state));
    }
    // Nobody carries it out, nor its flow then, which is told when it goes on.
    let ends_a_child = run.parent.filter(|_| run.worker.is_none());
    let mut open = vec![(run, reason)];
    let mut asked = false;
    while let Some((run, reason)) = open.pop() {
        for child in unfinished_children(transaction, &run)? {
            open.push((child, "its flow was cancelled"));
        }
        changed.push(Changed::run(&run));
        let held = run.worker.is_some();
        asked |= held;
        let state = if held { State::Cancelling } else { State::Cancelled };
        transaction
            .prepare_cached(
                "UPDATE runs SET state = ?, finished_at = ?, wake_at = NULL, blocked_on = NULL WHERE id = ?",
            )?
            .execute(params![state.as_str(), (!held).then_some(micros(now)), run.id.as_bytes()])?;
        transaction
            .prepare_cached("INSERT INTO history (run_id, at, state, reason) VALUES (?, ?, ?, ?)")?
            .execute(params![run.id.as_bytes(), micros(now), state.as_str(), reason])?;
    }
    if let Some(parent) = ends_a_child {
        number_the_end(transaction, id)?;
        wake(transaction, parent.id, now)?;
    }
    Ok(if asked { Cancelled::Asked } else { Cancelled::AtOnce })
}

/// Puts a submitted run on record with the transaction, unless a limit has it skipped.
pub(super) fn insert_submitted(transaction: &Connection, changed: &mut Vec<Changed>, run: &Run) -> Result<Inserted> {
    if let Some(key) = &run.idempotency_key {
        let existing = transaction
            .query_row(
                "SELECT run_id FROM idempotency_keys WHERE module = ? AND entry = ? AND key = ?",
                params![&*run.module, &*run.entry, &**key],
                |row| row.get::<_, [u8; 16]>(0),
            )
            .optional()?;
        if let Some(id) = existing {
            return Ok(Inserted::Exists(RunId(uuid::Uuid::from_bytes(id))));
        }
    }
    let cancelled = match super::across::meet(transaction, changed, run)? {
        Met::Skipped(skipped) => return Ok(Inserted::Skipped(skipped)),
        Met::Cancelled(cancelled) => cancelled,
    };
    if let Some(key) = &run.idempotency_key {
        transaction.execute(
            "INSERT INTO idempotency_keys (module, entry, key, run_id) VALUES (?, ?, ?, ?)",
            params![&*run.module, &*run.entry, &**key, run.id.as_bytes()],
        )?;
    }
    super::writes::insert_run(transaction, run)?;
    super::across::keep_holds(transaction, run)?;
    Ok(Inserted::Inserted { cancelled })
}

/// Has a parked flow go on now, and all above it.
pub(super) fn wake(transaction: &Connection, flow: RunId, now: Timestamp) -> Result<()> {
    let mut next = Some(flow);
    while let Some(id) = next {
        transaction
            .prepare_cached("UPDATE runs SET wake_at = min(wake_at, ?) WHERE id = ? AND wake_at IS NOT NULL")?
            .execute(params![micros(now), id.as_bytes()])?;
        let mut statement = transaction.prepare_cached("SELECT parent_id FROM runs WHERE id = ?")?;
        let mut rows = statement.query([id.as_bytes()])?;
        next = rows.next()?.map(|row| rows::run_id_or_null(row, 0)).transpose()?.flatten();
    }
    Ok(())
}

pub(super) fn select(connection: &Connection, id: RunId) -> Result<Option<Run>> {
    let mut statement = connection.prepare_cached(&format!("{RUN} WHERE r.id = ?"))?;
    let mut rows = statement.query([id.as_bytes()])?;
    rows.next()?.map(run).transpose()
}

/// The children of a run's newest generation that are not final.
pub(super) fn unfinished_children(connection: &Connection, parent: &Run) -> Result<Vec<Run>> {
    let family = RunId::children(parent.id, parent.generation);
    let sql = format!("{LISTED} WHERE r.id BETWEEN ? AND ? AND r.parent_id = ? AND r.finished_at IS NULL");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows =
        statement.query(params![family.start().as_bytes(), family.end().as_bytes(), parent.id.as_bytes()])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(run(row)?);
    }
    Ok(runs)
}
