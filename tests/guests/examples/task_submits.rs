//! A task that submits, which the host refuses; and one that calls, which is a plain call.

use tarefa_sdk::prelude::*;

#[task]
fn noop() -> u32 {
    1
}

#[task]
fn submits() -> Result<u32> {
    noop::submit().wait()
}

#[task]
fn calls() -> Result<u32> {
    noop()
}

export_module!(tasks: [noop, submits, calls]);
