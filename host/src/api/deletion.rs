//! `DELETE` of runs and modules.

use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::ApiState;
use super::extract::Id;
use super::runs::blocking;
use crate::error::Result;

pub(super) async fn delete_run(State(state): State<ApiState>, Id(id): Id) -> Result<StatusCode> {
    blocking(move || state.app.delete_run(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn delete_module(State(state): State<ApiState>, Path(name): Path<String>) -> Result<StatusCode> {
    blocking(move || state.app.delete_module(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
