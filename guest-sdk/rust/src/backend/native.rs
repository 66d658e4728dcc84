//! No host: runs are made at once, in this thread. What happened can be read back through [`crate::testing`].

use std::borrow::{Borrow, Cow};
use std::hash::{BuildHasher, Hasher};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::argument::{Argument, Source};
use crate::log::Level;
use crate::testing::{LogLine, STATE, Submitted};
use crate::{Entry, Kind, Result, TaskError};

pub(crate) type Handle = Rc<NativeRun>;

pub(crate) struct NativeRun {
    id: String,
    entry: String,
    result: Result<String>,
}

pub(crate) struct Target {
    name: Cow<'static, str>,
    call: Option<fn(&str) -> Result<String>>,
}

impl Target {
    pub(crate) fn of<E: Entry>() -> Self {
        Self { name: E::NAME.into(), call: Some(E::call) }
    }

    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned().into(), call: None }
    }
}

pub(crate) fn enter(_: Kind) {}

/// Without a host, calling an entry is calling its function.
pub fn in_flow() -> bool {
    false
}

pub(crate) fn submit(
    target: Target,
    arguments: &[(impl Borrow<str>, Argument)],
    waits_for: &[Handle],
    options: &str,
) -> Handle {
    let entry = target.name.to_string();
    let number = STATE.with_borrow_mut(|state| {
        state.n_runs += 1;
        state.n_runs
    });
    let result = input(arguments, waits_for).and_then(|input| {
        let (name, text) = (entry.clone(), Value::Object(input.clone()).to_string());
        let options = serde_json::from_str(options).unwrap_or_default();
        let submitted = Submitted { entry: name, input: Value::Object(input.clone()), options };
        STATE.with_borrow_mut(|state| state.submitted.push(submitted));
        match (target.call, STATE.with_borrow(|state| state.entries.get(&entry).cloned())) {
            (_, Some(double)) => double(Value::Object(input)).map(|value| value.to_string()),
            (Some(call), None) => call(&text),
            (None, None) => {
                let help = format!("no entry `{entry}` here; give it one with `testing::set_entry`");
                Err(TaskError::of_kind("missing_entry", help))
            }
        }
    });
    Rc::new(NativeRun { id: format!("00000000-0000-8000-8000-{number:012x}"), entry, result })
}

/// The arguments as one object, or the failure of a run that they depend on.
fn input(arguments: &[(impl Borrow<str>, Argument)], waits_for: &[Handle]) -> Result<Map<String, Value>> {
    waits_for.iter().try_for_each(|run| upstream(run).map(|_| ()))?;
    let mut input = Map::new();
    for (name, argument) in arguments {
        let json = match &argument.0 {
            Source::Json(json) => json,
            Source::Output(run) => upstream(run)?,
        };
        input.insert(name.borrow().to_owned(), serde_json::from_str(json)?);
    }
    Ok(input)
}

fn upstream(run: &Handle) -> Result<&String> {
    run.result.as_ref().map_err(|error| {
        TaskError::of_kind("upstream_failed", format!("the upstream run of `{}` failed: {error}", run.entry))
    })
}

pub(crate) fn id(run: &Handle) -> String {
    run.id.clone()
}

pub(crate) fn wait(run: &Handle) -> Result<String> {
    run.result.clone()
}

/// Runs finish in the order in which they were submitted.
pub(crate) struct Completions(std::ops::Range<usize>);

impl Completions {
    pub(crate) fn new(runs: &[&Handle]) -> Self {
        Self(0..runs.len())
    }

    pub(crate) fn next(&mut self) -> Option<usize> {
        self.0.next()
    }
}

pub(crate) fn current() -> String {
    let context = STATE.with_borrow(|state| state.context.clone());
    serde_json::to_string(&context).unwrap_or_default()
}

pub(crate) fn set_label(label: &str) {
    STATE.with_borrow_mut(|state| state.label = Some(label.to_owned()));
}

/// What [`crate::testing::send_signal`] left; else the time is up at once.
pub(crate) fn wait_for_signal(name: &str, timeout_ms: Option<u64>) -> Option<String> {
    let kept = STATE.with_borrow_mut(|state| {
        let at = state.signals.iter().position(|(kept, _)| kept == name)?;
        state.signals.remove(at).map(|(_, payload)| payload.to_string())
    });
    assert!(kept.is_some() || timeout_ms.is_some(), "no signal `{name}` comes; give one with `testing::send_signal`");
    kept
}

pub(crate) fn send_signal(run_id: &str, name: &str, payload: &str) -> Result<()> {
    let payload = serde_json::from_str(payload)?;
    STATE.with_borrow_mut(|state| state.signals_sent.push((run_id.to_owned(), name.to_owned(), payload)));
    Ok(())
}

pub(crate) fn set_progress(done: u64, total: u64) {
    STATE.with_borrow_mut(|state| state.progress.0 = Some((done, total)));
}

pub(crate) fn set_progress_text(text: &str) {
    STATE.with_borrow_mut(|state| state.progress.1 = Some(text.to_owned()));
}

pub(crate) fn write_artifact(key: &str, artifact: &str) -> Result<()> {
    let artifact = serde_json::from_str(artifact)?;
    STATE.with_borrow_mut(|state| state.artifacts.push((key.to_owned(), artifact)));
    Ok(())
}

pub(crate) fn variable(name: &str) -> Option<String> {
    STATE.with_borrow(|state| state.variables.get(name).map(Value::to_string))
}

pub(crate) fn sleep(duration: Duration) {
    STATE.with_borrow_mut(|state| state.sleeps.push(duration));
}

pub(crate) fn write(level: Level, message: &str) {
    eprintln!("{level:?} {message}");
    STATE.with_borrow_mut(|state| state.logs.push(LogLine { level, message: message.to_owned() }));
}

/// What [`crate::testing::set_random`] left, then random numbers.
pub(crate) fn random_bits() -> u64 {
    let scripted = STATE.with_borrow_mut(|state| state.random.pop_front());
    match scripted {
        Some(share) => (share.clamp(0.0, 1.0) * u64::MAX as f64) as u64,
        None => std::hash::RandomState::new().build_hasher().finish(),
    }
}
