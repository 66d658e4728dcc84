//! `tarefa:guest/runs`.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::component::Resource;

use super::tarefa::guest::runs::{self, Json, TaskError};
use super::{Argument, FlowHost, HostState, Stop, Submit};
use crate::domain::{Failure, FailureKind};

/// A guest's handle on a child; its number is the child's place, so that there is nothing to keep.
pub enum ChildHandle {}

/// Walks the order in which the flow's children finish, and yields those that the guest named.
pub struct Completions {
    /// Indexes in the guest's list, by the child's place.
    wanted: HashMap<u32, Vec<u32>>,
    /// Indexes of finished children that are still to be yielded: more than one where a run was named twice.
    ready: Vec<u32>,
    /// How many of the flow's finished children were looked at.
    seen: usize,
}

impl HostState {
    fn flow(&self) -> wasmtime::Result<Arc<dyn FlowHost>> {
        self.job.flow.clone().ok_or_else(|| {
            let message = format!("denied: the task `{}` submitted a run; only flows may", self.job.run.entry);
            Stop::because(FailureKind::Denied, message)
        })
    }
}

impl runs::Host for HostState {
    async fn submit(
        &mut self,
        entry: String,
        arguments: Vec<(String, runs::Argument)>,
        waits_for: Vec<Resource<ChildHandle>>,
        options: Json,
    ) -> wasmtime::Result<Resource<ChildHandle>> {
        let arguments = arguments
            .into_iter()
            .map(|(name, argument)| match argument {
                runs::Argument::Value(json) => (name, Argument::Value(json)),
                runs::Argument::Output(run) => (name, Argument::Output(run.rep())),
            })
            .collect();
        let waits_for = waits_for.into_iter().map(|run| run.rep()).collect();
        let seq = self.flow()?.submit(Submit { entry, arguments, waits_for, options }).await?;
        Ok(Resource::new_own(seq))
    }
}

impl runs::HostRun for HostState {
    fn id(&mut self, run: Resource<ChildHandle>) -> wasmtime::Result<String> {
        Ok(self.flow()?.child_id(run.rep()).to_string())
    }

    async fn wait(&mut self, run: Resource<ChildHandle>) -> wasmtime::Result<Result<Json, TaskError>> {
        let result = self.flow()?.wait(run.rep()).await;
        Ok(result.map(|json| json.as_ref().to_owned()).map_err(task_error))
    }

    fn drop(&mut self, _run: Resource<ChildHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl runs::HostCompletions for HostState {
    fn new(&mut self, runs: Vec<Resource<ChildHandle>>) -> wasmtime::Result<Resource<Completions>> {
        let mut wanted: HashMap<u32, Vec<u32>> = HashMap::with_capacity(runs.len());
        for (run, index) in runs.iter().zip(0..) {
            wanted.entry(run.rep()).or_default().push(index);
        }
        Ok(self.table.push(Completions { wanted, ready: Vec::new(), seen: 0 })?)
    }

    async fn next(&mut self, completions: Resource<Completions>) -> wasmtime::Result<Option<u32>> {
        let flow = self.flow()?;
        let completions = self.table.get_mut(&completions)?;
        while completions.ready.is_empty() && !completions.wanted.is_empty() {
            let seq = flow.nth_finished(completions.seen).await;
            completions.seen += 1;
            completions.ready = completions.wanted.remove(&seq).unwrap_or_default();
            completions.ready.reverse();
        }
        Ok(completions.ready.pop())
    }

    fn drop(&mut self, completions: Resource<Completions>) -> wasmtime::Result<()> {
        self.table.delete(completions)?;
        Ok(())
    }
}

/// A child's failure as the flow sees it.
pub(super) fn task_error(failure: Failure) -> TaskError {
    TaskError {
        kind: failure.kind.name(),
        retryable: failure.may_be_retried(),
        message: failure.message,
        details: failure.details.map(|details| details.to_string()),
    }
}
