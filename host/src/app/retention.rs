//! The end of what is older than it is to be kept.

use std::time::{Duration, Instant};

use super::App;
use crate::domain::Retention;
use crate::error::Result;
use crate::store::{Part, Pruned, StoreError};

/// After each transaction of ours others have this many times its length to themselves, and so much at least.
const PAUSES: u32 = 3;
const MIN_PAUSE: Duration = Duration::from_millis(1);

impl App {
    /// Deletes runs and logs that are older than `retention` and the deployments say, bit by bit, as long as `goes_on`
    /// holds; then gives the space back. May take long.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read or written: what was deleted until then is.
    pub fn prune(&self, retention: Retention, goes_on: impl Fn() -> bool) -> Result<Pruned> {
        let (store, now) = (&self.store, self.clock.now());
        let mut pruned = Pruned::default();
        for part in [Part::Runs, Part::Logs] {
            let mut over = store.overdue(part, retention, now)?;
            bit_by_bit(&goes_on, || {
                let (deleted, more) = store.prune(part, &mut over, now)?;
                self.metrics.pruned(deleted.runs, deleted.log_lines);
                pruned.runs += deleted.runs;
                pruned.log_lines += deleted.log_lines;
                if over.is_empty() && !more {
                    over = store.overdue(part, retention, now)?;
                }
                Ok(more || !over.is_empty())
            })?;
        }
        bit_by_bit(&goes_on, || store.prune_others(retention, now))?;
        bit_by_bit(&goes_on, || store.give_back_space())?;
        Ok(pruned)
    }
}

/// Takes steps as long as there are more, and lets others pass between them.
fn bit_by_bit(goes_on: impl Fn() -> bool, mut step: impl FnMut() -> Result<bool, StoreError>) -> Result<()> {
    while goes_on() {
        let started = Instant::now();
        if !step()? {
            break;
        }
        std::thread::sleep((started.elapsed() * PAUSES).max(MIN_PAUSE));
    }
    Ok(())
}
