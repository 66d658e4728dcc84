//! The statements of the writes that wait in the queue.

use rusqlite::{Connection, Result, params};

use super::artifacts::{keep, set_progress};
use super::cache::keep_result;
use super::journal::journal_sum;
use super::rows::{Json, micros, usage_us};
use crate::domain::fingerprint::checksum;
use crate::domain::journal::JOURNAL_VERSION;
use crate::domain::run::{PREVIEW_BYTES, preview};
use crate::domain::{Run, RunId};
use crate::store::Write;

pub(super) fn apply(connection: &Connection, write: &Write) -> Result<()> {
    match write {
        Write::Insert(run) => insert_run(connection, run),
        Write::Update(run) => update_run(connection, run),
        Write::Attempt { run_id, attempt, worker } => {
            let usage = &attempt.usage;
            let finished_at = attempt.finished_at.map(micros);
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO attempts (run_id, number, state, failure, started_at, finished_at, fuel,
                        memory_peak_bytes, duration_us, worker_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    run_id.as_bytes(),
                    attempt.number,
                    attempt.state.as_str(),
                    attempt.failure.as_ref().map(Json),
                    micros(attempt.started_at),
                    finished_at,
                    usage.fuel as i64,
                    usage.memory_peak_bytes as i64,
                    usage_us(usage),
                    worker,
                ])
                .map(drop)
        }
        Write::History { run_id, at, state, reason } => connection
            .prepare_cached("INSERT INTO history (run_id, at, state, reason) VALUES (?, ?, ?, ?)")?
            .execute(params![run_id.as_bytes(), micros(*at), state.as_str(), reason])
            .map(drop),
        Write::TakeSignal { no, at } => connection
            .prepare_cached("UPDATE signals SET taken_at = ? WHERE no = ?")?
            .execute(params![micros(*at), no])
            .map(drop),
        Write::Result { key, run_id } => keep_result(connection, key, *run_id),
        Write::Progress { run_id, progress, .. } => set_progress(connection, *run_id, progress),
        Write::Artifact(row) => keep(connection, row),
        Write::Release { parent, generation } => {
            let family = RunId::children(*parent, *generation);
            connection
                .prepare_cached(
                    "UPDATE runs SET worker_id = NULL
                     WHERE id BETWEEN ? AND ? AND parent_id = ? AND finished_at IS NULL AND state <> 'cancelling'",
                )?
                .execute(params![family.start().as_bytes(), family.end().as_bytes(), parent.as_bytes()])?;
            // A child that was woken since has its flow go on with it.
            connection
                .prepare_cached(
                    "UPDATE runs SET wake_at = min(wake_at, coalesce((SELECT min(wake_at) FROM runs
                        WHERE id BETWEEN ?1 AND ?2 AND parent_id = ?3 AND finished_at IS NULL), wake_at))
                     WHERE id = ?3 AND wake_at IS NOT NULL",
                )?
                .execute(params![family.start().as_bytes(), family.end().as_bytes(), parent.as_bytes()])
                .map(drop)
        }
        Write::Journal { run_id, generation, entry } => connection
            .prepare_cached(
                "INSERT INTO journal (run_id, generation, no, kind, key, value, at, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                run_id.as_bytes(),
                generation,
                entry.no,
                entry.kind.as_str(),
                entry.key,
                entry.value.as_deref(),
                micros(entry.at),
                journal_sum(entry),
            ])
            .map(drop),
        Write::Log(line) => connection
            .prepare_cached(
                "INSERT OR IGNORE INTO logs (root_id, run_id, attempt, line, at, level, message)
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                line.root_id.as_bytes(),
                line.run_id.as_bytes(),
                line.attempt,
                line.line,
                micros(line.at),
                line.level,
                line.message,
            ])
            .map(drop),
    }
}

/// Inserts a run; what stands in it is stored as it is.
pub(super) fn insert_run(connection: &Connection, run: &Run) -> Result<()> {
    let (result, result_sum, result_preview) = result_columns(run);
    connection
        .prepare_cached(
            "INSERT INTO runs (id, parent_id, parent_generation, seq, root_id, kind, version_id, entry, name, input,
                input_sum, settings, upstream, idempotency_key, state, generation, attempt, rescues, result, result_sum,
                failure, label, created_at, scheduled_at, started_at, finished_at, fuel, memory_peak_bytes, duration_us,
                worker_id, result_preview, child_states, trigger, deployment, retry_of, event_no, journal_version,
                wake_at, reused_from, request_sum, cached_from, schedule_id, occurrence_at, progress, across, priority)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
                ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            run.id.as_bytes(),
            run.parent.as_ref().map(|parent| parent.id.as_bytes()),
            run.parent.map(|parent| parent.generation),
            run.parent.map(|parent| parent.seq),
            run.root_id.as_bytes(),
            run.kind.as_str(),
            run.version,
            &*run.entry,
            run.name.as_deref(),
            &*run.input,
            checksum(&run.input),
            run.settings.as_deref().map(Json),
            run.upstream.as_deref().map(Json),
            run.idempotency_key.as_deref(),
            run.state.as_str(),
            run.generation,
            run.attempt,
            run.rescues,
            result,
            result_sum,
            run.failure.as_deref().map(Json),
            run.label.as_deref(),
            micros(run.created_at),
            micros(run.scheduled_at),
            run.started_at.map(micros),
            run.finished_at.map(micros),
            run.usage.fuel as i64,
            run.usage.memory_peak_bytes as i64,
            usage_us(&run.usage),
            run.worker,
            result_preview,
            run.children.as_deref().map(Json),
            // A child's is the flow.
            run.parent.is_none().then(|| run.trigger.as_str()),
            run.deployment.as_deref(),
            run.retry_of.as_ref().map(RunId::as_bytes),
            run.event_no.map(|no| no as i64),
            if run.durable { JOURNAL_VERSION } else { 0 },
            run.wake_at.map(micros),
            run.reused_from.as_ref().map(RunId::as_bytes),
            run.request_sum,
            run.cached_from.as_ref().map(RunId::as_bytes),
            run.occurrence.as_ref().map(|occurrence| &*occurrence.schedule_id.0),
            run.occurrence.as_ref().map(|occurrence| micros(occurrence.at)),
            run.progress.as_deref().map(Json),
            run.across.as_deref().map(Json),
            run.across.as_ref().map_or(0, |across| across.priority),
        ])
        .map(drop)
}

/// Writes what changes while a run is carried out. A final state stays, whoever writes after it; and a run that is to
/// be cancelled does not go on: what would run again, or is parked, is over.
pub(super) fn update_run(connection: &Connection, run: &Run) -> Result<()> {
    let (result, result_sum, result_preview) = result_columns(run);
    connection
        .prepare_cached(
            "UPDATE runs SET
                state = CASE WHEN state = 'cancelling' AND (?1 = 'scheduled' OR ?23 IS NOT NULL)
                    THEN 'cancelled' ELSE ?1 END,
                finished_at = CASE WHEN state = 'cancelling' AND (?1 = 'scheduled' OR ?23 IS NOT NULL)
                    THEN (SELECT max(at) FROM history WHERE run_id = ?2) ELSE ?3 END,
                generation = ?4, attempt = ?5, rescues = ?6, result = ?7, result_sum = ?8, failure = ?9, label = ?10,
                scheduled_at = ?11, started_at = ?12, fuel = ?13, memory_peak_bytes = ?14, duration_us = ?15,
                worker_id = ?16, input = ?17, input_sum = ?18, name = ?19, result_preview = ?20, child_states = ?21,
                event_no = ?22, wake_at = CASE state WHEN 'cancelling' THEN NULL ELSE ?23 END, reused_from = ?24, retry_of = ?25,
                cached_from = ?26, progress = ?27
             WHERE id = ?2 AND finished_at IS NULL AND NOT (state = 'cancelling' AND ?1 = 'running' AND ?23 IS NULL)",
        )?
        .execute(params![
            run.state.as_str(),
            run.id.as_bytes(),
            run.finished_at.map(micros),
            run.generation,
            run.attempt,
            run.rescues,
            result,
            result_sum,
            run.failure.as_deref().map(Json),
            run.label.as_deref(),
            micros(run.scheduled_at),
            run.started_at.map(micros),
            run.usage.fuel as i64,
            run.usage.memory_peak_bytes as i64,
            usage_us(&run.usage),
            run.worker,
            &*run.input,
            checksum(&run.input),
            run.name.as_deref(),
            result_preview,
            run.children.as_deref().map(Json),
            run.event_no.map(|no| no as i64),
            run.wake_at.map(micros),
            run.reused_from.as_ref().map(RunId::as_bytes),
            run.retry_of.as_ref().map(RunId::as_bytes),
            run.cached_from.as_ref().map(RunId::as_bytes),
            run.progress.as_deref().map(Json),
        ])
        .map(drop)
}

/// The result with its checksum, and a preview of it where it is longer than that.
fn result_columns(run: &Run) -> (Option<&str>, Option<i64>, Option<&str>) {
    let result = run.result.as_deref();
    (result, result.map(checksum), result.filter(|result| result.len() > PREVIEW_BYTES).map(preview))
}
