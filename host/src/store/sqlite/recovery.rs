//! What becomes of the runs of a worker that is gone.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::rows::{Json, RUN, micros, run, run_id};
use super::{Result, Store};
use crate::domain::{Attempt, Failure, FailureKind, Run, RunId, State};
use crate::store::{Recovered, StoreError, Write};

/// A run whose worker died this often while it ran is not tried again: it may be what kills them.
const MAX_RESCUES: u32 = 2;

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
                settle(transaction, run, now, &mut recovered)?;
            }
            Ok(recovered)
        })
    }
}

fn settle(transaction: &Connection, mut run: Run, now: Timestamp, recovered: &mut Recovered) -> Result<()> {
    let lost = Failure::new(FailureKind::WorkerLost, "the worker died while it ran");
    let reason = if run.state == State::Cancelling {
        run.state = State::Cancelled;
        "cancelled while its worker was gone"
    } else if run.parent.is_some() {
        // Its flow starts from the beginning and submits its children anew.
        run.state = State::Cancelled;
        "its flow starts again after the loss of its worker"
    } else if run.rescues >= MAX_RESCUES {
        run.state = State::Crashed;
        run.failure = Some(lost.clone().into());
        "its worker died again and again"
    } else {
        if run.state == State::Running {
            run.rescues += 1;
            record_lost_attempt(transaction, &run, lost, now)?;
        }
        run.state = State::Scheduled;
        run.scheduled_at = now;
        "given back after the loss of its worker"
    };
    match run.state {
        State::Scheduled => {
            recovered.scheduled += 1;
            run.worker = None;
            run.started_at = None;
        }
        State::Crashed => recovered.crashed += 1,
        _ => recovered.cancelled += 1,
    }
    run.finished_at = run.state.is_final().then_some(now);
    // Past the rule for live workers, which keeps what is to be cancelled from going on.
    transaction.execute(
        "UPDATE runs SET state = ?2, finished_at = ?3, failure = ?4, rescues = ?5, scheduled_at = ?6, started_at = ?7,
            worker_id = ?8 WHERE id = ?1",
        params![
            run.id.as_bytes(),
            run.state.as_str(),
            run.finished_at.map(micros),
            run.failure.as_deref().map(Json),
            run.rescues,
            micros(run.scheduled_at),
            run.started_at.map(micros),
            run.worker
        ],
    )?;
    let history = Write::History { run_id: run.id, at: now, state: run.state, reason: reason.to_owned() };
    super::writes::apply(transaction, &history)?;
    Ok(())
}

fn record_lost_attempt(transaction: &Connection, run: &Run, lost: Failure, now: Timestamp) -> Result<()> {
    let Some(started_at) = run.started_at else { return Ok(()) };
    let attempt = Attempt {
        number: run.attempt,
        state: State::Crashed,
        failure: Some(lost),
        started_at,
        finished_at: Some(now),
        usage: run.usage,
        worker: None,
    };
    super::writes::apply(transaction, &Write::Attempt { run_id: run.id, attempt, worker: run.worker })?;
    Ok(())
}

/// Ends a run whose record is damaged.
pub(super) fn crash(transaction: &Connection, id: RunId, error: &StoreError, now: Timestamp) -> Result<()> {
    let failure = Failure::new(FailureKind::CorruptRecord, error.to_string());
    transaction.execute(
        "UPDATE runs SET state = 'crashed', finished_at = ?2, failure = ?3 WHERE id = ?1",
        params![id.as_bytes(), micros(now), Json(&failure)],
    )?;
    Ok(())
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
        let sum = super::super::rows::checksum("{}");
        insert(1, sum);
        insert(2, sum + 1);

        let recovered = store.recover(Timestamp::UNIX_EPOCH).expect("recovers");
        assert_eq!(recovered, Recovered { scheduled: 1, cancelled: 0, crashed: 1 });
        let whole = store.run(RunId(uuid::Uuid::from_bytes([1; 16]))).expect("reads").expect("is there");
        assert_eq!(whole.state, State::Scheduled);
        let damaged = store.run(RunId(uuid::Uuid::from_bytes([2; 16])));
        assert!(matches!(damaged, Err(StoreError::Corrupt { column: "input", .. })));
        assert_eq!(store.count_unfinished().expect("counts"), 1);
    }
}
