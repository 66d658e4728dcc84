//! Time: the system's, or one that tests move by hand. Everything that waits or stamps asks here, guests included.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, oneshot};

/// A source of time and of waiting.
#[derive(Clone, Debug)]
pub enum Clock {
    System,
    Manual(Arc<Manual>),
}

/// A clock that stands still until it is advanced.
#[derive(Debug)]
pub struct Manual {
    state: Mutex<ManualState>,
    slept: Notify,
}

#[derive(Debug)]
struct ManualState {
    now: Timestamp,
    /// Who waits for which time; the number keeps apart those that wait for the same.
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
    next: u64,
}

impl Clock {
    pub fn manual(start: Timestamp) -> Clock {
        let state = ManualState { now: start, sleepers: BTreeMap::new(), next: 0 };
        Clock::Manual(Arc::new(Manual { state: Mutex::new(state), slept: Notify::new() }))
    }

    /// Now, to the microsecond, which is what the store keeps.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => {
                let micros = Timestamp::now().as_microsecond();
                Timestamp::from_microsecond(micros).expect("what came from a timestamp fits one")
            }
            Clock::Manual(manual) => manual.lock().now,
        }
    }

    /// Returns once the clock shows `at` or later.
    pub async fn sleep_until(&self, at: Timestamp) {
        match self {
            Clock::System => {
                // A timer may run ahead of the wall clock, or the wall clock may be set back.
                while let Some(left) = time_left(Timestamp::now(), at) {
                    tokio::time::sleep(left).await;
                }
            }
            Clock::Manual(manual) => {
                let wake = {
                    let mut state = manual.lock();
                    if state.now >= at {
                        return;
                    }
                    let (sender, receiver) = oneshot::channel();
                    let key = (at, state.next);
                    state.next += 1;
                    state.sleepers.insert(key, sender);
                    manual.slept.notify_waiters();
                    receiver
                };
                // The clock lives as long as we do, so the sender is never dropped unsent.
                let _ = wake.await;
            }
        }
    }
}

/// What is left of the time until `at`, at most a day, so that a clock that is set is noticed.
fn time_left(now: Timestamp, at: Timestamp) -> Option<std::time::Duration> {
    let left = at.duration_since(now).min(SignedDuration::from_hours(24));
    left.is_positive().then(|| left.unsigned_abs())
}

impl Manual {
    /// Moves the clock by `by` and wakes who waited for a time up to then.
    pub fn advance(&self, by: SignedDuration) {
        let mut state = self.lock();
        state.now = state.now.saturating_add(by).unwrap_or(Timestamp::MAX);
        let now = state.now;
        let later = state.sleepers.split_off(&(now, u64::MAX));
        for (_, sleeper) in std::mem::replace(&mut state.sleepers, later) {
            // Who no longer waits has dropped its receiver.
            let _ = sleeper.send(());
        }
    }

    /// Waits until somebody sleeps who is to be woken within `span`, and advances to that time.
    pub async fn advance_to_next_wake(&self, span: SignedDuration) {
        loop {
            let slept = self.slept.notified();
            if let Some(left) = self.next_wake_in()
                && left <= span
            {
                return self.advance(left);
            }
            slept.await;
        }
    }

    /// Waits until `count` sleep who are to be woken within `span`.
    pub async fn until_asleep(&self, count: usize, span: SignedDuration) {
        loop {
            let slept = self.slept.notified();
            if self.asleep(span) >= count {
                return;
            }
            slept.await;
        }
    }

    fn asleep(&self, span: SignedDuration) -> usize {
        let mut state = self.lock();
        state.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        let now = state.now;
        state.sleepers.keys().filter(|(at, _)| at.duration_since(now) <= span).count()
    }

    fn next_wake_in(&self) -> Option<SignedDuration> {
        let mut state = self.lock();
        state.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        let (at, _) = state.sleepers.keys().next()?;
        Some(at.duration_since(state.now))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ManualState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
