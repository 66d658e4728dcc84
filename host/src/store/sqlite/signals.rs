//! Signals on their way to flows, and flows that are paused.

use jiff::Timestamp;
use rusqlite::params;

use super::rows::micros;
use super::runs::{select, wake};
use super::{Result, Store};
use crate::domain::fingerprint::checksum;
use crate::domain::{Kind, Run, RunId, State};
use crate::store::watch::Changed;
use crate::store::{NewSignal, Signal, Signalled, StoreError, Write};

/// Signals that a run was not told of yet: who sends more is told to wait.
const MAX_WAITING: i64 = 1000;

impl Store {
    /// Keeps a signal for a run that is not over, and has it go on where it is parked.
    pub fn send_signal(&self, signal: &NewSignal<'_>, now: Timestamp) -> Result<Signalled> {
        self.transact(|transaction| {
            let Some(run) = select(transaction, signal.run)? else { return Ok(Signalled::NoSuchRun) };
            if run.kind == Kind::Task {
                return Ok(Signalled::IsTask);
            }
            if run.state.is_final() {
                return Ok(Signalled::Final(run.state));
            }
            let waiting: i64 = transaction
                .prepare_cached("SELECT count(*) FROM signals WHERE run_id = ? AND taken_at IS NULL")?
                .query_row([signal.run.as_bytes()], |row| row.get(0))?;
            if waiting >= MAX_WAITING {
                return Ok(Signalled::Full);
            }
            transaction
                .prepare_cached(
                    "INSERT OR IGNORE INTO signals (run_id, name, payload, sum, at, sender_id, sender_generation, sender_no)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    signal.run.as_bytes(),
                    signal.name,
                    signal.payload,
                    checksum(signal.payload),
                    micros(now),
                    signal.sender.as_ref().map(|(id, ..)| id.as_bytes()),
                    signal.sender.map(|(_, generation, _)| generation),
                    signal.sender.map(|(.., no)| no),
                ])?;
            wake(transaction, signal.run, now)?;
            Ok(Signalled::Kept)
        })
    }

    /// The oldest signal of that name that the run was not told of.
    pub fn next_signal(&self, run: RunId, name: &str) -> Result<Option<Signal>> {
        self.read(|connection| {
            let sql = "SELECT no, payload, sum FROM signals WHERE run_id = ? AND name = ? AND taken_at IS NULL
                ORDER BY no LIMIT 1";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![run.as_bytes(), name])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let signal = Signal { no: row.get(0)?, payload: row.get(1)? };
            match row.get::<_, i64>(2)? == checksum(&signal.payload) {
                true => Ok(Some(signal)),
                false => Err(StoreError::Corrupt { run_id: run, column: "signal" }),
            }
        })
    }

    /// Has a parked flow go on now, and all above it.
    pub fn wake(&self, flow: RunId, now: Timestamp) -> Result<()> {
        self.transact(|transaction| wake(transaction, flow, now))
    }

    /// Pauses a run that is not over, or has it go on. Returns the run as it was before; none where there is none.
    pub fn set_paused(&self, id: RunId, paused: bool, now: Timestamp) -> Result<Option<Run>> {
        self.transact_on_runs(|transaction, changed| {
            let Some(run) = select(transaction, id)? else { return Ok(None) };
            let runs_as_task = run.kind == Kind::Task && run.state == State::Running;
            if run.state.is_final()
                || run.state == State::Cancelling
                || run.paused_at.is_some() == paused
                || runs_as_task
            {
                return Ok(Some(run));
            }
            transaction.execute(
                // Others may have let go meanwhile of a limit that it waited for: it is tried again.
                "UPDATE runs SET paused_at = ?1, blocked_on = CASE WHEN ?1 IS NULL THEN NULL ELSE blocked_on END WHERE id = ?2",
                params![paused.then_some(micros(now)), id.as_bytes()],
            )?;
            let reason = if paused { "paused" } else { "resumed" };
            let history = Write::History { run_id: id, at: now, state: run.state, reason: reason.to_owned() };
            super::writes::apply(transaction, &history)?;
            if !paused {
                wake(transaction, id, now)?;
            }
            changed.push(Changed::run(&run));
            Ok(Some(run))
        })
    }
}
