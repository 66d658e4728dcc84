//! The pages.

use axum::extract::State;
use axum::response::Html;
use minijinja::value::Serde;
use minijinja::{Environment, context};

use crate::api::{ApiState, summary};
use crate::error::Result;
use crate::store::RunFilter;

/// Runs on the first page.
const NEWEST: usize = 50;

/// The newest runs.
pub async fn index(State(state): State<ApiState>) -> Result<Html<String>> {
    let filter = RunFilter { top: true, limit: NEWEST, ..RunFilter::default() };
    let runs = state.app.store.runs(&filter)?;
    let runs: Vec<_> = runs.iter().map(|run| summary(&state.app, run)).collect::<Result<_>>()?;
    let mut environment = Environment::new();
    environment.add_template("index.html", include_str!("pages/index.html")).map_err(anyhow::Error::from)?;
    let page = environment.get_template("index.html").map_err(anyhow::Error::from)?;
    let (runs, version) = (Serde(runs), env!("CARGO_PKG_VERSION"));
    Ok(Html(page.render(context! { runs, version }).map_err(anyhow::Error::from)?))
}
