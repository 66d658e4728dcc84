//! The worker: takes due runs and carries them out, as many at once as there are slots.

mod alone;
mod cache;
mod executor;
mod flow;
mod limits;
mod live;
mod parking;
mod replay;
mod slots;
mod start;
mod top;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::app::{App, Starter};
use crate::domain::{Kind, RunId};
use crate::events::CancelRequest;
use crate::store::{Claim, Claimed, Claims, Store, StoreError};
use cache::Turns;
use flow::FlowRun;
use live::Live;
use slots::{Slot, Slots};
use top::After;

/// Top-level runs that one claim takes at most.
const CLAIM_BATCH: usize = 32;
/// How often the store is asked for due runs when nothing wakes us: events may be lost.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long a run may be carried out before it must be visible to others.
const YOUNG: Duration = Duration::from_millis(10);
/// How often flows are looked at that wait, at most and at least.
const EVICT_SHORTEST: Duration = Duration::from_millis(10);
const EVICT_LONGEST: Duration = Duration::from_secs(1);
/// How long abandoned guests may take to let go; each yields well within it.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(5);
/// In the round of turns, the place of runs that are to be claimed.
const CLAIMS: RunId = RunId(uuid::Uuid::nil());

pub struct WorkerConfig {
    /// Task sandboxes at once.
    pub slots: usize,
    /// Flows in memory at once; each holds a place in the instance pool while it waits.
    pub flows: usize,
    /// After which wait a flow gives its sandbox back.
    pub evict_after: Duration,
    /// Only runs submitted from this time on are taken.
    pub since: Timestamp,
}

pub struct Worker {
    app: Arc<App>,
    /// Where guests run, apart from everything else.
    guests: Handle,
    id: i64,
    slots: Slots,
    flows: Slots,
    since: Timestamp,
    /// Top-level runs and flows in memory.
    held: Mutex<HashMap<RunId, Held>>,
    /// Child flows that are parked while their flow is in memory.
    parked: Mutex<HashMap<RunId, Arc<Notify>>>,
    /// Runs that began a moment ago, and may not be on record yet.
    young: Mutex<Vec<Arc<Live>>>,
    young_added: Notify,
    /// Tasks that would do the same, one after the other.
    turns: Turns,
    /// After which wait a flow gives its sandbox back.
    evict_after: Duration,
    /// Held by who has, or waits for, all slots.
    alone: tokio::sync::Mutex<()>,
    /// There are too few places for flows.
    short: Notify,
    started: Instant,
    claims: AtomicU64,
    /// No more claims.
    stopping: CancellationToken,
    /// Runs are given back.
    abandoning: CancellationToken,
    idle: Notify,
}

/// A run in memory that can be cancelled.
struct Held {
    token: CancellationToken,
    flow: Option<Arc<FlowRun>>,
    /// The number of its claim: it may be taken anew before the last one is forgotten.
    claim: u64,
}

impl Worker {
    /// Starts a worker that the store knows by `id`, on the runtime of the guests.
    pub fn start(
        app: Arc<App>,
        id: i64,
        config: WorkerConfig,
        guests: Handle,
        cancels: mpsc::Receiver<CancelRequest>,
    ) -> Arc<Worker> {
        let metrics = &app.metrics;
        metrics.slots.set(config.slots as i64);
        metrics.flow_places.set(config.flows as i64);
        let slots = Slots::new(config.slots, metrics.slots_in_use.clone());
        let flows = Slots::new(config.flows, metrics.flows_in_memory.clone());
        let worker = Arc::new(Worker {
            app,
            guests,
            id,
            slots,
            flows,
            since: config.since,
            held: Mutex::default(),
            parked: Mutex::default(),
            young: Mutex::default(),
            young_added: Notify::new(),
            turns: Turns::default(),
            evict_after: config.evict_after,
            alone: tokio::sync::Mutex::default(),
            short: Notify::new(),
            started: Instant::now(),
            claims: AtomicU64::new(0),
            stopping: CancellationToken::new(),
            abandoning: CancellationToken::new(),
            idle: Notify::new(),
        });
        let starter: Weak<dyn Starter> = Arc::downgrade(&(worker.clone() as Arc<dyn Starter>));
        // There is one worker to an app.
        let _ = worker.app.starter.set(starter);
        for kind in [Kind::Task, Kind::Flow] {
            worker.guests.spawn(worker.clone().claim_loop(kind));
        }
        worker.guests.spawn(worker.clone().alone_loop());
        worker.guests.spawn(worker.clone().cancel_loop(cancels));
        worker.guests.spawn(worker.clone().young_loop());
        worker.guests.spawn(worker.clone().evict_loop());
        worker.guests.spawn(worker.clone().news_loop());
        worker.guests.spawn(worker.clone().limits_loop());
        worker
    }

    /// Stops claiming, waits up to `grace` for what runs, and gives the rest back: flows go on where they were, the attempts
    /// of tasks do not count.
    pub async fn stop(&self, grace: Duration) {
        self.stopping.cancel();
        let _ = tokio::time::timeout(grace, self.is_idle()).await;
        self.abandoning.cancel();
        if tokio::time::timeout(ABANDON_TIMEOUT, self.is_idle()).await.is_err() {
            tracing::error!("{} runs did not let go; the next start settles them", self.held().len());
            return;
        }
        if let Err(error) = self.store().give_back(self.app.clock.now()) {
            tracing::error!("cannot give back what runs; the next start settles it: {error}");
        }
    }

    /// Resolves once nothing runs.
    pub async fn is_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.held().is_empty() {
                return;
            }
            idle.await;
        }
    }

    async fn claim_loop(self: Arc<Worker>, kind: Kind) {
        let claim = |limit| Claim { kind, limit, since: self.since, alone: false };
        while !self.stopping.is_cancelled() {
            let due = self.app.events.due[kind as usize].notified();
            let mut permits = self.permits(kind).await;
            if self.stopping.is_cancelled() {
                return;
            }
            match self.claim(claim(permits.len()), &mut permits) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::error!("cannot claim runs: {error}"),
            }
            drop(permits);
            tokio::select! {
                () = due => {}
                () = self.stopping.cancelled() => {}
                () = self.until_next(claim(1)) => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }

    /// The right to carry out some runs of that kind: one when it is our turn, and what else is free.
    async fn permits(&self, kind: Kind) -> Vec<Slot> {
        let permits = match kind {
            Kind::Task => &self.slots,
            Kind::Flow => &self.flows,
        };
        let first = match kind {
            Kind::Task => permits.acquire(CLAIMS).await,
            Kind::Flow => self.flow_place(CLAIMS).await,
        };
        let mut taken = vec![first];
        taken.extend(std::iter::from_fn(|| permits.try_acquire()).take(CLAIM_BATCH - 1));
        taken
    }

    async fn until_next(&self, claim: Claim) {
        match self.app.store.next_due(claim) {
            Ok(Some(at)) => self.app.clock.sleep_until(at).await,
            _ => std::future::pending().await,
        }
    }

    /// Takes due runs and begins them. Returns whether there may be more.
    fn claim(self: &Arc<Worker>, claim: Claim, permits: &mut Vec<Slot>) -> Result<bool, StoreError> {
        // Locked all the while: who cancels a run that is on record as running finds it here.
        let mut held = self.held();
        let Claims { claimed, blocked } = self.claim_admitted(claim)?;
        let more = claimed.len() + blocked.len() == permits.len();
        self.pass_by(&blocked);
        for (claimed, permit) in claimed.into_iter().zip(permits.drain(..)) {
            let token = CancellationToken::new();
            let run = &claimed.run;
            let claim = self.next_claim();
            held.insert(run.id, Held { token: token.clone(), flow: None, claim });
            self.begin(claimed, permit, token, claim);
        }
        Ok(more)
    }

    fn begin(self: &Arc<Worker>, claimed: Claimed, permit: Slot, token: CancellationToken, claim: u64) {
        let id = claimed.run.id;
        let worker = self.clone();
        let (limits, is_limited) = (&self.app.limits, claimed.run.across.is_some());
        let admission = if is_limited || limits.has_tags() { limits.admission(id) } else { 0 };
        self.guests.spawn(async move {
            let carry_out = AssertUnwindSafe(top::carry_out(&worker, claimed, permit, token, claim)).catch_unwind();
            let is_parked = tokio::select! {
                done = carry_out => match done {
                    Ok(After::Parked) => true,
                    Ok(After::LetGo) => false,
                    // A mistake of ours must not leave a run behind that nobody will ever end.
                    Err(_) => {
                        top::crash(&worker, id).await;
                        false
                    }
                },
                () = worker.abandoning.cancelled() => true,
            };
            worker.release(id, claim);
            if !is_parked && (is_limited || worker.app.limits.has_tags()) {
                worker.app.limits.let_go_of_admission(id, admission);
            }
        });
    }

    /// The number of the next run that is taken, or child flow that is carried out.
    fn next_claim(&self) -> u64 {
        self.claims.fetch_add(1, Ordering::Relaxed)
    }

    /// Forgets a run, unless it was claimed anew.
    fn release(&self, id: RunId, claim: u64) {
        let mut held = self.held();
        let released = match held.get(&id) {
            Some(found) if found.claim == claim => held.remove(&id),
            _ => None,
        };
        drop(held);
        if let Some(Held { flow: Some(flow), .. }) = released {
            flow.let_go();
        }
        self.idle.notify_waiters();
    }

    /// Makes a flow in memory known, so that it and its children can be cancelled: one at the top until it is settled,
    /// another until what is returned is dropped.
    fn hold_flow(&self, flow: &Arc<FlowRun>, token: CancellationToken, claim: u64) -> Option<Hold<'_>> {
        self.held().insert(flow.id(), Held { token, flow: Some(flow.clone()), claim });
        flow.is_child().then(|| Hold { worker: self, id: flow.id(), claim })
    }

    async fn cancel_loop(self: Arc<Worker>, mut cancels: mpsc::Receiver<CancelRequest>) {
        while let Some(request) = cancels.recv().await {
            let held = self.held();
            if let Some(held) = held.get(&request.id) {
                held.token.cancel();
            } else if let Some(parent) = request.parent
                && let Some(Held { flow: Some(flow), .. }) = held.get(&parent.id)
            {
                flow.cancel_child(parent);
            }
        }
    }

    /// Puts runs on record that take longer than a moment; what is shorter is recorded once, at its end.
    async fn young_loop(self: Arc<Worker>) {
        loop {
            self.young_added.notified().await;
            tokio::time::sleep(YOUNG).await;
            let young = std::mem::take(&mut *lock(&self.young));
            for live in young {
                live.put_on_record(&self.app.store);
            }
        }
    }

    fn add_young(&self, live: &Arc<Live>) {
        let mut young = lock(&self.young);
        young.push(live.clone());
        if young.len() == 1 {
            self.young_added.notify_one();
        }
    }

    fn store(&self) -> &Store {
        &self.app.store
    }

    fn held(&self) -> MutexGuard<'_, HashMap<RunId, Held>> {
        lock(&self.held)
    }
}

/// A flow that the worker knows as long as this lives.
struct Hold<'a> {
    worker: &'a Worker,
    id: RunId,
    claim: u64,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.worker.release(self.id, self.claim);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking holder left is whole between its statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
