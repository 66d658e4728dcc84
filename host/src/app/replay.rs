//! Runs that are called again against their record, to see whether they come out the same.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{App, MAX_MODULE_BYTES, Plan};
use crate::domain::{Digest, Failure, FailureKind, Kind, Outcome, Run, RunId, State};
use crate::error::{Error, Result};
use crate::store::LogFilter;
use crate::wasm::Component;

/// What our own lines about an attempt begin with, which follow those of its guest.
const OURS: [&str; 2] = ["attempt ", "not retried: "];

/// What is to be replayed.
#[derive(Clone, Debug)]
pub struct ReplayOrder {
    pub run: RunId,
    /// The last one where it is not said.
    pub attempt: Option<u32>,
    /// Another component than the one that it ran with.
    pub module: Option<Vec<u8>>,
}

/// Calls guests once more.
pub trait Replayer: Send + Sync {
    /// Calls a guest against the record of its run: nothing is executed but the guest, and nothing is written.
    fn call_again(self: Arc<Self>, call: Call) -> BoxFuture<'static, Execution>;
}

/// A guest to be called once more.
pub struct Call {
    /// As it was in the attempt that is replayed.
    pub run: Run,
    pub plan: Arc<Plan>,
    pub component: Arc<Component>,
}

/// What came of an execution.
pub struct Execution {
    pub outcome: Outcome,
    /// Levels and messages.
    pub lines: Vec<(u8, String)>,
    /// Of a replay: it asked for more than is on record, and was ended.
    pub beyond: bool,
    /// Of a task's replay: the names of variables that it read.
    pub variables: Vec<String>,
}

/// A replay, held against what is on record.
pub struct Replayed {
    pub run: Run,
    /// What it was called again with.
    pub digest: Digest,
    /// What the original saw or reached that a replay does not have.
    pub live: Vec<String>,
    pub recorded: Execution,
    pub replayed: Execution,
    /// The log of the original is not on record any more.
    pub log_removed: bool,
    /// The original was ended from outside: its record says no more than how far it had come.
    pub was_cut_off: bool,
}

impl App {
    /// Calls a run that is over once more against its record: a flow sees the children, times and numbers that it saw;
    /// a task has its input and its random numbers, and no grants.
    ///
    /// # Errors
    ///
    /// `not_found`; `conflict` where the run is not over, or has no record of its own; `invalid` for a component that
    /// cannot be called so.
    pub async fn replay(&self, order: ReplayOrder, replayer: Arc<dyn Replayer>) -> Result<Replayed> {
        let run = self.run(order.run)?;
        check(&run)?;
        let (run, recorded) = self.attempt(run, order.attempt)?;
        let mut plan = self.plan(&run).map_err(|error| impossible(&run, &error.message))?;
        let mut settings = (*plan.settings).clone();
        let mut live = if run.kind == Kind::Task { live(&settings) } else { Vec::new() };
        (settings.dirs, settings.http) = (Vec::new(), Vec::new());
        plan.settings = Arc::new(settings);
        let digest = order.module.as_ref().map_or_else(|| run.digest.clone(), |wasm| Digest::of(wasm));
        let component = match order.module {
            Some(wasm) => self.other_component(&run, &plan, wasm).await?,
            None => self.wasm.load(&run.digest, plan.settings.metering).await?,
        };
        let call = Call { run: run.clone(), plan: Arc::new(plan), component };
        let replayed = replayer.call_again(call).await;
        live.extend(replayed.variables.iter().map(|name| format!("the variable `{name}`; in the replay as it is now")));
        self.wasm.forget_unregistered(&digest);
        let was_cut_off = recorded.outcome.result.as_ref().is_err_and(|failure| !failure.kind.is_of_the_guest())
            && recorded.outcome.result != replayed.outcome.result;
        let log_removed = run.started_at < self.store.logs_pruned_at(run.root_id)?;
        Ok(Replayed { log_removed, run, digest, live, recorded, replayed, was_cut_off })
    }

    async fn other_component(&self, run: &Run, plan: &Plan, wasm: Vec<u8>) -> Result<Arc<Component>> {
        if wasm.len() > MAX_MODULE_BYTES {
            let message = format!("the module has {} bytes and the limit is {MAX_MODULE_BYTES}", wasm.len());
            return Err(Error::too_large(message));
        }
        let (component, description) = self.wasm.try_out(&wasm, &self.config.caps, plan.settings.metering).await?;
        match description.entries.iter().find(|entry| *entry.name == *run.entry) {
            Some(entry) if entry.kind == run.kind => Ok(component),
            _ => {
                self.wasm.forget_unregistered(&Digest::of(&wasm));
                Err(Error::invalid(format!("the module has no {} `{}`", run.kind.as_str(), run.entry)))
            }
        }
    }

    /// A run as it was in one of its attempts, and what that came to.
    fn attempt(&self, mut run: Run, number: Option<u32>) -> Result<(Run, Execution)> {
        let number = number.unwrap_or(run.attempt);
        let mut outcome = Outcome {
            result: match (&run.result, &run.failure) {
                (Some(result), _) => Ok(result.clone()),
                (None, Some(failure)) => Err(Failure::clone(failure)),
                (None, None) => Err(Failure::new(FailureKind::Cancelled, "cancelled")),
            },
            label: run.label.as_deref().map(str::to_owned),
            usage: run.usage,
            children: None,
        };
        if number != run.attempt {
            let attempts = self.store.attempts(run.id)?;
            let attempt = attempts.into_iter().find(|attempt| attempt.number == number).ok_or_else(|| {
                Error::not_found(format!("run `{}` has no attempt {number}; the last is {}", run.id, run.attempt))
            })?;
            outcome = Outcome::failed(attempt.failure.unwrap_or(Failure::new(FailureKind::Cancelled, "cancelled")));
            outcome.usage = attempt.usage;
            run.attempt = number;
            run.started_at = Some(attempt.started_at);
            if run.kind == Kind::Flow {
                run.generation = number;
                run.reuse_from = if run.reuse_from > number { 1 } else { run.reuse_from };
            }
        }
        let all = LogFilter { after: 0, level: 0, limit: i64::MAX as usize };
        let lines = self.store.own_logs(run.id, all)?;
        let own = lines.into_iter().filter(|line| line.attempt == number);
        let mut lines: Vec<_> = own.map(|line| (line.level, line.message)).collect();
        let is_ours = |(_, message): &(u8, String)| OURS.iter().any(|ours| message.starts_with(ours));
        if outcome.result.is_err() && lines.last().is_some_and(is_ours) {
            lines.pop();
        }
        Ok((run, Execution { outcome, lines, beyond: false, variables: Vec::new() }))
    }
}

impl Replayed {
    pub fn is_other_module(&self) -> bool {
        self.digest != self.run.digest
    }

    /// The first call of a flow that is not the recorded one.
    pub fn difference(&self) -> Option<&str> {
        let failure = self.replayed.outcome.result.as_ref().err()?;
        let differs = self.recorded.outcome.result != self.replayed.outcome.result;
        // Where the original was ended, whatever it would have done next is beyond its record.
        let is_known = self.replayed.beyond && self.was_cut_off;
        (failure.kind == FailureKind::Nondeterministic && differs && !is_known).then_some(&failure.message)
    }

    pub fn same_outcome(&self) -> bool {
        let (recorded, replayed) = (&self.recorded.outcome, &self.replayed.outcome);
        self.was_cut_off && self.difference().is_none()
            || recorded.result == replayed.result && recorded.label == replayed.label
    }

    /// The place of the first line of the log that is not the recorded one, from 0.
    pub fn differing_line(&self) -> Option<usize> {
        if self.log_removed {
            return None;
        }
        let (recorded, replayed) = (&self.recorded.lines, &self.replayed.lines);
        let first = recorded.iter().zip(replayed).position(|(recorded, replayed)| recorded != replayed);
        let shorter = recorded.len().min(replayed.len());
        let all = if self.was_cut_off { recorded.len() } else { recorded.len().max(replayed.len()) };
        first.or((shorter < all).then_some(shorter))
    }

    /// Other code needs another amount, and what was ended from outside needed less.
    pub fn same_fuel(&self) -> bool {
        let fuel = |execution: &Execution| execution.outcome.usage.fuel;
        self.was_cut_off || fuel(&self.recorded) == fuel(&self.replayed)
    }

    /// Whether it came out the same; with another module, whether that would have gone on from the record.
    pub fn is_same(&self) -> bool {
        match (self.is_other_module(), self.run.kind) {
            (true, Kind::Flow) => self.difference().is_none(),
            (true, Kind::Task) => self.same_outcome(),
            (false, _) => self.same_outcome() && self.differing_line().is_none() && self.same_fuel(),
        }
    }
}

fn check(run: &Run) -> Result<()> {
    if !run.state.is_final() {
        let message = format!("run `{}` is {}; wait for its end or cancel it first", run.id, run.state.as_str());
        return Err(Error::conflict(message));
    }
    if let Some(origin) = run.reused_from {
        return Err(impossible(run, &format!("it has the result of run `{origin}`; replay that one")));
    }
    if run.attempt == 0 || run.started_at.is_none() {
        let why = if run.state == State::Cancelled { "it was cancelled before it began" } else { "it never began" };
        return Err(impossible(run, why));
    }
    if run.kind == Kind::Flow && !run.durable {
        return Err(impossible(run, "its flow keeps no journal (`durable = false`)"));
    }
    Ok(())
}

fn impossible(run: &Run, why: &str) -> Error {
    Error::conflict(format!("run `{}` cannot be replayed: {why}", run.id))
}

/// What a task sees or reaches beside its input and its random numbers.
fn live(settings: &crate::domain::Settings) -> Vec<String> {
    let clocks = "the clocks; in the replay they stand at the attempt's start, and move by its sleeps".to_owned();
    let dirs = settings.dirs.iter().map(|dir| format!("the directory `{}`; not in the replay", dir.guest));
    let hosts = settings.http.iter().map(|grant| format!("the host `{}`; not in the replay", grant.host));
    std::iter::once(clocks).chain(dirs).chain(hosts).collect()
}
