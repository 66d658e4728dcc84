//! `/api/modules`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::ApiState;
use super::extract::{Query, WasmBody};
use super::shapes::{ModuleShape, Page, VersionShape};
use crate::domain::Module;
use crate::error::{Error, Result};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterQuery {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

pub(super) async fn register(
    State(state): State<ApiState>,
    Query(query): Query<RegisterQuery>,
    WasmBody(wasm): WasmBody,
) -> Result<(StatusCode, Json<ModuleShape>)> {
    let (module, new) = state.app.register(&query.name, wasm.into()).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(shape(module, None))))
}

pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<ModuleShape>>> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let mut modules = state.app.store.modules(query.cursor.as_deref().unwrap_or_default(), limit + 1)?;
    let more = modules.len() > limit;
    modules.truncate(limit);
    let next_cursor = modules.last().filter(|_| more).map(|module| module.name.clone());
    let items = modules.into_iter().map(|module| shape(module, None)).collect();
    Ok(Json(Page { items, next_cursor }))
}

pub(super) async fn show(State(state): State<ApiState>, Path(name): Path<String>) -> Result<Json<ModuleShape>> {
    let newest = state.app.find_version(&name, None)?;
    let versions = state.app.store.versions(&name)?;
    if versions.is_empty() {
        return Err(Error::not_found(format!("module `{name}` does not exist")));
    }
    let versions = versions
        .into_iter()
        .map(|Module { digest, size_bytes, created_at, .. }| VersionShape { digest, size_bytes, created_at })
        .collect();
    Ok(Json(shape(newest.module.clone(), Some(versions))))
}

fn shape(module: Module, versions: Option<Vec<VersionShape>>) -> ModuleShape {
    let Module { name, digest, size_bytes, created_at, entries } = module;
    ModuleShape { name, digest, size_bytes, created_at, entries, versions }
}
