//! `/api/runs/{id}/retry`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::ApiState;
use super::extract::{Id, JsonBody};
use super::openapi::{Conflict, Invalid, NotFound, TooLarge, UnsupportedMediaType};
use super::runs::trigger;
use super::shapes::{RetryShape, RunShape};
use super::view;
use crate::domain::RunId;
use crate::error::Result;

/// Try a run again that did not complete
///
/// Until flows are durable a retry begins at the beginning, as a run of its own that names the old one.
#[utoipa::path(
    post, path = "/api/runs/{id}/retry", tag = "runs", operation_id = "retry_run",
    params(("id" = RunId, Path, description = "The run")),
    request_body = RetryShape,
    responses(
        (status = 201, description = "The new run is on record", body = RunShape),
        Invalid, NotFound, Conflict, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn retry(
    State(state): State<ApiState>,
    Id(id): Id,
    JsonBody(body): JsonBody<RetryShape>,
) -> Result<(StatusCode, Json<RunShape>)> {
    let run = state.app.retry(id, trigger(body.trigger))?;
    Ok((StatusCode::CREATED, Json(view::details(&state.app, run)?)))
}
