//! The end of records: runs with all below them, and modules that no run uses.

use rusqlite::{Connection, params};

use super::rows::run_id;
use super::runs::select;
use super::{Result, Store};
use crate::domain::{Digest, Run, RunId};
use crate::store::Deleted;

/// Rows that one transaction deletes, so that who writes meanwhile waits for milliseconds.
const BATCH: usize = 256;

impl Store {
    /// Deletes a final top-level run with all below it, in as many transactions as it takes; the run itself goes last,
    /// so that what was interrupted can be asked for again.
    pub fn delete_run(&self, id: RunId) -> Result<Deleted> {
        let mut begun = false;
        loop {
            let step = self.transact(|transaction| match select(transaction, id)? {
                // Another has deleted the rest of it.
                None if begun => Ok(Some(Deleted::Done)),
                None => Ok(Some(Deleted::NoSuchRun)),
                Some(run) if run.parent.is_some() => Ok(Some(Deleted::PartOf(run.root_id))),
                Some(run) if !run.state.is_final() => Ok(Some(Deleted::Unfinished(run.state))),
                Some(run) => Ok(delete_some(transaction, &run)?.then_some(Deleted::Done)),
            })?;
            if let Some(end) = step {
                return Ok(end);
            }
            begun = true;
        }
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

/// Deletes rows of a tree of runs, [`BATCH`] at most or some more. Returns whether it is gone.
fn delete_some(transaction: &Connection, root: &Run) -> Result<bool> {
    let sql = "DELETE FROM logs WHERE no IN (SELECT no FROM logs WHERE root_id = ? LIMIT ?)";
    let mut left = BATCH;
    left -= transaction.prepare_cached(sql)?.execute(params![root.id.as_bytes(), left as i64])?;
    for run in below(transaction, root.id, left)?.into_iter().chain([root.id]) {
        if !delete_one(transaction, run, &mut left)? {
            return Ok(false);
        }
    }
    if let Some(key) = &root.idempotency_key {
        transaction.execute(
            "DELETE FROM idempotency_keys WHERE module = ? AND entry = ? AND key = ?",
            params![&*root.module, &*root.entry, &**key],
        )?;
    }
    Ok(true)
}

/// Some of the runs below the top of a tree.
fn below(transaction: &Connection, root: RunId, limit: usize) -> Result<Vec<RunId>> {
    let ids = RunId::below(root);
    let sql = "SELECT id FROM runs WHERE id BETWEEN ?1 AND ?2 AND root_id = ?3 AND id <> ?3 LIMIT ?4";
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows =
        statement.query(params![ids.start().as_bytes(), ids.end().as_bytes(), root.as_bytes(), limit as i64])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(run_id(row, 0)?);
    }
    Ok(found)
}

/// Deletes a run with all that is known of it. False where there was not enough `left` for that.
fn delete_one(transaction: &Connection, id: RunId, left: &mut usize) -> Result<bool> {
    if *left == 0 {
        return Ok(false);
    }
    let journal = "DELETE FROM journal WHERE run_id = ?1 AND (generation, no) IN
        (SELECT generation, no FROM journal WHERE run_id = ?1 LIMIT ?2)";
    *left -= transaction.prepare_cached(journal)?.execute(params![id.as_bytes(), *left as i64])?;
    if *left == 0 {
        return Ok(false);
    }
    // Of these there are as many as there were attempts.
    let mut rows = 0;
    for sql in [
        "DELETE FROM attempts WHERE run_id = ?",
        "DELETE FROM history WHERE run_id = ?",
        "DELETE FROM signals WHERE run_id = ?",
        "DELETE FROM cache WHERE run_id = ?",
        "DELETE FROM holds WHERE run_id = ?",
        "DELETE FROM runs WHERE id = ?",
    ] {
        rows += transaction.prepare_cached(sql)?.execute([id.as_bytes()])?;
    }
    *left = left.saturating_sub(rows);
    Ok(true)
}
