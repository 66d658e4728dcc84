//! What runs show of their work, as it is kept.

use jiff::Timestamp;

use crate::domain::{Artifact, ArtifactKind, RunId};

/// An artifact on its way to the store.
#[derive(Clone, Debug)]
pub struct ArtifactRow {
    pub root_id: RunId,
    pub run_id: RunId,
    pub attempt: u32,
    /// Counts what the attempt has written.
    pub call: u32,
    pub at: Timestamp,
    pub artifact: Artifact,
}

/// An artifact on record, without its content.
#[derive(Clone, Debug)]
pub struct StoredArtifact {
    /// Grows with each artifact that is written.
    pub no: i64,
    pub run_id: RunId,
    pub attempt: u32,
    pub key: String,
    pub kind: ArtifactKind,
    pub title: Option<String>,
    pub description: Option<String>,
    pub at: Timestamp,
    /// Of the content.
    pub size_bytes: u64,
}
