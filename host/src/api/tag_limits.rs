//! `/api/tag-limits`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::ApiState;
use super::extract::JsonBody;
use super::openapi::{Conflict, Invalid, NotFound, TooLarge, UnsupportedMediaType};
use super::runs::blocking;
use super::shapes::{SetTagLimit, TagLimitShape, TagLimitsShape};
use crate::app::TagLimitInUse;
use crate::error::Result;

/// List the limits of tags, with how many runs hold and wait
#[utoipa::path(
    get, path = "/api/tag-limits", tag = "server", operation_id = "list_tag_limits",
    responses((status = 200, description = "All, by tag", body = TagLimitsShape)),
)]
pub(super) async fn list(State(state): State<ApiState>) -> Result<Json<TagLimitsShape>> {
    let limits = blocking(move || state.app.tag_limits()).await?;
    Ok(Json(TagLimitsShape { items: limits.into_iter().map(shape).collect() }))
}

/// Show the limit of a tag
#[utoipa::path(
    get, path = "/api/tag-limits/{tag}", tag = "server", operation_id = "show_tag_limit",
    params(("tag" = String, Path, description = "The tag")),
    responses((status = 200, description = "The limit", body = TagLimitShape), Invalid, NotFound),
)]
pub(super) async fn show(State(state): State<ApiState>, Path(tag): Path<String>) -> Result<Json<TagLimitShape>> {
    Ok(Json(shape(blocking(move || state.app.tag_limit(&tag)).await?)))
}

/// Limit how many runs with a tag may run at a time
///
/// It holds at once, for runs of flows too. What runs already goes on.
#[utoipa::path(
    put, path = "/api/tag-limits/{tag}", tag = "server", operation_id = "set_tag_limit",
    params(("tag" = String, Path, description = "The tag")),
    request_body = SetTagLimit,
    responses(
        (status = 200, description = "The limit as it is now", body = TagLimitShape),
        Invalid, Conflict, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn set(
    State(state): State<ApiState>,
    Path(tag): Path<String>,
    JsonBody(body): JsonBody<SetTagLimit>,
) -> Result<Json<TagLimitShape>> {
    Ok(Json(shape(blocking(move || state.app.set_tag_limit(&tag, body.max)).await?)))
}

/// Let any number of runs with a tag run
#[utoipa::path(
    delete, path = "/api/tag-limits/{tag}", tag = "server", operation_id = "remove_tag_limit",
    params(("tag" = String, Path, description = "The tag")),
    responses((status = 204, description = "It has no limit any more"), Invalid, NotFound),
)]
pub(super) async fn remove(State(state): State<ApiState>, Path(tag): Path<String>) -> Result<StatusCode> {
    blocking(move || state.app.remove_tag_limit(&tag)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shape(limit: TagLimitInUse) -> TagLimitShape {
    let TagLimitInUse { tag, max, running, waiting } = limit;
    TagLimitShape { tag, max, running, waiting }
}
