//! Values that people keep for runs to read.

use super::{Client, MAX_RUNS_PAGE, Method, REPLY_TIMEOUT, with};
use crate::api::shapes::{Page, VariableShape, VariableSummary};
use crate::error::Result;

impl Client {
    /// Variables by name, one page.
    pub async fn variables(&self, cursor: Option<&str>) -> Result<Page<VariableSummary>> {
        let request = self.request(Method::GET, &["variables"]).query(&[("limit", MAX_RUNS_PAGE)]);
        self.json(with(request, "cursor", cursor)).await
    }

    /// A variable with its value.
    pub async fn variable(&self, name: &str) -> Result<VariableShape> {
        self.json(self.request(Method::GET, &["variables", name])).await
    }

    /// Sets a variable.
    pub async fn set_variable(&self, name: &str, value: &serde_json::Value) -> Result<VariableShape> {
        self.json(self.request(Method::PUT, &["variables", name]).json(value)).await
    }

    /// Deletes a variable.
    pub async fn delete_variable(&self, name: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, &["variables", name]), REPLY_TIMEOUT).await.map(drop)
    }
}
