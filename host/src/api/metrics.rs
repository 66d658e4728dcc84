//! `/metrics`.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::ApiState;
use crate::error::Result;
use crate::metrics::Figures;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Figures for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses((status = 200, description = "Figures as OpenMetrics text", body = String, content_type = "application/openmetrics-text")),
)]
pub(super) async fn metrics(State(state): State<ApiState>) -> Result<impl IntoResponse> {
    let app = &state.app;
    let (commits, writes) = app.store.commits_and_writes();
    let opened = app.wasm.opened();
    let figures = Figures {
        unfinished_runs: app.store.count_unfinished()?,
        modules: app.store.count_modules()?,
        commits,
        writes,
        sandboxes_pooled: opened.in_pool.load(Ordering::Relaxed),
        sandboxes_on_demand: opened.on_demand.load(Ordering::Relaxed),
        event_streams: state.streams.open(),
    };
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], app.metrics.text(figures)))
}
