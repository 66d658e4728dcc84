//! The server itself on the wire: what it has, and what it keeps.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::Retention;

/// What a server has, what of it is in use, and what it keeps.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SystemShape {
    pub version: String,
    /// Task sandboxes that may be open at once, and that are.
    pub slots: i64,
    pub slots_in_use: i64,
    /// Flows that may be in memory at once, and that are.
    pub flow_places: i64,
    pub flows_in_memory: i64,
    /// How long runs and logs are kept; null while another kind of process than `tarefa serve` holds the data directory,
    /// which deletes nothing by itself.
    pub retention: Option<Retention>,
    pub storage: StorageShape,
}

/// What the database takes up.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct StorageShape {
    pub database_bytes: u64,
    /// What of that is free for what comes.
    pub free_bytes: u64,
    /// The write-ahead log beside the database.
    pub log_bytes: u64,
    /// Runs on record that no flow submitted.
    pub top_level_runs: u64,
}

/// What was deleted, runs of flows and their lines too.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PrunedShape {
    pub runs: u64,
    pub log_lines: u64,
}
