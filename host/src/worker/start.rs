//! Runs that are carried out as soon as they are submitted: on record they begin as running.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::slots::Slot;
use super::{Held, Worker};
use crate::app::{Started, Starter};
use crate::domain::{Kind, Run, RunId, State};
use crate::store::Claimed;

struct Starting {
    worker: Arc<Worker>,
    id: RunId,
    claim: u64,
    token: CancellationToken,
    /// None once it began.
    room: Option<Slot>,
}

impl Starter for Worker {
    fn start(self: Arc<Worker>, run: &mut Run) -> Option<Box<dyn Started>> {
        if self.stopping.is_cancelled() {
            return None;
        }
        let room = match run.kind {
            Kind::Task => self.slots.try_acquire()?,
            Kind::Flow => self.flows.try_acquire()?,
        };
        run.state = State::Running;
        run.attempt = 1;
        run.generation = u32::from(run.kind == Kind::Flow);
        run.started_at = Some(run.created_at);
        run.worker = Some(self.id);
        let (id, claim, token) = (run.id, self.next_claim(), CancellationToken::new());
        // Before it is on record: who cancels it then finds it here.
        self.held().insert(id, Held { token: token.clone(), flow: None, claim });
        Some(Box::new(Starting { worker: self, id, claim, token, room: Some(room) }))
    }
}

impl Started for Starting {
    fn begin(mut self: Box<Self>, run: Run) {
        if let Some(room) = self.room.take() {
            self.worker.begin(Claimed { run, resumed: false }, room, self.token.clone(), self.claim);
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if self.room.is_some() {
            self.worker.release(self.id, self.claim);
        }
    }
}
