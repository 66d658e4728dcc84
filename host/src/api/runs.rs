//! `/api/runs`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ApiState;
use super::extract::{Id, JsonBody, Query, page, page_limit};
use super::filter::FilterQuery;
use super::openapi::{Conflict, Invalid, NotFound, TooLarge, UnsupportedMediaType};
use super::shapes::{Caller, LogShape, Page, RunShape, RunSummary, SubmitShape};
use super::view::{self, summary};
use crate::app::{App, NewRun};
use crate::domain::{AcrossRules, Kind, RunId, SettingsPatch, Trigger};
use crate::error::{Error, Result};
use crate::store::LogFilter;
use crate::wasm::Level;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;
/// Children and lines of logs come by the thousand.
const MAX_LONG_LIMIT: usize = 1000;
/// A client that waits longer asks again.
const MAX_WAIT_SECONDS: f64 = 300.0;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitQuery {
    /// Seconds to wait for the end of the run.
    #[param(minimum = 0, maximum = 300)]
    wait: Option<f64>,
}

impl SubmitQuery {
    /// How long to wait, where that was asked for.
    pub(super) fn checked(&self) -> Result<Option<Duration>> {
        match self.wait {
            Some(wait) if !(0.0..=MAX_WAIT_SECONDS).contains(&wait) => {
                Err(Error::invalid(format!("`wait` is {wait}; it goes from 0 to {MAX_WAIT_SECONDS} seconds")))
            }
            wait => Ok(wait.map(Duration::from_secs_f64)),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(flatten)]
    #[param(ignore)]
    filter: FilterQuery,
    /// Items of one page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Where the last page said that the next begins.
    #[param(value_type = Option<RunId>)]
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ChildrenQuery {
    /// The execution of the flow; the newest where it is absent.
    generation: Option<u32>,
    /// Items of one page.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<usize>,
    /// Where the last page said that the next begins.
    cursor: Option<u32>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LogsQuery {
    /// The least level that is shown.
    #[param(default = "trace", example = "warn")]
    level: Option<String>,
    /// Only lines after this number.
    #[param(default = 0)]
    after: Option<i64>,
    /// Where the last page said that the next begins.
    cursor: Option<i64>,
    /// Items of one page.
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    limit: Option<usize>,
}

/// Submit a run
///
/// It is on record before the reply. With `wait` the reply comes when the run is final or the time is up. A run that
/// `concurrency` has skipped is a conflict, and is not on record.
#[utoipa::path(
    post, path = "/api/runs", tag = "runs", operation_id = "submit_run",
    params(SubmitQuery),
    request_body = SubmitShape,
    responses(
        (status = 201, description = "The run is on record", body = RunShape),
        (status = 200, description = "The idempotency key stands for this run already", body = RunShape),
        Invalid, NotFound, Conflict, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn submit(
    State(state): State<ApiState>,
    Query(query): Query<SubmitQuery>,
    JsonBody(body): JsonBody<SubmitShape>,
) -> Result<(StatusCode, Json<RunShape>)> {
    let app = &state.app;
    let wait = query.checked()?;
    let (mut run, new) = app.submit(new_run(body))?;
    if let Some(wait) = wait {
        run = wait_for_end(app, run.id, wait).await?;
    }
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view::details(app, run)?)))
}

pub(super) async fn wait_for_end(app: &App, id: RunId, wait: Duration) -> Result<crate::domain::Run> {
    let finished = app.events.when_finished(id);
    // Only now: it may have finished before somebody listened.
    let run = app.run(id)?;
    if run.state.is_final() {
        app.events.forget(id);
        return Ok(run);
    }
    let _ = tokio::time::timeout(wait, finished).await;
    app.events.forget(id);
    app.run(id)
}

fn new_run(body: SubmitShape) -> NewRun {
    let (dirs, http) = body.grants.map(|grants| (grants.dirs, grants.http)).unzip();
    NewRun {
        module: body.module,
        entry: body.entry,
        digest: body.digest,
        parameters: body.parameters.unwrap_or_default(),
        name: body.name,
        idempotency_key: body.idempotency_key,
        scheduled_at: body.scheduled_at,
        settings: SettingsPatch {
            limits: body.limits,
            retries: body.retries,
            metering: body.metering,
            tags: body.tags,
            timezone: body.timezone,
            dirs,
            http,
        },
        trigger: trigger(body.trigger),
        deployment: None,
        occurrence: None,
        across: AcrossRules {
            concurrency: body.concurrency,
            rate: body.rate,
            priority: body.priority.unwrap_or_default(),
            ..AcrossRules::default()
        },
    }
}

/// What a caller says of itself, or else the API.
pub(super) fn trigger(caller: Option<Caller>) -> Trigger {
    match caller.unwrap_or_default() {
        Caller::Api => Trigger::Api,
        Caller::Cli => Trigger::Cli,
    }
}

/// List runs, newest first
#[utoipa::path(
    get, path = "/api/runs", tag = "runs", operation_id = "list_runs",
    params(FilterQuery, ListQuery),
    responses((status = 200, description = "One page", body = Page<RunSummary>), Invalid),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<RunSummary>>> {
    let limit = page_limit(query.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let filter = query.filter.read(state.app.clock.now())?;
    let before = query.cursor.as_deref().map(parse_cursor).transpose()?;
    let app = state.app.clone();
    let listed = blocking(move || {
        let runs = app.store.runs(&filter, before, limit + 1)?;
        page(runs, limit, |last| last.id.to_string(), |run| summary(&app, &run))
    });
    Ok(Json(listed.await?))
}

/// Show a run with all that is known of it
#[utoipa::path(
    get, path = "/api/runs/{id}", tag = "runs", operation_id = "show_run",
    params(("id" = RunId, Path, description = "The run")),
    responses((status = 200, description = "The run", body = RunShape), Invalid, NotFound),
)]
pub(super) async fn show(State(state): State<ApiState>, Id(id): Id) -> Result<Json<RunShape>> {
    let run = state.app.run(id)?;
    Ok(Json(view::details(&state.app, run)?))
}

/// List the runs that a flow submitted, in that order
#[utoipa::path(
    get, path = "/api/runs/{id}/children", tag = "runs", operation_id = "list_children",
    params(("id" = RunId, Path, description = "The flow's run"), ChildrenQuery),
    responses((status = 200, description = "One page", body = Page<RunSummary>), Invalid, NotFound),
)]
pub(super) async fn children(
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<ChildrenQuery>,
) -> Result<Json<Page<RunSummary>>> {
    let limit = page_limit(query.limit, DEFAULT_LIMIT, MAX_LONG_LIMIT)?;
    let app = state.app.clone();
    let page = blocking(move || {
        let parent = app.run(id)?;
        let generation = query.generation.unwrap_or(parent.generation);
        let mut runs = app.store.children(id, generation, query.cursor.unwrap_or(0), limit + 1)?;
        let next = (runs.len() > limit).then(|| runs.pop()).flatten().and_then(|run| run.parent);
        let items = runs.iter().map(|run| summary(&app, run)).collect::<Result<_>>()?;
        Ok(Page { items, next_cursor: next.map(|next| next.seq.to_string()) })
    });
    Ok(Json(page.await?))
}

/// Read the log of a run and all below it, oldest line first
#[utoipa::path(
    get, path = "/api/runs/{id}/logs", tag = "runs", operation_id = "read_log",
    params(("id" = RunId, Path, description = "The run"), LogsQuery),
    responses((status = 200, description = "One page", body = Page<LogShape>), Invalid, NotFound),
)]
pub(super) async fn logs(
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<LogsQuery>,
) -> Result<Json<Page<LogShape>>> {
    let limit = page_limit(query.limit, MAX_LONG_LIMIT, MAX_LONG_LIMIT)?;
    let level = query.level.as_deref().map(parse_level).transpose()?.unwrap_or(0);
    let after = query.after.or(query.cursor).unwrap_or(0);
    let app = state.app.clone();
    let page = blocking(move || {
        let run = app.run(id)?;
        let filter = LogFilter { after, level, limit };
        let lines = match run.kind {
            Kind::Flow => app.store.logs(id, run.root_id, filter)?,
            Kind::Task => app.store.own_logs(id, filter)?,
        };
        let next_cursor = lines.last().filter(|_| lines.len() == limit).map(|line| line.no.to_string());
        Ok(Page { items: lines.into_iter().map(view::log_line).collect(), next_cursor })
    });
    Ok(Json(page.await?))
}

/// Cancel a run and all below it
///
/// What no worker holds is over at once; the rest is `cancelling` until its worker has ended it.
#[utoipa::path(
    post, path = "/api/runs/{id}/cancel", tag = "runs", operation_id = "cancel_run",
    params(("id" = RunId, Path, description = "The run")),
    responses((status = 200, description = "The run as it is now", body = RunShape), Invalid, NotFound, Conflict),
)]
pub(super) async fn cancel(State(state): State<ApiState>, Id(id): Id) -> Result<Json<RunShape>> {
    let run = state.app.cancel(id).await?;
    Ok(Json(view::details(&state.app, run)?))
}

/// What may take long is done where it holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(read: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(read).await.map_err(|error| anyhow::anyhow!(error))?
}

fn parse_level(name: &str) -> Result<u8> {
    let levels = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];
    levels.into_iter().find(|level| crate::wasm::level_name(*level) == name).map(|level| level as u8).ok_or_else(|| {
        let message = format!("unknown level `{}`; levels are trace, debug, info, warn, error", name.escape_debug());
        Error::invalid(message)
    })
}

fn parse_cursor(text: &str) -> Result<RunId> {
    text.parse().map_err(|_| Error::invalid(format!("`{}` is not a cursor of this list", text.escape_debug())))
}
