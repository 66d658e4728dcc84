//! The list of runs.

use comfy_table::Cell;
use jiff::Timestamp;

use crate::api::shapes::{Page, RunSummary};
use crate::cli::format::{date, harmless, run_duration, short_id};
use crate::cli::table::{Cells, Column, layout, state_cell};
use crate::cli::{Context, find, parse};
use crate::client::{Client, MAX_RUNS_PAGE, RunsFilter};
use crate::domain::{Kind, ShownState, Trigger};
use crate::error::Result;

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Only runs in one of these states; `late` and `awaiting_retry` are states too
    #[arg(long = "state", value_parser = ShownState::parse, value_delimiter = ',')]
    states: Vec<ShownState>,
    /// Only `flow` or `task` runs
    #[arg(long, value_parser = kind)]
    kind: Option<Kind>,
    /// Only runs of this module
    #[arg(long)]
    module: Option<String>,
    /// Only runs of this entry
    #[arg(long)]
    entry: Option<String>,
    /// Only runs with this label
    #[arg(long)]
    label: Option<String>,
    /// Only runs with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only runs of this deployment
    #[arg(long)]
    deployment: Option<String>,
    /// Only runs that were submitted so: `api`, `cli`, `flow` or `schedule`
    #[arg(long, value_parser = trigger)]
    trigger: Option<Trigger>,
    /// Only runs that were submitted at this time or later: RFC 3339, or `2h` for two hours ago
    #[arg(long, value_name = "TIME", value_parser = parse::moment)]
    since: Option<Timestamp>,
    /// Only runs that were submitted before this time
    #[arg(long, value_name = "TIME", value_parser = parse::moment)]
    until: Option<Timestamp>,
    /// Only runs whose name, entry, module or id has this in it
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only the children of this run
    #[arg(long, value_name = "RUN")]
    parent: Option<String>,
    /// Only runs that somebody submitted, not those that flows did (the default)
    #[arg(long, overrides_with = "all")]
    root: bool,
    /// The runs that flows submitted too
    #[arg(long, overrides_with = "root")]
    all: bool,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

fn trigger(text: &str) -> Result<Trigger, String> {
    Trigger::ALL
        .into_iter()
        .find(|trigger| trigger.as_str() == text)
        .ok_or_else(|| format!("it is one of {}", Trigger::ALL.map(Trigger::as_str).join(", ")))
}

fn kind(text: &str) -> Result<Kind, String> {
    [Kind::Flow, Kind::Task]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| "it is `flow` or `task`".to_owned())
}

pub(super) async fn list(list: List, client: &Client, context: &Context) -> Result<u8> {
    let parent = match &list.parent {
        Some(run) => Some(find::run(client, run, context).await?),
        None => None,
    };
    let mut filter = RunsFilter {
        states: list.states,
        kind: list.kind,
        module: list.module,
        entry: list.entry,
        // What a flow submitted is not at the top.
        root: !list.all && parent.is_none() && list.trigger != Some(Trigger::Flow),
        parent,
        label: list.label,
        tag: list.tag,
        deployment: list.deployment,
        trigger: list.trigger,
        since: list.since,
        until: list.until,
        text: list.search,
        ..RunsFilter::default()
    };
    let mut items: Vec<RunSummary> = Vec::new();
    loop {
        filter.limit = Some((list.limit - items.len() as u32).min(MAX_RUNS_PAGE));
        let page = client.runs(&filter).await?;
        items.extend(page.items);
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() || items.len() >= list.limit as usize {
            break;
        }
    }
    if context.json {
        context.out.json(&Page { items, next_cursor: filter.cursor })?;
    } else if items.is_empty() {
        context.out.note("no such run");
    } else {
        let now = Timestamp::now();
        let columns = [
            Column("id", Cells::Words),
            Column("name", Cells::Text),
            Column("entry", Cells::Words),
            Column("state", Cells::Words),
            Column("attempts", Cells::Numbers),
            Column("started", Cells::Words),
            Column("duration", Cells::Numbers),
        ];
        let rows = items.iter().map(|run| row(context, run, now)).collect();
        context.out.line(&layout(&context.out, &columns, rows))?;
    }
    Ok(0)
}

fn row(context: &Context, run: &RunSummary, now: Timestamp) -> Vec<Cell> {
    vec![
        Cell::new(short_id(run.id)),
        Cell::new(harmless(&run.name, 0)),
        Cell::new(format!("{}/{}", run.module, run.entry)),
        state_cell(&context.out, run),
        Cell::new(run.n_attempts),
        Cell::new(run.started_at.map(date).unwrap_or_default()),
        Cell::new(run_duration(run, now).unwrap_or_default()),
    ]
}
