//! The pages, rendered here: they work without a script.

mod docs;

use std::sync::LazyLock;

use axum::extract::State;
use axum::response::Html;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};

use crate::api::{self, ApiState, Id, summary};
use crate::error::Result;
use crate::store::{LogFilter, RunFilter};

pub use docs::docs;

/// Runs on the first page, and runs below one on its own.
const RUNS: usize = 50;
/// Lines of a run's log on its page.
const LINES: usize = 200;

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.add_global("version", env!("CARGO_PKG_VERSION"));
    environment.add_filter("prose", docs::prose);
    for (name, source) in [
        ("base.html", include_str!("pages/base.html")),
        ("index.html", include_str!("pages/index.html")),
        ("run.html", include_str!("pages/run.html")),
        ("docs.html", include_str!("pages/docs.html")),
    ] {
        environment.add_template(name, source).expect("a template of ours is well formed");
    }
    environment
});

/// The newest runs.
pub async fn index(State(state): State<ApiState>) -> Result<Html<String>> {
    let filter = RunFilter { top: true, ..RunFilter::default() };
    let runs = state.app.store.runs(&filter, None, RUNS)?;
    let runs: Vec<_> = runs.iter().map(|run| summary(&state.app, run)).collect::<Result<_>>()?;
    render("index.html", context! { runs => Serde(runs) })
}

/// One run: what became of it, what ran below it, and its log.
pub async fn run(State(state): State<ApiState>, Id(id): Id) -> Result<Html<String>> {
    let app = &state.app;
    let run = app.run(id)?;
    let result = run.result.clone();
    let children = app.store.children(id, run.generation, 0, RUNS)?;
    let children: Vec<_> = children.iter().map(|child| summary(app, child)).collect::<Result<_>>()?;
    let logs = app.store.logs(id, run.root_id, LogFilter { after: 0, level: 0, limit: LINES })?;
    let logs: Vec<_> = logs.into_iter().map(api::log_line).collect();
    let run = api::details(app, run)?;
    let all_children: u64 = run.summary.children.values().sum();
    render(
        "run.html",
        context! {
            run => Serde(run),
            result => result.as_deref(),
            children => Serde(children),
            all_children,
            logs => Serde(logs),
        },
    )
}

fn render(template: &str, context: Value) -> Result<Html<String>> {
    let template = TEMPLATES.get_template(template).map_err(anyhow::Error::from)?;
    Ok(Html(template.render(context).map_err(anyhow::Error::from)?))
}
