//! `tarefa:guest/log`.

use super::HostState;
use super::tarefa::guest::log;
use crate::wasm::sandbox::Job;

pub use log::Level;

impl log::Host for HostState {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.job.log(level, message)
    }
}

impl Job {
    /// Writes one line to the run's log, within the attempt's limit.
    pub(super) fn log(&self, level: Level, message: String) -> wasmtime::Result<()> {
        use std::sync::atomic::Ordering;

        // A line costs more than its text: an endless stream of empty ones is a flood too.
        const LINE_OVERHEAD: u64 = 16;
        let size = message.len() as u64 + LINE_OVERHEAD;
        let total = self.logged_bytes.fetch_add(size, Ordering::Relaxed) + size;
        if total > self.settings.limits.log_bytes {
            return Err(super::Stop::because(
                crate::domain::FailureKind::LogTooLarge,
                format!(
                    "too much log: {total} bytes and the limit is {}; raise `limits.log_bytes` or log less",
                    self.settings.limits.log_bytes
                ),
            ));
        }
        self.sink.write(level, message);
        Ok(())
    }
}

/// The level's name in lower case.
pub fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}
