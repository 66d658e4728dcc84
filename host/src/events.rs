//! Wake-ups within the process. Lossy by contract: what is true stands in the store.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, broadcast, mpsc, oneshot};

use crate::domain::RunId;
use crate::domain::run::Parent;

/// Finished top-level runs that a slow listener may be behind.
const FINISHED_BACKLOG: usize = 1024;
/// Cancellations that wait for the worker; who cancels more waits.
const CANCEL_BACKLOG: usize = 1024;

/// A run that a worker holds is to be cancelled.
#[derive(Clone, Copy, Debug)]
pub struct CancelRequest {
    pub id: RunId,
    pub parent: Option<Parent>,
}

pub struct Events {
    /// A run may be due.
    pub due: [Notify; 2],
    /// A task may be due that runs without any other beside it.
    pub due_alone: Notify,
    /// A schedule may be due earlier than was known.
    pub schedules_changed: Notify,
    pub cancel: mpsc::Sender<CancelRequest>,
    /// Flows of which something new is on record: a signal, a pause.
    news: Mutex<HashSet<RunId>>,
    has_news: Notify,
    /// Flows in memory that are paused, and how many, since hardly ever any is.
    paused: Mutex<HashSet<RunId>>,
    n_paused: AtomicUsize,
    waiting: Mutex<HashMap<RunId, Vec<oneshot::Sender<()>>>>,
    finished: broadcast::Sender<RunId>,
}

impl Events {
    /// The events, and the cancellations for the worker.
    pub fn new() -> (Events, mpsc::Receiver<CancelRequest>) {
        let (cancel, cancels) = mpsc::channel(CANCEL_BACKLOG);
        let (finished, _) = broadcast::channel(FINISHED_BACKLOG);
        (
            Events {
                due: Default::default(),
                due_alone: Notify::new(),
                schedules_changed: Notify::new(),
                cancel,
                news: Mutex::default(),
                has_news: Notify::new(),
                paused: Mutex::default(),
                n_paused: AtomicUsize::new(0),
                waiting: Mutex::default(),
                finished,
            },
            cancels,
        )
    }

    /// A run of that kind was put on record, or given back.
    pub fn run_is_due(&self, kind: crate::domain::Kind) {
        self.due[kind as usize].notify_one();
        if kind == crate::domain::Kind::Task {
            self.due_alone.notify_one();
        }
    }

    /// Keeps a flow from going on, from now on.
    pub fn pause(&self, id: RunId) {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        paused.insert(id);
        self.n_paused.store(paused.len(), Ordering::Release);
    }

    pub fn resume(&self, id: RunId) {
        if self.n_paused.load(Ordering::Acquire) > 0 {
            let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
            paused.remove(&id);
            self.n_paused.store(paused.len(), Ordering::Release);
        }
    }

    pub fn is_paused(&self, id: RunId) -> bool {
        self.n_paused.load(Ordering::Acquire) > 0
            && self.paused.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// Something new is on record of a flow, at which its worker has to look.
    pub fn flow_has_news(&self, id: RunId) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.has_news.notify_one();
    }

    /// The flows of which something new is on record, once there are any.
    pub async fn news(&self) -> HashSet<RunId> {
        loop {
            let news = std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner));
            if !news.is_empty() {
                return news;
            }
            self.has_news.notified().await;
        }
    }

    /// Resolves when the top-level run finishes from now on; ask the store after this call, before waiting.
    pub fn when_finished(&self, id: RunId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        let senders = waiting.entry(id).or_default();
        senders.retain(|sender| !sender.is_closed());
        senders.push(sender);
        receiver
    }

    /// A top-level run is final, and on record.
    pub fn run_finished(&self, id: RunId) {
        for sender in self.lock().remove(&id).into_iter().flatten() {
            // Who no longer waits has dropped its receiver.
            let _ = sender.send(());
        }
        // Nobody may be listening.
        let _ = self.finished.send(id);
    }

    /// Top-level runs as they finish.
    pub fn finished(&self) -> broadcast::Receiver<RunId> {
        self.finished.subscribe()
    }

    /// Forgets who waited for a run and went away.
    pub fn forget(&self, id: RunId) {
        let mut waiting = self.lock();
        if let Some(senders) = waiting.get_mut(&id) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                waiting.remove(&id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Vec<oneshot::Sender<()>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
