//! `/api/deployments`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use super::ApiState;
use super::extract::{AnyJson, JsonBody, Query, page, page_limit};
use super::openapi::{Conflict, Invalid, NotFound, TooLarge, UnsupportedMediaType};
use super::runs::{SubmitQuery, blocking, trigger, wait_for_end};
use super::shapes::{BrokenShape, DeploymentShape, EmptyShape, Page, RunShape, ScheduleShape, TriggerShape};
use super::view;
use crate::app::{App, Broken, Changed, Triggered};
use crate::domain::{Deployment, DeploymentSpec, Schedule, TimetableRow};
use crate::error::{Error, Result};
use crate::store::RunFilter;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only those of this module.
    module: Option<String>,
    /// Items of one page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Where the last page said that the next begins.
    cursor: Option<String>,
}

/// Make a deployment, or change it
///
/// It does not run when it is made: an interval's first occurrence is one interval later. What it says already changes
/// nothing, and schedules that stay go on where they are.
#[utoipa::path(
    put, path = "/api/deployments/{name}", tag = "deployments", operation_id = "put_deployment",
    params(("name" = String, Path, description = "The deployment")),
    request_body = DeploymentSpec,
    responses(
        (status = 201, description = "It is made", body = DeploymentShape),
        (status = 200, description = "It is as the body says", body = DeploymentShape),
        Invalid, NotFound, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn put(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    JsonBody(spec): JsonBody<DeploymentSpec>,
) -> Result<(StatusCode, Json<DeploymentShape>)> {
    let app = &state.app;
    let (deployment, changed) = app.put_deployment(&name, &spec)?;
    let status = if changed == Changed::Created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(shape(app, deployment, Some(changed))?)))
}

/// Change some of what a deployment says
///
/// The body is a part of what `PUT` takes: its members take the place of those that are there, and null takes them away.
#[utoipa::path(
    patch, path = "/api/deployments/{name}", tag = "deployments", operation_id = "patch_deployment",
    params(("name" = String, Path, description = "The deployment")),
    request_body(content = Object, content_type = "application/json", example = json!({"paused": true})),
    responses(
        (status = 200, description = "It is changed", body = DeploymentShape),
        Invalid, NotFound, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn patch(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    AnyJson(patch): AnyJson,
) -> Result<Json<DeploymentShape>> {
    let Value::Object(patch) = patch else {
        return Err(Error::invalid("the body is not what this call takes: it should be an object"));
    };
    let (deployment, changed) = state.app.change_deployment(&name, |spec| patched(&spec, &patch))?;
    Ok(Json(shape(&state.app, deployment, Some(changed))?))
}

fn patched(spec: &DeploymentSpec, patch: &Map<String, Value>) -> Result<DeploymentSpec> {
    let Value::Object(mut members) = serde_json::to_value(spec).map_err(anyhow::Error::from)? else {
        unreachable!("a struct is an object")
    };
    for (name, value) in patch {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    serde_json::from_value(Value::Object(members))
        .map_err(|why| Error::invalid(format!("the deployment would not be what `PUT` takes: {why}")))
}

/// Show a deployment
#[utoipa::path(
    get, path = "/api/deployments/{name}", tag = "deployments", operation_id = "show_deployment",
    params(("name" = String, Path, description = "The deployment")),
    responses((status = 200, description = "The deployment", body = DeploymentShape), Invalid, NotFound),
)]
pub(super) async fn show(State(state): State<ApiState>, Path(name): Path<String>) -> Result<Json<DeploymentShape>> {
    Ok(Json(shape(&state.app, state.app.deployment(&name)?, None)?))
}

/// List the deployments by name
#[utoipa::path(
    get, path = "/api/deployments", tag = "deployments", operation_id = "list_deployments",
    params(ListQuery),
    responses((status = 200, description = "One page", body = Page<DeploymentShape>), Invalid),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<DeploymentShape>>> {
    let limit = page_limit(query.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let app = state.app.clone();
    let listed = blocking(move || {
        let after = query.cursor.unwrap_or_default();
        let deployments = app.store.deployments(query.module.as_deref(), &after, limit + 1)?;
        page(deployments, limit, |last| last.name.clone(), |deployment| shape(&app, deployment, None))
    });
    Ok(Json(listed.await?))
}

/// Delete a deployment with its schedules
///
/// Its runs stay on record, and go on.
#[utoipa::path(
    delete, path = "/api/deployments/{name}", tag = "deployments", operation_id = "delete_deployment",
    params(("name" = String, Path, description = "The deployment")),
    responses((status = 204, description = "It is deleted"), Invalid, NotFound),
)]
pub(super) async fn delete(State(state): State<ApiState>, Path(name): Path<String>) -> Result<StatusCode> {
    state.app.delete_deployment(&name)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Keep a deployment's schedules from firing
///
/// It can still be triggered by hand.
#[utoipa::path(
    post, path = "/api/deployments/{name}/pause", tag = "deployments", operation_id = "pause_deployment",
    params(("name" = String, Path, description = "The deployment")),
    request_body = EmptyShape,
    responses(
        (status = 200, description = "It is paused", body = DeploymentShape),
        Invalid, NotFound, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn pause(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    JsonBody(EmptyShape {}): JsonBody<EmptyShape>,
) -> Result<Json<DeploymentShape>> {
    Ok(Json(shape(&state.app, state.app.pause_deployment(&name, true)?, None)?))
}

/// Have a deployment's schedules fire again
///
/// What came meanwhile is not run, and is on record as skipped.
#[utoipa::path(
    post, path = "/api/deployments/{name}/resume", tag = "deployments", operation_id = "resume_deployment",
    params(("name" = String, Path, description = "The deployment")),
    request_body = EmptyShape,
    responses(
        (status = 200, description = "It is resumed", body = DeploymentShape),
        Invalid, NotFound, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn resume(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    JsonBody(EmptyShape {}): JsonBody<EmptyShape>,
) -> Result<Json<DeploymentShape>> {
    Ok(Json(shape(&state.app, state.app.pause_deployment(&name, false)?, None)?))
}

/// Run a deployment now, or at some time
///
/// With `wait` the reply comes when the run is final or the time is up.
#[utoipa::path(
    post, path = "/api/deployments/{name}/runs", tag = "deployments", operation_id = "trigger_deployment",
    params(("name" = String, Path, description = "The deployment"), SubmitQuery),
    request_body = TriggerShape,
    responses(
        (status = 201, description = "The run is on record", body = RunShape),
        (status = 200, description = "The idempotency key stands for this run already", body = RunShape),
        Invalid, NotFound, Conflict, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn run(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Query(query): Query<SubmitQuery>,
    JsonBody(body): JsonBody<TriggerShape>,
) -> Result<(StatusCode, Json<RunShape>)> {
    let wait = query.checked()?;
    let triggered = Triggered {
        parameters: body.parameters.unwrap_or_default(),
        name: body.name,
        idempotency_key: body.idempotency_key,
        scheduled_at: body.scheduled_at,
    };
    let app = &state.app;
    let (mut run, new) = app.trigger(&name, trigger(body.trigger), triggered)?;
    if let Some(wait) = wait {
        run = wait_for_end(app, run.id, wait).await?;
    }
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view::details(app, run)?)))
}

pub(super) fn broken_shape(broken: Broken) -> BrokenShape {
    BrokenShape { deployment: broken.deployment, why: broken.why }
}

fn shape(app: &App, deployment: Deployment, changed: Option<Changed>) -> Result<DeploymentShape> {
    let Deployment { name, spec, created_at, updated_at, timetable } = deployment;
    let entry = spec.entry.unwrap_or_default();
    let found = app.find_version(&spec.module, spec.digest.as_ref()).and_then(|version| {
        let index = version.find(&entry).map_err(Error::not_found)?;
        let found = &version.module.entries[index];
        Ok((found.title().to_owned(), found.kind))
    });
    let (title, kind, broken) = match found {
        Ok((title, kind)) => (title, Some(kind), None),
        Err(error) => (entry.clone(), None, Some(error.message)),
    };
    let filter = RunFilter { deployment: Some(name.clone()), ..RunFilter::default() };
    let last_run = app.store.runs(&filter, None, 1)?.first().map(|run| view::summary(app, run)).transpose()?;
    Ok(DeploymentShape {
        next_at: timetable.iter().filter(|row| row.due_at.is_some()).filter_map(|row| row.next_at).min(),
        n_skipped: app.store.count_skips(&name)?,
        changed: changed.map(|changed| changed != Changed::Nothing),
        schedules: timetable.into_iter().map(schedule_shape).collect(),
        name,
        module: spec.module,
        entry,
        kind,
        title,
        digest: spec.digest,
        description: spec.description,
        parameters: spec.parameters,
        paused: spec.paused,
        overlap: spec.overlap,
        catchup: spec.catchup,
        catchup_max: spec.catchup_max,
        concurrency: spec.concurrency,
        rate: spec.rate,
        priority: spec.priority,
        limits: spec.limits,
        retries: spec.retries,
        metering: spec.metering,
        tags: spec.tags,
        timezone: spec.timezone,
        grants: spec.grants,
        retention: spec.retention,
        notify: spec.notify,
        project: spec.project,
        created_at,
        updated_at,
        last_run,
        broken,
    })
}

fn schedule_shape(row: TimetableRow) -> ScheduleShape {
    let description = row.schedule.describe();
    let Schedule { cron, interval_ms, at, anchor, timezone, jitter_ms, start, end, paused } = row.schedule;
    let next_at = row.next_at.filter(|_| row.due_at.is_some());
    ScheduleShape {
        id: row.id,
        description,
        cron,
        interval_ms,
        at,
        anchor,
        timezone,
        jitter_ms,
        start,
        end,
        paused,
        next_at,
    }
}
