//! Limits across runs: who may start, and who is let through when something became free.

use std::sync::Arc;

use super::executor::Execution;
use super::{POLL_INTERVAL, Worker};
use crate::app::Claimant;
use crate::domain::concurrency::order_of;
use crate::domain::{Kind, Run, RunId};
use crate::store::{Blocked, Claim, Claims, StoreError};

/// Names that are looked at again at a time.
const MAX_CHECKED: usize = 1000;

impl Worker {
    /// Takes due runs that hold what they need from now on, and turns the others away.
    pub(super) fn claim_admitted(&self, claim: Claim) -> Result<Claims, StoreError> {
        let (limits, clock, now) = (&self.app.limits, &self.app.clock, self.app.clock.now());
        let mut admitted = Vec::new();
        let admit = |run: &Run| {
            if run.across.is_none() && !limits.has_tags() {
                return Ok(now);
            }
            limits.admit(run)?;
            admitted.push(run.id);
            // Not before others let go of what it holds.
            Ok(clock.now())
        };
        let claims = self.store().claim(claim, self.id, now, admit);
        if claims.is_err() {
            admitted.into_iter().for_each(|id| limits.let_go(id));
        }
        claims
    }

    /// What runs that were turned away do not take, others may.
    pub(super) fn pass_by(&self, blocked: &[Blocked]) {
        for Blocked { run, on, until } in blocked {
            let pace = run.across.as_ref().and_then(|across| across.pace.as_ref());
            if let (Some(pace), Some(until)) = (pace, until) {
                self.app.limits.wait_for_pace(pace, *until);
            }
            self.app.limits.offer(run, |name| name != on);
        }
    }

    /// Lets those through who wait for what became free, in their order.
    pub(super) async fn limits_loop(self: Arc<Worker>) {
        let limits = &self.app.limits;
        loop {
            let next_pace = async {
                match limits.next_pace() {
                    Some(at) => self.app.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = limits.offered() => {}
                () = next_pace => {}
                () = tokio::time::sleep(POLL_INTERVAL) => self.look_again(),
            }
            if let Err(error) = self.let_through() {
                tracing::error!("cannot let runs through that wait for a limit, trying again: {error}");
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
    }

    /// Finds what nobody said. It should not be there, and nothing depends on that.
    fn look_again(&self) {
        self.app.check_limits();
        let waited_for = self.store().limits_waited_for(MAX_CHECKED).unwrap_or_default();
        for name in waited_for.iter().filter(|name| !self.app.limits.knows(name)) {
            // Where it has to go on waiting, that is known again.
            self.look_for_due(self.store().unblock(name, 1, None).unwrap_or_default());
        }
    }

    fn let_through(&self) -> Result<(), StoreError> {
        let limits = &self.app.limits;
        for name in limits.take_offered() {
            let Some(pass) = limits.begin_pass(&name) else { continue };
            let unblocked = match pass.rows {
                true => self.store().unblock(&name, pass.free, pass.before),
                false => Ok(0),
            };
            // Where it failed, those on record are there still.
            limits.end_pass(&name, &pass, *unblocked.as_ref().unwrap_or(&pass.free));
            self.look_for_due(unblocked?);
        }
        let now = self.app.clock.now();
        for pace in limits.take_paced(now) {
            let next = self.store().unblock_paced(&pace, now).inspect_err(|_| limits.wait_for_pace(&pace, now))?;
            if let Some(next) = next {
                limits.wait_for_pace(&pace, next);
            }
            self.look_for_due(1);
        }
        Ok(())
    }

    fn look_for_due(&self, unblocked: usize) {
        if unblocked > 0 {
            for kind in [Kind::Task, Kind::Flow] {
                self.app.events.run_is_due(kind);
            }
        }
    }

    /// A child that ended, or waits for its next attempt, holds nothing.
    pub(super) fn let_go_of_tags(&self, id: RunId) {
        if self.app.limits.has_tags() {
            self.app.limits.let_go(id);
        }
    }
}

impl Execution<'_> {
    /// Resolves once a child holds what its tags ask for. False where it was cancelled before.
    pub(super) async fn take_limits(&self) -> bool {
        let Some(claimant) = self.claimant() else { return true };
        tokio::select! {
            biased;
            () = self.token.cancelled() => false,
            () = self.worker.app.limits.take(claimant) => true,
        }
    }

    /// Whether a child holds what its tags ask for now.
    pub(super) fn has_limits(&self) -> bool {
        self.claimant().is_none_or(|claimant| self.worker.app.limits.has(&claimant))
    }

    /// None where nothing is limited that concerns it.
    fn claimant(&self) -> Option<Claimant> {
        let tags = &self.plan.settings.tags;
        if tags.is_empty() || !self.worker.app.limits.has_tags() {
            return None;
        }
        let (above, priority) = self.above?.line();
        let run = self.live.run();
        let order = order_of(run.created_at, priority);
        Some(Claimant { id: run.id, root: run.root_id, above, tags: tags.clone(), order })
    }
}
