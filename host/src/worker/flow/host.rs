//! What a flow's guest calls.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::FlowRun;
use super::children::{End, Interest, Work};
use crate::domain::fingerprint::fingerprint;
use crate::domain::{Failure, FailureKind, RunId};
use crate::wasm::{FlowHost, Stop, Submit};

use super::MAX_UNFINISHED;

/// What the flow's guest finds when it waits for a child.
enum Found {
    Finished(End),
    /// It was held back for this: the flow's own task carries it out.
    Held(Work),
    Running,
}

impl FlowRun {
    fn find(&self, seq: u32) -> Found {
        let mut children = self.children();
        if let Some(end) = children.end(seq) {
            return Found::Finished(end);
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

    /// Before the guest is told of an event: it is on record by then.
    async fn tell(&self, end: &End) {
        self.unless_ending().await;
        self.unless_paused().await;
        self.worker.store().on_record(end.ticket).await;
        // A flow whose children never make it wait gives its neighbours their turn here.
        tokio::task::coop::consume_budget().await;
        let mut time = self.time();
        time.pass(end.at);
        if !end.is_reused {
            time.leave_earlier();
        }
    }

    /// Never resolves once the flow is to end: what became of its children then is no outcome that its guest could go
    /// on with, and its call is dropped.
    pub(super) async fn unless_ending(&self) {
        if self.token.is_cancelled() {
            std::future::pending().await
        }
    }
}

impl FlowHost for FlowRun {
    fn submit(&self, submit: Submit) -> BoxFuture<'_, Result<u32, Stop>> {
        Box::pin(async move {
            loop {
                self.unless_ending().await;
                self.unless_paused().await;
                {
                    let mut children = self.children();
                    self.spawn_held(&mut children);
                    if children.next_request().is_some() {
                        return self.bind(&mut children, submit);
                    }
                    if children.next_place() >= self.max_children {
                        let message = format!(
                            "too many children: the limit is {}; raise `limits.children` or submit fewer",
                            self.max_children
                        );
                        return Err(Stop(Failure::new(FailureKind::TooManyChildren, message)));
                    }
                    if children.unfinished < MAX_UNFINISHED {
                        return Ok(self.admit(&mut children, submit));
                    }
                    children.wait_for_any();
                }
                self.waiting(self.progress.notified()).await;
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
                    Found::Finished(end) => {
                        self.tell(&end).await;
                        let result = self.result(seq, end.kept);
                        if let Err(failure) = &result
                            && failure.kind == FailureKind::CorruptRecord
                        {
                            self.stop(failure.clone());
                            std::future::pending().await
                        }
                        let print = result.as_ref().ok().and_then(|json| fingerprint(json));
                        self.children().saw(seq, print);
                        return result;
                    }
                    Found::Held(work) => self.carry_out_inline(seq, work).await,
                    Found::Running => self.waiting(self.progress.notified()).await,
                }
            }
        })
    }

    fn nth_finished(&self, n: usize) -> BoxFuture<'_, u32> {
        Box::pin(async move {
            loop {
                let found = {
                    let mut children = self.children();
                    self.spawn_held(&mut children);
                    children.wait_for_any();
                    children.nth_finished(n)
                };
                match found {
                    Some((seq, end)) => {
                        self.tell(&end).await;
                        self.children().saw(seq, None);
                        return seq;
                    }
                    None => self.waiting(self.progress.notified()).await,
                }
            }
        })
    }

    fn wait_for_signal<'a>(&'a self, name: &'a str, timeout_ms: Option<u64>) -> BoxFuture<'a, Option<Arc<str>>> {
        Box::pin(self.next_signal(name, timeout_ms))
    }

    fn send_signal<'a>(&'a self, run: &'a str, name: &'a str, payload: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.send_once(run, name, payload))
    }

    fn variable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<Arc<str>>> {
        Box::pin(self.read_variable(name))
    }

    fn now(&self) -> Timestamp {
        self.time().now()
    }

    fn sleep_until(&self, until: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(self.sleep(until))
    }
}
