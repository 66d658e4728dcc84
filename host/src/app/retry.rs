//! Runs that did not complete, tried again as runs of their own.

use serde_json::{Map, Value};

use super::App;
use super::submit::frozen;
use crate::domain::{Run, RunId, State, Trigger};
use crate::error::{Error, Result};

impl App {
    /// Submits a run anew that is final and did not complete: a new top-level run of the same version, entry, input,
    /// name and settings, from the beginning. What it is granted must still be allowed.
    ///
    /// # Errors
    ///
    /// `not_found`, `conflict` where it completed, is not over, or cannot be carried out on its own, `forbidden` for
    /// its grants.
    pub fn retry(&self, id: RunId, trigger: Trigger) -> Result<Run> {
        let old = self.run(id)?;
        match old.state {
            State::Failed | State::Crashed | State::Cancelled => {}
            State::Completed => {
                return Err(Error::conflict(format!("run `{id}` completed; submit it anew to run it again")));
            }
            state => {
                let message = format!("run `{id}` is {}; wait for its end or cancel it first", state.as_str());
                return Err(Error::conflict(message));
            }
        }
        let impossible = |why: String| Error::conflict(format!("run `{id}` cannot be retried: {why}"));
        let old_plan = self.plan(&old).map_err(|error| impossible(error.message))?;
        let input: Map<String, Value> = serde_json::from_str(&old.input).map_err(anyhow::Error::from)?;
        if old.attempt == 0 && old.upstream.as_deref().is_some_and(|upstream| !upstream.data.is_empty()) {
            return Err(impossible("it takes what other runs return and never got it; retry its flow".to_owned()));
        }
        let index = old_plan.version.find(&old.entry).map_err(&impossible)?;
        let plan = self.allowed_plan(old_plan.version.clone(), index, frozen(&old_plan))?;
        let input = plan.schema().complete(input).map_err(impossible)?;
        let mut run = self.new_run(&plan, input)?;
        run.name = old.name;
        run.deployment = old.deployment;
        run.retry_of = Some(id);
        run.trigger = trigger;
        self.store.insert_run(&run)?;
        self.submitted(&run);
        Ok(run)
    }
}
