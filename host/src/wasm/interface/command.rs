//! Commands: components that export `wasi:cli/run`. Each is one task.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use wasmtime::Store;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::Command;

use crate::domain::{Description, Entry, Failure, FailureKind, Kind, Run};
use crate::wasm::host::HostState;

/// The name of a command's one entry.
const ENTRY: &str = "run";

/// What a command is started with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stdio {
    /// The program's name first, as everywhere.
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub stdin: String,
}

impl Stdio {
    pub(super) fn of(run: &Run) -> Result<Stdio, Failure> {
        let mut stdio: Stdio = serde_json::from_str(&run.input)
            .map_err(|error| Failure::new(FailureKind::InvalidInput, format!("`{}`: {error}", run.entry)))?;
        stdio.args.insert(0, run.module.as_ref().to_owned());
        Ok(stdio)
    }
}

pub(super) fn description() -> Description {
    let text = |description: &str| json!({"type": "string", "description": description, "default": ""});
    let input = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "args": {
                "type": "array",
                "items": {"type": "string"},
                "description": "what follows the program's name on its command line",
                "default": [],
            },
            "env": {
                "type": "object",
                "propertyNames": {"pattern": "^[^=\\x00]+$"},
                "additionalProperties": {"type": "string"},
                "description": "environment variables",
                "default": {},
            },
            "stdin": text("what it reads on its standard input"),
        },
    });
    let entry = Entry {
        description: Some("A command: its standard output is the result, its standard error the log.".to_owned()),
        input: Some(input),
        output: Some(json!({"type": "string"})),
        ..Entry::new(ENTRY, Kind::Task)
    };
    Description { entries: vec![entry] }
}

/// Runs a command: its standard output as a JSON string, or a failure with its exit code.
pub(super) async fn call(command: &Command, store: &mut Store<HostState>) -> wasmtime::Result<Result<String, Failure>> {
    let code = match command.wasi_cli_run().call_run(&mut *store).await {
        Ok(Ok(())) => 0,
        Ok(Err(())) => 1,
        // `exit` is no return: it unwinds as an error.
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(exit) => exit.0,
            None => return Err(error),
        },
    };
    if code != 0 {
        return Ok(Err(exited(code, &store.data().stderr_tail())));
    }
    Ok(String::from_utf8(store.data_mut().take_stdout())
        .map(|text| serde_json::Value::String(text).to_string())
        .map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Failure::new(FailureKind::InvalidOutput, format!("the standard output is not UTF-8 at byte {at}"))
        }))
}

/// The last line on stderr is where commands say what went wrong.
fn exited(code: i32, stderr: &str) -> Failure {
    let last = stderr.trim_end().lines().last().map(|line| format!(": {line}")).unwrap_or_default();
    let mut failure = Failure::new(FailureKind::TaskError, format!("the command ended with exit code {code}{last}"));
    failure.details = Some(json!({"exit_code": code}));
    failure
}
