//! What runs show of their work.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::{ArtifactContent, ArtifactKind, Progress, RunId};

/// How far a run is: `done` of `total`, what it does, or both.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProgressShape {
    pub done: Option<u64>,
    pub total: Option<u64>,
    pub text: Option<String>,
}

impl From<&Progress> for ProgressShape {
    fn from(progress: &Progress) -> ProgressShape {
        let (done, total) = progress.share.unzip();
        ProgressShape { done, total, text: progress.text.clone() }
    }
}

/// What a run has shown of its work, without the content.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ArtifactSummary {
    pub run_id: RunId,
    /// The attempt that wrote it last.
    pub attempt: u32,
    pub key: String,
    pub kind: ArtifactKind,
    pub title: Option<String>,
    pub description: Option<String>,
    pub written_at: Timestamp,
    /// Of the content, as JSON text.
    pub size_bytes: u64,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ArtifactShape {
    #[serde(flatten)]
    pub summary: ArtifactSummary,
    #[schema(value_type = ArtifactContent)]
    pub content: Box<RawValue>,
}
