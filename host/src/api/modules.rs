//! `/api/modules`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ApiState;
use super::extract::{Query, WasmBody, page, page_limit};
use super::openapi::{Invalid, NotFound, TooLarge, UnsupportedMediaType};
use super::shapes::{ModuleShape, Page, VersionShape};
use crate::domain::Module;
use crate::error::{Error, Result};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterQuery {
    /// What the module is called from now on.
    #[param(pattern = "^[a-z][a-z0-9_-]{0,63}$", example = "my_flow")]
    name: String,
    /// Register nothing, and answer with what would be registered.
    #[serde(default)]
    #[param(default = false)]
    check: bool,
}

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

/// Register a component, or a new version of it
///
/// Each version is named by its digest, and stays. A component that is the newest version already changes nothing.
#[utoipa::path(
    post, path = "/api/modules", tag = "modules", operation_id = "register_module",
    params(RegisterQuery),
    request_body(content = WasmBody, content_type = "application/wasm", description = "The component, at most 64 MiB"),
    responses(
        (status = 201, description = "It is registered", body = ModuleShape),
        (status = 200, description = "It is the newest version already, or was only checked", body = ModuleShape),
        Invalid, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn register(
    State(state): State<ApiState>,
    Query(query): Query<RegisterQuery>,
    WasmBody(wasm): WasmBody,
) -> Result<(StatusCode, Json<ModuleShape>)> {
    if query.check {
        return Ok((StatusCode::OK, Json(shape(state.app.examine(&query.name, wasm.into()).await?, None))));
    }
    let (module, new) = state.app.register(&query.name, wasm.into()).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    let broken = state.app.broken_deployments(&query.name)?;
    let shape = ModuleShape {
        broken_deployments: broken.into_iter().map(super::deployments::broken_shape).collect(),
        ..shape(module, None)
    };
    Ok((status, Json(shape)))
}

/// List the modules by name, each with its newest version
#[utoipa::path(
    get, path = "/api/modules", tag = "modules", operation_id = "list_modules",
    params(ListQuery),
    responses((status = 200, description = "One page", body = Page<ModuleShape>), Invalid),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<ModuleShape>>> {
    let limit = page_limit(query.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let modules = state.app.store.modules(query.cursor.as_deref().unwrap_or_default(), limit + 1)?;
    Ok(Json(page(modules, limit, |last| last.name.clone(), |module| Ok(shape(module, None)))?))
}

/// Show a module with its entries and versions
#[utoipa::path(
    get, path = "/api/modules/{name}", tag = "modules", operation_id = "show_module",
    params(("name" = String, Path, description = "The module")),
    responses((status = 200, description = "The module", body = ModuleShape), Invalid, NotFound),
)]
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
    ModuleShape { name, digest, size_bytes, created_at, entries, versions, broken_deployments: Vec::new() }
}
