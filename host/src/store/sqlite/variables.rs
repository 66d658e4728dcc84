//! Variables: values that people keep for runs to read.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::rows::{micros, timestamp};
use super::{Result, Store};
use crate::domain::run::{PREVIEW_BYTES, preview};
use crate::store::{SetVariable, StoredVariable};

impl Store {
    /// Keeps a value, JSON text, in the place of what was there, unless there were more than `most` variables then.
    pub fn set_variable(&self, name: &str, value: &str, most: usize, now: Timestamp) -> Result<SetVariable> {
        self.transact(|transaction| {
            let sql = "UPDATE variables SET value = ?2, updated_at = ?3 WHERE name = ?1";
            if transaction.execute(sql, params![name, value, micros(now)])? > 0 {
                return Ok(SetVariable::Replaced);
            }
            let n: i64 = transaction.query_row("SELECT count(*) FROM variables", [], |row| row.get(0))?;
            if n as usize >= most {
                return Ok(SetVariable::Full);
            }
            transaction.execute(
                "INSERT INTO variables (name, value, updated_at) VALUES (?, ?, ?)",
                params![name, value, micros(now)],
            )?;
            Ok(SetVariable::New)
        })
    }

    /// The JSON text of a variable's value.
    pub fn variable(&self, name: &str) -> Result<Option<Arc<str>>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT value FROM variables WHERE name = ?")?;
            Ok(statement.query_row([name], |row| row.get(0)).optional()?)
        })
    }

    /// A variable with its value whole.
    pub fn whole_variable(&self, name: &str) -> Result<Option<StoredVariable>> {
        self.read(|connection| {
            let sql = "SELECT name, value, octet_length(value), updated_at FROM variables WHERE name = ?";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([name])?;
            rows.next()?.map(variable).transpose()
        })
    }

    /// Variables by name, from the one after `after` on, with previews of their values.
    pub fn variables(&self, after: &str, limit: usize) -> Result<Vec<StoredVariable>> {
        self.read(|connection| {
            let sql = "SELECT name, substr(value, 1, ?), octet_length(value), updated_at FROM variables
                WHERE name > ? ORDER BY name LIMIT ?";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![PREVIEW_BYTES as i64, after, limit as i64])?;
            let mut variables = Vec::new();
            while let Some(row) = rows.next()? {
                let mut variable = variable(row)?;
                variable.value.truncate(preview(&variable.value).len());
                variables.push(variable);
            }
            Ok(variables)
        })
    }

    /// Returns whether there was one of that name.
    pub fn delete_variable(&self, name: &str) -> Result<bool> {
        self.transact(|transaction| Ok(transaction.execute("DELETE FROM variables WHERE name = ?", [name])? > 0))
    }
}

fn variable(row: &rusqlite::Row<'_>) -> Result<StoredVariable> {
    Ok(StoredVariable {
        name: row.get(0)?,
        value: row.get(1)?,
        size_bytes: row.get::<_, i64>(2)? as u64,
        updated_at: timestamp(row, 3)?,
    })
}
