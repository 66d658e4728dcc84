//! `/api/runs/{id}/retry`.

use axum::Json;
use axum::extract::State;

use super::ApiState;
use super::extract::{Id, JsonBody};
use super::openapi::{Conflict, Invalid, NotFound, TooLarge, UnsupportedMediaType};
use super::shapes::{RetryShape, RunShape};
use super::view;
use crate::app::Retry;
use crate::domain::RunId;
use crate::error::Result;

/// Try a run again that did not complete
///
/// The same run gets its next attempt. A flow's is a new generation: it takes over what completed, and runs the rest. Of
/// a flow's child, the run at the top is tried again.
#[utoipa::path(
    post, path = "/api/runs/{id}/retry", tag = "runs", operation_id = "retry_run",
    params(("id" = RunId, Path, description = "The run")),
    request_body = RetryShape,
    responses(
        (status = 200, description = "The run that is tried again", body = RunShape),
        Invalid, NotFound, Conflict, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn retry(
    State(state): State<ApiState>,
    Id(id): Id,
    JsonBody(body): JsonBody<RetryShape>,
) -> Result<Json<RunShape>> {
    let how = Retry { from_start: body.from_start, newest: body.module.is_some() };
    let run = state.app.retry(id, how)?;
    Ok(Json(view::details(&state.app, run)?))
}
