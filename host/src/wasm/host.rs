//! The host's side of the contract with guests: `wit/`, one file per interface here as there.

mod artifacts;
mod clocks;
mod context;
mod dirs;
mod http;
pub mod log;
mod output;
mod progress;
mod refused;
mod runs;
mod signals;
mod variables;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::failure::Stop;
use super::interface::Stdio;
use super::limiter::Limiter;
use super::random::Purpose;
use super::sandbox::Job;
use crate::domain::{Artifact, DirMode, Failure, FailureKind, Kind, ProgressPart, RunId};

pub use log::Level;

/// Handles that a flow may hold at once, most of them runs.
const MAX_FLOW_HANDLES: usize = 100_000;
/// Handles that a task may hold at once. The largest that there are, HTTP requests with headers and pieces of a body,
/// are 48 KiB in the host: as much together as a guest may have of memory by default.
const MAX_TASK_HANDLES: usize = 4096;

/// Random bytes that a guest may ask for in one call: a few milliseconds of work.
const MAX_RANDOM_BYTES: u64 = 16 << 20;

wasmtime::component::bindgen!({
    path: "../wit",
    world: "guest",
    imports: {
        "tarefa:guest/runs.submit": async | trappable,
        "tarefa:guest/runs.[method]run.wait": async | trappable,
        "tarefa:guest/runs.[method]completions.next": async | trappable,
        "tarefa:guest/signals.wait": async | trappable,
        "tarefa:guest/signals.send": async | trappable,
        "tarefa:guest/variables.get": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "tarefa:guest/runs.run": runs::ChildHandle,
        "tarefa:guest/runs.completions": runs::Completions,
    },
});

/// What a guest asks for when it submits a child.
#[derive(Debug)]
pub struct Submit {
    pub entry: String,
    pub arguments: Vec<(String, Argument)>,
    /// Places of earlier children that must have completed first.
    pub waits_for: Vec<u32>,
    /// JSON text: `wit/schemas/options.json`.
    pub options: String,
}

#[derive(Debug)]
pub enum Argument {
    /// JSON text.
    Value(String),
    /// The place of the child whose output it is.
    Output(u32),
}

/// How a flow runs children; the worker implements it. Children are named by their place, counted from 0.
pub trait FlowHost: Send + Sync {
    /// Takes the next place for a child; waits while too many are unfinished.
    ///
    /// # Errors
    ///
    /// Ends the flow when it has more children than its limit allows.
    fn submit(&self, submit: Submit) -> BoxFuture<'_, Result<u32, Stop>>;

    /// The child's id, which follows from its place.
    fn child_id(&self, seq: u32) -> RunId;

    /// The child's result, once it is final and on record.
    fn wait(&self, seq: u32) -> BoxFuture<'_, Result<Arc<str>, Failure>>;

    /// The place of the child that finished as number `n`, counted from 0, once one has and is on record.
    fn nth_finished(&self, n: usize) -> BoxFuture<'_, u32>;

    /// The payload of the next signal of that name; none where none came in time.
    fn wait_for_signal<'a>(&'a self, name: &'a str, timeout_ms: Option<u64>) -> BoxFuture<'a, Option<Arc<str>>>;

    /// Sends a signal once, however often the guest is called again.
    fn send_signal<'a>(&'a self, run: &'a str, name: &'a str, payload: &'a str) -> BoxFuture<'a, Result<(), Failure>>;

    /// A variable, the same each time that the guest is called; none where there was none.
    fn variable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<Arc<str>>>;

    /// Flow time: the latest time that the flow was told of. It stands still while the guest computes.
    fn now(&self) -> Timestamp;

    /// Resolves once flow time is `until` or later; where the guest waits for several sleeps, the first of them moves it.
    fn sleep_until(&self, until: Timestamp) -> BoxFuture<'_, ()>;
}

/// Takes the signals that an attempt sends.
pub trait Outbox: Send + Sync {
    /// Sends a signal to a run; a flow names itself, its generation and the place in its journal, and sends each once.
    ///
    /// # Errors
    ///
    /// Why it was not kept, for the guest.
    fn send(&self, run: &str, name: &str, payload: &str, sender: Option<(RunId, u32, u32)>) -> Result<(), Failure>;
}

/// Knows the variables that tasks read.
pub trait Variables: Send + Sync {
    /// The JSON text of a variable's value; none where there is none of that name.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    fn variable(&self, name: &str) -> Result<Option<Arc<str>>, Failure>;
}

/// Takes the lines of an attempt's log, and what else it shows of its work.
pub trait LogSink: Send + Sync {
    fn write(&self, level: Level, message: String);

    /// How far the attempt is. Called as often as a guest likes.
    fn progress(&self, _part: ProgressPart) {}

    /// An artifact, in the place of what the run wrote under that key before.
    fn artifact(&self, _artifact: Artifact) {}
}

/// What one sandbox holds beside its memories.
pub struct HostState {
    wasi: WasiCtx,
    table: ResourceTable,
    pub limiter: Limiter,
    job: Arc<Job>,
    output: Arc<output::Shared>,
    http: http::Http,
    label: Option<String>,
    artifacts: artifacts::Written,
    refused: refused::Refused,
}

impl HostState {
    /// `stdio` is what a command is started with; its standard output is kept, not logged.
    pub fn new(job: Arc<Job>, stdio: Option<Stdio>) -> Result<HostState, Failure> {
        let output = Arc::new(output::Shared::new(job.clone(), stdio.is_some()));
        let mut wasi = WasiCtxBuilder::new();
        if let Some(Stdio { args, env, stdin }) = stdio {
            let env: Vec<_> = env.into_iter().collect();
            wasi.args(&args).envs(&env).stdin(MemoryInputPipe::new(stdin));
        }
        wasi.stdout(output::Stream::stdout(&output)).stderr(output::Stream::stderr(&output));
        let time = clocks::Time::of(&job);
        wasi.wall_clock(clocks::Wall(time.clone())).monotonic_clock(clocks::Monotonic::starting_now(time));
        wasi.secure_random(job.seed.stream(Purpose::Secure)).insecure_random(job.seed.stream(Purpose::Insecure));
        wasi.insecure_random_seed(job.seed.of_hashes());
        wasi.allow_tcp(false).allow_udp(false).max_random_size(MAX_RANDOM_BYTES);
        // Files are for tasks: a flow's execution must not depend on what it could read there.
        let dirs = if job.run.kind == Kind::Task { job.settings.dirs.as_slice() } else { &[] };
        for dir in dirs {
            let permissions = match dir.mode {
                DirMode::Ro => FsPerms::ReadOnly,
                DirMode::Rw => FsPerms::ReadWrite,
            };
            let denied = |why: String| {
                let message = format!("denied: the granted directory `{}` cannot be opened: {why}", dir.host);
                Failure::new(FailureKind::Denied, message)
            };
            let opened = dirs::GrantedDir::open(dir.host.as_ref()).map_err(|error| denied(error.to_string()))?;
            wasi.preopened_dir(opened.path(), &dir.guest, permissions)
                .map_err(|error| denied(error.root_cause().to_string()))?;
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(match job.run.kind {
            Kind::Task => MAX_TASK_HANDLES,
            Kind::Flow => MAX_FLOW_HANDLES,
        });
        let http = http::Http::new(job.clone());
        let limiter = Limiter::new(job.settings.limits.memory_bytes);
        Ok(HostState {
            wasi: wasi.build(),
            table,
            limiter,
            job,
            output,
            http,
            label: None,
            artifacts: Default::default(),
            refused: Default::default(),
        })
    }

    /// The label that the guest gave its outcome.
    pub fn take_label(&mut self) -> Option<String> {
        self.label.take()
    }

    /// Logs what stdout and stderr hold of unfinished lines.
    pub fn flush_output(&self) {
        self.output.flush();
    }

    /// What a command wrote to its standard output.
    pub fn take_stdout(&mut self) -> Vec<u8> {
        self.output.take_stdout()
    }

    /// The last that the guest wrote to stderr.
    pub fn stderr_tail(&self) -> String {
        self.output.stderr_tail()
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl tarefa::guest::types::Host for HostState {}

/// Everything that a guest may import.
pub fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    http::add_to_linker(&mut linker)?;
    // WASI's own sleeps follow the system's time alone: ours follow the clock that the rest of the host has.
    linker.allow_shadowing(true);
    clocks::add_to_linker(&mut linker)?;
    refused::add_to_linker(&mut linker)?;
    Guest::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}
