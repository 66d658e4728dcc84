//! `/api/variables`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ApiState;
use super::extract::{AnyJson, Query, page, page_limit};
use super::openapi::{Conflict, Invalid, NotFound, TooLarge, UnsupportedMediaType};
use super::shapes::{Page, VariableShape, VariableSummary};
use super::view::raw;
use crate::error::Result;
use crate::store::StoredVariable;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Items of one page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Where the last page said that the next begins.
    cursor: Option<String>,
}

/// List the variables by name, with the beginnings of their values
#[utoipa::path(
    get, path = "/api/variables", tag = "variables", operation_id = "list_variables",
    params(ListQuery),
    responses((status = 200, description = "One page", body = Page<VariableSummary>), Invalid),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<VariableSummary>>> {
    let limit = page_limit(query.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let variables = state.app.store.variables(query.cursor.as_deref().unwrap_or_default(), limit + 1)?;
    let summary = |StoredVariable { name, value, size_bytes, updated_at }: StoredVariable| {
        Ok(VariableSummary { name, preview: value, size_bytes, updated_at })
    };
    Ok(Json(page(variables, limit, |last| last.name.clone(), summary)?))
}

/// Show a variable
#[utoipa::path(
    get, path = "/api/variables/{name}", tag = "variables", operation_id = "show_variable",
    params(("name" = String, Path, description = "The variable", pattern = "^[a-z][a-z0-9_-]{0,63}$", example = "vat-rate")),
    responses((status = 200, description = "The variable", body = VariableShape), Invalid, NotFound),
)]
pub(super) async fn show(State(state): State<ApiState>, Path(name): Path<String>) -> Result<Json<VariableShape>> {
    Ok(Json(shape(state.app.variable(&name)?)?))
}

/// Set a variable
///
/// The body is its value, any JSON of at most 64 KiB. Runs that read it see it at once; a flow that has read it sees it
/// when it reads it again. Variables are shown to whoever asks: they are no place for secrets.
#[utoipa::path(
    put, path = "/api/variables/{name}", tag = "variables", operation_id = "set_variable",
    params(("name" = String, Path, description = "The variable", pattern = "^[a-z][a-z0-9_-]{0,63}$", example = "vat-rate")),
    request_body = serde_json::Value,
    responses(
        (status = 201, description = "It is new", body = VariableShape),
        (status = 200, description = "It has another value than before", body = VariableShape),
        Invalid, Conflict, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn set(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    AnyJson(value): AnyJson,
) -> Result<(StatusCode, Json<VariableShape>)> {
    let (variable, is_new) = state.app.set_variable(&name, &value.to_string())?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(shape(variable)?)))
}

/// Delete a variable
#[utoipa::path(
    delete, path = "/api/variables/{name}", tag = "variables", operation_id = "delete_variable",
    params(("name" = String, Path, description = "The variable", pattern = "^[a-z][a-z0-9_-]{0,63}$", example = "vat-rate")),
    responses((status = 204, description = "It is gone"), Invalid, NotFound),
)]
pub(super) async fn delete(State(state): State<ApiState>, Path(name): Path<String>) -> Result<StatusCode> {
    state.app.delete_variable(&name)?;
    Ok(StatusCode::NO_CONTENT)
}

fn shape(variable: StoredVariable) -> Result<VariableShape> {
    let StoredVariable { name, value, size_bytes, updated_at } = variable;
    Ok(VariableShape { name, value: raw(&value)?, size_bytes, updated_at })
}
