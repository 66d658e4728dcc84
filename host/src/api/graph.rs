//! `/api/runs/{id}/graph`: which child of a flow depends on which.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::ApiState;
use super::extract::{Id, Query, page_limit};
use super::openapi::{Invalid, NotFound};
use super::runs::blocking;
use super::shapes::{GraphEdge, GraphNode, GraphShape};
use super::view::summary;
use crate::app::App;
use crate::domain::RunId;
use crate::domain::graph::edges;
use crate::error::Result;

/// Nodes that are shown: a graph of more is no picture any more.
const DEFAULT_NODES: usize = 500;
const MAX_NODES: usize = 1000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct GraphQuery {
    /// The execution of the flow; the newest where it is absent.
    generation: Option<u32>,
    /// The most children to show, in the order in which they were submitted.
    #[param(minimum = 1, maximum = 1000, default = 500)]
    limit: Option<usize>,
}

/// Show which of a flow's children depends on which
///
/// An edge of `data` goes to a run that took the other's result as an argument, one of `order` to a run that the flow
/// submitted when it knew how the other had ended. What other edges say already is left out.
#[utoipa::path(
    get, path = "/api/runs/{id}/graph", tag = "runs", operation_id = "show_graph",
    params(("id" = RunId, Path, description = "The flow's run"), GraphQuery),
    responses((status = 200, description = "The graph", body = GraphShape), Invalid, NotFound),
)]
pub(super) async fn show(
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<GraphQuery>,
) -> Result<Json<GraphShape>> {
    let limit = page_limit(query.limit, DEFAULT_NODES, MAX_NODES)?;
    Ok(Json(blocking(move || graph(&state.app, id, query.generation, limit)).await?))
}

fn graph(app: &App, id: RunId, generation: Option<u32>, limit: usize) -> Result<GraphShape> {
    let run = app.run(id)?;
    let generation = generation.unwrap_or(run.generation);
    let mut children = app.store.children(id, generation, 0, limit + 1)?;
    let more_nodes = children.len() > limit;
    children.truncate(limit);

    // A child in memory may not be on record yet, while a later one is: places are not positions in the list.
    let place = |run: &crate::domain::Run| run.parent.map_or(0, |parent| parent.seq);
    let n_places = children.last().map_or(0, |last| place(last) as usize + 1);
    let mut upstreams = vec![None; n_places.min(MAX_NODES)];
    for child in &children {
        if let Some(upstream) = upstreams.get_mut(place(child) as usize) {
            *upstream = child.upstream.as_deref();
        }
    }
    let (edges, more_edges) = edges(&upstreams);
    let family = RunId::family(id, generation);
    let edge = |edge: crate::domain::graph::Edge| GraphEdge {
        from: family.child(edge.from),
        to: family.child(edge.to),
        kind: edge.kind,
    };
    Ok(GraphShape {
        edges: edges.into_iter().map(edge).collect(),
        nodes: children.iter().map(|child| summary(app, child).map(GraphNode::from)).collect::<Result<_>>()?,
        truncated: more_nodes || more_edges,
    })
}
