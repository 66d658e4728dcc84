//! Lines of logs on record.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{run_id, timestamp};
use super::{Result, Store};
use crate::domain::RunId;
use crate::store::StoredLine;

const LINE: &str = "SELECT no, run_id, attempt, at, level, message FROM logs";

/// Which lines to read.
#[derive(Clone, Copy, Debug)]
pub struct LogFilter {
    /// Only lines after this number.
    pub after: i64,
    /// Only lines of at least this level, from 0, trace, to 4, error.
    pub level: u8,
    pub limit: usize,
}

impl Store {
    /// Lines of a run and all runs below it, oldest first.
    pub fn logs(&self, run: RunId, root: RunId, filter: LogFilter) -> Result<Vec<StoredLine>> {
        Ok(self.logs_with_end(run, root, filter)?.0)
    }

    /// As `logs`, with the number of the last line that was looked at: where to go on.
    pub fn logs_with_end(&self, run: RunId, root: RunId, filter: LogFilter) -> Result<(Vec<StoredLine>, i64)> {
        self.read(|connection| {
            // What lies below the top of a tree is the whole tree; below another run it is found line by line.
            let sql = format!("{LINE} WHERE root_id = ? AND no > ? AND level >= ? ORDER BY no");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![root.as_bytes(), filter.after, filter.level])?;
            let mut below = HashMap::from([(run, true)]);
            let (mut lines, mut end) = (Vec::new(), filter.after);
            while let Some(row) = rows.next()? {
                end = row.get(0)?;
                if run == root || is_below(connection, run_id(row, 1)?, &mut below)? {
                    lines.push(line(row)?);
                    if lines.len() == filter.limit {
                        break;
                    }
                }
            }
            Ok((lines, end))
        })
    }

    /// Lines of one run alone, oldest first.
    pub fn own_logs(&self, run: RunId, filter: LogFilter) -> Result<Vec<StoredLine>> {
        self.read(|connection| {
            let sql = format!("{LINE} WHERE run_id = ? AND no > ? AND level >= ? ORDER BY no LIMIT ?");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![run.as_bytes(), filter.after, filter.level, filter.limit as i64])?;
            let mut lines = Vec::new();
            while let Some(row) = rows.next()? {
                lines.push(line(row)?);
            }
            Ok(lines)
        })
    }
}

/// Whether `run` lies below one that is known to; what is learnt is kept in `known`.
pub(super) fn is_below(connection: &Connection, run: RunId, known: &mut HashMap<RunId, bool>) -> Result<bool> {
    if let Some(&below) = known.get(&run) {
        return Ok(below);
    }
    let parent: Option<[u8; 16]> = connection
        .prepare_cached("SELECT parent_id FROM runs WHERE id = ?")?
        .query_row([run.as_bytes()], |row| row.get(0))
        .optional()?
        .flatten();
    let below = match parent {
        Some(parent) => is_below(connection, RunId(uuid::Uuid::from_bytes(parent)), known)?,
        None => false,
    };
    known.insert(run, below);
    Ok(below)
}

fn line(row: &Row<'_>) -> Result<StoredLine> {
    Ok(StoredLine {
        no: row.get(0)?,
        run_id: run_id(row, 1)?,
        attempt: row.get(2)?,
        at: timestamp(row, 3)?,
        level: row.get(4)?,
        message: row.get(5)?,
    })
}
