//! Calls that are not submitted yet, and what they can be given.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::argument::{Argument, json};
use crate::backend::{self, Handle, Target};
use crate::{Entry, Result, Run};

/// The options of a call that has none.
const NO_OPTIONS: &str = "{}";

/// Submits a run of an entry of this module.
pub fn submit<E: Entry, const N: usize>(arguments: [(&'static str, Argument); N]) -> Run<E::Output> {
    Run::new(backend::submit(Target::of::<E>(), &arguments, &[], NO_OPTIONS))
}

/// A call of an entry of this module, with options to come.
pub fn call<E: Entry, const N: usize>(arguments: [(&'static str, Argument); N]) -> Call<E::Output> {
    let arguments = arguments.into_iter().map(|(name, argument)| (name.into(), argument)).collect();
    Call::new(Target::of::<E>(), arguments)
}

/// Submits a run of any entry: a name of this module, or `module/entry` of another one.
///
/// ```no_run
/// # use tarefa_sdk::prelude::*;
/// let run = submit_by_name("sales/load", json!({ "day": "2026-01-31" }));
/// let loaded: Value = run.wait()?;
/// # Ok::<_, TaskError>(())
/// ```
///
/// # Panics
/// When `parameters` is not an object (or `null`, for none).
pub fn submit_by_name(entry: &str, parameters: impl Serialize) -> Run<Value> {
    let parameters = serde_json::to_value(parameters).unwrap_or_else(|error| panic!("no JSON: {error}"));
    let mut call = call_by_name(entry);
    match parameters {
        Value::Null => {}
        Value::Object(members) => {
            for (name, value) in members {
                call = call.value(name, value);
            }
        }
        other => panic!("the parameters of `{entry}` must be a JSON object, found `{other}`"),
    }
    call.submit()
}

/// A call of any entry, with arguments and options to come.
pub fn call_by_name(entry: &str) -> Call<Value> {
    Call::new(Target::named(entry), Vec::new())
}

/// A call that is not submitted yet.
///
/// ```
/// # use tarefa_sdk::prelude::*;
/// # #[task] fn prepare() {}
/// # #[task] fn process(id: u32) -> u32 { id }
/// let first = prepare::submit();
/// let run = process::call(4).name("the fourth").retries(Retries::new(2)).waits_for(&first).submit();
/// assert_eq!(run.wait()?, 4);
/// # Ok::<_, TaskError>(())
/// ```
#[must_use = "a call does nothing until it is submitted"]
pub struct Call<T> {
    target: Target,
    arguments: Vec<(Cow<'static, str>, Argument)>,
    waits_for: Vec<Handle>,
    options: Options,
    result: std::marker::PhantomData<fn() -> T>,
}

impl<T> Call<T> {
    fn new(target: Target, arguments: Vec<(Cow<'static, str>, Argument)>) -> Self {
        let (waits_for, options) = (Vec::new(), Options::default());
        Self { target, arguments, waits_for, options, result: std::marker::PhantomData }
    }

    /// The run's name, in place of the one its template gives.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// Retries in place of the entry's own.
    pub fn retries(mut self, retries: Retries) -> Self {
        self.options.retries = Some(retries);
        self
    }

    /// Limits in place of the entry's own; those not given stay.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = Some(limits);
        self
    }

    /// Tags of the run.
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.options.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// Starts only when `run` has completed, without passing data. May be given several times.
    pub fn waits_for<U>(mut self, run: &Run<U>) -> Self {
        self.waits_for.push(run.handle());
        self
    }

    /// Starts only when all of `runs` have completed.
    pub fn waits_for_all<'a, U: 'a>(mut self, runs: impl IntoIterator<Item = &'a Run<U>>) -> Self {
        self.waits_for.extend(runs.into_iter().map(Run::handle));
        self
    }

    /// One more argument, for calls by name.
    pub fn value(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.arguments.push((Cow::Owned(name.into()), json(&value)));
        self
    }

    /// One more argument, for calls by name: the result of `run`.
    pub fn output<U>(mut self, name: impl Into<String>, run: &Run<U>) -> Self {
        self.arguments.push((Cow::Owned(name.into()), Argument(crate::argument::Source::Output(run.handle()))));
        self
    }

    /// Submits the run and returns at once.
    pub fn submit(self) -> Run<T> {
        let options = serde_json::to_string(&self.options).unwrap_or_else(|_| NO_OPTIONS.to_owned());
        Run::new(backend::submit(self.target, &self.arguments, &self.waits_for, &options))
    }

    /// Submits the run and waits for its result.
    ///
    /// # Errors
    /// As [`Run::wait`].
    pub fn run(self) -> Result<T>
    where
        T: DeserializeOwned,
    {
        self.submit().wait()
    }
}

/// As `wit/schemas/options.json` has it.
#[derive(Default, Serialize)]
struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<Retries>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
}

/// When a failed run is tried again.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Retries {
    max: u32,
    #[serde(rename = "delay_ms", skip_serializing_if = "Vec::is_empty", serialize_with = "delays")]
    delays: Vec<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff: Option<&'static str>,
    #[serde(rename = "max_delay_ms", skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
    max_delay: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<f64>,
}

impl Retries {
    /// At most `max` attempts after the first.
    pub fn new(max: u32) -> Self {
        Self { max, ..Self::default() }
    }

    /// The wait before each retry.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.delays([delay])
    }

    /// One wait for each retry; the last repeats.
    #[must_use]
    pub fn delays(mut self, delays: impl IntoIterator<Item = Duration>) -> Self {
        self.delays = delays.into_iter().collect();
        self
    }

    /// Doubles the wait with each retry, up to `max_delay`.
    #[must_use]
    pub fn exponential(mut self, max_delay: Duration) -> Self {
        self.backoff = Some("exponential");
        self.max_delay = Some(max_delay);
        self
    }

    /// Draws each wait from delay × \[1 − share, 1 + share\].
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = Some(share);
        self
    }
}

/// Limits of one attempt.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Limits {
    /// Units of computation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Bytes, summed over all memories.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Wall time.
    #[serde(rename = "timeout_ms", skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
    pub timeout: Option<Duration>,
    /// Bytes of the result as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// Bytes of log lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<u64>,
    /// Runs that a flow may submit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub children: Option<u32>,
}

/// Whole milliseconds; a year is far below what `u64` holds.
fn as_ms(duration: &Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn milliseconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    duration.as_ref().map(as_ms).serialize(serializer)
}

/// One delay is a number, several are a list.
fn delays<S: Serializer>(delays: &[Duration], serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match delays {
        [one] => serializer.serialize_u64(as_ms(one)),
        many => serializer.collect_seq(many.iter().map(as_ms)),
    }
}
