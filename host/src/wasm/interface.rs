//! What a component is called through: our contract, a command's `run`, or the functions that it happens to export.

mod command;
mod functions;
mod schema;
mod value;

use std::sync::Arc;

use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Engine, Store};
use wasmtime_wasi::p2::bindings::{Command, CommandPre};

use super::failure::classify;
use super::host::{self, GuestPre, HostState};
use super::sandbox::Job;
use crate::domain::{Description, Failure, FailureKind};
use functions::Functions;

pub use command::Stdio;

/// Both look for any version that is compatible with the one named.
const CONTRACT: &str = "tarefa:guest/module@0.1.0";
const COMMAND: &str = "wasi:cli/run@0.2.0";
/// What is exported under this name is meant for us.
const OURS: &str = "tarefa:guest/";

/// A linked component, ready for fresh instances.
#[derive(Clone)]
pub(super) enum Linkage {
    Module(GuestPre<HostState>),
    Command(CommandPre<HostState>),
    Functions(InstancePre<HostState>, Arc<Functions>),
}

/// An instance in its sandbox.
pub(super) enum Guest {
    Module(host::Guest),
    Command(Command),
    Functions(Instance, Arc<Functions>),
}

impl Linkage {
    /// # Errors
    ///
    /// Says why nothing in the component can be called.
    pub(super) fn of(pre: InstancePre<HostState>) -> wasmtime::Result<Linkage> {
        let component = pre.component();
        if component.get_export_index(None, CONTRACT).is_some() {
            return Ok(Linkage::Module(GuestPre::new(pre)?));
        }
        let engine = component.engine();
        if component.component_type().exports(engine).any(|(name, _)| name.starts_with(OURS)) {
            wasmtime::bail!("the component exports what is not of this version of the contract, `{CONTRACT}`");
        }
        if component.get_export_index(None, COMMAND).is_some() {
            return Ok(Linkage::Command(CommandPre::new(pre)?));
        }
        let functions = Functions::of(component).map_err(wasmtime::Error::msg)?;
        Ok(Linkage::Functions(pre, Arc::new(functions)))
    }

    /// What the component's types say of it; none where only the component itself can tell.
    pub(super) fn description(&self) -> Option<Description> {
        match self {
            Linkage::Module(_) => None,
            Linkage::Command(_) => Some(command::description()),
            Linkage::Functions(_, functions) => Some(functions.description()),
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        match self {
            Linkage::Module(pre) => pre.engine(),
            Linkage::Command(pre) => pre.engine(),
            Linkage::Functions(pre, _) => pre.component().engine(),
        }
    }

    /// Arguments, environment and standard input of an attempt, where the component takes them.
    ///
    /// # Errors
    ///
    /// Where the input is not what a command takes.
    pub(super) fn stdio(&self, job: &Job) -> Result<Option<Stdio>, Failure> {
        match self {
            Linkage::Command(_) => Stdio::of(&job.run).map(Some),
            Linkage::Module(_) | Linkage::Functions(..) => Ok(None),
        }
    }

    pub(super) async fn instantiate(&self, store: &mut Store<HostState>) -> wasmtime::Result<Guest> {
        Ok(match self {
            Linkage::Module(pre) => Guest::Module(pre.instantiate_async(store).await?),
            Linkage::Command(pre) => Guest::Command(pre.instantiate_async(store).await?),
            Linkage::Functions(pre, functions) => {
                Guest::Functions(pre.instantiate_async(store).await?, functions.clone())
            }
        })
    }
}

impl Guest {
    /// Runs the entry of `job`. An error is a trap, or a host function that ended the attempt.
    pub(super) async fn call(
        &self,
        store: &mut Store<HostState>,
        job: &Job,
    ) -> wasmtime::Result<Result<String, Failure>> {
        match self {
            Guest::Module(guest) => {
                let input = job.run.input.as_ref().to_owned();
                let result = guest.tarefa_guest_module().call_call(store, &job.run.entry, &input).await?;
                Ok(result.map_err(task_error))
            }
            Guest::Command(guest) => command::call(guest, store).await,
            Guest::Functions(instance, functions) => functions.call(instance, store, job).await,
        }
    }

    /// What a module says of itself.
    pub(super) async fn describe(&self, store: &mut Store<HostState>, job: &Job) -> Result<String, Failure> {
        let Guest::Module(guest) = self else {
            return Err(Failure::new(FailureKind::Internal, "only a module says of itself what it offers"));
        };
        let described = guest.tarefa_guest_module().call_describe(&mut *store).await;
        described.map_err(|error| classify(&error, &job.settings.limits, &store.data().stderr_tail()))
    }
}

/// What the entry returned as its error. It may pass on what ended a child of its own, but cannot blame us.
fn task_error(error: host::exports::tarefa::guest::module::TaskError) -> Failure {
    let kind = FailureKind::parse(&error.kind).filter(|kind| !kind.is_ours() && *kind != FailureKind::Cancelled);
    let details = error.details.and_then(|details| serde_json::from_str(&details).ok());
    let kind = kind.unwrap_or(FailureKind::TaskError);
    Failure { kind, message: error.message, details, retryable: error.retryable }
}
