//! Test doubles for `cargo test`, where there is no host.
//!
//! A call runs the function and `submit` runs it at once, arguments and results passing through JSON as they do
//! between sandboxes. Nothing is retried and no limit applies. All state belongs to the thread, as tests do.
//!
//! ```
//! use tarefa_sdk::{prelude::*, testing};
//!
//! #[task]
//! fn wait_a_bit() -> u32 {
//!     sleep(std::time::Duration::from_secs(60));
//!     info!("attempt {}", context().attempt);
//!     context().attempt
//! }
//!
//! testing::set_context(|context| context.attempt = 2);
//! assert_eq!(wait_a_bit().unwrap(), 2);
//! assert_eq!(testing::sleeps(), [std::time::Duration::from_secs(60)]);
//! assert_eq!(testing::logs()[0].message, "attempt 2");
//! ```

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

pub use crate::log::Level;
use crate::{Context, Result};

type Double = Rc<dyn Fn(Value) -> Result<Value>>;
#[cfg(feature = "http")]
type HttpDouble = Rc<dyn Fn(&crate::http::Request) -> Result<crate::http::Response>>;

thread_local! {
    pub(crate) static STATE: RefCell<State> = RefCell::new(State::default());
}

pub(crate) struct State {
    pub(crate) context: Context,
    pub(crate) label: Option<String>,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) sleeps: Vec<Duration>,
    pub(crate) submitted: Vec<Submitted>,
    pub(crate) entries: HashMap<String, Double>,
    #[cfg(feature = "http")]
    pub(crate) http: Option<HttpDouble>,
    pub(crate) random: VecDeque<f64>,
    pub(crate) signals: VecDeque<(String, Value)>,
    pub(crate) signals_sent: Vec<(String, String, Value)>,
    pub(crate) n_runs: u64,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub level: Level,
    pub message: String,
}

/// A run that was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The entry as the code named it.
    pub entry: String,
    /// The parameters, results of other runs filled in.
    pub input: Value,
    /// What [`Call`](crate::Call) was given: name, retries, limits, tags.
    pub options: Value,
}

/// Changes what [`context`](crate::context) returns.
pub fn set_context(change: impl FnOnce(&mut Context)) {
    STATE.with_borrow_mut(|state| change(&mut state.context));
}

/// The next values of [`random`](crate::random), from 0 to 1; [`random_range`](crate::random_range) scales them to
/// its range. After these, numbers are random again.
pub fn set_random(values: impl IntoIterator<Item = f64>) {
    STATE.with_borrow_mut(|state| state.random = values.into_iter().collect());
}

/// Stands in for an entry, of this module or another: `set_entry("sales/load", |input| Ok(json!(3)))`.
pub fn set_entry(name: &str, double: impl Fn(Value) -> Result<Value> + 'static) {
    STATE.with_borrow_mut(|state| state.entries.insert(name.to_owned(), Rc::new(double)));
}

/// Stands in for all hosts: `set_http(|request| Ok(Response::new(200, "fine")))`.
#[cfg(feature = "http")]
pub fn set_http(double: impl Fn(&crate::http::Request) -> Result<crate::http::Response> + 'static) {
    STATE.with_borrow_mut(|state| state.http = Some(Rc::new(double)));
}

/// Leaves a signal for the flow; a wait for one that was not left panics, or finds its time over where it has one.
pub fn send_signal(name: &str, payload: Value) {
    STATE.with_borrow_mut(|state| state.signals.push_back((name.to_owned(), payload)));
}

/// The signals that were sent so far: to which run, under which name, and the payload.
pub fn signals_sent() -> Vec<(String, String, Value)> {
    STATE.with_borrow(|state| state.signals_sent.clone())
}

/// The log so far, oldest first.
pub fn logs() -> Vec<LogLine> {
    STATE.with_borrow(|state| state.logs.clone())
}

/// The sleeps so far. None of them took any time.
pub fn sleeps() -> Vec<Duration> {
    STATE.with_borrow(|state| state.sleeps.clone())
}

/// The runs submitted so far, those excepted whose upstream runs failed.
pub fn submitted() -> Vec<Submitted> {
    STATE.with_borrow(|state| state.submitted.clone())
}

/// What [`complete_as`](crate::complete_as) was given last.
pub fn label() -> Option<String> {
    STATE.with_borrow(|state| state.label.clone())
}

/// Forgets all of the above, for tests that share a thread.
pub fn reset() {
    STATE.with_borrow_mut(|state| *state = State::default());
}

impl Default for State {
    fn default() -> Self {
        let id = "00000000-0000-7000-8000-000000000000".to_owned();
        let context = Context {
            run_id: id.clone(),
            root_id: id.clone(),
            parent_id: None,
            idempotency_key: id,
            module: "test".to_owned(),
            digest: "0".repeat(64),
            entry: "test".to_owned(),
            kind: "flow".to_owned(),
            name: "test".to_owned(),
            attempt: 1,
            max_attempts: 1,
            deployment: None,
            occurrence_at: None,
            timezone: "UTC".to_owned(),
            local_time: "2026-01-01T12:00:00.000000+00:00".to_owned(),
            utc_offset_seconds: 0,
        };
        Self {
            context,
            label: None,
            logs: Vec::new(),
            sleeps: Vec::new(),
            submitted: Vec::new(),
            entries: HashMap::new(),
            #[cfg(feature = "http")]
            http: None,
            random: VecDeque::new(),
            signals: VecDeque::new(),
            signals_sent: Vec::new(),
            n_runs: 0,
        }
    }
}
