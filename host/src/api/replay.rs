//! `/api/runs/{id}/replay`.

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::CONTENT_TYPE;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ApiState;
use super::extract::{Id, JsonBody, Query, WasmBody};
use super::openapi::{Conflict, Invalid, NotFound, TooLarge, UnsupportedMediaType};
use super::shapes::{ReplayRequest, ReplayShape, ReplayedFuel, ReplayedLog, ReplayedOutcome};
use super::view;
use crate::app::{Execution, ReplayOrder};
use crate::domain::RunId;
use crate::error::{Error, Result};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayQuery {
    /// Which of the run's attempts, from 1; the last where it is not said.
    #[param(minimum = 1)]
    attempt: Option<u32>,
}

/// Nothing, or a component.
pub(super) struct ReplayBody(Option<Vec<u8>>);

impl<S: Send + Sync> FromRequest<S> for ReplayBody {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let is_wasm = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"/wasm"));
        if is_wasm {
            return Ok(ReplayBody(Some(WasmBody::from_request(request, state).await?.0.into())));
        }
        JsonBody::<ReplayRequest>::from_request(request, state).await.map(|_| ReplayBody(None))
    }
}

/// Call a run that is over once more, and see whether it comes out the same
///
/// A flow is called against its record alone: the children, times and numbers that it saw. A task has the input and the
/// random numbers of its attempt, and no grants. Nothing else is executed, and nothing is stored. With a component as the
/// body, that is called instead of the module that the run had: to see whether changed code would go on from the record.
#[utoipa::path(
    post, path = "/api/runs/{id}/replay", tag = "runs", operation_id = "replay_run",
    params(("id" = RunId, Path, description = "The run"), ReplayQuery),
    request_body(
        content((ReplayRequest = "application/json"), (WasmBody = "application/wasm")),
        description = "Nothing, or another component to call, at most 64 MiB",
    ),
    responses(
        (status = 200, description = "What came of it", body = ReplayShape),
        Invalid, NotFound, Conflict, TooLarge, UnsupportedMediaType,
    ),
)]
pub(super) async fn replay(
    State(state): State<ApiState>,
    Id(run): Id,
    Query(query): Query<ReplayQuery>,
    ReplayBody(module): ReplayBody,
) -> Result<Json<ReplayShape>> {
    let order = ReplayOrder { run, attempt: query.attempt, module };
    let replayed = state.app.replay(order, state.replayer.clone()).await?;
    let summary = view::summary(&state.app, &replayed.run)?;
    let (recorded, again) = (&replayed.recorded, &replayed.replayed);
    let differing = replayed.differing_line();
    let line = |execution: &Execution| Some(execution.lines.get(differing?)?.1.clone());
    Ok(Json(ReplayShape {
        run_id: summary.id,
        kind: summary.kind,
        name: summary.name,
        attempt: replayed.run.attempt,
        digest: replayed.digest.clone(),
        other_module: replayed.is_other_module(),
        live: replayed.live.clone(),
        same: replayed.is_same(),
        cut_off: replayed.was_cut_off,
        difference: replayed.difference().map(str::to_owned),
        same_outcome: replayed.same_outcome(),
        recorded: outcome(recorded)?,
        replayed: outcome(again)?,
        log: ReplayedLog {
            same: differing.is_none(),
            removed: replayed.log_removed,
            recorded_lines: recorded.lines.len(),
            replayed_lines: again.lines.len(),
            differing_line: differing.map(|place| place + 1),
            recorded: line(recorded),
            replayed: line(again),
        },
        fuel: ReplayedFuel {
            same: replayed.same_fuel(),
            recorded: recorded.outcome.usage.fuel,
            replayed: again.outcome.usage.fuel,
        },
    }))
}

fn outcome(execution: &Execution) -> Result<ReplayedOutcome> {
    let outcome = &execution.outcome;
    Ok(ReplayedOutcome {
        result: outcome.result.as_ref().ok().map(|result| view::raw(result)).transpose()?,
        failure: outcome.result.as_ref().err().cloned(),
        label: outcome.label.clone(),
    })
}
