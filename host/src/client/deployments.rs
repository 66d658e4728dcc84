//! Deployments, and what comes of their schedules.

use super::{Client, DELETE_TIMEOUT, MAX_RUNS_PAGE, Method, REPLY_TIMEOUT, with};
use crate::api::shapes::{
    BackfillShape, BackfilledShape, DeploymentShape, Page, RunShape, SkipShape, TriggerShape, UpcomingList,
};
use crate::domain::DeploymentSpec;
use crate::error::Result;

impl Client {
    /// Makes a deployment be what `spec` says.
    pub async fn put_deployment(&self, name: &str, spec: &DeploymentSpec) -> Result<DeploymentShape> {
        // By itself it is written without its secrets.
        self.json(self.request(Method::PUT, &["deployments", name]).json(&spec.stored())).await
    }

    pub async fn deployment(&self, name: &str) -> Result<DeploymentShape> {
        self.json(self.request(Method::GET, &["deployments", name])).await
    }

    /// All deployments by name.
    pub async fn deployments(&self) -> Result<Vec<DeploymentShape>> {
        let (mut items, mut cursor) = (Vec::new(), None);
        loop {
            let request = self.request(Method::GET, &["deployments"]).query(&[("limit", MAX_RUNS_PAGE)]);
            let page: Page<DeploymentShape> = self.json(with(request, "cursor", cursor.as_deref())).await?;
            items.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(items);
            }
        }
    }

    /// Deletes a deployment; its runs stay.
    pub async fn delete_deployment(&self, name: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, &["deployments", name]), DELETE_TIMEOUT).await.map(drop)
    }

    /// Keeps a deployment's schedules from firing, or has them go on.
    pub async fn set_deployment_paused(&self, name: &str, paused: bool) -> Result<DeploymentShape> {
        let verb = if paused { "pause" } else { "resume" };
        let request = self.request(Method::POST, &["deployments", name, verb]);
        self.json(request.json(&serde_json::json!({}))).await
    }

    /// Submits a run of a deployment.
    pub async fn trigger(&self, name: &str, trigger: &TriggerShape) -> Result<RunShape> {
        self.json(self.request(Method::POST, &["deployments", name, "runs"]).json(trigger)).await
    }

    /// What comes next of one deployment, that of paused schedules too; or of all that are not paused.
    pub async fn upcoming(&self, deployment: Option<&str>, limit: u32) -> Result<UpcomingList> {
        let path: &[&str] = match &deployment {
            Some(name) => &["deployments", name, "upcoming"],
            None => &["upcoming"],
        };
        self.json(self.request(Method::GET, path).query(&[("limit", limit)])).await
    }

    /// Submits the occurrences of a past range.
    pub async fn backfill(&self, name: &str, range: &BackfillShape) -> Result<BackfilledShape> {
        let request = self.request(Method::POST, &["deployments", name, "backfill"]).json(range);
        self.read(self.send(request, DELETE_TIMEOUT).await?).await
    }

    /// The latest occurrences that were skipped, newest first.
    pub async fn skips(&self, name: &str) -> Result<Vec<SkipShape>> {
        let request = self.request(Method::GET, &["deployments", name, "skips"]);
        let page: Page<SkipShape> = self.json(request).await?;
        Ok(page.items)
    }

    /// The URL of a deployment's page, or of what the API says of it where there are no pages.
    pub async fn deployment_url(&self, name: &str) -> String {
        let page = format!("{}/deployments/{name}", self.url());
        match self.send(self.http.get(&page), REPLY_TIMEOUT).await {
            Ok(_) => page,
            Err(_) => format!("{}/api/deployments/{name}", self.url()),
        }
    }
}
