//! One attempt as one visible pipeline, and what becomes of the run after it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::Worker;
use super::flow::{FlowRun, Parked};
use super::live::{Begun, Calls, Live, RunLog, ended_attempt};
use super::slots::Slot;
use crate::app::Plan;
use crate::domain::retry::{human_ms, would_come_out_the_same};
use crate::domain::{
    Failure, FailureKind, Kind, Outcome, Run, SettingsPatch, State, Timestamp, Transition, after_attempt,
};
use crate::store::Write;
use crate::wasm::{FlowHost, Job, Level, LogSink};

/// What came of an attempt.
pub(super) enum Attempted {
    Over(Outcome, Arc<RunLog>),
    /// Of a flow: nobody has it in memory.
    Parked(Parked),
}

/// What a run is carried out with.
pub(super) struct Execution<'a> {
    pub worker: &'a Arc<Worker>,
    pub live: &'a Arc<Live>,
    pub plan: &'a Arc<Plan>,
    pub token: &'a CancellationToken,
    /// How many flows lie above.
    pub depth: u32,
    /// The settings of the top-level run, from which children inherit.
    pub inherited: &'a Arc<SettingsPatch>,
    /// The flow that it is a child of.
    pub above: Option<&'a FlowRun>,
    /// The number under which the worker holds it.
    pub claim: u64,
}

pub(super) fn schedule(run: &mut Run, at: Timestamp) {
    run.state = State::Scheduled;
    run.scheduled_at = at;
    run.started_at = None;
    // It ended by itself: its worker did not die of it.
    run.rescues = 0;
}

impl Execution<'_> {
    /// Carries out a child to its end: attempts, with the delays between them. Holds a slot only while a task's
    /// sandbox is open.
    pub(super) async fn to_end(&self) -> (State, Outcome) {
        let Begun { attempt, scheduled_at, wake_at, mut resumed, alone } = self.live.begun();
        // A delay that began before its flow went on.
        if attempt > 0 && !resumed && !self.sleep_until(scheduled_at).await {
            return (State::Cancelled, Outcome::failed(cancelled()));
        }
        // A flow that was parked stays so until its time.
        if let Some(until) = wake_at.filter(|_| resumed)
            && !self.stay_parked(&Parked { until, signal: None }).await
        {
            return (State::Cancelled, Outcome::failed(cancelled()));
        }
        let mut suspect = alone;
        loop {
            // Before it has a slot, and what else others wait for.
            if !self.take_limits().await {
                return (State::Cancelled, Outcome::failed(cancelled()));
            }
            let mut all = None;
            if std::mem::take(&mut suspect) {
                tokio::select! {
                    alone = self.worker.be_alone() => all = Some(alone),
                    () = self.token.cancelled() => return (State::Cancelled, Outcome::failed(cancelled())),
                }
            }
            let own = all.as_mut().and_then(|(_, slots)| slots.pop());
            let permit = match own {
                Some(own) => Ok(own),
                None => self.permit().await,
            };
            let permit = match permit {
                Ok(permit) => permit,
                Err(failure) => {
                    let state = if failure.kind == FailureKind::Cancelled { State::Cancelled } else { State::Failed };
                    return (state, Outcome::failed(failure));
                }
            };
            if !self.has_limits() {
                // One was set while it waited for its slot.
                suspect |= all.is_some();
                continue;
            }
            match resumed {
                true => self.live.resume(self.worker.store()),
                false => self.live.start(self.worker.store(), self.worker.app.clock.now()),
            }
            if self.above.is_some_and(FlowRun::was_lost) {
                // If the worker dies again it shows which child ran.
                self.live.put_on_record(self.worker.store());
                self.worker.store().on_record(self.worker.store().append([])).await;
            }
            let (outcome, log) = match self.attempt(permit, std::mem::take(&mut resumed)).await {
                Attempted::Over(outcome, log) => (outcome, log),
                Attempted::Parked(parked) => {
                    let run = self.live.run();
                    let release = Write::Release { parent: run.id, generation: run.generation };
                    self.live.record(&self.worker.app, |run| run.wake_at = Some(parked.until), [release]);
                    if !self.stay_parked(&parked).await {
                        return (State::Cancelled, Outcome::failed(cancelled()));
                    }
                    resumed = true;
                    continue;
                }
            };
            match self.after(&outcome, &log) {
                Transition::Final(state) => return (state, outcome),
                Transition::Retry { at, .. } => {
                    let now = self.worker.app.clock.now();
                    let ended = ended_attempt(&self.live.run(), &outcome, now);
                    self.live.record(&self.worker.app, |run| schedule(run, at), [ended]);
                    self.worker.let_go_of_tags(self.live.run().id);
                    if !self.sleep_until(at).await {
                        return (State::Cancelled, Outcome::failed(cancelled()));
                    }
                }
            }
        }
    }

    /// Waits for a time; its flow may be parked meanwhile. False where it was cancelled before.
    async fn sleep_until(&self, at: Timestamp) -> bool {
        self.live.set_parked_until(Some(at));
        if let Some(above) = self.above {
            above.child_parked();
        }
        let slept = tokio::select! {
            () = self.worker.app.clock.sleep_until(at) => true,
            () = self.token.cancelled() => false,
        };
        self.live.set_parked_until(None);
        slept
    }

    /// As `sleep_until`, for a flow: a signal wakes it, too, and what it left on record is cancelled with it.
    async fn stay_parked(&self, parked: &Parked) -> bool {
        let id = self.live.run().id;
        let news = self.worker.listen(id);
        let slept = if self.worker.came_while_parked(id, parked) {
            true
        } else {
            tokio::select! {
                slept = self.sleep_until(parked.until) => slept,
                () = news.notified() => true,
            }
        };
        self.live.set_parked_until(None);
        self.worker.listen_no_more(id);
        if !slept && let Err(error) = self.worker.store().cancel_below(id, self.worker.app.clock.now()) {
            tracing::error!("cannot cancel what lies below a parked flow; the next start does: {error}");
        }
        slept
    }

    pub(super) async fn permit(&self) -> Result<Slot, Failure> {
        match self.plan.entry().kind {
            Kind::Task => tokio::select! {
                biased;
                () = self.token.cancelled() => Err(cancelled()),
                slot = self.worker.slots.acquire(self.live.root_id()) => Ok(slot),
            },
            // A flow gives its place back while it waits for its children.
            Kind::Flow if self.above.is_none_or(|above| above.is_durable()) => tokio::select! {
                biased;
                () = self.token.cancelled() => Err(cancelled()),
                place = self.worker.flow_place(self.live.root_id()) => Ok(place),
            },
            // One that cannot holds its place while its children wait for theirs, and could wait for itself.
            Kind::Flow => self.worker.flows.try_acquire().ok_or_else(|| {
                Failure::new(
                    FailureKind::Unavailable,
                    "unavailable: as many flows are in memory as the server holds; raise `--flows` or submit fewer at a time",
                )
            }),
        }
    }

    /// One attempt: load the component, open a fresh sandbox, call, classify. The run is `running` already; a flow's
    /// attempt may have been begun before, and is `resumed`.
    pub(super) async fn attempt(&self, permit: Slot, resumed: bool) -> Attempted {
        let app = &self.worker.app;
        let run = Arc::new(self.live.run());
        let log = Arc::new(RunLog {
            store: app.store.clone(),
            clock: app.clock.clone(),
            root_id: run.root_id,
            run_id: run.id,
            attempt: run.attempt,
            live: self.live.clone(),
            lines: Calls::default(),
            progress: Calls::default(),
            artifacts: Calls::default(),
        });
        let plan = self.plan;
        let load = || app.wasm.load(&plan.version.module.digest, plan.settings.metering);
        let component = match plan.component.get_or_try_init(load).await {
            Ok(component) => component,
            Err(error) => {
                let failure = Failure::new(FailureKind::Unavailable, error.message);
                return Attempted::Over(Outcome::failed(failure), log);
            }
        };
        match run.kind {
            Kind::Task => {
                let outcome = component.call(self.job(run.clone(), &log, None), self.interrupted(&run)).await;
                drop(permit);
                Attempted::Over(outcome, log)
            }
            Kind::Flow => self.flow_attempt(component, run, log, permit, resumed).await,
        }
    }

    pub(super) fn job(&self, run: Arc<Run>, log: &Arc<RunLog>, flow: Option<&Arc<FlowRun>>) -> Arc<Job> {
        let seeded_by = flow.map_or((run.id, run.attempt), |flow| flow.seeded_by());
        Arc::new(Job {
            seed: self.worker.app.secret.of(seeded_by.0, seeded_by.1),
            outbox: Some(self.worker.app.clone()),
            variables: Some(self.worker.app.clone()),
            durable: flow.is_some_and(|flow| flow.is_durable()),
            run,
            title: self.plan.title.clone(),
            settings: self.plan.settings.clone(),
            clock: self.worker.app.clock.clone(),
            sink: log.clone(),
            flow: flow.map(|flow| flow.clone() as Arc<dyn FlowHost>),
            logged_bytes: AtomicU64::new(0),
        })
    }

    /// When the attempt has to be over.
    pub(super) fn deadline(&self, run: &Run) -> Option<Timestamp> {
        let timeout_ms = self.plan.settings.limits.timeout_ms?;
        let started_at = run.started_at.unwrap_or_else(|| self.worker.app.clock.now());
        started_at.checked_add(SignedDuration::from_millis(timeout_ms as i64)).ok()
    }

    /// Resolves when the attempt has to end early, to the reason.
    pub(super) fn interrupted(&self, run: &Run) -> BoxFuture<'_, Failure> {
        let timeout_ms = self.plan.settings.limits.timeout_ms;
        let clock = &self.worker.app.clock;
        let deadline = self.deadline(run);
        Box::pin(async move {
            let timed_out = async {
                match deadline {
                    Some(deadline) => clock.sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.token.cancelled() => cancelled(),
                () = timed_out => {
                    let limit = human_ms(timeout_ms.unwrap_or_default());
                    let message = format!("timed out: the limit is {limit}; raise `limits.timeout_ms` or do less at a time");
                    Failure::new(FailureKind::TimedOut, message)
                }
            }
        })
    }

    /// Whether a variable that the flow read has changed since.
    fn has_read_otherwise(&self) -> bool {
        let run = self.live.run();
        self.worker.store().has_read_otherwise(run.id, run.generation).unwrap_or(false)
    }

    /// What becomes of the run now; an attempt that is tried again says so in the log.
    pub(super) fn after(&self, outcome: &Outcome, log: &RunLog) -> Transition {
        let retries = &self.plan.settings.retries;
        let number = self.live.attempt_that_counts();
        let now = self.worker.app.clock.now();
        let failure = outcome.result.as_ref().err();
        let mut transition = after_attempt(number, retries, failure, now, rand::random());
        let durable = self.plan.entry().durable;
        if matches!(transition, Transition::Retry { .. })
            && would_come_out_the_same(durable, failure, outcome.children.as_deref())
            && !self.has_read_otherwise()
        {
            let message = "not retried: all that it submitted completed, so that the same code would fail again";
            log.write(Level::Warn, message.to_owned());
            transition = Transition::Final(State::Failed);
        }
        self.worker.app.metrics.attempt_ended(self.plan.entry().kind, &outcome.usage, &transition);
        if let (Transition::Retry { delay_ms, .. }, Some(failure)) = (&transition, failure) {
            let message = format!(
                "attempt {number} of {} failed: {}; retry {number} of {} in {}",
                retries.max + 1,
                failure.message,
                retries.max,
                human_ms(*delay_ms)
            );
            log.write(Level::Warn, message);
        }
        transition
    }
}

pub(super) fn cancelled() -> Failure {
    Failure::new(FailureKind::Cancelled, "cancelled")
}

pub(super) fn our_mistake() -> Failure {
    Failure::new(FailureKind::Internal, "a mistake in Tarefa itself: the server's log has the panic; please report it")
}
