//! The end of records: runs and modules.

use std::time::{Duration, Instant};

use super::App;
use crate::domain::RunId;
use crate::error::{Error, Result};
use crate::store::Deleted;

/// What ended a moment ago lets go of its module within this time, unless it did not end.
const LET_GO_TIMEOUT: Duration = Duration::from_secs(1);
const LET_GO_INTERVAL: Duration = Duration::from_millis(5);

impl App {
    /// Deletes a final top-level run with all below it. May take long.
    ///
    /// # Errors
    ///
    /// `not_found`, and `conflict` where it is not final or not at the top.
    pub fn delete_run(&self, id: RunId) -> Result<()> {
        match self.store.delete_run(id)? {
            Deleted::Done => Ok(()),
            Deleted::NoSuchRun => Err(Error::not_found(format!("run `{id}` does not exist"))),
            Deleted::Unfinished(state) => {
                Err(Error::conflict(format!("run `{id}` is {}; cancel it first", state.as_str())))
            }
            Deleted::PartOf(root) => {
                Err(Error::conflict(format!("run `{id}` is a part of run `{root}`; delete that one")))
            }
        }
    }

    /// Deletes a module with all its versions and their code, where no run on record is of it. May take long.
    ///
    /// # Errors
    ///
    /// `not_found`, and `conflict` with the number of runs.
    pub fn delete_module(&self, name: &str) -> Result<()> {
        let _alone = self.registering.blocking_write();
        let Ok(_unread) = self.backing_up.try_lock() else {
            return Err(Error::conflict(format!(
                "a backup is under way, and module `{name}` may be a part of it; delete it when that has ended"
            )));
        };
        drop(self.find_version(name, None)?);
        self.check_unused(name)?;
        let closed = self.registry.close(name);
        let started = Instant::now();
        while closed.is_in_use() {
            if started.elapsed() > LET_GO_TIMEOUT {
                return Err(Error::conflict(format!("module `{name}` is in use by what runs; try again later")));
            }
            std::thread::sleep(LET_GO_INTERVAL);
        }
        // Nobody can submit a run of it now: what is counted stays so.
        self.check_unused(name)?;
        for digest in self.store.delete_versions(name)? {
            self.wasm.forget(&digest);
        }
        Ok(())
    }

    fn check_unused(&self, module: &str) -> Result<()> {
        let message = match self.store.count_runs_of(module)? {
            0 => return Ok(()),
            1 => format!("1 run on record is of module `{module}`; delete it first, or the flow that it is a part of"),
            runs => format!(
                "{runs} runs on record are of module `{module}`; delete them first, or the flows that they are parts of"
            ),
        };
        Err(Error::conflict(message))
    }
}
