//! The host behind the contract: what runs in a sandbox.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hasher};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::argument::{Argument, Source};
use crate::log::Level;
use crate::{Entry, Kind, TaskError};

use bindings::tarefa::guest::{artifacts, context, log, progress, runs, signals, types, variables};

pub use bindings::export_guest;

/// What wit-bindgen generates from `wit/`.
#[allow(unsafe_code, unreachable_pub, missing_docs, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        world: "guest",
        path: "../../wit",
        ownership: Borrowing { duplicate_if_necessary: false },
        pub_export_macro: true,
        export_macro_name: "export_guest",
        default_bindings_module: "tarefa_sdk::__private::bindings",
    });
}

pub(crate) type Handle = Rc<runs::Run>;

/// The entry to run: the host finds it by its name.
pub(crate) struct Target(std::borrow::Cow<'static, str>);

impl Target {
    pub(crate) fn of<E: Entry>() -> Self {
        Self(E::NAME.into())
    }

    pub(crate) fn named(name: &str) -> Self {
        Self(name.to_owned().into())
    }
}

/// Whether the entry that the host called is a flow: then calls of entries are runs of their own.
static IN_FLOW: AtomicBool = AtomicBool::new(false);

pub(crate) fn enter(kind: Kind) {
    IN_FLOW.store(kind == Kind::Flow, Ordering::Relaxed);
}

pub fn in_flow() -> bool {
    IN_FLOW.load(Ordering::Relaxed)
}

pub(crate) fn submit(
    target: Target,
    arguments: &[(impl Borrow<str>, Argument)],
    waits_for: &[Handle],
    options: &str,
) -> Handle {
    let arguments: Vec<_> = arguments.iter().map(|(name, argument)| (name.borrow(), lower(argument))).collect();
    let waits_for: Vec<_> = waits_for.iter().map(Rc::as_ref).collect();
    Rc::new(runs::submit(&target.0, &arguments, &waits_for, options))
}

fn lower(argument: &Argument) -> runs::Argument<'_> {
    match &argument.0 {
        Source::Json(json) => runs::Argument::Value(json),
        Source::Output(run) => runs::Argument::Output(run),
    }
}

pub(crate) fn id(run: &Handle) -> String {
    run.id()
}

pub(crate) fn wait(run: &Handle) -> Result<String, TaskError> {
    run.wait().map_err(lift)
}

pub(crate) struct Completions(runs::Completions);

impl Completions {
    pub(crate) fn new(runs: &[&Handle]) -> Self {
        let runs: Vec<_> = runs.iter().map(|run| run.as_ref()).collect();
        Self(runs::Completions::new(&runs))
    }

    pub(crate) fn next(&mut self) -> Option<usize> {
        self.0.next().map(|index| index as usize)
    }
}

pub(crate) fn current() -> String {
    context::current()
}

pub(crate) fn set_label(label: &str) {
    context::set_label(label);
}

pub(crate) fn wait_for_signal(name: &str, timeout_ms: Option<u64>) -> Option<String> {
    signals::wait(name, timeout_ms)
}

pub(crate) fn send_signal(run_id: &str, name: &str, payload: &str) -> Result<(), TaskError> {
    signals::send(run_id, name, payload).map_err(lift)
}

pub(crate) fn set_progress(done: u64, total: u64) {
    progress::set(done, total);
}

pub(crate) fn set_progress_text(text: &str) {
    progress::set_text(text);
}

pub(crate) fn write_artifact(key: &str, artifact: &str) -> Result<(), TaskError> {
    artifacts::write(key, artifact).map_err(lift)
}

pub(crate) fn variable(name: &str) -> Option<String> {
    variables::get(name)
}

pub(crate) fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

pub(crate) fn write(level: Level, message: &str) {
    let level = match level {
        Level::Trace => log::Level::Trace,
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    };
    log::write(level, message);
}

/// The standard library seeds its hashers from WASI's random numbers, and each further one differs.
pub(crate) fn random_bits() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

/// Has panics written to stderr in one form, whatever the version of the standard library: the place on one line,
/// the message on the next. The host reads the end of stderr when a guest traps.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("a panic without a message");
        match panic.location() {
            Some(place) => eprintln!("panicked at {place}:\n{message}"),
            None => eprintln!("panicked:\n{message}"),
        }
    }));
}

/// No `From`: the contract's record is a standard error, which any `TaskError` can be made from, without its kind.
fn lift(error: types::TaskError) -> TaskError {
    let details = error.details.and_then(|json| serde_json::from_str(&json).ok());
    TaskError::from_parts(error.kind, error.message, error.retryable, details)
}

impl From<TaskError> for types::TaskError {
    fn from(error: TaskError) -> Self {
        Self {
            kind: error.kind().to_owned(),
            message: error.message().to_owned(),
            retryable: error.is_retryable(),
            details: error.details().map(ToString::to_string),
        }
    }
}
