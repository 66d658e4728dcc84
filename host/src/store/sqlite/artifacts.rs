//! What runs showed of their work.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::logs::is_below;
use super::rows::{micros, run_id, timestamp};
use super::{Result, Store};
use crate::domain::{Artifact, ArtifactKind, Progress, RunId};
use crate::store::{ArtifactRow, StoreError, StoredArtifact};

const ARTIFACT: &str =
    "SELECT no, run_id, key, attempt, kind, title, description, at, octet_length(content) FROM artifacts";

impl Store {
    /// The artifacts of one run in the order in which they were written, from the one after number `after` on.
    pub fn artifacts(&self, run: RunId, after: i64, limit: usize) -> Result<Vec<StoredArtifact>> {
        self.read(|connection| {
            let sql = format!("{ARTIFACT} WHERE run_id = ? AND no > ? ORDER BY no LIMIT ?");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![run.as_bytes(), after, limit as i64])?;
            let mut artifacts = Vec::new();
            while let Some(row) = rows.next()? {
                artifacts.push(artifact(row)?);
            }
            Ok(artifacts)
        })
    }

    /// As `artifacts`, of a run and all below it.
    pub fn artifacts_below(&self, run: RunId, root: RunId, after: i64, limit: usize) -> Result<Vec<StoredArtifact>> {
        self.read(|connection| {
            let sql = format!("{ARTIFACT} WHERE root_id = ? AND no > ? ORDER BY no");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![root.as_bytes(), after])?;
            let mut below = HashMap::from([(run, true)]);
            let mut artifacts = Vec::new();
            while artifacts.len() < limit
                && let Some(row) = rows.next()?
            {
                if run == root || is_below(connection, run_id(row, 1)?, &mut below)? {
                    artifacts.push(artifact(row)?);
                }
            }
            Ok(artifacts)
        })
    }

    /// The artifacts of all runs, newest first, from the one before number `before` on; with a key, only those.
    pub fn newest_artifacts(&self, key: Option<&str>, before: i64, limit: usize) -> Result<Vec<StoredArtifact>> {
        self.read(|connection| {
            // Not as one condition, for which no index would be of use.
            let of_key = if key.is_some() { "key = ?3" } else { "?3 IS NULL" };
            let sql = format!("{ARTIFACT} WHERE {of_key} AND no < ?1 ORDER BY no DESC LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![before, limit as i64, key])?;
            let mut artifacts = Vec::new();
            while let Some(row) = rows.next()? {
                artifacts.push(artifact(row)?);
            }
            Ok(artifacts)
        })
    }

    /// One artifact, and the JSON text of its content.
    pub fn artifact(&self, run: RunId, key: &str) -> Result<Option<(StoredArtifact, String)>> {
        self.read(|connection| {
            let sql = ARTIFACT.replace(" FROM", ", content FROM") + " WHERE run_id = ? AND key = ?";
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![run.as_bytes(), key])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            Ok(Some((artifact(row)?, row.get(9)?)))
        })
    }

    /// How many writes of artifacts of one attempt are on record.
    pub fn count_artifacts(&self, run: RunId, attempt: u32) -> Result<u32> {
        self.read(|connection| {
            let sql = "SELECT coalesce(max(call) + 1, 0) FROM artifacts WHERE run_id = ? AND attempt = ?";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.query_row(params![run.as_bytes(), attempt], |row| row.get(0))?)
        })
    }
}

/// Keeps an artifact in the place of what its run wrote under that key before. It becomes the newest of all.
pub(super) fn keep(connection: &Connection, row: &ArtifactRow) -> rusqlite::Result<()> {
    let Artifact { key, kind, title, description, content } = &row.artifact;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO artifacts (root_id, run_id, key, attempt, call, kind, title, description, at, content)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            row.root_id.as_bytes(),
            row.run_id.as_bytes(),
            key,
            row.attempt,
            row.call,
            kind.as_str(),
            title,
            description,
            micros(row.at),
            content,
        ])
        .map(drop)
}

/// Enters how far a run is that is not over; what a later write of it says holds.
pub(super) fn set_progress(connection: &Connection, run: RunId, progress: &Progress) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE runs SET progress = ? WHERE id = ? AND finished_at IS NULL")?
        .execute(params![super::rows::Json(progress), run.as_bytes()])
        .map(drop)
}

fn artifact(row: &Row<'_>) -> Result<StoredArtifact> {
    let kind = row.get_ref(4)?.as_str()?;
    let unknown = || StoreError::Unreadable { what: "the kind of an artifact", why: kind.to_owned() };
    let at: Timestamp = timestamp(row, 7)?;
    Ok(StoredArtifact {
        no: row.get(0)?,
        run_id: run_id(row, 1)?,
        key: row.get(2)?,
        attempt: row.get(3)?,
        kind: ArtifactKind::parse(kind).ok_or_else(unknown)?,
        title: row.get(5)?,
        description: row.get(6)?,
        at,
        size_bytes: row.get::<_, i64>(8)? as u64,
    })
}
