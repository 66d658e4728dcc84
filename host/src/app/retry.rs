//! Runs that did not complete, tried again.

use serde_json::{Map, Value};

use super::App;
use super::submit::frozen;
use crate::domain::retry::would_come_out_the_same;
use crate::domain::{Kind, Run, RunId, State};
use crate::error::{Error, Result};
use crate::store::Again;

/// How a run is to be tried again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retry {
    /// A flow's children that completed run again, too.
    pub from_start: bool,
    /// With the newest version of its module.
    pub newest: bool,
}

impl App {
    /// Schedules the next attempt of a run that is final and did not complete; of a flow's child, that of the run at the
    /// top. A flow takes over what completed. What it is granted must still be allowed. Returns the run that is tried
    /// again.
    ///
    /// # Errors
    ///
    /// `not_found`; `conflict` where it completed, is not over, cannot be carried out any more, or would come out the
    /// same; `forbidden` for its grants.
    pub fn retry(&self, id: RunId, how: Retry) -> Result<Run> {
        let asked = self.run(id)?;
        let run = if asked.parent.is_some() { self.run(asked.root_id)? } else { asked.clone() };
        check_state(&asked, &run)?;
        let top = run.id;
        let impossible = |why: String| Error::conflict(format!("run `{top}` cannot be retried: {why}"));
        let old_plan = self.plan(&run).map_err(|error| impossible(error.message))?;
        let version = match how.newest {
            true => self.find_version(&run.module, None)?,
            false => old_plan.version.clone(),
        };
        let same_code = version.id == run.version;
        let is_durable_flow = run.kind == Kind::Flow && run.durable;
        let comes_out_the_same =
            would_come_out_the_same(is_durable_flow, run.failure.as_deref(), run.children.as_deref());
        if same_code && !how.from_start && comes_out_the_same && !self.store.has_read_otherwise(top, run.generation)? {
            return Err(impossible(
                "every run that it submitted completed, so that the same code would fail again; retry it with `from_start`, \
                 or with `module: \"newest\"` once the code is mended"
                    .to_owned(),
            ));
        }
        let index = version.find(&run.entry).map_err(&impossible)?;
        let plan = self.allowed_plan(version, index, frozen(&old_plan))?;
        let input: Map<String, Value> = serde_json::from_str(&run.input).map_err(anyhow::Error::from)?;
        plan.schema().complete(input).map_err(impossible)?;
        let again = Again { version: plan.version.id, from_start: how.from_start, reason: reason(&asked, how, &plan) };
        if !self.store.retry(top, &again, self.clock.now())? {
            return Err(Error::conflict(format!("run `{top}` was retried or deleted by somebody else meanwhile")));
        }
        self.events.run_is_due(run.kind);
        self.run(top)
    }
}

fn check_state(asked: &Run, top: &Run) -> Result<()> {
    let id = asked.id;
    if asked.state == State::Completed {
        return Err(Error::conflict(format!("run `{id}` completed; submit it anew to run it again")));
    }
    let what = match asked.parent {
        None => format!("run `{id}`"),
        Some(_) => format!("run `{id}` is a part of run `{}`, which", top.id),
    };
    match top.state {
        State::Failed | State::Crashed | State::Cancelled => Ok(()),
        State::Completed => Err(Error::conflict(format!("{what} completed; submit it anew to run it again"))),
        state => {
            let message = format!("{what} is {}; wait for its end or cancel it first", state.as_str());
            Err(Error::conflict(message))
        }
    }
}

fn reason(asked: &Run, how: Retry, plan: &super::Plan) -> String {
    let mut reason = "retried by request".to_owned();
    if asked.parent.is_some() {
        reason.push_str(&format!(" for run `{}`", asked.id));
    }
    if how.from_start {
        reason.push_str(", from the start");
    }
    if how.newest {
        reason.push_str(&format!(", with version {}", &plan.version.module.digest.as_str()[..12]));
    }
    reason
}
