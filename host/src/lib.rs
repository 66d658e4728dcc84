//! Tarefa: a task runner and orchestrator in which every task is a sandboxed WebAssembly component.
//!
//! `ARCHITECTURE.md` says where each thing lives.

pub mod api;
pub mod app;
pub mod cli;
pub mod client;
pub mod clock;
pub mod datadir;
pub mod domain;
pub mod error;
pub mod events;
pub mod metrics;
mod pages;
pub mod scheduler;
pub mod server;
pub mod store;
pub mod tls;
pub mod traces;
pub mod wasm;
pub mod worker;
