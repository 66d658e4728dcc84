//! One attempt of a flow: as many calls of its guest as it takes.

use std::sync::Arc;

use super::FlowRun;
use super::evict::Next;
use crate::domain::{Failure, NEVER, Outcome, Run};
use crate::wasm::Component;
use crate::worker::executor::{Attempted, Execution};
use crate::worker::live::RunLog;
use crate::worker::slots::Slot;

impl Execution<'_> {
    /// The attempt of a flow, which was begun before where it is `resumed`.
    pub(in crate::worker) async fn flow_attempt(
        &self,
        component: &Component,
        run: Arc<Run>,
        log: Arc<RunLog>,
        place: Slot,
        resumed: bool,
    ) -> Attempted {
        let flow = FlowRun::new(self, &run);
        let _held = self.worker.hold_flow(&flow, self.token.clone(), self.claim);
        if resumed {
            log.set_known(&run);
        }
        let called = match flow.load_past(resumed).await {
            Ok(()) => self.call_flow(component, &log, &flow, place).await,
            Err(failure) => Ok(Outcome::failed(failure)),
        };
        match called {
            Ok(outcome) => Attempted::Over(self.end_flow(&flow, outcome).await, log),
            Err(parked) => parked,
        }
    }

    /// Calls the guest, and again from the start whenever it had given its sandbox back. An error is that the flow is
    /// parked.
    async fn call_flow(
        &self,
        component: &Component,
        log: &Arc<RunLog>,
        flow: &Arc<FlowRun>,
        mut place: Slot,
    ) -> Result<Outcome, Attempted> {
        let interrupted = || async {
            tokio::select! {
                failure = self.interrupted(&flow.run) => failure,
                failure = flow.stopped() => failure,
            }
        };
        loop {
            let job = self.job(flow.run.clone(), log, Some(flow));
            tokio::select! {
                biased;
                outcome = component.call(job, Box::pin(interrupted())) => return Ok(flow.checked(outcome)),
                () = flow.evicted() => {}
            }
            drop(place);
            flow.rewind();
            log.rewind();
            let next = tokio::select! {
                failure = interrupted() => return Ok(Outcome::failed(failure)),
                next = flow.next() => next,
            };
            if let Next::Park(mut parked) = next {
                // Before anybody takes it anew.
                flow.let_go();
                parked.until = parked.until.min(self.deadline(&flow.run).unwrap_or(NEVER));
                return Err(Attempted::Parked(parked));
            }
            place = tokio::select! {
                failure = interrupted() => return Ok(Outcome::failed(failure)),
                place = self.worker.flow_place(self.live.root_id()) => place,
            };
        }
    }

    /// A flow is over only when its children are.
    async fn end_flow(&self, flow: &FlowRun, mut outcome: Outcome) -> Outcome {
        if outcome.result.is_ok() {
            tokio::select! {
                // First: what ends the flow ends its children too, which may be over before we are asked.
                biased;
                failure = self.interrupted(&flow.run) => outcome.result = Err(failure),
                () = flow.finish_children() => {}
            }
        }
        if outcome.result.is_err() {
            flow.cancel_children().await;
        }
        outcome.children = Some(Arc::new(flow.ended()));
        if flow.was_called_before() {
            // That of the attempt, not of its last call.
            let took = self.worker.app.clock.now().duration_since(flow.run.started_at.unwrap_or_default());
            outcome.usage.duration_ms = took.as_micros().max(0) as f64 / 1000.0;
        }
        outcome
    }
}

impl FlowRun {
    /// What the guest came to, unless that differs from its record.
    pub(in crate::worker) fn checked(&self, mut outcome: Outcome) -> Outcome {
        // What ends the guest from outside ends it anywhere.
        let by_itself = |failure: &Failure| failure.kind.is_of_the_guest();
        if outcome.result.as_ref().err().is_none_or(by_itself)
            && let Some(failure) = self.unclaimed()
        {
            outcome.result = Err(failure);
        }
        outcome
    }
}
