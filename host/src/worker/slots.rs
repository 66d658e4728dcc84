//! Slots: the right to hold one task sandbox, handed out in turn over the trees of runs that ask.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::domain::RunId;
use crate::metrics::Gauge;

/// A bounded number of slots. Cheap to clone.
#[derive(Clone)]
pub struct Slots {
    state: Arc<Mutex<State>>,
    count: usize,
    /// Shows how many are held.
    in_use: Gauge,
}

struct State {
    free: usize,
    /// Who waits, by the top of its tree.
    queues: HashMap<RunId, VecDeque<oneshot::Sender<Slot>>>,
    /// The trees in `queues`, whose turn is next in front.
    turns: VecDeque<RunId>,
}

/// The right to hold one sandbox; dropping it hands it on.
pub struct Slot {
    /// None once it was taken back by hand.
    slots: Option<Slots>,
}

impl Slots {
    pub fn new(count: usize, in_use: Gauge) -> Slots {
        let state = State { free: count, queues: HashMap::new(), turns: VecDeque::new() };
        Slots { state: Arc::new(Mutex::new(state)), count, in_use }
    }

    /// A slot, once it is the turn of the tree of `root`.
    pub async fn acquire(&self, root: RunId) -> Slot {
        let receiver = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                self.in_use.inc();
                return Slot { slots: Some(self.clone()) };
            }
            let (sender, receiver) = oneshot::channel();
            let queue = state.queues.entry(root).or_default();
            queue.push_back(sender);
            if queue.len() == 1 {
                state.turns.push_back(root);
            }
            receiver
        };
        receiver.await.expect("a queue is only emptied by handing slots over")
    }

    /// All slots, one after the other as their turn comes. Only for one at a time.
    pub async fn acquire_all(&self, root: RunId) -> Vec<Slot> {
        let mut all = Vec::with_capacity(self.count);
        while all.len() < self.count {
            all.push(self.acquire(root).await);
        }
        all
    }

    /// A slot, if one is free.
    pub fn try_acquire(&self) -> Option<Slot> {
        let mut state = self.lock();
        state.free = state.free.checked_sub(1)?;
        self.in_use.inc();
        Some(Slot { slots: Some(self.clone()) })
    }

    /// Whether somebody waits for one.
    pub fn is_short(&self) -> bool {
        !self.lock().turns.is_empty()
    }

    fn release(&self) {
        loop {
            let next = {
                let mut state = self.lock();
                match state.next_in_turn() {
                    Some(next) => next,
                    None => {
                        state.free += 1;
                        self.in_use.dec();
                        return;
                    }
                }
            };
            match next.send(Slot { slots: Some(self.clone()) }) {
                Ok(()) => return,
                // It no longer waits. What came back must not release itself: the next in turn gets it.
                Err(mut slot) => slot.slots = None,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_in_turn(&mut self) -> Option<oneshot::Sender<Slot>> {
        let root = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&root)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&root);
        } else {
            self.turns.push_back(root);
        }
        next
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = &self.slots {
            slots.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use uuid::Uuid;

    fn root(n: u128) -> RunId {
        RunId(Uuid::from_u128(n))
    }

    #[test]
    fn a_tree_with_many_waiting_does_not_starve_another() {
        let slots = Slots::new(1, Gauge::default());
        let held = slots.try_acquire().expect("free");
        let mut waiting: Vec<_> = [1, 1, 1, 2].map(|n| Box::pin(slots.acquire(root(n)))).into_iter().collect();
        for waiter in &mut waiting {
            assert!(waiter.now_or_never().is_none());
        }
        drop(held);
        let first = waiting[0].as_mut().now_or_never().expect("the first of the first tree");
        drop(first);
        let second = waiting[3].as_mut().now_or_never().expect("then the other tree");
        assert!(waiting[1].as_mut().now_or_never().is_none());
        drop(second);
        assert!(waiting[1].as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_slot_is_not_lost_with_who_waited_for_it() {
        let slots = Slots::new(1, Gauge::default());
        let held = slots.try_acquire().expect("free");
        let mut gone = Box::pin(slots.acquire(root(1)));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        drop(held);
        let slot = slots.try_acquire().expect("free again");
        assert!(slots.try_acquire().is_none());
        drop(slot);

        let held = slots.try_acquire().expect("free");
        let mut handed = Box::pin(slots.acquire(root(1)));
        assert!(handed.as_mut().now_or_never().is_none());
        drop(held);
        drop(handed);
        assert_eq!(slots.in_use.get(), 0);
        assert!(slots.try_acquire().is_some(), "a slot that was handed over but never taken");
    }
}
