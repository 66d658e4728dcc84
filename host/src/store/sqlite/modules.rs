//! Modules and their versions.

use rusqlite::{OptionalExtension, Row, params};

use super::rows::{Json, json, micros, timestamp};
use super::{Result, Store};
use crate::domain::{Digest, Module};

const VERSION: &str = "SELECT id, name, digest, size_bytes, entries, created_at FROM versions";

impl Store {
    /// Makes a version the newest of its name. Returns its number, and whether that changed anything.
    pub fn publish(&self, module: &Module) -> Result<(i64, bool)> {
        self.transact(|transaction| {
            let newest: Option<String> = transaction
                .query_row(
                    "SELECT digest FROM versions WHERE name = ? ORDER BY published_no DESC LIMIT 1",
                    [&module.name],
                    |row| row.get(0),
                )
                .optional()?;
            let changed = newest.as_deref() != Some(module.digest.as_str());
            if changed {
                transaction.execute(
                    "INSERT INTO versions (name, digest, size_bytes, entries, created_at, published_no)
                     VALUES (?, ?, ?, ?, ?, (SELECT coalesce(max(published_no), 0) + 1 FROM versions))
                     ON CONFLICT (name, digest) DO UPDATE SET published_no = excluded.published_no",
                    params![
                        module.name,
                        module.digest.as_str(),
                        module.size_bytes as i64,
                        Json(&module.entries),
                        micros(module.created_at)
                    ],
                )?;
            }
            let id = transaction.query_row(
                "SELECT id FROM versions WHERE name = ? AND digest = ?",
                params![module.name, module.digest.as_str()],
                |row| row.get(0),
            )?;
            Ok((id, changed))
        })
    }

    /// The version with that number.
    pub fn version(&self, id: i64) -> Result<Option<Module>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("{VERSION} WHERE id = ?"))?;
            let mut rows = statement.query([id])?;
            rows.next()?.map(module).transpose()
        })
    }

    /// The number of a version: the newest of that name, or the one with that digest.
    pub fn find_version(&self, name: &str, digest: Option<&Digest>) -> Result<Option<i64>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM versions WHERE name = ?1 AND (?2 IS NULL OR digest = ?2) ORDER BY published_no DESC LIMIT 1",
            )?;
            Ok(statement.query_row(params![name, digest.map(Digest::as_str)], |row| row.get(0)).optional()?)
        })
    }

    /// The newest version of each module whose name comes after `after`, by name.
    pub fn modules(&self, after: &str, limit: usize) -> Result<Vec<Module>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "{VERSION} AS v WHERE name > ? AND published_no =
                    (SELECT max(published_no) FROM versions WHERE name = v.name) ORDER BY name LIMIT ?"
            ))?;
            let mut rows = statement.query(params![after, limit as i64])?;
            collect(&mut rows)
        })
    }

    /// All versions of one module, newest first.
    pub fn versions(&self, name: &str) -> Result<Vec<Module>> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("{VERSION} WHERE name = ? ORDER BY published_no DESC"))?;
            let mut rows = statement.query([name])?;
            collect(&mut rows)
        })
    }

    /// How many modules there are.
    pub fn count_modules(&self) -> Result<u64> {
        self.read(|connection| {
            let count: i64 = connection.query_row("SELECT count(DISTINCT name) FROM versions", [], |row| row.get(0))?;
            Ok(count as u64)
        })
    }
}

fn collect(rows: &mut rusqlite::Rows<'_>) -> Result<Vec<Module>> {
    let mut modules = Vec::new();
    while let Some(row) = rows.next()? {
        modules.push(module(row)?);
    }
    Ok(modules)
}

fn module(row: &Row<'_>) -> Result<Module> {
    Ok(Module {
        name: row.get(1)?,
        digest: Digest(row.get(2)?),
        size_bytes: row.get::<_, i64>(3)? as u64,
        entries: json(row, 4)?.unwrap_or_default(),
        created_at: timestamp(row, 5)?,
    })
}
