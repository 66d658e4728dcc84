//! A flow that waits long gives its sandbox back, and is called again when what it waits for is there. One that waits
//! for nothing but time is parked: its worker forgets it.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::Poll;

use jiff::Timestamp;

use super::FlowRun;
use super::children::Interest;
use crate::domain::NEVER;
use crate::worker::lock;

/// For how long a flow is parked.
pub(in crate::worker) struct Parked {
    pub until: Timestamp,
    /// Of the signal that ends it, too.
    pub signal: Option<String>,
}

/// What an evicted flow does next.
pub(in crate::worker) enum Next {
    /// What it waits for is there.
    Call,
    /// Nothing is to be done for it until then, or until a signal of that name comes.
    Park(Parked),
}

impl FlowRun {
    /// Waits, and lets everybody see since when.
    pub(super) async fn waiting<T>(&self, wait: impl Future<Output = T>) -> T {
        let mut wait = pin!(wait);
        std::future::poll_fn(|cx| {
            let polled = wait.as_mut().poll(cx);
            if polled.is_pending() {
                if self.waiting_since_ms.load(Ordering::Relaxed) == 0 {
                    self.waiting_since_ms.store(self.worker.uptime_ms(), Ordering::Relaxed);
                }
            } else {
                self.waiting_since_ms.store(0, Ordering::Relaxed);
            }
            polled
        })
        .await
    }

    /// Since when its guest waits, as the worker's uptime; none while it computes, and where it cannot be called again.
    pub(in crate::worker) fn waits_since_ms(&self) -> Option<u64> {
        let since = self.waiting_since_ms.load(Ordering::Relaxed);
        (since > 0 && self.run.durable).then_some(since)
    }

    /// Asks for the sandbox.
    pub(in crate::worker) fn evict(&self) {
        self.evict.notify_one();
    }

    /// Resolves when the sandbox is to be given back, while the guest still waits.
    pub(in crate::worker) async fn evicted(&self) {
        loop {
            self.evict.notified().await;
            if self.waits_since_ms().is_some() {
                return;
            }
        }
    }

    /// The sandbox is gone: the guest will be called again from the start.
    pub(in crate::worker) fn rewind(&self) {
        self.called_before.store(true, Ordering::Relaxed);
        self.waiting_since_ms.store(0, Ordering::Relaxed);
        if let Some((seq, child)) = lock(&self.inline).take() {
            let mut children = self.children();
            children.hand_over(seq);
            self.spawn_child(&mut children, seq, child);
        }
        self.children().rewind();
        self.time().rewind();
    }

    /// Resolves once there is something to do for a flow whose sandbox was given back.
    pub(in crate::worker) async fn next(&self) -> Next {
        let (until, signal) = self.time().waits_until().unwrap_or((NEVER, None));
        let timer = async {
            self.worker.app.clock.sleep_until(until).await;
            if self.is_paused() {
                std::future::pending().await
            }
        };
        let something = async {
            loop {
                {
                    let children = self.children();
                    let there = children.is_there() || self.has_news.swap(false, Ordering::Relaxed);
                    if there && !self.is_paused() {
                        return Next::Call;
                    }
                    if let Some(first) = children.all_parked_until() {
                        let until = if self.is_paused() { first } else { until.min(first) };
                        if until > self.worker.app.clock.now() {
                            return Next::Park(Parked { until, signal });
                        }
                    }
                }
                self.progress.notified().await;
            }
        };
        tokio::select! {
            biased;
            next = something => next,
            () = timer => Next::Call,
        }
    }

    /// A child waits for nothing but time, or does so no longer.
    pub(in crate::worker) fn child_parked(&self) {
        self.progress.notify_one();
    }

    /// The worker forgets the flow, and what of its children is in memory: those of a parked one only wait.
    pub(in crate::worker) fn let_go(&self) {
        self.worker.app.events.resume(self.run.id);
        *lock(&self.inline) = None;
        self.children().abort();
    }
}

impl FlowRun {
    /// Carries out a child in the flow's own task, as long as that waits for it.
    pub(super) async fn carry_out_inline(&self, seq: u32, work: super::Work) {
        let Some(flow) = self.this.upgrade() else { return };
        *lock(&self.inline) = Some((seq, Box::pin(async move { flow.carry_out(seq, work).await })));
        let child = std::future::poll_fn(|cx| match lock(&self.inline).as_mut() {
            Some((_, child)) => child.as_mut().poll(cx),
            None => Poll::Ready(()),
        });
        self.waiting(child).await;
        *lock(&self.inline) = None;
    }

    /// What the flow waits for besides time: nothing.
    pub(super) fn waits_for_time(&self) {
        self.children().interest = Interest::Nothing;
    }
}
