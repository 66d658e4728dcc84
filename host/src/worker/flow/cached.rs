//! Children whose results may be those of others.

use super::FlowRun;
use crate::domain::{CacheRule, Outcome, State};
use crate::worker::cache::Asked;
use crate::worker::executor::{Execution, cancelled};
use crate::worker::live::{end_as, finish};

impl FlowRun {
    /// Carries out a task whose result may stand for those of others, or theirs for its own.
    pub(super) async fn carry_out_cached(&self, seq: u32, execution: &Execution<'_>, rule: &CacheRule) {
        let (live, clock) = (execution.live, &self.worker.app.clock);
        let turn = match execution.ask_cache(rule, || true).await {
            Asked::Cached(original) => {
                let now = clock.now();
                let result = Ok(original.result.clone().unwrap_or_else(|| "null".into()));
                self.end_in(&mut self.children(), seq, live, &result, |run| end_as(run, &original, now), None);
                return;
            }
            Asked::Cancelled | Asked::Later => {
                return self.finished(seq, live, State::Cancelled, &Outcome::failed(cancelled()));
            }
            Asked::Runs(turn) => turn,
        };
        let (state, outcome) = execution.to_end().await;
        let now = clock.now();
        let write = turn.as_ref().and_then(|turn| turn.write(live.run().id, state));
        let end = |run: &mut _| finish(run, state, &outcome, now);
        let ticket = self.end_in(&mut self.children(), seq, live, &outcome.result, end, write);
        if let (Some(turn), Some(ticket)) = (turn, ticket) {
            turn.written(ticket);
        }
    }
}
