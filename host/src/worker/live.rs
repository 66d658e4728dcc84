//! A run in memory, and what of it is on record.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use super::lock;
use crate::app::App;
use crate::clock::Clock;
use crate::domain::{Artifact, Attempt, Kind, Outcome, ProgressPart, Run, RunId, State, Usage};
use crate::store::{ArtifactRow, LogLine, MAX_RESCUES, Store, Write};
use crate::wasm::{Level, LogSink};

/// How long a run's progress waits for what comes after it, before it is written: a guest may tell of it without end.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Who writes a larger artifact, in bytes, commits it, so that they do not pile up in memory.
const LARGE_ARTIFACT: usize = 16 << 10;

/// A run in memory. Its row is written when somebody else may want to see it, and at its end.
pub(super) struct Live {
    state: Mutex<LiveState>,
}

/// How far a run is.
pub(super) struct Begun {
    /// The number of its last attempt.
    pub attempt: u32,
    pub scheduled_at: Timestamp,
    pub wake_at: Option<Timestamp>,
    /// Whether that attempt is to go on.
    pub resumed: bool,
    /// Whether a task's worker died with it so often that it must not take others along.
    pub alone: bool,
}

struct LiveState {
    run: Run,
    on_record: bool,
    /// Nothing is done for it until then.
    parked_until: Option<Timestamp>,
    /// Whether its progress is in no row yet, and whether it is to be written by itself.
    untold: bool,
    will_tell: bool,
}

impl Live {
    pub(super) fn new(run: Run, on_record: bool) -> Live {
        Live { state: Mutex::new(LiveState { run, on_record, parked_until: None, untold: false, will_tell: false }) }
    }

    pub(super) fn run(&self) -> Run {
        lock(&self.state).run.clone()
    }

    /// Changes the run in memory, and returns it as it is then.
    pub(super) fn change(&self, change: impl FnOnce(&mut Run)) -> Run {
        let mut state = lock(&self.state);
        change(&mut state.run);
        state.run.clone()
    }

    /// How far it is.
    pub(super) fn begun(&self) -> Begun {
        let run = &lock(&self.state).run;
        let resumed = run.state == State::Running && run.attempt > 0;
        let alone = run.kind == Kind::Task && run.rescues >= MAX_RESCUES;
        Begun { attempt: run.attempt, scheduled_at: run.scheduled_at, wake_at: run.wake_at, resumed, alone }
    }

    pub(super) fn root_id(&self) -> RunId {
        lock(&self.state).run.root_id
    }

    /// The number of the current attempt among those that use up retries: what was lost with its worker does not.
    pub(super) fn attempt_that_counts(&self) -> u32 {
        let run = &lock(&self.state).run;
        run.attempt - run.uncounted.min(run.attempt - 1)
    }

    /// Starts the next attempt.
    pub(super) fn start(&self, store: &Store, now: Timestamp) {
        let mut state = lock(&self.state);
        let run = &mut state.run;
        run.state = State::Running;
        run.attempt += 1;
        run.started_at = Some(now);
        run.progress = None;
        if run.kind == Kind::Flow {
            run.generation += 1;
        }
        if state.on_record {
            let row = state.row();
            store.append([row]);
        }
    }

    /// Goes on with the attempt that was begun before.
    pub(super) fn resume(&self, store: &Store) {
        let mut state = lock(&self.state);
        state.run.wake_at = None;
        let row = state.row();
        store.append([row]);
    }

    /// Changes how far the run is. It is written with the run, or within [`PROGRESS_INTERVAL`] by itself.
    pub(super) fn set_progress(self: &Arc<Live>, store: &Store, part: ProgressPart, calls: u32) {
        let mut state = lock(&self.state);
        let mut progress = state.run.progress.as_deref().cloned().unwrap_or_default().with(part);
        progress.calls = calls;
        state.run.progress = Some(Arc::new(progress));
        state.untold = true;
        if std::mem::replace(&mut state.will_tell, true) {
            return;
        }
        drop(state);
        let (live, store) = (self.clone(), store.clone());
        tokio::spawn(async move {
            tokio::time::sleep(PROGRESS_INTERVAL).await;
            live.write_progress(&store);
        });
    }

    fn write_progress(&self, store: &Store) {
        let mut state = lock(&self.state);
        state.will_tell = false;
        // A run that is not on record has it in its first row.
        if state.on_record
            && std::mem::take(&mut state.untold)
            && let Some(progress) = state.run.progress.clone()
        {
            let (root_id, run_id) = (state.run.root_id, state.run.id);
            store.append([Write::Progress { root_id, run_id, progress }]);
        }
    }

    pub(super) fn set_parked_until(&self, until: Option<Timestamp>) {
        lock(&self.state).parked_until = until;
    }

    pub(super) fn parked_until(&self) -> Option<Timestamp> {
        lock(&self.state).parked_until
    }

    /// Changes the run and queues its row, with `more` writes after it if it was not final before. Returns the writes'
    /// place, or none where the run was final.
    pub(super) fn record(
        &self,
        app: &App,
        change: impl FnOnce(&mut Run),
        more: impl IntoIterator<Item = Write>,
    ) -> Option<crate::store::Ticket> {
        let mut state = lock(&self.state);
        if state.run.state.is_final() {
            return None;
        }
        change(&mut state.run);
        if state.run.state.is_final() {
            app.metrics.finished(&state.run);
        }
        let row = state.row();
        Some(app.store.append(std::iter::once(row).chain(more)))
    }

    /// Queues the row of a run that has none yet.
    pub(super) fn put_on_record(&self, store: &Store) {
        let mut state = lock(&self.state);
        if !state.on_record {
            let row = state.row();
            store.append([row]);
        }
    }
}

impl LiveState {
    fn row(&mut self) -> Write {
        self.untold = false;
        let run = self.run.clone();
        if std::mem::replace(&mut self.on_record, true) { Write::Update(run) } else { Write::Insert(run) }
    }
}

/// Enters the end that a run of an earlier generation had into one that was asked for in the same words.
pub(super) fn copy_end(run: &mut Run, old: &Run, origin: RunId) {
    run.state = old.state;
    run.reused_from = Some(origin);
    run.attempt = old.attempt;
    run.generation = old.generation;
    run.started_at = old.started_at;
    run.finished_at = old.finished_at;
    run.usage = old.usage;
    run.label = old.label.clone();
    run.children = old.children.clone();
    run.result = old.result.clone();
    run.cached_from = old.cached_from;
}

/// Ends a run that needs no attempt with the result that another one came to.
pub(super) fn end_as(run: &mut Run, original: &Run, now: Timestamp) {
    if run.state == State::Running {
        // The attempt that it was taken for is not made.
        run.attempt -= 1;
    }
    run.state = State::Completed;
    run.cached_from = Some(original.id);
    run.started_at = Some(now);
    run.finished_at = Some(now);
    run.usage = Usage::default();
    run.failure = None;
    run.label = original.label.clone();
    run.result = original.result.clone();
}

/// Enters the end of the last attempt into a run.
pub(super) fn finish(run: &mut Run, state: State, outcome: &Outcome, now: Timestamp) {
    run.state = state;
    run.finished_at = Some(now);
    run.usage = outcome.usage;
    run.label = outcome.label.as_deref().map(Into::into);
    run.children = outcome.children.clone();
    match &outcome.result {
        Ok(result) => {
            run.result = Some(result.clone());
            run.failure = None;
        }
        Err(failure) => run.failure = Some(failure.clone().into()),
    }
}

/// The attempt that just ended, after which there is another.
pub(super) fn ended_attempt(run: &Run, outcome: &Outcome, now: Timestamp) -> Write {
    let failure = outcome.result.as_ref().err().cloned();
    let attempt = Attempt {
        number: run.attempt,
        state: State::Failed,
        failure,
        started_at: run.started_at.unwrap_or(now),
        finished_at: Some(now),
        usage: outcome.usage,
        worker: None,
    };
    Write::Attempt { run_id: run.id, attempt, worker: run.worker }
}

/// Where what one attempt logs and shows goes.
pub(super) struct RunLog {
    pub store: Store,
    pub clock: Clock,
    pub root_id: RunId,
    pub run_id: RunId,
    pub attempt: u32,
    pub live: Arc<Live>,
    pub lines: Calls,
    pub progress: Calls,
    pub artifacts: Calls,
}

/// Counts calls of one kind that the guest makes in one attempt: a flow that is called again makes them again.
#[derive(Default)]
pub(super) struct Calls {
    made: AtomicU32,
    /// So many of them were heard before.
    known: AtomicU32,
}

impl Calls {
    /// The number of the call that is made now, from 0; none where it was heard before.
    fn next(&self) -> Option<u32> {
        let n = self.made.fetch_add(1, Ordering::Relaxed);
        (n >= self.known.load(Ordering::Relaxed)).then_some(n)
    }

    fn rewind(&self) {
        let made = self.made.swap(0, Ordering::Relaxed);
        self.known.fetch_max(made, Ordering::Relaxed);
    }
}

impl RunLog {
    /// The guest is called again from the start.
    pub(super) fn rewind(&self) {
        for calls in [&self.lines, &self.progress, &self.artifacts] {
            calls.rewind();
        }
    }

    /// The attempt goes on: its guest says again what is on record.
    pub(super) fn set_known(&self, run: &Run) {
        // Where the record cannot be read it is written again, the same.
        let lines = self.store.count_lines(run.id, run.attempt).unwrap_or(0);
        let artifacts = self.store.count_artifacts(run.id, run.attempt).unwrap_or(0);
        let progress = run.progress.as_ref().map_or(0, |progress| progress.calls);
        for (calls, known) in [(&self.lines, lines), (&self.progress, progress), (&self.artifacts, artifacts)] {
            calls.known.store(known, Ordering::Relaxed);
        }
    }
}

impl LogSink for RunLog {
    fn write(&self, level: Level, message: String) {
        let Some(line) = self.lines.next() else { return };
        self.store.append([Write::Log(LogLine {
            root_id: self.root_id,
            run_id: self.run_id,
            attempt: self.attempt,
            line,
            at: self.clock.now(),
            level: level as u8,
            message,
        })]);
    }

    fn progress(&self, part: ProgressPart) {
        if let Some(call) = self.progress.next() {
            self.live.set_progress(&self.store, part, call + 1);
        }
    }

    fn artifact(&self, artifact: Artifact) {
        let Some(call) = self.artifacts.next() else { return };
        let is_large = artifact.content.len() > LARGE_ARTIFACT;
        let ticket = self.store.append([Write::Artifact(Box::new(ArtifactRow {
            root_id: self.root_id,
            run_id: self.run_id,
            attempt: self.attempt,
            call,
            at: self.clock.now(),
            artifact,
        }))]);
        if is_large {
            // A failure is met by who needs the record.
            let _ = self.store.commit(ticket);
        }
    }
}
