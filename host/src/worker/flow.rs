//! A flow's children: in which order they were submitted and finished, which wait and which run.

mod children;
mod requests;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::executor::{Execution, cancelled, our_mistake};
use super::live::{Live, finish};
use super::{Worker, lock};
use crate::app::Version;
use crate::domain::fingerprint::fingerprint;
use crate::domain::ids::Family;
use crate::domain::run::Parent;
use crate::domain::{Failure, FailureKind, Kind, Outcome, Run, RunId, SettingsPatch, State, StateCounts};
use crate::wasm::{FlowHost, Stop, Submit};
use children::{Children, Interest, Kept, Work};

/// How deeply flows may lie in each other.
const MAX_DEPTH: u32 = 32;
/// A flow's `submit` waits while it has this many unfinished children in memory.
const MAX_UNFINISHED: usize = 1000;

/// One execution of a flow, as the host of its guest.
pub(super) struct FlowRun {
    this: Weak<FlowRun>,
    worker: Arc<Worker>,
    run: Arc<Run>,
    version: Arc<Version>,
    family: Family,
    depth: u32,
    inherited: Arc<SettingsPatch>,
    max_children: u32,
    /// Cancels all children.
    token: CancellationToken,
    children: Mutex<Children>,
    /// Something came that the flow's own task waits for.
    progress: Notify,
}

impl FlowRun {
    pub(super) fn new(execution: &Execution<'_>, run: &Arc<Run>) -> Arc<FlowRun> {
        Arc::new_cyclic(|this| FlowRun {
            this: this.clone(),
            worker: execution.worker.clone(),
            run: run.clone(),
            version: execution.plan.version.clone(),
            family: RunId::family(run.id, run.generation),
            depth: execution.depth,
            inherited: execution.inherited.clone(),
            max_children: execution.plan.settings.limits.children,
            token: execution.token.child_token(),
            children: Mutex::default(),
            progress: Notify::new(),
        })
    }

    pub(super) fn id(&self) -> RunId {
        self.run.id
    }

    pub(super) fn attempt(&self) -> u32 {
        self.run.attempt
    }

    /// How the children ended, once all are over.
    pub(super) fn ended(&self) -> StateCounts {
        self.children().ended.clone()
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
                if let Some((seq, work)) = children.take_held() {
                    self.spawn(&mut children, seq, work);
                }
                if children.unfinished == 0 {
                    return;
                }
                children.interest = Interest::Any;
            }
            self.progress.notified().await;
        }
    }

    /// Cancels all children and resolves once they are over.
    pub(super) async fn cancel_children(&self) {
        self.token.cancel();
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
        self.worker.guests.spawn(async move {
            let live = work.live.clone();
            if AssertUnwindSafe(flow.carry_out(seq, work)).catch_unwind().await.is_err() {
                flow.finished(seq, &live, State::Crashed, &Outcome::failed(our_mistake()));
            }
        });
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
        let (state, outcome) = Execution {
            worker: &self.worker,
            live: &live,
            plan: &plan,
            token: &token,
            depth: self.depth + 1,
            inherited: &self.inherited,
        }
        .to_end()
        .await;
        self.finished(seq, &live, state, &outcome);
    }

    /// A child is over: queues its record, and lets go who waited for it.
    fn finished(&self, seq: u32, live: &Live, state: State, outcome: &Outcome) {
        let now = self.worker.app.clock.now();
        let mut children = self.children();
        let no = children.next_no();
        let end = |run: &mut Run| {
            finish(run, state, outcome, now);
            run.event_no = Some(no);
        };
        let Some(ticket) = live.record(&self.worker.app, end, []) else {
            return;
        };
        for (seq, work) in children.finish(seq, state, &outcome.result, ticket) {
            self.spawn(&mut children, seq, work);
        }
        if children.concerns_the_flow(seq) {
            self.progress.notify_one();
        }
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

    fn children(&self) -> MutexGuard<'_, Children> {
        lock(&self.children)
    }
}

/// What the flow's guest finds when it waits for a child.
enum Found {
    Finished(Kept, crate::store::Ticket),
    /// It was held back for this: the flow's own task carries it out.
    Held(Work),
    Running,
}

impl FlowRun {
    fn find(&self, seq: u32) -> Found {
        let mut children = self.children();
        if let Some((kept, ticket)) = children.result(seq) {
            return Found::Finished(kept, ticket);
        }
        match children.take_held() {
            Some((held, work)) if held == seq => {
                children.set_inline(seq, &work);
                return Found::Held(work);
            }
            Some((held, work)) => self.spawn(&mut children, held, work),
            None => {}
        }
        children.interest = Interest::Child(seq);
        Found::Running
    }
}

impl FlowHost for FlowRun {
    fn submit(&self, submit: Submit) -> BoxFuture<'_, Result<u32, Stop>> {
        Box::pin(async move {
            loop {
                self.unless_ending().await;
                {
                    let mut children = self.children();
                    if let Some((seq, work)) = children.take_held() {
                        self.spawn(&mut children, seq, work);
                    }
                    if children.len() >= self.max_children {
                        let message = format!(
                            "too many children: the limit is {}; raise `limits.children` or submit fewer",
                            self.max_children
                        );
                        return Err(Stop(Failure::new(FailureKind::TooManyChildren, message)));
                    }
                    if children.unfinished < MAX_UNFINISHED {
                        return Ok(self.admit(&mut children, submit));
                    }
                    children.interest = Interest::Any;
                }
                self.progress.notified().await;
            }
        })
    }

    fn child_id(&self, seq: u32) -> RunId {
        self.family.child(seq)
    }

    fn wait(&self, seq: u32) -> BoxFuture<'_, Result<Arc<str>, Failure>> {
        Box::pin(async move {
            loop {
                match self.find(seq) {
                    Found::Finished(kept, ticket) => {
                        self.unless_ending().await;
                        self.worker.store().on_record(ticket).await;
                        // A flow whose children never make it wait gives its neighbours their turn here.
                        tokio::task::coop::consume_budget().await;
                        let result = self.result(seq, kept);
                        let print = result.as_ref().ok().and_then(|json| fingerprint(json));
                        self.children().saw(seq, print);
                        return result;
                    }
                    Found::Held(work) => self.carry_out(seq, work).await,
                    Found::Running => self.progress.notified().await,
                }
            }
        })
    }

    fn nth_finished(&self, n: usize) -> BoxFuture<'_, u32> {
        Box::pin(async move {
            loop {
                let found = {
                    let mut children = self.children();
                    if let Some((seq, work)) = children.take_held() {
                        self.spawn(&mut children, seq, work);
                    }
                    children.interest = Interest::Any;
                    children.nth_finished(n)
                };
                match found {
                    Some((seq, ticket)) => {
                        self.unless_ending().await;
                        self.worker.store().on_record(ticket).await;
                        tokio::task::coop::consume_budget().await;
                        self.children().saw(seq, None);
                        return seq;
                    }
                    None => self.progress.notified().await,
                }
            }
        })
    }
}

impl FlowRun {
    /// Never resolves once the flow is to end: what became of its children then is no outcome that its guest could go
    /// on with, and its call is dropped.
    async fn unless_ending(&self) {
        if self.token.is_cancelled() {
            std::future::pending().await
        }
    }

    /// Whether a child of that kind would lie too deep.
    fn too_deep(&self, kind: Kind) -> Option<Failure> {
        let too_deep = kind == Kind::Flow && self.depth + 1 >= MAX_DEPTH;
        too_deep.then(|| Failure::new(FailureKind::Denied, format!("denied: flows nest at most {MAX_DEPTH} deep")))
    }
}
