//! `tarefa:guest/artifacts`.

use std::collections::HashSet;

use super::HostState;
use super::runs::task_error;
use super::tarefa::guest::artifacts::{self, Json, TaskError};
use crate::domain::artifact::{MAX_ARTIFACTS, MAX_WRITTEN_BYTES, MIN_WRITTEN_BYTES};
use crate::domain::{Artifact, Failure, FailureKind};

/// What the guest has written since it was called. Only that decides on what it may write still, so that a flow that is
/// called again is told the same.
#[derive(Default)]
pub(super) struct Written {
    keys: HashSet<String>,
    bytes: usize,
}

impl Written {
    fn take(&mut self, key: String, json: &str) -> Result<Artifact, String> {
        let artifact = Artifact::read(key, json)?;
        if self.keys.len() >= MAX_ARTIFACTS && !self.keys.contains(&artifact.key) {
            return Err(format!(
                "too many artifacts: the limit of an attempt is {MAX_ARTIFACTS}; write `{}` in the place of another",
                artifact.key
            ));
        }
        let bytes = self.bytes + json.len().max(MIN_WRITTEN_BYTES);
        if bytes > MAX_WRITTEN_BYTES {
            return Err(format!(
                "too much written: with `{}` the attempt would have written {bytes} bytes of artifacts and the limit is \
                 {MAX_WRITTEN_BYTES}; write smaller ones, or these less often",
                artifact.key
            ));
        }
        self.bytes = bytes;
        self.keys.insert(artifact.key.clone());
        Ok(artifact)
    }
}

impl artifacts::Host for HostState {
    fn write(&mut self, key: String, artifact: Json) -> wasmtime::Result<Result<(), TaskError>> {
        let taken = self.artifacts.take(key, &artifact).map(|artifact| self.job.sink.artifact(artifact));
        Ok(taken.map_err(|why| task_error(Failure::new(FailureKind::InvalidInput, why))))
    }
}
