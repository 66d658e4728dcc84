//! A flow that is called again against its record alone: what is not there ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::FlowRun;
use crate::domain::journal::{EntryKind, JournalEntry};
use crate::domain::{Failure, FailureKind, RunId};
use crate::wasm::{FlowHost, Stop, Submit};

/// Answers a flow's guest from the record of its run, and starts, waits for and writes nothing.
pub(in crate::worker) struct Record {
    flow: Arc<FlowRun>,
    beyond: AtomicBool,
}

impl FlowRun {
    /// The host of a guest that is called again after its run is over. What is on record must be loaded.
    pub(in crate::worker) fn against_its_record(self: Arc<FlowRun>) -> Arc<Record> {
        Arc::new(Record { flow: self, beyond: AtomicBool::new(false) })
    }
}

impl Record {
    /// Whether the guest asked for what is not on record.
    pub(in crate::worker) fn went_beyond(&self) -> bool {
        self.beyond.load(Ordering::Relaxed)
    }

    fn beyond(&self, call: &str) -> Failure {
        self.beyond.store(true, Ordering::Relaxed);
        Failure::new(
            FailureKind::Nondeterministic,
            format!("nondeterministic: it goes beyond the record of this run at {call}"),
        )
    }

    /// Ends the guest, which gets no answer.
    async fn end_at<T>(&self, call: &str) -> T {
        self.flow.stop(self.beyond(call));
        std::future::pending().await
    }
}

impl FlowHost for Record {
    fn submit(&self, submit: Submit) -> BoxFuture<'_, Result<u32, Stop>> {
        let (next, is_recorded) = {
            let children = self.flow.children();
            (children.next_place(), children.next_request().is_some())
        };
        // The limit of children is told as it was.
        if is_recorded || next >= self.flow.max_children {
            return self.flow.submit(submit);
        }
        Box::pin(async move { Err(Stop(self.beyond(&format!("submit {} (`{}`)", next + 1, submit.entry)))) })
    }

    fn child_id(&self, seq: u32) -> RunId {
        self.flow.child_id(seq)
    }

    fn wait(&self, seq: u32) -> BoxFuture<'_, Result<Arc<str>, Failure>> {
        let ended = self.flow.children().end(seq).is_some();
        match ended {
            true => self.flow.wait(seq),
            false => Box::pin(async move { self.end_at(&format!("the wait for child {}", seq + 1)).await }),
        }
    }

    fn nth_finished(&self, n: usize) -> BoxFuture<'_, u32> {
        let ended = self.flow.children().nth_finished(n).is_some();
        match ended {
            true => self.flow.nth_finished(n),
            false => Box::pin(async move { self.end_at(&format!("the wait for the end of {} children", n + 1)).await }),
        }
    }

    fn wait_for_signal<'a>(&'a self, name: &'a str, timeout_ms: Option<u64>) -> BoxFuture<'a, Option<Arc<str>>> {
        // A wait is on record twice, its end too.
        let is_recorded = match self.flow.time().unclaimed() {
            [] => false,
            [(only, _)] => only.kind != EntryKind::Wait,
            _ => true,
        };
        match is_recorded {
            true => self.flow.wait_for_signal(name, timeout_ms),
            false => Box::pin(async move { self.end_at(&format!("a wait for the signal `{name}`")).await }),
        }
    }

    fn send_signal<'a>(&'a self, run: &'a str, name: &'a str, payload: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        let is_recorded = !self.flow.time().unclaimed().is_empty();
        match is_recorded {
            true => self.flow.send_signal(run, name, payload),
            false => Box::pin(async move { self.end_at(&format!("a signal sent to {run} {name}")).await }),
        }
    }

    fn variable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<Arc<str>>> {
        let is_recorded = !self.flow.time().unclaimed().is_empty();
        match is_recorded {
            true => self.flow.variable(name),
            false => Box::pin(async move { self.end_at(&format!("a reading of the variable `{name}`")).await }),
        }
    }

    fn now(&self) -> Timestamp {
        self.flow.now()
    }

    fn sleep_until(&self, until: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let now = self.flow.now();
            if now < until {
                // As in any execution, what is ready anyway goes before a sleep.
                tokio::task::yield_now().await;
                let now_anywhere = self.flow.worker.app.clock.now();
                // The run may have been ended while it slept. What is no sleep is told as a difference.
                let ended = |entry: &JournalEntry| entry.kind == EntryKind::Timer && entry.at > now_anywhere;
                let goes_beyond = self.flow.time().first_unclaimed().is_none_or(ended);
                if goes_beyond {
                    let span = until.duration_since(now);
                    return self.end_at(&format!("a sleep of {span:?}")).await;
                }
            }
            self.flow.sleep_until(until).await;
        })
    }
}
