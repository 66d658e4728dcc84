//! Flows that wait: who gives its sandbox back, and who hears of what it waits for.

use std::sync::Arc;

use tokio::sync::Notify;

use super::flow::{FlowRun, Parked};
use super::slots::Slot;
use super::{CLAIM_BATCH, EVICT_LONGEST, EVICT_SHORTEST, Worker, lock};
use crate::domain::RunId;

impl Worker {
    /// Has flows look at what is new of them.
    pub(super) async fn news_loop(self: Arc<Worker>) {
        loop {
            for id in self.app.events.news().await {
                let flow = self.held().get(&id).and_then(|held| held.flow.clone());
                if let Some(flow) = flow {
                    flow.look_again();
                }
                if let Some(parked) = lock(&self.parked).get(&id) {
                    parked.notify_one();
                }
            }
        }
    }

    /// Tells of news of a child flow that is parked.
    pub(super) fn listen(&self, id: RunId) -> Arc<Notify> {
        lock(&self.parked).entry(id).or_default().clone()
    }

    pub(super) fn listen_no_more(&self, id: RunId) {
        lock(&self.parked).remove(&id);
    }

    /// Whether what a flow waits for came in the moment in which it was parked.
    pub(super) fn came_while_parked(&self, id: RunId, parked: &Parked) -> bool {
        parked.signal.as_ref().is_some_and(|name| matches!(self.store().next_signal(id, name), Ok(Some(_))))
    }

    /// A place for a flow, once there is one: others that wait give theirs back.
    pub(super) async fn flow_place(&self, root: RunId) -> Slot {
        if let Some(place) = self.flows.try_acquire() {
            return place;
        }
        self.short.notify_one();
        self.flows.acquire(root).await
    }

    /// Has flows that wait long give their sandboxes back, and when there are too few places those that wait longest.
    pub(super) async fn evict_loop(self: Arc<Worker>) {
        let period = (self.evict_after / 2).clamp(EVICT_SHORTEST, EVICT_LONGEST);
        loop {
            let short = tokio::select! {
                () = tokio::time::sleep(period) => false,
                () = self.short.notified() => true,
            };
            let now_ms = self.uptime_ms();
            let mut waiting: Vec<(u64, Arc<FlowRun>)> = {
                let held = self.held();
                let flows = held.values().filter_map(|held| held.flow.as_ref());
                flows.filter_map(|flow| Some((flow.waits_since_ms()?, flow.clone()))).collect()
            };
            let evict_after_ms = self.evict_after.as_millis() as u64;
            if short {
                waiting.sort_unstable_by_key(|(since, _)| *since);
                waiting.truncate(CLAIM_BATCH);
            } else {
                waiting.retain(|(since, _)| now_ms.saturating_sub(*since) >= evict_after_ms);
            }
            for (_, flow) in waiting {
                flow.evict();
            }
            if self.flows.is_short() {
                // Those that compute now may wait then.
                tokio::time::sleep(EVICT_SHORTEST).await;
                self.short.notify_one();
            }
        }
    }

    /// Milliseconds since the worker started, from 1.
    pub(super) fn uptime_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64 + 1
    }
}
