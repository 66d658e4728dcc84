//! Deployments and where their schedules are.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows::{Json, json, micros, run_id_or_null, timestamp, timestamp_or_null, unreadable};
use super::{Result, Store};
use crate::domain::{Deployment, DeploymentSpec, ScheduleId, Skip, SkipReason, TimetableRow};
use crate::store::StoredSkip;

const DEPLOYMENT: &str = "SELECT name, spec, created_at, updated_at FROM deployments";
const TIMETABLE: &str = "SELECT id, spec, created_at, next_at, due_at FROM schedules";

impl Store {
    /// Puts a deployment in the place of what `was` at that name: nothing, or what was changed last at that time. Its
    /// timetable is as it says, and `skips` are on record. False where another was quicker.
    pub fn put_deployment(
        &self,
        deployment: &Deployment,
        was: Option<Timestamp>,
        skips: &[Skip],
        now: Timestamp,
    ) -> Result<bool> {
        self.transact(|transaction| {
            let Deployment { name, spec, created_at, updated_at, timetable } = deployment;
            let found: Option<i64> = transaction
                .query_row("SELECT updated_at FROM deployments WHERE name = ?", [name], |row| row.get(0))
                .optional()?;
            if found != was.map(micros) {
                return Ok(false);
            }
            // Its schedules have rows of their own.
            let own = DeploymentSpec { schedules: Vec::new(), ..spec.clone() };
            transaction.execute(
                "INSERT OR REPLACE INTO deployments (name, module, spec, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
                params![name, spec.module, Json(&own), micros(*created_at), micros(*updated_at)],
            )?;
            transaction.execute("DELETE FROM schedules WHERE deployment = ?", [name])?;
            for (place, row) in timetable.iter().enumerate() {
                transaction.execute(
                    "INSERT INTO schedules (deployment, id, place, spec, created_at, next_at, due_at)
                     VALUES (?, ?, ?, ?, ?, ?, ?)",
                    params![
                        name,
                        row.id.0,
                        place as i64,
                        Json(&row.schedule),
                        micros(row.created_at),
                        row.next_at.map(micros),
                        row.due_at.map(micros),
                    ],
                )?;
            }
            for skip in skips {
                super::schedules::record(transaction, name, skip, now)?;
            }
            Ok(true)
        })
    }

    /// Deletes a deployment, with what is known of its schedules. False where there is none.
    pub fn delete_deployment(&self, name: &str) -> Result<bool> {
        self.transact(|transaction| {
            transaction.execute("DELETE FROM schedules WHERE deployment = ?", [name])?;
            transaction.execute("DELETE FROM skips WHERE deployment = ?", [name])?;
            Ok(transaction.execute("DELETE FROM deployments WHERE name = ?", [name])? > 0)
        })
    }

    pub fn deployment(&self, name: &str) -> Result<Option<Deployment>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("{DEPLOYMENT} WHERE name = ?"))?;
            let mut rows = statement.query([name])?;
            rows.next()?.map(|row| deployment(connection, row)).transpose()
        })
    }

    /// Deployments whose name comes after `after`, by name; only those of one module where it is named.
    pub fn deployments(&self, module: Option<&str>, after: &str, limit: usize) -> Result<Vec<Deployment>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "{DEPLOYMENT} WHERE name > ?1 AND (?2 IS NULL OR module = ?2) ORDER BY name LIMIT ?3"
            ))?;
            let mut rows = statement.query(params![after, module, limit as i64])?;
            let mut deployments = Vec::new();
            while let Some(row) = rows.next()? {
                deployments.push(deployment(connection, row)?);
            }
            Ok(deployments)
        })
    }

    /// The deployments that have one of the `limit` schedules whose next occurrences come first, with their timetables.
    pub fn next_deployments(&self, limit: usize) -> Result<Vec<Deployment>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "{DEPLOYMENT} WHERE name IN (SELECT deployment FROM schedules WHERE due_at IS NOT NULL
                    ORDER BY due_at LIMIT ?) ORDER BY name"
            ))?;
            let mut rows = statement.query([limit as i64])?;
            let mut deployments = Vec::new();
            while let Some(row) = rows.next()? {
                deployments.push(deployment(connection, row)?);
            }
            Ok(deployments)
        })
    }

    /// How many occurrences of a deployment's schedules were skipped.
    pub fn count_skips(&self, deployment: &str) -> Result<u64> {
        self.read(|connection| {
            let sql = "SELECT coalesce(sum(n), 0) FROM skips WHERE deployment = ?";
            Ok(connection.prepare_cached(sql)?.query_row([deployment], |row| row.get::<_, i64>(0))? as u64)
        })
    }

    /// What was skipped of a deployment, newest first, from the one after `before` on.
    pub fn skips(&self, deployment: &str, before: Option<i64>, limit: usize) -> Result<Vec<StoredSkip>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT no, schedule_id, first_at, last_at, n, why, detail, run_id, at FROM skips
                 WHERE deployment = ? AND no < ? ORDER BY no DESC LIMIT ?",
            )?;
            let mut rows = statement.query(params![deployment, before.unwrap_or(i64::MAX), limit as i64])?;
            let mut skips = Vec::new();
            while let Some(row) = rows.next()? {
                skips.push(skip(row)?);
            }
            Ok(skips)
        })
    }
}

fn deployment(connection: &Connection, row: &Row<'_>) -> Result<Deployment> {
    let name: String = row.get(0)?;
    let mut spec: DeploymentSpec = json(row, 1)?.ok_or_else(|| unreadable("a deployment", name.clone()))?;
    let timetable = timetable(connection, &name)?;
    spec.schedules = timetable.iter().map(|row| row.schedule.clone()).collect();
    Ok(Deployment { name, spec, created_at: timestamp(row, 2)?, updated_at: timestamp(row, 3)?, timetable })
}

fn timetable(connection: &Connection, deployment: &str) -> Result<Vec<TimetableRow>> {
    let mut statement = connection.prepare_cached(&format!("{TIMETABLE} WHERE deployment = ? ORDER BY place"))?;
    let mut rows = statement.query([deployment])?;
    let mut timetable = Vec::new();
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        timetable.push(TimetableRow {
            schedule: json(row, 1)?.ok_or_else(|| unreadable("a schedule", id.clone()))?,
            id: ScheduleId(id),
            created_at: timestamp(row, 2)?,
            next_at: timestamp_or_null(row, 3)?,
            due_at: timestamp_or_null(row, 4)?,
        });
    }
    Ok(timetable)
}

fn skip(row: &Row<'_>) -> Result<StoredSkip> {
    let why: String = row.get(5)?;
    Ok(StoredSkip {
        no: row.get(0)?,
        skip: Skip {
            schedule_id: ScheduleId(row.get(1)?),
            first_at: timestamp(row, 2)?,
            last_at: timestamp(row, 3)?,
            n: row.get::<_, i64>(4)? as u64,
            why: SkipReason::parse(&why).ok_or_else(|| unreadable("a reason", why.clone()))?,
            detail: row.get(6)?,
            run_id: run_id_or_null(row, 7)?,
        },
        at: timestamp(row, 8)?,
    })
}
