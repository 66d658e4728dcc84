//! Tasks whose results stand for those of runs that would do the same. Before such a task runs, the result of another is
//! looked for; of those that would do the same at the same time one runs, and the others wait for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex as Line, OwnedMutexGuard, Semaphore};

use super::executor::{Attempted, Execution, cancelled};
use super::live::{Live, end_as};
use super::slots::Slot;
use super::top::{After, settle, tell};
use super::{Worker, lock};
use crate::domain::{CacheKey, CacheRule, CacheScope, NEVER, Outcome, Run, RunId, State, Transition};
use crate::store::{Ticket, Write};

/// Top-level runs that wait in memory for others that do the same. What is more is given back, since it would not stop at
/// as many as there are slots.
const MAX_WAITING: usize = 1000;
/// When what was given back is taken again.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(10);

/// What may be done for a task that may have the result of another.
pub(super) enum Asked {
    /// It has the result of this run.
    Cached(Box<Run>),
    /// It runs. Those that would do the same wait until its turn is over; none where nobody can tell what is the same.
    Runs(Option<Turn>),
    Cancelled,
    /// There is no room to wait.
    Later,
}

/// Those that would do the same at the moment, by their key: whoever is first in the line has its turn.
pub(super) struct Turns {
    by_key: Mutex<HashMap<CacheKey, Arc<Line<()>>>>,
    /// The place of the last result among all writes.
    last_result: AtomicU64,
    /// Room for top-level runs that wait.
    room: Semaphore,
}

impl Default for Turns {
    fn default() -> Turns {
        let (by_key, last_result) = Default::default();
        Turns { by_key, last_result, room: Semaphore::new(MAX_WAITING) }
    }
}

/// A place in a line. Whoever gives it up lets the next one have its turn.
pub(super) struct Turn {
    worker: Arc<Worker>,
    key: CacheKey,
    line: Option<Arc<Line<()>>>,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Turn {
    fn new(worker: &Arc<Worker>, key: CacheKey) -> Turn {
        let line = lock(&worker.turns.by_key).entry(key).or_default().clone();
        Turn { worker: worker.clone(), key, line: Some(line), turn: None }
    }

    /// Resolves once those that came before have had their turns. Where there are any, `waits` says whether to wait.
    async fn comes(&mut self, waits: impl FnOnce() -> bool) -> bool {
        let line = || self.line.clone().expect("it is there until the drop");
        self.turn = match line().try_lock_owned() {
            Ok(turn) => Some(turn),
            Err(_) if waits() => Some(line().lock_owned().await),
            Err(_) => None,
        };
        self.turn.is_some()
    }

    /// What is to be written with the end of the run.
    pub(super) fn write(&self, run_id: RunId, state: State) -> Option<Write> {
        (state == State::Completed).then_some(Write::Result { key: self.key, run_id })
    }

    /// The run's end will be on record with that ticket: whoever comes next looks no earlier.
    pub(super) fn written(&self, ticket: Ticket) {
        self.worker.turns.last_result.fetch_max(ticket.0, Ordering::Release);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = lock(&self.worker.turns.by_key);
        (self.turn, self.line) = (None, None);
        if lines.get(&self.key).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.key);
        }
    }
}

impl Execution<'_> {
    /// Looks for a result, and waits for those that would do the same; `waits` says whether to, where there are any.
    pub(super) async fn ask_cache(&self, rule: &CacheRule, waits: impl FnOnce() -> bool) -> Asked {
        if self.token.is_cancelled() {
            return Asked::Cancelled;
        }
        let Some(key) = self.cache_key(rule) else { return Asked::Runs(None) };
        if let Some(run) = self.look_up(&key, rule).await {
            return Asked::Cached(Box::new(run));
        }
        let mut turn = Turn::new(self.worker, key);
        tokio::select! {
            biased;
            () = self.token.cancelled() => return Asked::Cancelled,
            has_come = turn.comes(waits) => if !has_come {
                return Asked::Later;
            }
        }
        match self.look_up(&key, rule).await {
            Some(run) => Asked::Cached(Box::new(run)),
            None => Asked::Runs(Some(turn)),
        }
    }

    fn cache_key(&self, rule: &CacheRule) -> Option<CacheKey> {
        let run = self.live.run();
        let deployment = match (rule.scope, run.parent) {
            (CacheScope::Global, _) => None,
            (CacheScope::Deployment, None) => run.deployment.as_deref().map(str::to_owned),
            (CacheScope::Deployment, Some(_)) => self.worker.store().deployment_of(run.root_id).ok()?,
        };
        Some(rule.key_of(&run, &self.plan.settings, deployment.as_deref()))
    }

    async fn look_up(&self, key: &CacheKey, rule: &CacheRule) -> Option<Run> {
        let store = self.worker.store();
        store.on_record(Ticket(self.worker.turns.last_result.load(Ordering::Acquire))).await;
        let max_age = SignedDuration::from_millis(rule.max_age_ms as i64);
        let since = self.worker.app.clock.now().checked_sub(max_age).unwrap_or(Timestamp::MIN);
        store.cached(key, since).unwrap_or_else(|error| {
            // A damaged record is no result: the task runs, and comes to another one.
            tracing::warn!("a result is not taken from the cache: {error}");
            None
        })
    }
}

/// Carries out a claimed top-level task whose result may stand for those of others, or theirs for its own.
pub(super) async fn carry_out(execution: &Execution<'_>, rule: &CacheRule, slot: Slot) -> After {
    let Execution { worker, live, .. } = *execution;
    let clock = &worker.app.clock;
    let (mut slot, mut room) = (Some(slot), None);
    // It holds no slot meanwhile, and its attempt has not begun.
    let put_back = |run: &mut Run| {
        run.state = State::Scheduled;
        run.attempt -= 1;
        run.started_at = None;
    };
    let waits = || {
        // Whoever it waits for may wait for what it holds.
        let holds_nothing = !worker.app.limits.holds(live.run().id);
        room = worker.turns.room.try_acquire().ok().filter(|_| holds_nothing);
        if room.is_some() {
            live.record(&worker.app, put_back, []);
        }
        slot = None;
        room.is_some()
    };
    let turn = match execution.ask_cache(rule, waits).await {
        Asked::Cached(original) => {
            let now = clock.now();
            let ticket = live.record(&worker.app, |run| end_as(run, &original, now), []);
            return tell(worker, live, ticket).await;
        }
        Asked::Cancelled => return cancel(worker, live).await,
        Asked::Later => {
            let later = |run: &mut Run| {
                put_back(run);
                run.scheduled_at = clock.now().saturating_add(AGAIN_AFTER).unwrap_or(NEVER);
                run.worker = None;
            };
            let ticket = live.record(&worker.app, later, []);
            return tell(worker, live, ticket).await;
        }
        Asked::Runs(turn) => turn,
    };
    drop(room);
    let slot = match slot {
        Some(slot) => slot,
        None => {
            let Ok(slot) = execution.permit().await else { return cancel(worker, live).await };
            live.start(worker.store(), clock.now());
            slot
        }
    };
    let Attempted::Over(outcome, log) = execution.attempt(slot, false).await else {
        unreachable!("only flows are parked")
    };
    let transition = execution.after(&outcome, &log);
    let write = match (&turn, &transition) {
        (Some(turn), Transition::Final(state)) => turn.write(live.run().id, *state),
        _ => None,
    };
    settle(worker, live, &outcome, transition, write).await
}

async fn cancel(worker: &Arc<Worker>, live: &Live) -> After {
    settle(worker, live, &Outcome::failed(cancelled()), Transition::Final(State::Cancelled), None).await
}
