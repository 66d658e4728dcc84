//! Wake-ups within the process. Lossy by contract: what is true stands in the store.

use std::collections::HashMap;
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
    pub cancel: mpsc::Sender<CancelRequest>,
    waiting: Mutex<HashMap<RunId, Vec<oneshot::Sender<()>>>>,
    finished: broadcast::Sender<RunId>,
}

impl Events {
    /// The events, and the cancellations for the worker.
    pub fn new() -> (Events, mpsc::Receiver<CancelRequest>) {
        let (cancel, cancels) = mpsc::channel(CANCEL_BACKLOG);
        let (finished, _) = broadcast::channel(FINISHED_BACKLOG);
        (Events { due: Default::default(), cancel, waiting: Mutex::default(), finished }, cancels)
    }

    /// A run of that kind was put on record, or given back.
    pub fn run_is_due(&self, kind: crate::domain::Kind) {
        self.due[kind as usize].notify_one();
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
