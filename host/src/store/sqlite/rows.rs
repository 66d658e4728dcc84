//! Between rows and the domain's types.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::types::{ToSql, ToSqlOutput};
use rusqlite::{Row, types::Type};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Result;
use crate::domain::fingerprint::checksum;
use crate::domain::run::Parent;
use crate::domain::{Digest, Kind, Occurrence, Run, RunId, ScheduleId, State, Trigger, Usage};
use crate::store::StoreError;

/// The columns of [`run`], from `runs` joined with `versions`; first those of input and result, each with its checksum.
macro_rules! select_run {
    ($input:literal, $result:literal) => {
        concat!(
            "SELECT r.id, r.parent_id, r.parent_generation, r.seq, r.root_id, r.kind, v.name, v.digest, r.version_id,
                r.entry, r.name, ",
            $input,
            ", r.settings, r.upstream, r.idempotency_key, r.state, r.generation, r.attempt, r.rescues, ",
            $result,
            ", r.failure, r.label, r.child_states, r.trigger, r.deployment, r.retry_of, r.created_at, r.scheduled_at,
                r.started_at, r.finished_at, r.fuel, r.memory_peak_bytes, r.duration_us, r.worker_id, r.event_no,
                r.uncounted, r.journal_version, r.wake_at, r.reuse_from, r.reused_from, r.request_sum, r.retried_at,
                r.paused_at, r.cached_from, r.schedule_id, r.occurrence_at, r.progress, r.across, r.blocked_on
            FROM runs r JOIN versions v ON v.id = r.version_id"
        )
    };
}

/// Whole runs.
pub(super) const RUN: &str = select_run!("r.input, r.input_sum", "r.result, r.result_sum");
/// Runs for lists, without input and with no more than a preview of the result: these may be large, and a damaged one
/// must not spoil the list.
pub(super) const LISTED: &str = select_run!("NULL, NULL", "coalesce(r.result_preview, r.result), NULL");

/// A value stored as JSON text.
pub(super) struct Json<'a, T>(pub &'a T);

impl<T: Serialize> ToSql for Json<'_, T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        serde_json::to_string(self.0)
            .map(ToSqlOutput::from)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    }
}

pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

pub(super) fn usage_us(usage: &Usage) -> i64 {
    (usage.duration_ms * 1000.0).round() as i64
}

/// Reads a run, and checks input and result against their checksums where they were selected.
pub(super) fn run(row: &Row<'_>) -> Result<Run> {
    let id = run_id(row, 0)?;
    let input = checked(row, id, "input", 11)?;
    let result = checked(row, id, "result", 20)?;
    let trigger = match row.get_ref(25)?.as_str_or_null()? {
        // It is a child.
        None => Trigger::Flow,
        Some(text) => Trigger::parse(text).ok_or_else(|| unreadable("a trigger", text.to_owned()))?,
    };
    let parent = match run_id_or_null(row, 1)? {
        None => None,
        Some(id) => Some(Parent { id, generation: row.get(2)?, seq: row.get(3)? }),
    };
    Ok(Run {
        id,
        parent,
        root_id: run_id(row, 4)?,
        kind: if row.get_ref(5)?.as_str()? == "flow" { Kind::Flow } else { Kind::Task },
        module: row.get(6)?,
        digest: Digest(row.get(7)?),
        version: row.get(8)?,
        entry: row.get(9)?,
        name: row.get(10)?,
        input: input.unwrap_or_else(|| "{}".into()),
        settings: json(row, 13)?.map(Arc::new),
        upstream: json(row, 14)?.map(Arc::new),
        idempotency_key: row.get(15)?,
        state: state(row, 16)?,
        generation: row.get(17)?,
        attempt: row.get(18)?,
        rescues: row.get(19)?,
        result,
        failure: json(row, 22)?.map(Arc::new),
        label: row.get(23)?,
        children: json(row, 24)?.map(Arc::new),
        trigger,
        deployment: row.get(26)?,
        retry_of: run_id_or_null(row, 27)?,
        created_at: timestamp(row, 28)?,
        scheduled_at: timestamp(row, 29)?,
        started_at: timestamp_or_null(row, 30)?,
        finished_at: timestamp_or_null(row, 31)?,
        usage: usage(row, 32)?,
        worker: row.get(35)?,
        event_no: row.get::<_, Option<i64>>(36)?.map(|no| no as u64),
        uncounted: row.get(37)?,
        durable: row.get::<_, u32>(38)? > 0,
        wake_at: timestamp_or_null(row, 39)?,
        reuse_from: row.get(40)?,
        reused_from: run_id_or_null(row, 41)?,
        request_sum: row.get(42)?,
        retried_at: timestamp_or_null(row, 43)?,
        paused_at: timestamp_or_null(row, 44)?,
        cached_from: run_id_or_null(row, 45)?,
        occurrence: occurrence(row, 46)?,
        progress: json(row, 48)?.map(Arc::new),
        across: json(row, 49)?.map(Arc::new),
        blocked_on: row.get(50)?,
    })
}

fn occurrence(row: &Row<'_>, column: usize) -> Result<Option<Occurrence>> {
    let Some(id) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    Ok(Some(Occurrence { schedule_id: ScheduleId(id), at: timestamp(row, column + 1)? }))
}

/// A text whose checksum stands in the next column; a preview has none.
fn checked(row: &Row<'_>, run_id: RunId, name: &'static str, column: usize) -> Result<Option<Arc<str>>> {
    let corrupt = || StoreError::Corrupt { run_id, column: name };
    let Some(bytes) = row.get_ref(column)?.as_bytes_or_null()? else { return Ok(None) };
    let text = std::str::from_utf8(bytes).map_err(|_| corrupt())?;
    match row.get::<_, Option<i64>>(column + 1)? {
        Some(sum) if sum != checksum(text) => Err(corrupt()),
        _ => Ok(Some(text.into())),
    }
}

pub(super) fn run_id(row: &Row<'_>, column: usize) -> Result<RunId> {
    let bytes: [u8; 16] = row.get(column)?;
    Ok(RunId(uuid::Uuid::from_bytes(bytes)))
}

pub(super) fn run_id_or_null(row: &Row<'_>, column: usize) -> Result<Option<RunId>> {
    match row.get_ref(column)?.as_blob_or_null()? {
        None => Ok(None),
        Some(_) => run_id(row, column).map(Some),
    }
}

pub(super) fn state(row: &Row<'_>, column: usize) -> Result<State> {
    let text = row.get_ref(column)?.as_str()?;
    State::parse(text).ok_or_else(|| unreadable("a state", text.to_owned()))
}

pub(super) fn timestamp(row: &Row<'_>, column: usize) -> Result<Timestamp> {
    to_timestamp(row.get(column)?)
}

pub(super) fn timestamp_or_null(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column)?.map(to_timestamp).transpose()
}

pub(super) fn to_timestamp(micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|error| unreadable("a time", error.to_string()))
}

/// Fuel, memory and duration, which stand side by side.
pub(super) fn usage(row: &Row<'_>, column: usize) -> Result<Usage> {
    Ok(Usage {
        fuel: row.get::<_, i64>(column)? as u64,
        memory_peak_bytes: row.get::<_, i64>(column + 1)? as u64,
        duration_ms: row.get::<_, i64>(column + 2)? as f64 / 1000.0,
    })
}

pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        None => Ok(None),
        Some(text) => serde_json::from_str(text).map(Some).map_err(|error| unreadable("JSON", error.to_string())),
    }
}

pub(super) fn unreadable(what: &'static str, why: String) -> StoreError {
    StoreError::Unreadable { what, why }
}

impl From<rusqlite::types::FromSqlError> for StoreError {
    fn from(error: rusqlite::types::FromSqlError) -> StoreError {
        StoreError::Sqlite(rusqlite::Error::FromSqlConversionFailure(0, Type::Null, error.into()))
    }
}
