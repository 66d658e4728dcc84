//! What flows go on from: the ends of their children, and their journals.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use twox_hash::XxHash3_64;

use super::rows::{json, micros, run_id, run_id_or_null, state, timestamp, timestamp_or_null};
use super::{Result, Store};
use crate::domain::RunId;
use crate::domain::fingerprint::checksum;
use crate::domain::journal::{EntryKind, JournalEntry, UNCHANGED};
use crate::store::{Ended, MAX_READ_RESULT, Past, StoreError, Taken};

impl Store {
    /// Some of the children that one generation of a flow submitted, in order, from place `from` on.
    pub fn past_children(&self, parent: RunId, generation: u32, from: u32, limit: usize) -> Result<Vec<Past>> {
        let family = RunId::children(parent, generation);
        let first = RunId::child(parent, generation, from);
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, request_sum, state, finished_at, event_no, reused_from, failure, result_sum,
                    CASE WHEN length(result) <= ? THEN result END, retry_of, seq
                 FROM runs WHERE id BETWEEN ? AND ? AND parent_id = ? ORDER BY id LIMIT ?",
            )?;
            let mut rows = statement.query(params![
                MAX_READ_RESULT as i64,
                first.as_bytes(),
                family.end().as_bytes(),
                parent.as_bytes(),
                limit as i64
            ])?;
            let mut children = Vec::new();
            while let Some(row) = rows.next()? {
                let id = run_id(row, 0)?;
                let result: Option<Arc<str>> = row.get(8)?;
                if let Some(result) = &result
                    && row.get::<_, Option<i64>>(7)? != Some(checksum(result))
                {
                    return Err(StoreError::Corrupt { run_id: id, column: "result" });
                }
                let ended = match timestamp_or_null(row, 3)? {
                    None => None,
                    Some(at) => Some(Ended {
                        state: state(row, 2)?,
                        at,
                        no: row.get::<_, Option<i64>>(4)?.map(|no| no as u64),
                        failure: json(row, 6)?,
                        result,
                    }),
                };
                children.push(Past {
                    id,
                    seq: row.get(10)?,
                    request_sum: row.get(1)?,
                    reused_from: run_id_or_null(row, 5)?,
                    retry_of: run_id_or_null(row, 9)?,
                    ended,
                });
            }
            Ok(children)
        })
    }

    /// The journal of one generation of a flow, in order.
    pub fn journal(&self, run: RunId, generation: u32) -> Result<Vec<JournalEntry>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT no, kind, key, value, at, sum FROM journal WHERE run_id = ? AND generation = ? ORDER BY no",
            )?;
            let mut rows = statement.query(params![run.as_bytes(), generation])?;
            let mut entries = Vec::new();
            let mut read = HashMap::new();
            while let Some(row) = rows.next()? {
                let corrupt = StoreError::Corrupt { run_id: run, column: "journal" };
                let Some(kind) = EntryKind::parse(row.get_ref(1)?.as_str()?) else { return Err(corrupt) };
                let mut entry = JournalEntry {
                    no: row.get(0)?,
                    kind,
                    key: row.get(2)?,
                    value: row.get(3)?,
                    at: timestamp(row, 4)?,
                };
                if row.get::<_, i64>(5)? != journal_sum(&entry) {
                    return Err(corrupt);
                }
                if kind == EntryKind::Variable {
                    match (entry.value.as_deref(), read.get(&entry.key)) {
                        (Some(UNCHANGED), Some(before)) => entry.value.clone_from(before),
                        _ => drop(read.insert(entry.key.clone(), entry.value.clone())),
                    }
                }
                entries.push(entry);
            }
            Ok(entries)
        })
    }

    /// Whether a variable that one generation of a flow read has another value now.
    pub fn has_read_otherwise(&self, run: RunId, generation: u32) -> Result<bool> {
        for entry in self.journal(run, generation)? {
            if entry.kind == EntryKind::Variable && self.variable(&entry.key)? != entry.value {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What one generation of a flow was told last, or waits for: its kind and time.
    pub fn last_entry(&self, run: RunId, generation: u32) -> Result<Option<(EntryKind, Timestamp)>> {
        self.read(|connection| {
            let sql = "SELECT kind, at FROM journal WHERE run_id = ? AND generation = ? ORDER BY no DESC LIMIT 1";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![run.as_bytes(), generation])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let kind = EntryKind::parse(row.get_ref(0)?.as_str()?);
            Ok(kind.zip(Some(timestamp(row, 1)?)))
        })
    }

    /// How many lines of one attempt's log are on record.
    pub fn count_lines(&self, run: RunId, attempt: u32) -> Result<u32> {
        self.read(|connection| {
            let sql = "SELECT coalesce(max(line) + 1, 0) FROM logs WHERE run_id = ? AND attempt = ?";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.query_row(params![run.as_bytes(), attempt], |row| row.get(0))?)
        })
    }

    /// Children of earlier generations of a flow that a new one may take over or go on for, those of the newest generation
    /// first.
    pub fn children_to_take_over(&self, parent: RunId, generations: std::ops::Range<u32>) -> Result<Vec<Taken>> {
        self.read(|connection| {
            let mut taken = Vec::new();
            for generation in generations.rev() {
                let family = RunId::children(parent, generation);
                let mut statement = connection.prepare_cached(
                    "SELECT r.id, v.name, r.entry, r.input_sum, r.state, coalesce(r.reused_from, r.retry_of)
                     FROM runs r JOIN versions v ON v.id = r.version_id
                     WHERE r.id BETWEEN ? AND ? AND r.parent_id = ? AND r.finished_at IS NOT NULL ORDER BY r.id",
                )?;
                let ids = params![family.start().as_bytes(), family.end().as_bytes(), parent.as_bytes()];
                let mut rows = statement.query(ids)?;
                while let Some(row) = rows.next()? {
                    taken.push(Taken {
                        id: run_id(row, 0)?,
                        module: row.get(1)?,
                        entry: row.get(2)?,
                        input_sum: row.get(3)?,
                        state: state(row, 4)?,
                        stands_for: run_id_or_null(row, 5)?,
                    });
                }
            }
            Ok(taken)
        })
    }

    /// The secret that every run's random numbers follow from.
    pub fn seed(&self) -> Result<[u8; 32]> {
        self.read(|connection| Ok(connection.query_row("SELECT value FROM seed", [], |row| row.get(0))?))
    }
}

/// How many events one generation of a flow was told.
pub(super) fn count_events(connection: &Connection, run: RunId, generation: u32) -> rusqlite::Result<i64> {
    let family = RunId::children(run, generation);
    let mut statement = connection.prepare_cached(
        "SELECT (SELECT count(event_no) FROM runs WHERE id BETWEEN ?1 AND ?2 AND parent_id = ?3)
            + (SELECT count(*) FROM journal WHERE run_id = ?3 AND generation = ?4)",
    )?;
    let ids = params![family.start().as_bytes(), family.end().as_bytes(), run.as_bytes(), generation];
    statement.query_row(ids, |row| row.get(0))
}

pub(super) fn journal_sum(entry: &JournalEntry) -> i64 {
    let text = format!(
        "{}\0{}\0{}\0{}\0{}",
        entry.no,
        entry.kind.as_str(),
        entry.key,
        entry.value.as_deref().unwrap_or_default(),
        micros(entry.at)
    );
    XxHash3_64::oneshot(text.as_bytes()) as i64
}
