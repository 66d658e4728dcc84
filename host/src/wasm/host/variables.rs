//! `tarefa:guest/variables`.

use super::tarefa::guest::variables::{self, Json};
use super::{HostState, Stop};
use crate::domain::FailureKind;
use crate::domain::module::check_name;

impl variables::Host for HostState {
    async fn get(&mut self, name: String) -> wasmtime::Result<Option<Json>> {
        check_name("variable", &name).map_err(|why| Stop::because(FailureKind::InvalidInput, why))?;
        let value = match (&self.job.flow, &self.job.variables) {
            (Some(flow), _) => flow.clone().variable(&name).await,
            (None, Some(variables)) => variables.variable(&name).map_err(Stop)?,
            (None, None) => return Err(Stop::because(FailureKind::Denied, "denied: variables are read by runs")),
        };
        Ok(value.map(|json| json.as_ref().to_owned()))
    }
}
