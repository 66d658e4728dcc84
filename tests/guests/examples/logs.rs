//! Everything that ends up in the log of a run.

use std::io::Write;

use tarefa_sdk::prelude::*;

#[task]
fn levels() {
    trace!("trace {}", 1);
    debug!("debug {}", 2);
    info!("info {}", 3);
    warn!("warn {}", 4);
    error!("error {}", 5);
}

/// Lines, a line in two pieces, and an end without a line break.
#[task]
fn streams() -> Result<()> {
    println!("to stdout");
    eprintln!("to stderr");
    print!("in two ");
    std::io::stdout().flush()?;
    println!("pieces");
    print!("no line break");
    std::io::stdout().flush()?;
    Ok(())
}

#[task]
fn not_utf8() -> Result<()> {
    std::io::stdout().write_all(b"ol\xe1 \xff\n")?;
    Ok(())
}

#[task]
fn several_lines() {
    info!("first\nsecond");
}

/// Logs, then waits, so that the line can be read while the attempt runs.
#[task]
fn slow(ms: u64) {
    info!("still running");
    sleep(std::time::Duration::from_millis(ms));
}

#[task]
fn many(n: u32, #[default(40)] bytes: usize) {
    let text = "x".repeat(bytes);
    for _ in 0..n {
        info!("{text}");
    }
}

#[flow]
fn flow_logs() -> Result<()> {
    info!("before the task");
    levels()?;
    info!("after the task");
    Ok(())
}

export_module!(flows: [flow_logs], tasks: [levels, streams, not_utf8, several_lines, slow, many]);
