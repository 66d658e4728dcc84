//! What Tarefa promises, one file per promise, tested as its users meet it.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod api;
mod app;
mod cancel;
mod commands;
mod context;
mod contract;
mod deletion;
mod docs;
mod events;
mod examples;
mod flows;
mod functions;
mod grants;
mod graph;
mod hostile;
mod http;
mod limits;
mod lists;
mod load;
mod metrics;
mod modules;
mod openapi;
mod process;
mod restart;
mod retries;
mod retry;
mod service;
mod shapes;
mod stats;
mod store;
mod tidy;
mod traces;
mod tutorial;
mod tutorial_free;
mod wat;
