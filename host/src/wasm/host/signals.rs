//! `tarefa:guest/signals`.

use super::runs::task_error;
use super::tarefa::guest::signals::{self, Json, TaskError};
use super::{HostState, Stop};
use crate::domain::FailureKind;
use crate::domain::module::check_name;

impl signals::Host for HostState {
    async fn wait(&mut self, name: String, timeout_ms: Option<u64>) -> wasmtime::Result<Option<Json>> {
        check_name("signal", &name).map_err(|why| Stop::because(FailureKind::InvalidInput, why))?;
        let Some(flow) = self.job.flow.clone() else {
            let message = format!("denied: the task `{}` waited for a signal; only flows may", self.job.run.entry);
            return Err(Stop::because(FailureKind::Denied, message));
        };
        Ok(flow.wait_for_signal(&name, timeout_ms).await.map(|payload| payload.as_ref().to_owned()))
    }

    async fn send(&mut self, run: String, name: String, payload: Json) -> wasmtime::Result<Result<(), TaskError>> {
        let sent = match (&self.job.flow, &self.job.outbox) {
            (Some(flow), _) => flow.clone().send_signal(&run, &name, &payload).await,
            (None, Some(outbox)) => outbox.send(&run, &name, &payload, None),
            (None, None) => return Err(Stop::because(FailureKind::Denied, "denied: signals are sent by runs")),
        };
        Ok(sent.map_err(task_error))
    }
}
