//! What becomes of the runs of a worker that is gone.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::journal::count_events;
use super::rows::{Json, RUN, micros, run, run_id};
use super::{Result, Store};
use crate::domain::{Attempt, Failure, FailureKind, Kind, Run, RunId, State};
use crate::store::{MAX_RESCUES, Recovered, StoreError, Write};

const STOPPED: &str = "given back while the server stopped";

impl Store {
    /// Enters a worker in the books.
    pub fn insert_worker(&self, name: &str, now: Timestamp) -> Result<i64> {
        self.transact(|transaction| {
            transaction.execute("INSERT INTO workers (name, started_at) VALUES (?, ?)", params![name, micros(now)])?;
            Ok(transaction.last_insert_rowid())
        })
    }

    /// The name of a worker.
    pub fn worker_name(&self, id: i64) -> Result<Option<String>> {
        use rusqlite::OptionalExtension;
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT name FROM workers WHERE id = ?")?;
            Ok(statement.query_row([id], |row| row.get(0)).optional()?)
        })
    }

    /// Settles what a worker that died left unfinished. Only for whoever holds the data directory: every run that a
    /// worker holds is taken for lost.
    pub fn recover(&self, now: Timestamp) -> Result<Recovered> {
        self.settle_all(Loss::Died, now)
    }

    /// As `recover`, for what a worker leaves unfinished that stops: it is held against no run.
    pub fn give_back(&self, now: Timestamp) -> Result<Recovered> {
        self.settle_all(Loss::Stopped, now)
    }

    fn settle_all(&self, loss: Loss, now: Timestamp) -> Result<Recovered> {
        self.transact(|transaction| {
            let sql = format!("{RUN} WHERE r.finished_at IS NULL AND r.worker_id IS NOT NULL");
            let mut lost = Vec::new();
            let mut recovered = Recovered::default();
            {
                let mut statement = transaction.prepare(&sql)?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    match run(row) {
                        // It cannot be carried out, and must not keep the server from starting.
                        Err(error) if error.is_about_the_record() => {
                            crash(transaction, run_id(row, 0)?, &error, now)?;
                            recovered.crashed += 1;
                        }
                        run => lost.push(run?),
                    }
                }
            }
            for run in lost {
                settle(transaction, run, loss, now, &mut recovered)?;
            }
            recovered.cancelled += cancel_orphans(transaction, now)?;
            // Who holds what is found out anew.
            transaction.execute("UPDATE runs SET blocked_on = NULL WHERE blocked_on IS NOT NULL", [])?;
            Ok(recovered)
        })
    }

    /// Cancels what lies below a flow that nobody has in memory.
    pub fn cancel_below(&self, flow: RunId, now: Timestamp) -> Result<()> {
        self.transact(|transaction| {
            cancel_children(transaction, flow, now)?;
            cancel_orphans(transaction, now).map(drop)
        })
    }

    /// Gives a worker what one generation of a flow left unfinished, so that it alone decides on it from now on.
    pub fn adopt_children(&self, parent: RunId, generation: u32, worker: i64) -> Result<()> {
        let family = RunId::children(parent, generation);
        self.transact(|transaction| {
            let sql =
                "UPDATE runs SET worker_id = ? WHERE id BETWEEN ? AND ? AND parent_id = ? AND finished_at IS NULL";
            let ids = params![worker, family.start().as_bytes(), family.end().as_bytes(), parent.as_bytes()];
            transaction.prepare_cached(sql)?.execute(ids)?;
            Ok(())
        })
    }
}

/// How a worker went away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    Died,
    Stopped,
}

fn settle(transaction: &Connection, mut run: Run, loss: Loss, now: Timestamp, recovered: &mut Recovered) -> Result<()> {
    let mut reason = None;
    let mut told = None;
    if run.state == State::Cancelling {
        run.state = State::Cancelled;
        reason = Some("cancelled while its worker was gone");
    } else if run.state == State::Running {
        if loss == Loss::Died {
            told = count_rescue(transaction, &mut run, now)?;
        }
        if run.rescues > MAX_RESCUES {
            run.state = State::Crashed;
            run.failure = Some(lost().into());
            reason = Some("its worker died again and again");
        } else if run.kind == Kind::Flow && run.durable {
            run.wake_at = Some(now);
            reason = Some(match loss {
                Loss::Died => "resumed after worker loss",
                Loss::Stopped => STOPPED,
            });
        } else {
            match loss {
                Loss::Died => {
                    record_lost_attempt(transaction, &run, now)?;
                    run.uncounted += 1;
                    reason = Some("given back after the loss of its worker");
                }
                Loss::Stopped => {
                    // This attempt does not count; the next one has its number.
                    run.attempt -= 1;
                    reason = Some(STOPPED);
                }
            }
            run.state = State::Scheduled;
            run.scheduled_at = now;
            run.started_at = None;
        }
    }
    match run.state {
        State::Scheduled | State::Running => {
            recovered.given_back += 1;
            run.worker = None;
        }
        State::Crashed => recovered.crashed += 1,
        _ => recovered.cancelled += 1,
    }
    run.finished_at = run.state.is_final().then_some(now);
    // Past the rule for live workers, which keeps what is to be cancelled from going on.
    transaction.execute(
        "UPDATE runs SET state = ?2, finished_at = ?3, failure = ?4, rescues = ?5, scheduled_at = ?6, started_at = ?7,
            worker_id = ?8, wake_at = ?9, uncounted = ?10, rescued_at_no = coalesce(?11, rescued_at_no),
            attempt = ?12 WHERE id = ?1",
        params![
            run.id.as_bytes(),
            run.state.as_str(),
            run.finished_at.map(micros),
            run.failure.as_deref().map(Json),
            run.rescues,
            micros(run.scheduled_at),
            run.started_at.map(micros),
            run.worker,
            run.wake_at.map(micros),
            run.uncounted,
            told,
            run.attempt,
        ],
    )?;
    if run.state.is_final() {
        number_the_end(transaction, run.id)?;
    }
    if let Some(reason) = reason {
        let history = Write::History { run_id: run.id, at: now, state: run.state, reason: reason.to_owned() };
        super::writes::apply(transaction, &history)?;
    }
    if run.kind == Kind::Flow && !run.durable {
        // It starts anew, with children of its own.
        cancel_children(transaction, run.id, now)?;
    }
    Ok(())
}

/// Counts the loss of a worker against a run whose guest may have been what killed it: one that ran, not one that
/// waited. A sleep or a wait that was over by `now` held it no longer. Returns how many events a flow was told until
/// then, where it counts.
fn count_rescue(transaction: &Connection, run: &mut Run, now: Timestamp) -> Result<Option<i64>> {
    if run.kind == Kind::Task || !run.durable {
        run.rescues += 1;
        return Ok(None);
    }
    let family = RunId::children(run.id, run.generation);
    let waits: bool = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM runs WHERE id BETWEEN ?1 AND ?2 AND parent_id = ?3 AND finished_at IS NULL)
            OR EXISTS (SELECT 1 FROM journal j WHERE run_id = ?3 AND generation = ?4 AND (kind = 'timer' OR kind = 'wait')
                AND at > ?5 AND NOT EXISTS (SELECT 1 FROM journal WHERE run_id = ?3 AND generation = ?4 AND no > j.no))",
        params![
            family.start().as_bytes(),
            family.end().as_bytes(),
            run.id.as_bytes(),
            run.generation,
            micros(now)
        ],
        |row| row.get(0),
    )?;
    if waits {
        return Ok(None);
    }
    let told = count_events(transaction, run.id, run.generation)?;
    let told_then: i64 = transaction
        .prepare_cached("SELECT rescued_at_no FROM runs WHERE id = ?")?
        .query_row([run.id.as_bytes()], |row| row.get(0))?;
    run.rescues = if told > told_then { 1 } else { run.rescues + 1 };
    Ok(Some(told))
}

/// Gives the end of a child its number among those of its siblings.
pub(super) fn number_the_end(transaction: &Connection, id: RunId) -> Result<()> {
    let sql = "UPDATE runs SET event_no =
            (SELECT coalesce(max(s.event_no), 0) + 1 FROM runs s
             WHERE s.parent_id = runs.parent_id AND s.parent_generation = runs.parent_generation
                AND s.id BETWEEN ?2 AND ?3)
         WHERE id = ?1 AND parent_id IS NOT NULL AND event_no IS NULL";
    let (first, last) = RunId::siblings(id).into_inner();
    transaction.prepare_cached(sql)?.execute(params![id.as_bytes(), first.as_bytes(), last.as_bytes()])?;
    Ok(())
}

/// Ends what nobody will carry out any more: children of flows that are over, or have begun another generation.
fn cancel_orphans(transaction: &Connection, now: Timestamp) -> Result<usize> {
    let mut cancelled = 0;
    loop {
        let ended = transaction.execute(
            "UPDATE runs SET state = 'cancelled', finished_at = ?, wake_at = NULL
             WHERE finished_at IS NULL AND parent_id IS NOT NULL AND EXISTS (SELECT 1 FROM runs p
                WHERE p.id = runs.parent_id
                    AND (p.finished_at IS NOT NULL OR p.generation > runs.parent_generation))",
            [micros(now)],
        )?;
        if ended == 0 {
            return Ok(cancelled);
        }
        // Those that were flows may have left children, too.
        cancelled += ended;
    }
}

fn cancel_children(transaction: &Connection, flow: RunId, now: Timestamp) -> Result<()> {
    let ids = RunId::below(flow);
    let sql = "UPDATE runs SET state = 'cancelled', finished_at = ?, wake_at = NULL
        WHERE id BETWEEN ? AND ? AND parent_id = ? AND finished_at IS NULL";
    let ids = params![micros(now), ids.start().as_bytes(), ids.end().as_bytes(), flow.as_bytes()];
    transaction.prepare_cached(sql)?.execute(ids)?;
    Ok(())
}

fn lost() -> Failure {
    Failure::new(FailureKind::WorkerLost, "the worker died while it ran")
}

fn record_lost_attempt(transaction: &Connection, run: &Run, now: Timestamp) -> Result<()> {
    let Some(attempt) = run.last_attempt() else { return Ok(()) };
    let attempt = Attempt { state: State::Crashed, failure: Some(lost()), finished_at: Some(now), ..attempt };
    super::writes::apply(transaction, &Write::Attempt { run_id: run.id, attempt, worker: run.worker })?;
    Ok(())
}

/// Ends a run whose record is damaged.
pub(super) fn crash(transaction: &Connection, id: RunId, error: &StoreError, now: Timestamp) -> Result<()> {
    let failure = Failure::new(FailureKind::CorruptRecord, error.to_string());
    transaction.execute(
        "UPDATE runs SET state = 'crashed', finished_at = ?2, wake_at = NULL, failure = ?3 WHERE id = ?1",
        params![id.as_bytes(), micros(now), Json(&failure)],
    )?;
    number_the_end(transaction, id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Module;
    use crate::store::StoreConfig;

    #[test]
    fn a_damaged_run_does_not_keep_the_others_from_being_recovered() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = StoreConfig { path: dir.path().join("tarefa.db"), ..StoreConfig::default() };
        let store = Store::open(&config).expect("opens");
        let module = Module {
            name: "m".to_owned(),
            digest: crate::domain::Digest::of(b"m"),
            size_bytes: 1,
            created_at: Timestamp::UNIX_EPOCH,
            entries: Vec::new(),
        };
        store.publish(&module).expect("publishes");
        let insert = |n: u8, input_sum: i64| {
            let sql = "INSERT INTO runs (id, root_id, kind, version_id, entry, input, input_sum, state, generation,
                    attempt, rescues, created_at, scheduled_at, started_at, fuel, memory_peak_bytes, duration_us,
                    worker_id, trigger)
                VALUES (?1, ?1, 'task', 1, 'e', '{}', ?2, 'running', 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 'api')";
            store.transact(|connection| Ok(connection.execute(sql, params![[n; 16], input_sum])?)).expect("inserts");
        };
        let sum = crate::domain::fingerprint::checksum("{}");
        insert(1, sum);
        insert(2, sum + 1);

        let recovered = store.recover(Timestamp::UNIX_EPOCH).expect("recovers");
        assert_eq!(recovered, Recovered { given_back: 1, cancelled: 0, crashed: 1 });
        let whole = store.run(RunId(uuid::Uuid::from_bytes([1; 16]))).expect("reads").expect("is there");
        assert_eq!(whole.state, State::Scheduled);
        let damaged = store.run(RunId(uuid::Uuid::from_bytes([2; 16])));
        assert!(matches!(damaged, Err(StoreError::Corrupt { column: "input", .. })));
        assert_eq!(store.count_unfinished().expect("counts"), 1);
    }
}
