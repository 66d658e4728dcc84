//! Which runs' results stand for those of runs that would do the same.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::rows::{RUN, micros, run};
use super::{Result, Store};
use crate::domain::{CacheKey, Run, RunId};

impl Store {
    /// The run whose result stands for those that have the key, if it ended after `since`.
    pub fn cached(&self, key: &CacheKey, since: Timestamp) -> Result<Option<Run>> {
        self.read(|connection| {
            let sql = format!(
                "{RUN} JOIN cache c ON c.run_id = r.id WHERE c.key = ? AND r.state = 'completed' AND r.finished_at > ?"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![key.0, micros(since)])?;
            rows.next()?.map(run).transpose()
        })
    }

    /// The deployment that a run at the top is one of.
    pub fn deployment_of(&self, root: RunId) -> Result<Option<String>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT deployment FROM runs WHERE id = ?")?;
            Ok(statement.query_row([root.as_bytes()], |row| row.get(0))?)
        })
    }
}

/// The newest result is the one that stands for others the longest.
pub(super) fn keep_result(connection: &Connection, key: &CacheKey, run: RunId) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO cache (key, run_id) VALUES (?, ?)")?;
    statement.execute(params![key.0, run.as_bytes()]).map(drop)
}
