//! From the engine's errors to failures that people read.

use std::fmt;

use wasmtime::Trap;
use wasmtime_wasi::I32Exit;

use crate::domain::{Failure, FailureKind, Limits};

/// Ends an attempt from within a host function, with the failure that it ends with.
#[derive(Debug)]
pub struct Stop(pub Failure);

impl Stop {
    pub fn because(kind: FailureKind, message: impl Into<String>) -> wasmtime::Error {
        Stop(Failure::new(kind, message)).into()
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Stop {}

/// Holds the limit of an attempt's output.
pub fn check_output_size(bytes: usize, limits: &Limits) -> Result<(), Failure> {
    if bytes as u64 <= limits.output_bytes {
        return Ok(());
    }
    let limit = limits.output_bytes;
    Err(Failure::new(
        FailureKind::OutputTooLarge,
        format!(
            "output too large: {bytes} bytes and the limit is {limit}; raise `limits.output_bytes` or write a file"
        ),
    ))
}

/// The failure of an attempt that the engine ended with `error`. `stderr` is the last that the guest wrote there: a
/// panic says its message and place.
pub fn classify(error: &wasmtime::Error, limits: &Limits, stderr: &str) -> Failure {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return stop.0.clone();
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        let message = format!("the guest left with exit code {} instead of returning", exit.0);
        return Failure::new(FailureKind::Trapped, message);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Failure::new(
            FailureKind::OutOfFuel,
            format!("out of fuel: the limit is {}; raise `limits.fuel` or split the task", limits.fuel),
        ),
        Some(Trap::StackOverflow) => {
            Failure::new(FailureKind::StackOverflow, "stack overflow: the guest calls itself too deeply")
        }
        Some(trap) => trapped(trap, stderr),
        None => Failure::new(FailureKind::Trapped, format!("the guest broke its contract: {}", error.root_cause())),
    }
}

fn trapped(trap: &Trap, stderr: &str) -> Failure {
    match panic_message(stderr) {
        Some(message) if *trap == Trap::UnreachableCodeReached => Failure::new(FailureKind::Trapped, message),
        _ => Failure::new(FailureKind::Trapped, format!("trapped: {trap}")),
    }
}

/// Finds `panicked at src/lib.rs:3:5:\nmessage` in what a Rust guest wrote before it trapped, with or without our SDK,
/// and what its allocator says when there is no memory.
fn panic_message(stderr: &str) -> Option<String> {
    if let Some(at) = stderr.rfind("panicked at ") {
        let rest = &stderr[at + "panicked at ".len()..];
        let (place, message) = rest.split_once(":\n")?;
        let message = message.split("\nnote: run with `RUST_BACKTRACE").next().unwrap_or(message).trim_end();
        return Some(format!("panicked at {place}: {message}"));
    }
    let last = stderr.trim_end().lines().last()?;
    last.starts_with("memory allocation of").then(|| last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place() {
        let stderr = "before\n\nthread 'main' (1) panicked at src/lib.rs:3:5:\nboom\ntwice\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(panic_message(stderr).as_deref(), Some("panicked at src/lib.rs:3:5: boom\ntwice"));
        assert_eq!(panic_message("hello\n"), None);
    }
}
