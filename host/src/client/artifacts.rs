//! What runs have shown of their work.

use super::{Client, Method, with};
use crate::api::shapes::{ArtifactShape, ArtifactSummary, Page};
use crate::domain::RunId;
use crate::error::Result;

impl Client {
    /// What a run has shown of its work, one page; with `below`, what all runs below it have, too.
    pub async fn artifacts(&self, id: RunId, below: bool, cursor: Option<&str>) -> Result<Page<ArtifactSummary>> {
        let request = self.request(Method::GET, &["runs", &id.to_string(), "artifacts"]);
        self.json(with(request.query(&[("below", below)]), "cursor", cursor)).await
    }

    /// One artifact with its content.
    pub async fn artifact(&self, id: RunId, key: &str) -> Result<ArtifactShape> {
        self.json(self.request(Method::GET, &["runs", &id.to_string(), "artifacts", key])).await
    }

    /// The newest artifacts of all runs.
    pub async fn newest_artifacts(&self) -> Result<Page<ArtifactSummary>> {
        self.json(self.request(Method::GET, &["artifacts"])).await
    }
}
