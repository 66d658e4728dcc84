//! One execution of a flow: what its guest asks for, and the children that come of it.

mod attempt;
mod cached;
mod children;
mod evict;
mod host;
mod past;
mod replay;
mod requests;
mod signals;
mod time;
mod variables;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::executor::{Execution, cancelled, our_mistake};
use super::live::{Live, finish};
use super::{Worker, lock};
use crate::app::Version;
use crate::domain::ids::Family;
use crate::domain::run::Parent;
use crate::domain::{Failure, FailureKind, Kind, Outcome, Run, RunId, SettingsPatch, State, StateCounts};
use crate::store::{Ticket, Write};
use children::{Children, Kept, Work};
pub(super) use evict::Parked;
use past::TakenOver;
use time::Time;

/// How deeply flows may lie in each other.
const MAX_DEPTH: u32 = 32;
/// A flow's `submit` waits while it has this many unfinished children in memory.
const MAX_UNFINISHED: usize = 1000;

/// One attempt of a flow, as the host of its guest.
pub(super) struct FlowRun {
    this: Weak<FlowRun>,
    worker: Arc<Worker>,
    run: Arc<Run>,
    version: Arc<Version>,
    family: Family,
    depth: u32,
    /// This run and all flows above it.
    line: Arc<[RunId]>,
    /// The priority of the run at the top.
    priority: u8,
    inherited: Arc<SettingsPatch>,
    max_children: u32,
    /// Cancels all children.
    token: CancellationToken,
    children: Mutex<Children>,
    time: Mutex<Time>,
    /// What earlier generations left, where there were any.
    has_earlier: AtomicBool,
    taken_over: Mutex<TakenOver>,
    /// The run whose times and random numbers this one has; its own where that is not set.
    origin: OnceLock<RunId>,
    /// The child that the flow's own task carries out, and its place.
    inline: Mutex<Option<(u32, BoxFuture<'static, ()>)>>,
    /// Since when the guest waits, as the worker's uptime; 0 while it computes.
    waiting_since_ms: AtomicU64,
    evict: Notify,
    /// Whether its attempt had a sandbox before this one.
    called_before: AtomicBool,
    /// Something came that the flow's own task waits for.
    progress: Notify,
    /// What came may be a signal, or that the run is resumed.
    has_news: AtomicBool,
    /// Why the guest must not go on, once it must not.
    stopped: OnceLock<Failure>,
    stop: Notify,
}

impl FlowRun {
    pub(super) fn new(execution: &Execution<'_>, run: &Arc<Run>) -> Arc<FlowRun> {
        if run.paused_at.is_some() {
            execution.worker.app.events.pause(run.id);
        }
        let above = execution.above;
        let line = above.map_or([].as_slice(), |above| &above.line).iter().copied().chain([run.id]).collect();
        let priority = above.map_or(run.across.as_ref().map_or(0, |across| across.priority), |above| above.priority);
        Arc::new_cyclic(|this| FlowRun {
            this: this.clone(),
            line,
            priority,
            worker: execution.worker.clone(),
            run: run.clone(),
            version: execution.plan.version.clone(),
            family: RunId::family(run.id, run.generation),
            depth: execution.depth,
            inherited: execution.inherited.clone(),
            max_children: execution.plan.settings.limits.children,
            token: execution.token.child_token(),
            children: Mutex::default(),
            time: Mutex::new(Time::starting_at(run.started_at.unwrap_or(run.created_at))),
            has_earlier: AtomicBool::new(false),
            taken_over: Mutex::default(),
            origin: OnceLock::new(),
            inline: Mutex::default(),
            waiting_since_ms: AtomicU64::new(0),
            evict: Notify::new(),
            called_before: AtomicBool::new(false),
            progress: Notify::new(),
            has_news: AtomicBool::new(false),
            stopped: OnceLock::new(),
            stop: Notify::new(),
        })
    }

    pub(super) fn id(&self) -> RunId {
        self.run.id
    }

    /// Whether its worker died while its guest, or a child that was not on record, ran.
    pub(super) fn was_lost(&self) -> bool {
        self.run.rescues > 0
    }

    fn was_called_before(&self) -> bool {
        self.called_before.load(Ordering::Relaxed)
    }

    /// This run and all flows above it, and the priority that they have.
    pub(super) fn line(&self) -> (Arc<[RunId]>, u8) {
        (self.line.clone(), self.priority)
    }

    pub(super) fn is_child(&self) -> bool {
        self.run.parent.is_some()
    }

    pub(super) fn is_durable(&self) -> bool {
        self.run.durable
    }

    /// The run and attempt whose random numbers the guest draws: the same for all executions of a durable flow.
    pub(super) fn seeded_by(&self) -> (RunId, u32) {
        match self.run.durable {
            true => (self.origin.get().copied().unwrap_or(self.run.id), 0),
            false => (self.run.id, self.run.attempt),
        }
    }

    /// How the children ended, once all are over.
    pub(super) fn ended(&self) -> StateCounts {
        self.children().ended.clone()
    }

    /// Ends the guest with a failure, at its next wait at the latest.
    fn stop(&self, failure: Failure) {
        // The first reason is the one that tells.
        let _ = self.stopped.set(failure);
        self.stop.notify_one();
    }

    /// Resolves once the guest must not go on.
    pub(super) async fn stopped(&self) -> Failure {
        loop {
            if let Some(failure) = self.stopped.get() {
                return failure.clone();
            }
            self.stop.notified().await;
        }
    }

    /// Cancels one child that is in memory.
    pub(super) fn cancel_child(&self, place: Parent) {
        if place.generation != self.run.generation {
            return;
        }
        let idle = self.children().cancel(place.seq);
        if let Some(live) = idle {
            self.finished(place.seq, &live, State::Cancelled, &Outcome::failed(cancelled()));
        }
    }

    /// Resolves once all children are over.
    pub(super) async fn finish_children(&self) {
        loop {
            {
                let mut children = self.children();
                self.spawn_held(&mut children);
                if children.unfinished == 0 {
                    return;
                }
                children.wait_for_any();
            }
            self.progress.notified().await;
        }
    }

    /// Cancels all children and resolves once they are over.
    pub(super) async fn cancel_children(&self) {
        self.token.cancel();
        *lock(&self.inline) = None;
        let not_running = self.children().take_idle();
        for (seq, live) in not_running {
            self.finished(seq, &live, State::Cancelled, &Outcome::failed(cancelled()));
        }
        self.finish_children().await;
    }

    /// Runs a child in a task of its own, once what it waits for is there.
    fn spawn(&self, children: &mut Children, seq: u32, work: Work) {
        let Some(flow) = self.this.upgrade() else { return };
        children.set_running(seq, &work);
        self.spawn_child(children, seq, async move { flow.carry_out(seq, work).await });
    }

    /// The child that was held back to be waited for at once is not: a flow that does anything else holds none back.
    fn spawn_held(&self, children: &mut Children) {
        if let Some((seq, work)) = children.take_held() {
            self.spawn(children, seq, work);
        }
    }

    fn spawn_child(&self, children: &mut Children, seq: u32, child: impl Future<Output = ()> + Send + 'static) {
        let Some(flow) = self.this.upgrade() else { return };
        let task = self.worker.guests.spawn(async move {
            if AssertUnwindSafe(child).catch_unwind().await.is_err() {
                let live = flow.children().live(seq);
                if let Some(live) = live {
                    flow.finished(seq, &live, State::Crashed, &Outcome::failed(our_mistake()));
                }
            }
        });
        children.set_task(seq, task.abort_handle());
    }

    /// Carries out a child to its end and puts it into the order of those that finished.
    async fn carry_out(&self, seq: u32, work: Work) {
        let Work { live, plan, token, arguments } = work;
        if let Some(arguments) = arguments
            && let Err(failure) = self.complete_input(&live, &plan, &arguments).await
        {
            // Where all are cancelled, those that it waits for are so first, and are not what ends it.
            let (state, failure) = match token.is_cancelled() {
                true => (State::Cancelled, cancelled()),
                false => (State::Failed, failure),
            };
            self.finished(seq, &live, state, &Outcome::failed(failure));
            return;
        }
        if self.has_earlier.load(Ordering::Relaxed) && self.take_over(&mut self.children(), seq, &live) {
            return;
        }
        let execution = Execution {
            worker: &self.worker,
            live: &live,
            plan: &plan,
            token: &token,
            depth: self.depth + 1,
            inherited: &self.inherited,
            above: Some(self),
            claim: self.worker.next_claim(),
        };
        if let Some(rule) = &plan.entry().cache {
            return Box::pin(self.carry_out_cached(seq, &execution, rule)).await;
        }
        let (state, outcome) = execution.to_end().await;
        self.finished(seq, &live, state, &outcome);
    }

    /// A child is over: queues its record, and lets go who waited for it.
    fn finished(&self, seq: u32, live: &Live, state: State, outcome: &Outcome) {
        let now = self.worker.app.clock.now();
        let mut children = self.children();
        self.end_in(&mut children, seq, live, &outcome.result, |run| finish(run, state, outcome, now), None);
    }

    /// As `finished`, with `end` to enter the end into the run, and what is to be written with it.
    fn end_in(
        &self,
        children: &mut Children,
        seq: u32,
        live: &Live,
        result: &Result<Arc<str>, Failure>,
        end: impl FnOnce(&mut Run),
        more: Option<Write>,
    ) -> Option<Ticket> {
        // What ends since its flow does is nothing that the flow's guest is told.
        let no = (!self.token.is_cancelled()).then(|| children.next_no());
        let mut ended = (State::Completed, Timestamp::MIN, false);
        let end = |run: &mut Run| {
            end(run);
            run.event_no = no;
            ended = (run.state, run.finished_at.unwrap_or_default(), run.reused_from.is_some());
        };
        let recorded = live.record(&self.worker.app, end, more);
        self.worker.let_go_of_tags(self.family.child(seq));
        let ticket = recorded?;
        let (state, at, is_reused) = ended;
        let kept = children.keep(result);
        let end = children::End { kept, ticket, at, is_told: no.is_some(), is_reused };
        for (seq, work) in children.finish(seq, state, end) {
            self.spawn(children, seq, work);
        }
        if children.concerns_the_flow(seq) {
            self.progress.notify_one();
        }
        Some(ticket)
    }

    /// A finished child's result; read back from the store where it is not kept in memory.
    fn result(&self, seq: u32, kept: Kept) -> Result<Arc<str>, Failure> {
        match kept {
            Kept::Here(result) => result,
            Kept::OnRecord => {
                let id = self.family.child(seq);
                let lost = |why: String| Failure::new(FailureKind::CorruptRecord, why);
                let run = self.worker.store().run(id).map_err(|error| lost(error.to_string()))?;
                run.and_then(|run| run.result).ok_or_else(|| lost(format!("the result of run `{id}` is not on record")))
            }
        }
    }

    /// Whether a child of that kind would lie too deep.
    fn too_deep(&self, kind: Kind) -> Option<Failure> {
        let too_deep = kind == Kind::Flow && self.depth + 1 >= MAX_DEPTH;
        too_deep.then(|| Failure::new(FailureKind::Denied, format!("denied: flows nest at most {MAX_DEPTH} deep")))
    }

    fn children(&self) -> MutexGuard<'_, Children> {
        lock(&self.children)
    }
}
