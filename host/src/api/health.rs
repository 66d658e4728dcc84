//! `/api/health`.

use axum::Json;
use axum::extract::State;

use super::ApiState;
use super::shapes::Health;
use crate::error::Result;

/// Whether the server is well, and what it has
#[utoipa::path(get, path = "/api/health", tag = "server", responses((status = 200, description = "It is well", body = Health)))]
pub(super) async fn health(State(state): State<ApiState>) -> Result<Json<Health>> {
    let store = &state.app.store;
    Ok(Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data_dir: state.app.config.data_dir.display().to_string(),
        slots: state.info.slots,
        modules: store.count_modules()?,
        unfinished_runs: store.count_unfinished()?,
        serves: state.info.serves,
    }))
}
