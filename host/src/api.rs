//! The HTTP API: JSON under `/api`.

mod artifacts;
mod backup;
mod deletion;
mod deployments;
mod error;
mod events;
mod extract;
mod filter;
mod graph;
mod guard;
mod health;
mod metrics;
mod modules;
mod notifications;
mod occurrences;
mod openapi;
mod replay;
mod retry;
mod runs;
pub mod shapes;
mod signals;
mod stats;
mod system;
mod tag_limits;
mod variables;
mod view;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Router, middleware};
use tokio_util::sync::CancellationToken;

use crate::app::{App, MAX_INPUT_BYTES, MAX_MODULE_BYTES, Replayer};
use crate::error::Error;

pub(crate) use extract::Id;
pub(crate) use view::{details, log_line, summary};

/// What every handler has at hand.
#[derive(Clone)]
pub struct ApiState {
    pub app: Arc<App>,
    pub info: Arc<ServerInfo>,
    replayer: Arc<dyn Replayer>,
    streams: Arc<events::Streams>,
}

impl ApiState {
    /// What handlers have at hand until the server is `closing`.
    pub fn new(app: Arc<App>, info: ServerInfo, replayer: Arc<dyn Replayer>, closing: CancellationToken) -> ApiState {
        ApiState { app, info: Arc::new(info), replayer, streams: Arc::new(events::Streams::new(closing)) }
    }
}

/// What the server says of itself.
#[derive(Debug)]
pub struct ServerInfo {
    pub slots: usize,
    /// Whether it is `tarefa serve`, not another verb that works embedded.
    pub serves: bool,
    /// Names beside loopback by which it may be called.
    pub allowed_hosts: Vec<String>,
}

/// Every path that the server answers.
pub fn router(state: ApiState) -> Router {
    let limit = |bytes: usize| DefaultBodyLimit::max(bytes);
    Router::new()
        .route("/", get(crate::pages::index))
        .route("/runs/{id}", get(crate::pages::run))
        .route("/metrics", get(metrics::metrics))
        .route("/api/openapi.json", get(openapi::openapi))
        .route("/api/docs", get(openapi::docs))
        .route("/api/health", get(health::health))
        .route("/api/backup", get(backup::backup))
        .route("/api/system", get(system::system))
        .route("/api/prune", post(system::prune))
        .route("/api/modules", get(modules::list).post(modules::register).layer(limit(MAX_MODULE_BYTES)))
        .route("/api/modules/{name}", get(modules::show).delete(deletion::delete_module))
        .route("/api/runs", get(runs::list).post(runs::submit).layer(limit(2 * MAX_INPUT_BYTES)))
        .route("/api/runs/{id}", get(runs::show).delete(deletion::delete_run))
        .route("/api/runs/{id}/children", get(runs::children))
        .route("/api/runs/{id}/graph", get(graph::show))
        .route("/api/runs/{id}/logs", get(runs::logs))
        .route("/api/runs/{id}/events", get(events::events))
        .route("/api/runs/{id}/cancel", post(runs::cancel))
        .route("/api/runs/{id}/retry", post(retry::retry))
        .route("/api/runs/{id}/replay", post(replay::replay).layer(limit(MAX_MODULE_BYTES)))
        .route("/api/runs/{id}/signals/{name}", post(signals::send_signal))
        .route("/api/runs/{id}/pause", post(signals::pause))
        .route("/api/runs/{id}/resume", post(signals::resume))
        .route("/api/deployments", get(deployments::list))
        .route(
            "/api/deployments/{name}",
            get(deployments::show).put(deployments::put).patch(deployments::patch).delete(deployments::delete),
        )
        .route("/api/deployments/{name}/pause", post(deployments::pause))
        .route("/api/deployments/{name}/resume", post(deployments::resume))
        .route("/api/deployments/{name}/runs", post(deployments::run).layer(limit(2 * MAX_INPUT_BYTES)))
        .route("/api/deployments/{name}/upcoming", get(occurrences::upcoming_of))
        .route("/api/deployments/{name}/skips", get(occurrences::skips))
        .route("/api/deployments/{name}/backfill", post(occurrences::backfill))
        .route("/api/upcoming", get(occurrences::upcoming))
        .route("/api/runs/{id}/artifacts", get(artifacts::of_run))
        .route("/api/runs/{id}/artifacts/{key}", get(artifacts::show))
        .route("/api/artifacts", get(artifacts::newest))
        .route("/api/variables", get(variables::list))
        .route("/api/variables/{name}", get(variables::show).put(variables::set).delete(variables::delete))
        .route("/api/stats", get(stats::stats))
        .route("/api/notifications", get(notifications::list))
        .route("/api/tag-limits", get(tag_limits::list))
        .route("/api/tag-limits/{tag}", get(tag_limits::show).put(tag_limits::set).delete(tag_limits::remove))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn_with_state(state.info.clone(), guard::same_origin))
        .with_state(state)
}

async fn unknown_path(uri: axum::http::Uri) -> Error {
    Error::not_found(format!("path `{}` does not exist", uri.path()))
}

async fn unknown_method(method: axum::http::Method, uri: axum::http::Uri) -> Error {
    Error::new(crate::error::ErrorKind::MethodNotAllowed, format!("`{}` does not take {method}", uri.path()))
}
