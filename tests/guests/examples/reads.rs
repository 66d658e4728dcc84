//! Runs that read variables.

use tarefa_sdk::prelude::*;

#[task]
fn reads(name: String) -> Result<Option<Value>> {
    variable(&name)
}

/// Reads the variable before each of `n` signals and after the last.
#[flow]
fn watches(name: String, n: u32) -> Result<Vec<Option<Value>>> {
    let mut seen = vec![variable(&name)?];
    for _ in 0..n {
        let _: Value = wait_for_signal("next")?;
        seen.push(variable(&name)?);
    }
    Ok(seen)
}

/// Reads it so many times, and returns how many different values it saw.
#[flow]
fn reads_often(name: String, times: u32) -> Result<usize> {
    let mut seen = Vec::new();
    for _ in 0..times {
        let value: Option<Value> = variable(&name)?;
        if seen.last() != Some(&value) {
            seen.push(value);
        }
    }
    let _: Value = wait_for_signal("next")?;
    Ok(seen.len())
}

/// Runs a task with the value; fails where it is not `good`.
#[flow]
fn needs_good(name: String) -> Result<String> {
    note("begins".to_owned())?;
    let value: String = variable(&name)?.unwrap_or_default();
    note(value.clone())?;
    ensure!(value == "good", "it is `{value}`");
    Ok(value)
}

#[task]
fn note(text: String) -> String {
    text
}

#[task]
fn reads_a_number(name: String) -> Result<Option<u32>> {
    variable(&name)
}

export_module!(flows: [watches, reads_often, needs_good], tasks: [reads, note, reads_a_number]);
