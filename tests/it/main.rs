//! What Tarefa promises, one file per promise, tested as its users meet it.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod app;
mod flows;
