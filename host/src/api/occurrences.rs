//! Occurrences of schedules: those to come, those that were skipped, and those of the past that are to be run.

use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ApiState;
use super::extract::{JsonBody, Query, page, page_limit};
use super::openapi::{Invalid, NotFound, TooLarge, UnsupportedMediaType};
use super::runs::blocking;
use super::shapes::{BackfillShape, BackfilledShape, Page, SkipShape, UpcomingList, UpcomingShape};
use crate::app::{Backfill, Backfilled, MAX_UPCOMING, Upcoming};
use crate::error::Result;
use crate::store::StoredSkip;

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;
/// Occurrences of one deployment that are told where nothing is said.
const DEFAULT_UPCOMING: usize = 10;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SkipsQuery {
    /// Items of one page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
    /// Where the last page said that the next begins.
    cursor: Option<i64>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct UpcomingQuery {
    /// Only those before this time; absent, of each deployment those of the next hour, a hundred at most and three at
    /// least.
    until: Option<Timestamp>,
    /// Occurrences at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct NextQuery {
    /// Occurrences at most.
    #[param(minimum = 1, maximum = 500, default = 10)]
    limit: Option<usize>,
}

/// Run occurrences of the past
///
/// Those that were not run yet, in the order of time.
#[utoipa::path(
    post, path = "/api/deployments/{name}/backfill", tag = "deployments", operation_id = "backfill_deployment",
    params(("name" = String, Path, description = "The deployment")),
    request_body = BackfillShape,
    responses(
        (status = 200, description = "The runs are on record", body = BackfilledShape),
        Invalid, NotFound, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn backfill(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<BackfillShape>,
) -> Result<Json<BackfilledShape>> {
    let BackfillShape { from, to, schedule_id, concurrency, dry_run } = body;
    let app = state.app.clone();
    let backfill = Backfill { from, to, schedule_id, concurrency, dry_run };
    let Backfilled { n_occurrences, n_submitted, n_run_before, n_skipped } =
        blocking(move || app.backfill(&name, &backfill)).await?;
    Ok(Json(BackfilledShape { n_occurrences, n_submitted, n_run_before, n_skipped }))
}

/// Show the next occurrences of a deployment's schedules
///
/// Those of paused ones are told as well, marked as such.
#[utoipa::path(
    get, path = "/api/deployments/{name}/upcoming", tag = "deployments", operation_id = "show_upcoming",
    params(("name" = String, Path, description = "The deployment"), NextQuery),
    responses((status = 200, description = "The first first", body = UpcomingList), Invalid, NotFound),
)]
pub(super) async fn upcoming_of(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Query(query): Query<NextQuery>,
) -> Result<Json<UpcomingList>> {
    let limit = page_limit(query.limit, DEFAULT_UPCOMING, MAX_UPCOMING)?;
    let deployment = state.app.deployment(&name)?;
    let upcoming = state.app.upcoming_of(&deployment, limit)?;
    Ok(Json(upcoming_list(upcoming)))
}

/// Show the next occurrences of all schedules that are not paused
#[utoipa::path(
    get, path = "/api/upcoming", tag = "deployments", operation_id = "list_upcoming",
    params(UpcomingQuery),
    responses((status = 200, description = "The first first", body = UpcomingList), Invalid),
)]
pub(super) async fn upcoming(
    State(state): State<ApiState>,
    Query(query): Query<UpcomingQuery>,
) -> Result<Json<UpcomingList>> {
    let limit = page_limit(query.limit, DEFAULT_LIMIT, MAX_UPCOMING)?;
    let app = state.app.clone();
    let upcoming = blocking(move || app.upcoming(query.until, limit));
    Ok(Json(upcoming_list(upcoming.await?)))
}

/// List the occurrences that were skipped, newest first
#[utoipa::path(
    get, path = "/api/deployments/{name}/skips", tag = "deployments", operation_id = "list_skips",
    params(("name" = String, Path, description = "The deployment"), SkipsQuery),
    responses((status = 200, description = "One page", body = Page<SkipShape>), Invalid, NotFound),
)]
pub(super) async fn skips(
    State(state): State<ApiState>,
    Path(name): Path<String>,
    Query(query): Query<SkipsQuery>,
) -> Result<Json<Page<SkipShape>>> {
    let limit = page_limit(query.limit, DEFAULT_LIMIT, MAX_LIMIT)?;
    let app = &state.app;
    app.deployment(&name)?;
    let skips = app.store.skips(&name, query.cursor, limit + 1)?;
    Ok(Json(page(skips, limit, |last| last.no.to_string(), |skip| Ok(skip_shape(skip)))?))
}

fn skip_shape(stored: StoredSkip) -> SkipShape {
    let StoredSkip { no, skip, at } = stored;
    SkipShape {
        no,
        schedule_id: skip.schedule_id,
        first_at: skip.first_at,
        last_at: skip.last_at,
        n: skip.n,
        why: skip.why,
        detail: skip.detail,
        run_id: skip.run_id,
        at,
    }
}

fn upcoming_list(upcoming: Vec<Upcoming>) -> UpcomingList {
    let items = upcoming.into_iter().map(|Upcoming { deployment, row, at }| {
        let schedule = &row.schedule;
        let zone = jiff::tz::TimeZone::get(&schedule.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
        UpcomingShape {
            deployment,
            schedule_id: row.id.clone(),
            description: schedule.describe(),
            at,
            local: at.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            timezone: schedule.timezone.clone(),
            due_at: at + schedule.put_off(at),
            paused: row.due_at.is_none(),
        }
    });
    UpcomingList { items: items.collect() }
}
