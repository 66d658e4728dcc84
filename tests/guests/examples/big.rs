//! Much output, much input, many children.

use tarefa_sdk::prelude::*;

#[task]
fn output(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[task]
fn log(bytes: usize) {
    let line = "y".repeat(100);
    for _ in 0..bytes / line.len() {
        info!("{line}");
    }
}

#[task]
fn one_line(bytes: usize) {
    info!("{}", "z".repeat(bytes));
}

#[task]
fn print(bytes: usize) {
    print!("{}", "p".repeat(bytes));
}

#[task]
fn length(text: String) -> usize {
    text.len()
}

/// A large result on its way to another task.
#[flow]
fn pass(bytes: usize) -> Result<usize> {
    length::submit(&output::submit(bytes)).wait()
}

#[flow(limits(children = 10))]
fn children(n: u32) -> Result<usize> {
    let runs: Vec<_> = (0..n).map(|_| output::submit(1)).collect();
    runs.iter().map(|run| Ok(run.wait()?.len())).sum()
}

export_module!(flows: [pass, children], tasks: [output, log, one_line, print, length]);
