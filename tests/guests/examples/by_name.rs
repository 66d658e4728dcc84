//! Runs that are named at run time.

use tarefa_sdk::prelude::*;

#[task]
fn double(n: i64) -> i64 {
    2 * n
}

/// Submits any entry with any parameters and returns its result.
#[flow]
fn run(entry: String, #[default(Value::Null)] parameters: Value) -> Result<Value> {
    submit_by_name(&entry, parameters).wait()
}

/// Passes a run to an entry that is named.
#[flow]
fn chain(entry: String) -> Result<Value> {
    let first = double::submit(2);
    tarefa_sdk::call_by_name(&entry).output("n", &first).name("chained").run()
}

/// The id of a child, which depends on its place alone.
#[flow]
fn ids(n: u32) -> Vec<String> {
    (0..n).map(|_| double::submit(1).id()).collect()
}

export_module!(flows: [run, chain, ids], tasks: [double]);
