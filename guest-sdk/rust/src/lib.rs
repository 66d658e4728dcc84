//! Write flows and tasks for Tarefa.
//!
//! A *task* is a function that runs in a sandbox of its own; a *flow* is a function that runs tasks and other flows.
//!
//! ```
//! use tarefa_sdk::prelude::*;
//!
//! #[data]
//! struct Processed {
//!     id: u32,
//!     text: String,
//! }
//!
//! #[task(retries = 3, retry_delay = "2s", run_name = "process(id={id})")]
//! fn process(id: u32) -> Result<Processed> {
//!     info!("processing {id}");
//!     Ok(Processed { id, text: format!("data_{id}") })
//! }
//!
//! /// Processes `n` items at the same time.
//! #[flow(title = "Parallel processing")]
//! fn parallel(#[default(4)] n: u32) -> Result<Vec<Processed>> {
//!     let runs: Vec<_> = (1..=n).map(process::submit).collect();
//!     runs.iter().map(|run| run.wait()).collect()
//! }
//!
//! export_module!(flows: [parallel], tasks: [process]);
//! # assert_eq!(parallel(2).unwrap().len(), 2);
//! ```
//!
//! # What the attributes generate
//!
//! For `fn process(id: u32) -> Result<P>`:
//!
//! - `process(1)`: in a flow, submits a task run and waits for its result; elsewhere it calls the function. It
//!   returns `Result<P>` whatever the function's own error type is, since a run can also fail for other reasons:
//!   a limit, a panic, an upstream run.
//! - [`process::submit(1)`](Run): submits and returns at once with a [`Run`]. Each argument is a value, a reference
//!   to one, or a `&Run`, whose result is then the argument.
//! - `process::map(1..=4)`: submits all, then waits for all. The items of several arguments are tuples.
//! - [`process::call(1)`](Call): a call to be given a name, retries, limits, tags or runs to wait for.
//!
//! # Attributes
//!
//! `title = "…"`, `description = "…"` (else the doc comment), `retries = 3`, `retry_delay = "2s"` or a list
//! `["1s", "5s"]`, `backoff = "exponential"`, `max_delay = "1m"`, `jitter = 0.2`, `timeout = "30s"`,
//! `run_name = "process(id={id})"`, `tags = ["a"]`, `limits(fuel = 1_000_000, memory = "64MiB", timeout = "30s",
//! output = "1MiB", log = "1MiB", children = 100)`, of tasks `cache = "1h"`, `cache_key = "{id}"` and
//! `cache_scope = "global"`, and of flows `durable = false`. An argument may have `#[default(value)]` and a doc comment.
//!
//! # Results that are kept
//!
//! With `#[task(cache = "1h")]` a run that would do the same as one that completed within the last hour does not run: it
//! is `completed` with that one's result and label, and names it. Runs would do the same where the module and its
//! version, the entry and all arguments are the same, and so are the deployment and what the run is granted. Those that
//! come while one of them runs wait for it; where that one fails, the next one runs.
//!
//! - `cache_key = "{customer}-{day}"`: only these arguments must be equal.
//! - `cache_scope = "global"`: deployment and grants do not matter.
//!
//! Failures are not kept. A flow that is retried takes over what its tasks came to, however old that is; one that is
//! retried from the start runs them again, for which the cache holds as for any other run. What a task does besides
//! returning a result, such as writing a file, is not done again.
//!
//! # Types
//!
//! Arguments and results pass between sandboxes as JSON. [`#[data]`](data) derives all that they need.
//! `Result<T>` is [`Result<T, TaskError>`](TaskError), and `?` turns every standard error into one.
//!
//! # What a run shows and reads
//!
//! [`progress`] and [`progress_text`] tell whoever watches a run how far it is; [`artifact`] keeps texts, tables and links
//! beside its result; [`variable`] reads a value that people keep on the server.
//!
//! # HTTP
//!
//! With the feature `http`, tasks send requests to hosts that the run was granted: the module `http`.
//!
//! # Tests
//!
//! `cargo test` needs no host: a call runs the function, `submit` runs it at once, sleeps return at once. See
//! [`testing`].
//!
//! A type that cannot be an argument is refused where it stands:
//!
//! ```compile_fail,E0277
//! use tarefa_sdk::prelude::*;
//! struct Plain;
//! #[task]
//! fn takes(value: Plain) {}
//! ```
//!
//! ```compile_fail,E0277
//! use tarefa_sdk::prelude::*;
//! #[derive(Debug)]
//! struct Opaque;
//! #[task]
//! fn fails() -> Result<(), Opaque> { Err(Opaque) }
//! ```

// Lets code that the attributes generate here, in our own tests, name the crate as it does elsewhere.
extern crate self as tarefa_sdk;

mod argument;
mod artifact;
#[cfg_attr(target_arch = "wasm32", path = "backend/guest.rs")]
#[cfg_attr(not(target_arch = "wasm32"), path = "backend/native.rs")]
mod backend;
mod call;
mod context;
mod entry;
mod error;
mod export;
#[cfg(feature = "http")]
pub mod http;
pub mod log;
mod progress;
mod random;
mod run;
mod schema;
mod signal;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;
mod variable;

pub use argument::{Argument, IntoArgument};
pub use artifact::{Artifact, artifact};
pub use call::{Call, Limits, Retries, call_by_name, submit_by_name};
pub use context::{Context, LocalTime, complete_as, context, local_time, sleep};
pub use entry::{Entry, Kind, Listed, Module};
pub use error::{Result, TaskError};
pub use log::to_json;
pub use progress::{progress, progress_text};
pub use random::{random, random_range};
pub use run::{Completions, Run, completions};
pub use serde_json::{Value, json};
pub use signal::{send_signal, wait_for_signal, wait_for_signal_within};
pub use tarefa_sdk_macros::{data, flow, task};
pub use variable::variable;

/// All that a module commonly needs: `use tarefa_sdk::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Limits, Result, Retries, Run, TaskError, Value, artifact, bail, complete_as, completions, context, data, debug,
        ensure, error, export_module, flow, info, json, local_time, progress, progress_text, random, random_range,
        send_signal, sleep, submit_by_name, task, to_json, trace, variable, wait_for_signal, wait_for_signal_within,
        warn,
    };
}

/// What the generated code uses. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::argument::IntoArgument;
    pub use crate::backend::in_flow;
    #[cfg(target_arch = "wasm32")]
    pub use crate::backend::{bindings, export_guest};
    pub use crate::call::{call, submit};
    pub use crate::entry::{decode, encode};
    #[cfg(target_arch = "wasm32")]
    pub use crate::entry::{guest_call, guest_describe};
    pub use crate::error::Outcome;
    pub use crate::run::{wait, wait_all};
    pub use crate::schema::{NoSchema, Probe, WithSchema, input_schema, no_parameters};
    pub use schemars;
    pub use serde;
    pub use serde_json::Value;
}
