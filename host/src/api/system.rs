//! `/api/system`, `/api/prune`.

use axum::Json;
use axum::extract::State;
use tokio_util::sync::CancellationToken;

use super::ApiState;
use super::extract::JsonBody;
use super::openapi::{Invalid, TooLarge, UnsupportedMediaType};
use super::runs::blocking;
use super::shapes::{PrunedShape, StorageShape, SystemShape};
use crate::domain::{Keep, Retention, RetentionPatch};
use crate::error::Result;

/// What the server has, what of it is in use, and what it keeps
#[utoipa::path(
    get, path = "/api/system", tag = "server",
    responses((status = 200, description = "As it is now", body = SystemShape)),
)]
pub(super) async fn system(State(state): State<ApiState>) -> Result<Json<SystemShape>> {
    let app = state.app.clone();
    let storage = blocking(move || Ok(app.store.storage()?)).await?;
    let metrics = &state.app.metrics;
    Ok(Json(SystemShape {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slots: metrics.slots.get(),
        slots_in_use: metrics.slots_in_use.get(),
        flow_places: metrics.flow_places.get(),
        flows_in_memory: metrics.flows_in_memory.get(),
        retention: state.app.config.retention,
        storage: StorageShape {
            database_bytes: storage.database_bytes,
            free_bytes: storage.free_bytes,
            log_bytes: storage.log_bytes,
            top_level_runs: storage.top_level_runs,
        },
    }))
}

/// Delete runs that ended longer ago than that, and logs of such runs
///
/// What is absent is kept, and so is what deployments say of their own runs. Answers once all is gone.
#[utoipa::path(
    post, path = "/api/prune", tag = "server",
    request_body = RetentionPatch,
    responses((status = 200, description = "What was deleted", body = PrunedShape), Invalid, TooLarge, UnsupportedMediaType),
)]
pub(super) async fn prune(
    State(state): State<ApiState>,
    JsonBody(older_than): JsonBody<RetentionPatch>,
) -> Result<Json<PrunedShape>> {
    let retention = Retention { runs: Keep::Forever, logs: Keep::Forever }.with(older_than);
    // Once nobody waits for the answer nothing more is deleted.
    let given_up = CancellationToken::new();
    let _guard = given_up.clone().drop_guard();
    let pruned = blocking(move || state.app.prune(retention, || !given_up.is_cancelled())).await?;
    Ok(Json(PrunedShape { runs: pruned.runs, log_lines: pruned.log_lines }))
}
