//! The binary: the command line, or the compiling child of a server.

use std::io::IsTerminal;

use tarefa::{cli, wasm::compile};

#[allow(clippy::exit)]
fn main() {
    std::process::exit(run());
}

fn run() -> i32 {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(compile::COMPILE_VERB) {
        return compile_for_server(&arguments.next().unwrap_or_default());
    }
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("TAREFA_LOG").unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    cli::main().into()
}

/// A server reads the reason of a refusal from our stderr.
#[allow(clippy::print_stderr)]
fn compile_for_server(metering: &str) -> i32 {
    match compile::compile_stdin(metering) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error:#}");
            1
        }
    }
}
