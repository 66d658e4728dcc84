//! `/api/stats`: how many runs there are, by what they have in common.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::ApiState;
use super::extract::Query;
use super::filter::FilterQuery;
use super::openapi::Invalid;
use super::runs::blocking;
use super::shapes::{StatsItem, StatsShape};
use crate::error::{Error, Result};
use crate::store::{Counted, Group, GroupBy, GroupKey};

/// Items of one answer: more than a chart can show.
const MAX_ITEMS: usize = 1000;
/// Runs that are counted for one answer: about a second's work.
const MAX_RUNS: u64 = 1_000_000;
/// The longest span, ten years.
const MAX_BUCKET_MS: u64 = 315_360_000_000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct StatsQuery {
    /// What runs are counted by: `time` where there is `bucket_ms`, else `state`.
    #[param(inline)]
    by: Option<By>,
    /// Length of the spans of `by=time`.
    #[param(minimum = 1, maximum = 315_360_000_000_u64)]
    bucket_ms: Option<u64>,
    #[serde(flatten)]
    #[param(ignore)]
    filter: FilterQuery,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    State,
    Entry,
    Label,
    Tag,
    Deployment,
    Time,
}

/// Count runs by what they have in common
#[utoipa::path(
    get, path = "/api/stats", tag = "runs", operation_id = "count_runs",
    params(StatsQuery, FilterQuery),
    responses((status = 200, description = "The counts", body = StatsShape), Invalid),
)]
pub(super) async fn stats(State(state): State<ApiState>, Query(query): Query<StatsQuery>) -> Result<Json<StatsShape>> {
    let by = group_by(query.by, query.bucket_ms)?;
    let filter = query.filter.read(state.app.clock.now())?;
    let store = state.app.store.clone();
    let counted = blocking(move || Ok(store.count_by(&filter, by, MAX_ITEMS, MAX_RUNS + 1)?)).await?;
    check(&counted, by)?;
    Ok(Json(StatsShape { items: counted.groups.into_iter().map(item).collect() }))
}

fn group_by(by: Option<By>, bucket_ms: Option<u64>) -> Result<GroupBy> {
    let by = by.unwrap_or(if bucket_ms.is_some() { By::Time } else { By::State });
    match (by, bucket_ms) {
        (By::Time, Some(bucket_ms @ 1..=MAX_BUCKET_MS)) => Ok(GroupBy::Time { bucket_ms }),
        (By::Time, Some(bucket_ms)) => {
            Err(Error::invalid(format!("`bucket_ms` is {bucket_ms}; it goes from 1 to {MAX_BUCKET_MS}")))
        }
        (By::Time, None) => Err(Error::invalid("`by=time` takes `bucket_ms`, such as 60000")),
        (_, Some(_)) => Err(Error::invalid("`bucket_ms` goes with `by=time` alone")),
        (By::State, None) => Ok(GroupBy::State),
        (By::Entry, None) => Ok(GroupBy::Entry),
        (By::Label, None) => Ok(GroupBy::Label),
        (By::Tag, None) => Ok(GroupBy::Tag),
        (By::Deployment, None) => Ok(GroupBy::Deployment),
    }
}

fn check(counted: &Counted, by: GroupBy) -> Result<()> {
    if counted.n_runs > MAX_RUNS {
        return Err(Error::invalid(format!(
            "more than {MAX_RUNS} runs are to be counted, which is the limit; name fewer with `since`, `root=true` or another filter"
        )));
    }
    // A list of times without the last of them would pass for a whole one.
    if matches!(by, GroupBy::Time { .. }) && counted.n_groups > MAX_ITEMS {
        return Err(Error::invalid(format!(
            "the runs are in {} spans and the limit is {MAX_ITEMS}; raise `bucket_ms`, or name fewer runs with `since` and `until`",
            counted.n_groups
        )));
    }
    Ok(())
}

fn item(Group { key, states }: Group) -> StatsItem {
    let key = match key {
        GroupKey::Word(word) => word,
        GroupKey::At(at) => at.to_string(),
    };
    StatsItem { key, total: states.values().sum(), states }
}
