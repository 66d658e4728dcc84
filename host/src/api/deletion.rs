//! `DELETE` of runs and modules.

use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::ApiState;
use super::extract::Id;
use super::openapi::{Conflict, Invalid, NotFound};
use super::runs::blocking;
use crate::domain::RunId;
use crate::error::Result;

/// Delete a run that is over, with all below it
#[utoipa::path(
    delete, path = "/api/runs/{id}", tag = "runs",
    params(("id" = RunId, Path, description = "The run, which no flow submitted")),
    responses((status = 204, description = "It is gone"), Invalid, NotFound, Conflict),
)]
pub(super) async fn delete_run(State(state): State<ApiState>, Id(id): Id) -> Result<StatusCode> {
    blocking(move || state.app.delete_run(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a module that no run on record uses
#[utoipa::path(
    delete, path = "/api/modules/{name}", tag = "modules",
    params(("name" = String, Path, description = "The module")),
    responses((status = 204, description = "It is gone"), Invalid, NotFound, Conflict),
)]
pub(super) async fn delete_module(State(state): State<ApiState>, Path(name): Path<String>) -> Result<StatusCode> {
    blocking(move || state.app.delete_module(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
