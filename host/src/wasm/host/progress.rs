//! `tarefa:guest/progress`.

use super::HostState;
use super::tarefa::guest::progress;
use crate::domain::ProgressPart;

impl progress::Host for HostState {
    fn set(&mut self, done: u64, total: u64) -> wasmtime::Result<()> {
        self.job.sink.progress(ProgressPart::Share(done, total));
        Ok(())
    }

    fn set_text(&mut self, text: String) -> wasmtime::Result<()> {
        self.job.sink.progress(ProgressPart::Text(text));
        Ok(())
    }
}
