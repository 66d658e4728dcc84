//! `/api/runs/{id}/artifacts` and `/api/artifacts`.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::ApiState;
use super::extract::{Id, Query, page, page_limit};
use super::openapi::{Invalid, NotFound};
use super::runs::blocking;
use super::shapes::{ArtifactShape, ArtifactSummary, Page};
use super::view::raw;
use crate::domain::RunId;
use crate::domain::module::check_name;
use crate::error::{Error, Result};
use crate::store::StoredArtifact;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OfRunQuery {
    /// Those of all runs below it, too.
    #[param(default = false)]
    #[serde(default)]
    below: bool,
    /// Items of one page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Where the last page said that the next begins.
    cursor: Option<i64>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct NewestQuery {
    /// Only those under this key.
    #[param(pattern = "^[a-z][a-z0-9_-]{0,63}$", example = "report")]
    key: Option<String>,
    /// Items of one page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Where the last page said that the next begins.
    cursor: Option<i64>,
}

/// List what a run has shown of its work, in the order in which it was written
#[utoipa::path(
    get, path = "/api/runs/{id}/artifacts", tag = "runs", operation_id = "list_artifacts",
    params(("id" = RunId, Path, description = "The run"), OfRunQuery),
    responses((status = 200, description = "One page", body = Page<ArtifactSummary>), Invalid, NotFound),
)]
pub(super) async fn of_run(
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<OfRunQuery>,
) -> Result<Json<Page<ArtifactSummary>>> {
    let limit = page_limit(query.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let after = query.cursor.unwrap_or(0);
    let app = state.app.clone();
    let found = blocking(move || {
        let run = app.run(id)?;
        Ok(match query.below {
            true => app.store.artifacts_below(id, run.root_id, after, limit + 1)?,
            false => app.store.artifacts(id, after, limit + 1)?,
        })
    });
    Ok(Json(page(found.await?, limit, |last| last.no.to_string(), |artifact| Ok(summary(artifact)))?))
}

/// Show an artifact of a run with its content
#[utoipa::path(
    get, path = "/api/runs/{id}/artifacts/{key}", tag = "runs", operation_id = "show_artifact",
    params(
        ("id" = RunId, Path, description = "The run"),
        ("key" = String, Path, description = "The key under which the run wrote it", example = "summary"),
    ),
    responses((status = 200, description = "The artifact", body = ArtifactShape), Invalid, NotFound),
)]
pub(super) async fn show(
    State(state): State<ApiState>,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<ArtifactShape>> {
    let id = id.parse().map_err(|_| Error::invalid(format!("`{}` is not a run id", id.escape_debug())))?;
    let run = state.app.run(id)?;
    let found = state.app.store.artifact(run.id, &key)?;
    let (artifact, content) = found
        .ok_or_else(|| Error::not_found(format!("run `{id}` has written no artifact `{}`", key.escape_debug())))?;
    Ok(Json(ArtifactShape { summary: summary(artifact), content: raw(&content)? }))
}

/// List what all runs have shown of their work, newest first
#[utoipa::path(
    get, path = "/api/artifacts", tag = "runs", operation_id = "list_newest_artifacts",
    params(NewestQuery),
    responses((status = 200, description = "One page", body = Page<ArtifactSummary>), Invalid),
)]
pub(super) async fn newest(
    State(state): State<ApiState>,
    Query(query): Query<NewestQuery>,
) -> Result<Json<Page<ArtifactSummary>>> {
    let limit = page_limit(query.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    if let Some(key) = &query.key {
        check_name("artifact", key).map_err(Error::invalid)?;
    }
    let before = query.cursor.unwrap_or(i64::MAX);
    let app = state.app.clone();
    let found = blocking(move || Ok(app.store.newest_artifacts(query.key.as_deref(), before, limit + 1)?));
    Ok(Json(page(found.await?, limit, |last| last.no.to_string(), |artifact| Ok(summary(artifact)))?))
}

fn summary(artifact: StoredArtifact) -> ArtifactSummary {
    let StoredArtifact { no: _, run_id, attempt, key, kind, title, description, at, size_bytes } = artifact;
    ArtifactSummary { run_id, attempt, key, kind, title, description, written_at: at, size_bytes }
}
