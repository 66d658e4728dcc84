//! `tarefa:guest/context`.

use jiff::Timestamp;
use serde::Serialize;

use super::HostState;
use super::tarefa::guest::context;
use crate::domain::run::{MAX_LABEL, printable};
use crate::domain::{Kind, RunId};
use crate::wasm::sandbox::display_name;

/// What `current` returns: `wit/schemas/context.json`.
#[derive(Serialize)]
struct Current<'a> {
    run_id: RunId,
    root_id: RunId,
    parent_id: Option<RunId>,
    idempotency_key: RunId,
    module: &'a str,
    digest: &'a str,
    entry: &'a str,
    kind: Kind,
    name: &'a str,
    attempt: u32,
    max_attempts: u32,
    deployment: Option<&'a str>,
    occurrence_at: Option<Timestamp>,
    timezone: &'a str,
    local_time: String,
    utc_offset_seconds: i32,
}

impl context::Host for HostState {
    fn current(&mut self) -> wasmtime::Result<String> {
        let job = &self.job;
        let zone = jiff::tz::TimeZone::get(&job.settings.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
        let local = super::clocks::Time::of(job).now().to_zoned(zone);
        let current = Current {
            run_id: job.run.id,
            root_id: job.run.root_id,
            parent_id: job.run.parent.map(|parent| parent.id),
            idempotency_key: job.run.retry_of.unwrap_or(job.run.id),
            module: &job.run.module,
            digest: job.run.digest.as_str(),
            entry: &job.run.entry,
            kind: job.run.kind,
            name: &display_name(&job.run, &job.title),
            attempt: job.run.attempt,
            max_attempts: job.settings.retries.max + 1,
            deployment: job.run.deployment.as_deref(),
            occurrence_at: job.run.occurrence.as_ref().map(|occurrence| occurrence.at),
            timezone: &job.settings.timezone,
            local_time: local.strftime("%Y-%m-%dT%H:%M:%S.%6f%:z").to_string(),
            utc_offset_seconds: local.offset().seconds(),
        };
        Ok(serde_json::to_string(&current)?)
    }

    fn set_label(&mut self, label: String) -> wasmtime::Result<()> {
        self.label = Some(printable(&label, MAX_LABEL));
        Ok(())
    }
}
