//! Tasks that may be what kills the worker: carried out without any other beside them.

use std::sync::Arc;

use super::slots::Slot;
use super::{CLAIMS, POLL_INTERVAL, Worker};
use crate::domain::Kind;
use crate::store::Claim;

impl Worker {
    /// Carries out one by one, without any task beside them, those whose worker died with them again and again: one of
    /// them may be why, and must not take others along.
    pub(super) async fn alone_loop(self: Arc<Worker>) {
        let claim = Claim { kind: Kind::Task, limit: 1, since: self.since, alone: true };
        while !self.stopping.is_cancelled() {
            let due = self.app.events.due_alone.notified();
            match self.store().next_due(claim) {
                Ok(Some(at)) if at <= self.app.clock.now() => {
                    let mut all = self.be_alone().await;
                    let mut permit = all.1.split_off(all.1.len() - 1);
                    if let Err(error) = self.claim(claim, &mut permit) {
                        tracing::error!("cannot claim a run: {error}");
                    }
                    // Until it gave back its own nobody else has one.
                    let own = self.slots.acquire(CLAIMS).await;
                    drop((own, all));
                }
                _ => tokio::select! {
                    () = due => {}
                    () = self.stopping.cancelled() => {}
                    () = self.until_next(claim) => {}
                    () = tokio::time::sleep(POLL_INTERVAL) => {}
                },
            }
        }
    }

    /// All slots, and the right to have them all.
    pub(super) async fn be_alone(&self) -> (tokio::sync::MutexGuard<'_, ()>, Vec<Slot>) {
        let alone = self.alone.lock().await;
        (alone, self.slots.acquire_all(CLAIMS).await)
    }
}
