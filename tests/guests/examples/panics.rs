//! Panics, traps and other ends that nobody returns.

use tarefa_sdk::prelude::*;

#[task]
fn panic(message: String) {
    panic!("{message}");
}

#[task]
fn index(at: usize) -> u32 {
    [1, 2, 3][at]
}

#[task]
fn after_a_line() {
    eprintln!("a line before the panic");
    panic!("line one\nline two");
}

#[task]
fn exit(code: i32) {
    std::process::exit(code);
}

#[task]
fn recurse(depth: u64) -> u64 {
    #[allow(unconditional_recursion)]
    fn down(n: u64) -> u64 {
        std::hint::black_box(down(std::hint::black_box(n + 1)) + 1)
    }
    down(depth)
}

#[task]
fn spin() -> u64 {
    let mut n: u64 = 0;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

#[task]
fn allocate(megabytes: usize) -> usize {
    let blocks: Vec<Vec<u8>> = (0..megabytes).map(|_| std::hint::black_box(vec![1; 1 << 20])).collect();
    blocks.len()
}

#[flow]
fn flow_panics() {
    panic!("the flow itself");
}

/// The kind and the message of a child that panicked.
#[flow]
fn flow_catches(message: String) -> Value {
    match panic(message) {
        Ok(()) => Value::Null,
        Err(error) => json!({ "kind": error.kind(), "message": error.message() }),
    }
}

export_module!(
    flows: [flow_panics, flow_catches],
    tasks: [panic, index, after_a_line, exit, recurse, spin, allocate],
);
