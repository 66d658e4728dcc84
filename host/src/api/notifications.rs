//! `/api/notifications`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::extract::{Query, page, page_limit};
use super::openapi::Invalid;
use super::shapes::Page;
use crate::domain::{NotifyEvent, RunId, Timestamp};
use crate::error::Result;
use crate::store::{NotificationFilter, NotificationState, StoredNotification};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only those of this run.
    run: Option<RunId>,
    /// Only those of this deployment's runs and schedules.
    deployment: Option<String>,
    /// Only those that are in this state.
    state: Option<NotificationState>,
    /// Items of one page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Where the last page said that the next begins.
    cursor: Option<i64>,
}

/// Somebody who is or was to be told something.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NotificationShape {
    /// As the receiver has it, the same on each try.
    id: String,
    event: NotifyEvent,
    /// When the run ended or was late, or when the first missed occurrence was to be.
    at: Timestamp,
    run_id: Option<RunId>,
    deployment: Option<String>,
    /// The host of the webhook, or the program.
    target: String,
    state: NotificationState,
    tries: u32,
    tried_at: Option<Timestamp>,
    /// When it is tried next; absent where it was delivered or given up.
    next_at: Option<Timestamp>,
    /// Why the last try failed.
    error: Option<String>,
}

impl From<StoredNotification> for NotificationShape {
    fn from(stored: StoredNotification) -> NotificationShape {
        NotificationShape {
            state: stored.state(),
            id: stored.id,
            event: stored.event,
            at: stored.at,
            run_id: stored.run_id,
            deployment: stored.deployment,
            target: stored.target,
            tries: stored.tries,
            tried_at: stored.tried_at,
            next_at: stored.next_at,
            error: stored.error,
        }
    }
}

/// List who was notified of what, newest first
#[utoipa::path(
    get, path = "/api/notifications", tag = "server", operation_id = "list_notifications",
    params(ListQuery),
    responses((status = 200, description = "One page", body = Page<NotificationShape>), Invalid),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<NotificationShape>>> {
    let limit = page_limit(query.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let filter = NotificationFilter { run: query.run, deployment: query.deployment, state: query.state };
    let listed = super::runs::blocking(move || {
        let found = state.app.store.notifications(&filter, query.cursor, limit + 1)?;
        page(found, limit, |last| last.no.to_string(), |stored| Ok(stored.into()))
    });
    listed.await.map(Json)
}
