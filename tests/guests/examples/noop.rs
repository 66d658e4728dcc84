//! Next to no work: what the benchmarks run, in sequence and submitted at once.

use tarefa_sdk::prelude::*;

#[task]
fn noop() {}

#[task]
fn echo(text: String) -> String {
    text
}

/// Three log lines, and the argument back.
#[task]
fn chatty(text: String) -> String {
    info!("the first of three lines of forty bytes");
    info!("the second of three lines of forty byte");
    info!("the third of three lines of forty bytes");
    text
}

#[flow(limits(children = 1_000_000))]
fn sequential(n: u32) -> Result<u32> {
    for _ in 0..n {
        noop()?;
    }
    Ok(n)
}

/// A kilobyte there and back, and three log lines, in every task.
#[flow(limits(children = 1_000_000))]
fn sequential_chatty(n: u32) -> Result<u32> {
    let text = "0123456789abcdef".repeat(64);
    for _ in 0..n {
        ensure!(chatty::submit(&text).wait()?.len() == text.len(), "the text came back changed");
    }
    Ok(n)
}

#[flow(limits(children = 1_000_000))]
fn submitted(n: u32) -> Result<u32> {
    let runs: Vec<_> = (0..n).map(|_| noop::submit()).collect();
    for run in &runs {
        run.wait()?;
    }
    Ok(n)
}

export_module!(flows: [sequential, sequential_chatty, submitted], tasks: [noop, echo, chatty]);
