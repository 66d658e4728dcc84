//! `/api/runs/{id}/signals/{name}`, `/pause` and `/resume`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::ApiState;
use super::extract::{AnyJson, Id};
use super::openapi::{Conflict, Invalid, NotFound, TooLarge, UnsupportedMediaType};
use super::shapes::RunShape;
use super::view;
use crate::domain::RunId;
use crate::error::{Error, Result};
use crate::store::NewSignal;

/// Send a signal to a flow
///
/// The body is its payload, any JSON. It is kept until the flow waits for a signal of that name; the oldest comes first.
#[utoipa::path(
    post, path = "/api/runs/{id}/signals/{name}", tag = "runs",
    params(
        ("id" = RunId, Path, description = "The flow's run"),
        ("name" = String, Path, description = "The name that the flow waits for"),
    ),
    request_body = serde_json::Value,
    responses(
        (status = 204, description = "It is on record"),
        Invalid, NotFound, Conflict, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn send_signal(
    State(state): State<ApiState>,
    Path((id, name)): Path<(String, String)>,
    AnyJson(payload): AnyJson,
) -> Result<StatusCode> {
    let run = id.parse().map_err(|_| Error::invalid(format!("`{}` is not the id of a run", id.escape_debug())))?;
    state.app.signal(&NewSignal { run, name: &name, payload: &payload.to_string(), sender: None })?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pause a run
///
/// A flow is told nothing more and submits nothing more; what it has submitted goes on. A run that was not started is not
/// started. A task that runs cannot be paused.
#[utoipa::path(
    post, path = "/api/runs/{id}/pause", tag = "runs", operation_id = "pause_run",
    params(("id" = RunId, Path, description = "The run")),
    responses((status = 200, description = "The run as it is now", body = RunShape), Invalid, NotFound, Conflict),
)]
pub(super) async fn pause(State(state): State<ApiState>, Id(id): Id) -> Result<Json<RunShape>> {
    let run = state.app.pause(id)?;
    Ok(Json(view::details(&state.app, run)?))
}

/// Have a run go on that was paused
#[utoipa::path(
    post, path = "/api/runs/{id}/resume", tag = "runs", operation_id = "resume_run",
    params(("id" = RunId, Path, description = "The run")),
    responses((status = 200, description = "The run as it is now", body = RunShape), Invalid, NotFound, Conflict),
)]
pub(super) async fn resume(State(state): State<ApiState>, Id(id): Id) -> Result<Json<RunShape>> {
    let run = state.app.resume(id)?;
    Ok(Json(view::details(&state.app, run)?))
}
