//! `/api/runs/{id}/retry`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::ApiState;
use super::extract::{Id, JsonBody};
use super::runs::trigger;
use super::shapes::{RetryShape, RunShape};
use super::view;
use crate::error::Result;

/// Until flows are durable a retry begins at the beginning, as a run of its own that names the old one.
pub(super) async fn retry(
    State(state): State<ApiState>,
    Id(id): Id,
    JsonBody(body): JsonBody<RetryShape>,
) -> Result<(StatusCode, Json<RunShape>)> {
    let run = state.app.retry(id, trigger(body.trigger))?;
    Ok((StatusCode::CREATED, Json(view::details(&state.app, run)?)))
}
