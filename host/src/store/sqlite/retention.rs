//! What is too old to be kept, and how it goes: bit by bit, between the writes of others.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::deletion::{Batch, delete_lines, delete_rest, delete_root};
use super::rows::{json, micros, run_id, timestamp_or_null};
use super::{CHECKPOINT_CHANGES, Result, Store, lock, open};
use crate::domain::retention::MIN_KEEP_KEY;
use crate::domain::{Retention, RetentionPatch, RunId};

/// Runs that are found at a time.
const FOUND: usize = 4096;
/// One page in so many stays free for what comes, beside [`MIN_FREE_PAGES`]; to give back more would only mean to ask
/// for it again.
const FREE_SHARE: i64 = 8;
const MIN_FREE_PAGES: i64 = 256;
/// Pages that are given back at a time. Each is filled with one from the end of the file.
const GIVEN_BACK: i64 = 64;

const COUNT_TOP: &str = "SELECT count(*) FROM runs WHERE parent_id IS NULL";

/// What goes: runs with all below them, or their logs alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Runs,
    Logs,
}

impl Part {
    /// Finds what is too old, in the words of the index `runs_over`.
    fn sql(self) -> String {
        let logs_kept = match self {
            Part::Runs => "IN (0, 1)",
            Part::Logs => "= 1",
        };
        format!(
            "SELECT id, finished_at FROM runs WHERE parent_id IS NULL AND finished_at IS NOT NULL AND deployment IS ?
                AND (coalesce(logs_pruned_at, 0) < finished_at) {logs_kept} AND finished_at < ?
                AND (idempotency_key IS NULL OR finished_at < ?) LIMIT ?"
        )
    }
}

/// A run at the top that is over, and ended then.
#[derive(Clone, Copy, Debug)]
pub struct Over {
    id: RunId,
    finished_at: i64,
}

/// What was deleted, runs of flows and their lines too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub runs: u64,
    pub log_lines: u64,
}

/// What the database takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    pub database_bytes: u64,
    /// What of that is free for what comes.
    pub free_bytes: u64,
    /// The write-ahead log beside it.
    pub log_bytes: u64,
    pub top_level_runs: u64,
}

impl Store {
    /// Some of what is too old; none where nothing is.
    pub fn overdue(&self, part: Part, retention: Retention, now: Timestamp) -> Result<Vec<Over>> {
        self.read(|connection| {
            let own = own_retentions(connection)?;
            let mut found = Vec::new();
            let mut deployment = None;
            loop {
                let retention =
                    deployment.as_ref().and_then(|name| own.get(name)).map_or(retention, |own| retention.with(*own));
                find(connection, part, deployment.as_deref(), retention, now, &mut found)?;
                deployment = deployment_after(connection, deployment.as_deref())?;
                if found.len() >= FOUND || deployment.is_none() {
                    return Ok(found);
                }
            }
        })
    }

    /// Deletes something of what was found `over`, in one transaction, which takes a millisecond or so, and takes it
    /// from the list; what was retried since stays. Returns what was deleted, and whether there is more.
    pub fn prune(&self, part: Part, over: &mut Vec<Over>, now: Timestamp) -> Result<(Pruned, bool)> {
        self.let_checkpoint_pass();
        let mut batch = Batch::default();
        let more = self.transact(|transaction| match part {
            Part::Runs => prune_runs(transaction, over, &mut batch),
            Part::Logs => prune_logs(transaction, over, now, &mut batch),
        })?;
        self.inner.queue.changed(batch.changed());
        Ok((Pruned { runs: batch.runs, log_lines: batch.log_lines }, more))
    }

    /// Deletes what is left of times of which no run is on record: occurrences that were skipped, and workers. Returns
    /// whether there may be more.
    pub fn prune_others(&self, retention: Retention, now: Timestamp) -> Result<bool> {
        let (skips, more) = self.read(|connection| old_skips(connection, retention, now))?;
        self.transact(|transaction| {
            for no in skips {
                transaction.prepare_cached("DELETE FROM skips WHERE no = ?")?.execute([no])?;
            }
            // No run is older than the first, which nobody held who had a successor by then.
            let sql = "DELETE FROM workers WHERE id < (SELECT max(id) FROM workers
                WHERE started_at <= coalesce((SELECT created_at FROM runs ORDER BY id LIMIT 1), ?))";
            transaction.execute(sql, [micros(now)])?;
            Ok(more)
        })
    }

    /// Gives some of the space that nothing takes up any more back to the file system. Returns whether there is more.
    pub fn give_back_space(&self) -> Result<bool> {
        self.let_checkpoint_pass();
        let connection = lock(&self.inner.writer);
        let spare =
            pragma(&connection, "freelist_count")? - pragma(&connection, "page_count")? / FREE_SHARE - MIN_FREE_PAGES;
        if spare <= 0 {
            return Ok(false);
        }
        // It gives back a page each time that it is asked for a row.
        let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({})", spare.min(GIVEN_BACK)))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        // The file becomes smaller when the log is written back: at the latest after the last step.
        let more = spare > GIVEN_BACK;
        self.inner.queue.changed(if more { 2 * GIVEN_BACK as usize } else { CHECKPOINT_CHANGES as usize });
        Ok(more)
    }

    /// When the log of a tree of runs was removed last.
    pub fn logs_pruned_at(&self, root: RunId) -> Result<Option<Timestamp>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT logs_pruned_at FROM runs WHERE id = ?")?;
            let mut rows = statement.query([root.as_bytes()])?;
            Ok(rows.next()?.map(|row| timestamp_or_null(row, 0)).transpose()?.flatten())
        })
    }

    /// What the database takes up.
    pub fn storage(&self) -> Result<Storage> {
        self.read(|connection| {
            let page_bytes = pragma(connection, "page_size")?;
            Ok(Storage {
                database_bytes: (pragma(connection, "page_count")? * page_bytes) as u64,
                free_bytes: (pragma(connection, "freelist_count")? * page_bytes) as u64,
                log_bytes: open::log_bytes(&self.inner.path),
                top_level_runs: connection.query_row(COUNT_TOP, [], |row| row.get::<_, i64>(0))? as u64,
            })
        })
    }

    /// Waits for a checkpoint, so as not to delay it, and for a backup, so that the log does not grow meanwhile.
    fn let_checkpoint_pass(&self) {
        drop(lock(&self.inner.checkpoints));
    }
}

fn pragma(connection: &Connection, name: &str) -> Result<i64> {
    Ok(connection.prepare_cached(&format!("PRAGMA {name}"))?.query_row([], |row| row.get(0))?)
}

/// What deployments say of their own runs.
fn own_retentions(connection: &Connection) -> Result<HashMap<String, RetentionPatch>> {
    let sql = "SELECT name, spec -> '$.retention' FROM deployments WHERE spec -> '$.retention' IS NOT NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut own = HashMap::new();
    while let Some(row) = rows.next()? {
        own.insert(row.get(0)?, json(row, 1)?.unwrap_or_default());
    }
    Ok(own)
}

/// The next of the deployments that have runs which are over.
fn deployment_after(connection: &Connection, name: Option<&str>) -> Result<Option<String>> {
    let sql = "SELECT min(deployment) FROM runs
        WHERE parent_id IS NULL AND finished_at IS NOT NULL AND deployment > ?";
    Ok(connection.prepare_cached(sql)?.query_row([name.unwrap_or_default()], |row| row.get(0))?)
}

/// Finds what is too old of the runs of a deployment, or of none.
fn find(
    connection: &Connection,
    part: Part,
    deployment: Option<&str>,
    retention: Retention,
    now: Timestamp,
    found: &mut Vec<Over>,
) -> Result<()> {
    let (keep, keyed_since) = match part {
        Part::Runs => (retention.runs, micros(now - MIN_KEEP_KEY)),
        Part::Logs => (retention.logs, i64::MAX),
    };
    let Some(since) = keep.since(now) else { return Ok(()) };
    let mut statement = connection.prepare_cached(&part.sql())?;
    let mut rows = statement.query(params![deployment, micros(since), keyed_since, (FOUND - found.len()) as i64])?;
    while let Some(row) = rows.next()? {
        found.push(Over { id: run_id(row, 0)?, finished_at: row.get(1)? });
    }
    Ok(())
}

fn prune_runs(transaction: &Connection, over: &mut Vec<Over>, batch: &mut Batch) -> Result<bool> {
    let first = "SELECT root_id FROM remains LIMIT 1";
    while !batch.is_full() {
        // What was begun is ended first.
        let begun = transaction.prepare_cached(first)?.query_row([], |row| row.get(0)).optional()?;
        if let Some(root) = begun {
            delete_rest(transaction, RunId(uuid::Uuid::from_bytes(root)), batch)?;
        } else if let Some(next) = over.pop() {
            if is_still_over(transaction, next)? {
                delete_root(transaction, next.id)?;
                batch.runs += 1;
            }
        } else {
            return Ok(false);
        }
    }
    Ok(true)
}

fn prune_logs(transaction: &Connection, over: &mut Vec<Over>, now: Timestamp, batch: &mut Batch) -> Result<bool> {
    while let Some(next) = over.last().copied() {
        if is_still_over(transaction, next)? {
            delete_lines(transaction, next.id, batch)?;
            if batch.is_full() {
                return Ok(true);
            }
            let sql = "UPDATE runs SET logs_pruned_at = ? WHERE id = ?";
            transaction.prepare_cached(sql)?.execute(params![micros(now), next.id.as_bytes()])?;
        }
        batch.count(1);
        over.pop();
    }
    Ok(false)
}

/// Whether a run is there, and was not retried since.
fn is_still_over(transaction: &Connection, run: Over) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM runs WHERE id = ? AND finished_at = ?)";
    let mut statement = transaction.prepare_cached(sql)?;
    Ok(statement.query_row(params![run.id.as_bytes(), run.finished_at], |row| row.get(0))?)
}

/// Skipped occurrences that are older than runs may be, and whether there may be more.
fn old_skips(connection: &Connection, retention: Retention, now: Timestamp) -> Result<(Vec<i64>, bool)> {
    let own = own_retentions(connection)?;
    let since = |retention: Retention| retention.runs.since(now).map_or(i64::MIN, micros);
    let newest = own.values().map(|own| since(retention.with(*own))).fold(since(retention), i64::max);
    let mut statement = connection.prepare_cached("SELECT no, at, deployment FROM skips ORDER BY no")?;
    let mut rows = statement.query([])?;
    let mut old = Vec::new();
    while let Some(row) = rows.next()? {
        let at: i64 = row.get(1)?;
        let name: String = row.get(2)?;
        if at >= newest {
            break;
        }
        if at < own.get(&name).map_or_else(|| since(retention), |own| since(retention.with(*own))) {
            old.push(row.get(0)?);
        }
        if old.len() == Batch::default().left {
            return Ok((old, true));
        }
    }
    Ok((old, false))
}

#[cfg(test)]
mod tests {
    use super::super::plan;
    use super::*;

    #[test]
    fn what_is_too_old_is_found_by_its_index() {
        for part in [Part::Runs, Part::Logs] {
            let plan = plan(&part.sql());
            assert!(
                plan.contains("runs_over (deployment=? AND <expr>=? AND finished_at>? AND finished_at<?)"),
                "{plan}"
            );
        }
        let plan = plan(COUNT_TOP);
        assert_eq!(plan, "SCAN runs USING COVERING INDEX runs_top");
    }
}
