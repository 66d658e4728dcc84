//! The end of records: runs with all below them, and modules that no run uses.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{run_id, state};
use super::{Result, Store};
use crate::domain::{Digest, RunId};
use crate::store::Deleted;

/// Rows that one transaction deletes, so that who writes meanwhile waits for a millisecond.
const BATCH: usize = 32;
/// Artifacts of one transaction, which are large.
const ARTIFACTS: usize = 16;

impl Store {
    /// Deletes a final top-level run with all below it. The run itself goes first: from then on there is none of that
    /// id, and what is left goes in as many transactions as it takes.
    pub fn delete_run(&self, id: RunId) -> Result<Deleted> {
        let begun = self.transact(|transaction| {
            let sql = "SELECT root_id, state FROM runs WHERE id = ?";
            let mut statement = transaction.prepare_cached(sql)?;
            let found = |row: &Row<'_>| Ok((run_id(row, 0), state(row, 1)));
            let Some((root, state)) = statement.query_row([id.as_bytes()], found).optional()? else {
                return Ok(Deleted::NoSuchRun);
            };
            let (root, state) = (root?, state?);
            if root != id {
                return Ok(Deleted::PartOf(root));
            }
            if !state.is_final() {
                return Ok(Deleted::Unfinished(state));
            }
            delete_root(transaction, id)?;
            Ok(Deleted::Done)
        })?;
        while begun == Deleted::Done && !self.delete_rest_of(id)? {}
        Ok(begun)
    }

    /// Returns whether nothing is left of a tree whose top is gone.
    fn delete_rest_of(&self, root: RunId) -> Result<bool> {
        let mut batch = Batch::default();
        let gone = self.transact(|transaction| delete_rest(transaction, root, &mut batch));
        self.inner.queue.changed(batch.changed());
        gone
    }

    /// How many runs are on record of any version of a module. Looks at each run: an index for this would cost every
    /// task.
    pub fn count_runs_of(&self, module: &str) -> Result<u64> {
        self.commit_all()?;
        self.read(|connection| {
            let sql = "SELECT count(*) FROM runs WHERE version_id IN (SELECT id FROM versions WHERE name = ?)";
            Ok(connection.query_row(sql, [module], |row| row.get::<_, i64>(0))? as u64)
        })
    }

    /// Deletes all versions of a module, which no run may use. Returns the digests that no other module has.
    pub fn delete_versions(&self, module: &str) -> Result<Vec<Digest>> {
        self.transact(|transaction| {
            let mut statement = transaction.prepare(
                "SELECT digest FROM versions WHERE name = ?1 AND digest NOT IN
                    (SELECT digest FROM versions WHERE name <> ?1)",
            )?;
            let digests =
                statement.query_map([module], |row| row.get(0).map(Digest))?.collect::<rusqlite::Result<_>>()?;
            transaction.execute("DELETE FROM versions WHERE name = ?", [module])?;
            Ok(digests)
        })
    }
}

/// What one transaction deletes.
pub(super) struct Batch {
    /// Rows that it still may.
    pub(super) left: usize,
    pub(super) runs: u64,
    pub(super) log_lines: u64,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch { left: BATCH, runs: 0, log_lines: 0 }
    }
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }

    pub(super) fn changed(&self) -> usize {
        BATCH - self.left
    }

    pub(super) fn count(&mut self, rows: usize) {
        self.left = self.left.saturating_sub(rows);
    }
}

/// Deletes a run at the top, which is final, and makes a note of the rest.
pub(super) fn delete_root(transaction: &Connection, id: RunId) -> Result<()> {
    for sql in [
        "DELETE FROM idempotency_keys WHERE run_id = ?1 AND (module, entry, key) = (SELECT v.name, r.entry,
            r.idempotency_key FROM runs r JOIN versions v ON v.id = r.version_id WHERE r.id = ?1)",
        "INSERT INTO remains (root_id, run_id, generation) SELECT id, id, generation FROM runs WHERE id = ?",
        "DELETE FROM runs WHERE id = ?",
    ] {
        transaction.prepare_cached(sql)?.execute([id.as_bytes()])?;
    }
    Ok(())
}

/// Deletes what is left of a tree of runs whose top is gone, as much as the batch may. Returns whether nothing is.
pub(super) fn delete_rest(transaction: &Connection, root: RunId, batch: &mut Batch) -> Result<bool> {
    delete_lines(transaction, root, batch)?;
    let sql = "DELETE FROM artifacts WHERE no IN (SELECT no FROM artifacts WHERE root_id = ? LIMIT ?)";
    if transaction.prepare_cached(sql)?.execute(params![root.as_bytes(), ARTIFACTS as i64])? == ARTIFACTS {
        return Ok(false);
    }
    let sql = "SELECT run_id, generation FROM remains WHERE root_id = ? LIMIT 1";
    while !batch.is_full() {
        let mut statement = transaction.prepare_cached(sql)?;
        let first = |row: &Row<'_>| Ok((run_id(row, 0), row.get(1)?));
        let Some((run, generation)) = statement.query_row([root.as_bytes()], first).optional()? else {
            return Ok(true);
        };
        let run = run?;
        if delete_one(transaction, run, batch)? && delete_children(transaction, root, run, generation, batch)? {
            let sql = "DELETE FROM remains WHERE root_id = ? AND run_id = ?";
            transaction.prepare_cached(sql)?.execute([root.as_bytes(), run.as_bytes()])?;
        }
    }
    Ok(false)
}

/// Deletes children of a flow, and makes a note of those that may have children themselves. Returns whether it has none
/// any more.
fn delete_children(transaction: &Connection, root: RunId, flow: RunId, newest: u32, batch: &mut Batch) -> Result<bool> {
    for generation in 1..=newest {
        for (child, generations) in children(transaction, flow, generation, batch.left)? {
            if generations > 0 {
                let sql = "INSERT OR IGNORE INTO remains (root_id, run_id, generation) VALUES (?, ?, ?)";
                transaction.prepare_cached(sql)?.execute(params![root.as_bytes(), child.as_bytes(), generations])?;
            }
            if !delete_one(transaction, child, batch)? {
                return Ok(false);
            }
        }
        if batch.is_full() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Some of the children of one generation of a flow, each with its own newest generation.
fn children(transaction: &Connection, flow: RunId, generation: u32, limit: usize) -> Result<Vec<(RunId, u32)>> {
    let family = RunId::children(flow, generation);
    let sql = "SELECT id, generation FROM runs WHERE id BETWEEN ? AND ? AND parent_id = ? LIMIT ?";
    let mut statement = transaction.prepare_cached(sql)?;
    let ids = params![family.start().as_bytes(), family.end().as_bytes(), flow.as_bytes(), limit as i64];
    let mut rows = statement.query(ids)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((run_id(row, 0)?, row.get(1)?));
    }
    Ok(found)
}

/// Deletes lines of the logs of a tree of runs, as many as the batch may.
pub(super) fn delete_lines(transaction: &Connection, root: RunId, batch: &mut Batch) -> Result<()> {
    let sql = "DELETE FROM logs WHERE no IN (SELECT no FROM logs WHERE root_id = ? LIMIT ?)";
    let lines = transaction.prepare_cached(sql)?.execute(params![root.as_bytes(), batch.left as i64])?;
    batch.log_lines += lines as u64;
    batch.count(lines);
    Ok(())
}

/// Deletes a run with all that is known of it. False where the batch may not delete so much.
fn delete_one(transaction: &Connection, id: RunId, batch: &mut Batch) -> Result<bool> {
    if batch.is_full() {
        return Ok(false);
    }
    let journal = "DELETE FROM journal WHERE run_id = ?1 AND (generation, no) IN
        (SELECT generation, no FROM journal WHERE run_id = ?1 LIMIT ?2)";
    let entries = transaction.prepare_cached(journal)?.execute(params![id.as_bytes(), batch.left as i64])?;
    batch.count(entries);
    if batch.is_full() {
        return Ok(false);
    }
    // Of these there are as many as there were attempts.
    for sql in [
        "DELETE FROM attempts WHERE run_id = ?",
        "DELETE FROM history WHERE run_id = ?",
        "DELETE FROM signals WHERE run_id = ?",
        "DELETE FROM cache WHERE run_id = ?",
        "DELETE FROM notifications WHERE run_id = ?",
        "DELETE FROM holds WHERE run_id = ?",
    ] {
        batch.count(transaction.prepare_cached(sql)?.execute([id.as_bytes()])?);
    }
    let runs = transaction.prepare_cached("DELETE FROM runs WHERE id = ?")?.execute([id.as_bytes()])?;
    batch.runs += runs as u64;
    // Also where it is gone already, as the top of a tree is.
    batch.count(1);
    Ok(true)
}
