//! Reads and writes files, in tasks and (refused) in a flow.

use std::fs;

use tarefa_sdk::prelude::*;

fn context_of<T>(path: &str, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| TaskError::new(format_args!("{path}: {error}")))
}

#[task]
fn read(path: String) -> Result<String> {
    context_of(&path, fs::read_to_string(&path))
}

#[task]
fn write(path: String, text: String) -> Result<usize> {
    context_of(&path, fs::write(&path, &text))?;
    Ok(text.len())
}

#[task]
fn list(path: String) -> Result<Vec<String>> {
    let entries = context_of(&path, fs::read_dir(&path))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

#[task]
fn environment(name: String) -> Option<String> {
    std::env::var(name).ok()
}

#[flow]
fn flow_reads(path: String) -> Result<String> {
    context_of(&path, fs::read_to_string(&path))
}

/// Writes through one task and reads through another.
#[flow]
fn copy(from: String, to: String) -> Result<usize> {
    let text = read::submit(from);
    write::submit(to, &text).wait()
}

export_module!(flows: [flow_reads, copy], tasks: [read, write, list, environment]);
