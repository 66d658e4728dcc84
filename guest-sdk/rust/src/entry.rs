//! The entries of a module as a table, and calls from the host.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::argument::unreadable;
use crate::{Result, TaskError};

/// What kind an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Runs tasks and other flows.
    Flow,
    /// One sandboxed unit of work.
    Task,
}

/// What `#[task]` and `#[flow]` implement for the type they generate.
pub trait Entry {
    /// The result.
    type Output;
    /// The function's name.
    const NAME: &'static str;
    /// Flow or task.
    const KIND: Kind;
    /// What is known at compile time, as a JSON object.
    const CONSTANTS: &'static str;

    /// The JSON Schema of the parameters.
    fn input_schema() -> Value;
    /// The JSON Schema of the result, if its type has one.
    fn output_schema() -> Option<Value>;
    /// Runs the function with parameters and result as JSON.
    fn call(input: &str) -> Result<String>;
}

/// An entry in the table of its module.
pub struct Listed {
    name: &'static str,
    kind: Kind,
    describe: fn() -> Value,
    call: fn(&str) -> Result<String>,
}

impl Listed {
    /// The entry `E`, given in the list of `kind`.
    ///
    /// # Panics
    /// At compile time, when the entry is of the other kind.
    pub const fn of<E: Entry>(kind: Kind) -> Self {
        match (kind, E::KIND) {
            (Kind::Flow, Kind::Task) => panic!("a `#[task]` is listed under `flows` of `export_module!`"),
            (Kind::Task, Kind::Flow) => panic!("a `#[flow]` is listed under `tasks` of `export_module!`"),
            _ => {}
        }
        Self { name: E::NAME, kind, describe: describe::<E>, call: E::call }
    }
}

fn describe<E: Entry>() -> Value {
    let mut entry: Value = serde_json::from_str(E::CONSTANTS).unwrap_or_else(|error| panic!("constants: {error}"));
    entry["input"] = E::input_schema();
    if let Some(output) = E::output_schema() {
        entry["output"] = output;
    }
    entry
}

/// What `export_module!` exports.
pub struct Module {
    entries: &'static [Listed],
}

impl Module {
    /// # Panics
    /// At compile time, when two entries have the same name.
    pub const fn new(entries: &'static [Listed]) -> Self {
        let mut i = 0;
        while i < entries.len() {
            let mut j = i + 1;
            while j < entries.len() {
                assert!(!same(entries[i].name, entries[j].name), "two entries of `export_module!` have the same name");
                j += 1;
            }
            i += 1;
        }
        Self { entries }
    }

    /// The entries as `wit/schemas/describe.json` has them.
    pub fn describe(&self) -> Value {
        let entries: Vec<_> = self.entries.iter().map(|entry| (entry.describe)()).collect();
        json!({ "entries": entries })
    }

    /// Runs an entry by its name, with parameters and result as JSON text.
    ///
    /// # Errors
    /// What the entry returned, or `missing_entry`.
    pub fn call(&self, name: &str, input: &str) -> Result<String> {
        let Some(entry) = self.entries.iter().find(|entry| entry.name == name) else {
            return Err(TaskError::of_kind("missing_entry", format!("the module has no entry `{name}`")));
        };
        crate::backend::enter(entry.kind);
        (entry.call)(input)
    }
}

/// `==` of text, which constants cannot use yet.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Parameters from JSON. The host has checked them against the schema, which numbers may still exceed.
pub fn decode<T: DeserializeOwned>(input: &str) -> Result<T> {
    serde_json::from_str(input).map_err(|error| unreadable("a parameter", &error))
}

/// What a task or a flow can return: the value goes out as JSON, and comes in where the caller waits for it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a task or a flow",
    label = "this cannot pass between sandboxes",
    note = "results pass between sandboxes as JSON: `#[data]` on a type of your own derives all that this needs"
)]
pub trait Output: Serialize + DeserializeOwned {}

impl<T: Serialize + DeserializeOwned> Output for T {}

/// A result as JSON.
pub fn encode<T: Output>(result: Result<T>) -> Result<String> {
    serde_json::to_string(&result?)
        .map_err(|error| TaskError::permanent(format_args!("the result cannot be JSON: {error}")))
}

/// `describe` of the contract.
#[cfg(target_arch = "wasm32")]
pub fn guest_describe(module: &Module) -> String {
    module.describe().to_string()
}

/// `call` of the contract.
#[cfg(target_arch = "wasm32")]
pub fn guest_call(
    module: &Module,
    entry: &str,
    input: &str,
) -> std::result::Result<String, crate::backend::bindings::tarefa::guest::types::TaskError> {
    crate::backend::report_panics();
    module.call(entry, input).map_err(Into::into)
}
