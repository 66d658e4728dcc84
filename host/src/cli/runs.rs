//! `tarefa runs`: the history of runs, one of them, and an end to one.

use clap::Subcommand;
use comfy_table::Cell;
use jiff::Timestamp;

use super::format::{bytes, date, duration, harmless, pretty, run_duration, short_id, thousands};
use super::output::{Colour, state_colour};
use super::session::Session;
use super::table::{Cells, Column, layout, state_cell};
use super::tree::Tree;
use super::{Context, find};
use crate::api::shapes::{Page, RunShape, RunSummary};
use crate::client::{Client, MAX_RUNS_PAGE, RunsFilter};
use crate::domain::{Kind, RunId, ShownState, State};
use crate::error::Result;

/// Children of each flow that are shown without `--all`.
const SHOWN_CHILDREN: usize = 50;

/// List runs, newest first; show or cancel one
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show a run, the tree of runs below it, and its result or failure
    Show {
        /// `latest`, a run's id, or the last characters of one
        run: String,
        /// Show all children of a flow, however many
        #[arg(long)]
        all: bool,
    },
    /// Cancel a run and all below it
    Cancel {
        /// `latest`, a run's id, or the last characters of one
        run: String,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only runs in one of these states
    #[arg(long = "state", value_parser = state, value_delimiter = ',')]
    states: Vec<State>,
    /// Only `flow` or `task` runs
    #[arg(long, value_parser = kind)]
    kind: Option<Kind>,
    /// Only runs of this module
    #[arg(long)]
    module: Option<String>,
    /// Only runs of this entry
    #[arg(long)]
    entry: Option<String>,
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

fn state(text: &str) -> Result<State, String> {
    State::parse(text).ok_or_else(|| format!("it is one of {}", State::ALL.map(State::as_str).join(", ")))
}

fn kind(text: &str) -> Result<Kind, String> {
    [Kind::Flow, Kind::Task]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| "it is `flow` or `task`".to_owned())
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let session = Session::open(context).await?;
    let result = match args.verb {
        None => list(args.list, &session.client, context).await,
        Some(Verb::Show { run, all }) => show(&run, all, &session.client, context).await,
        Some(Verb::Cancel { run }) => cancel(&run, &session.client, context).await,
    };
    session.close(result).await
}

async fn list(list: List, client: &Client, context: &Context) -> Result<u8> {
    let mut filter = RunsFilter {
        states: list.states.into_iter().map(ShownState::Is).collect(),
        kind: list.kind,
        module: list.module,
        entry: list.entry,
        root: !list.all,
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
        state_cell(&context.out, run.state, run.label.as_deref()),
        Cell::new(run.n_attempts),
        Cell::new(run.started_at.map(date).unwrap_or_default()),
        Cell::new(run_duration(run, now).unwrap_or_default()),
    ]
}

async fn show(run: &str, all: bool, client: &Client, context: &Context) -> Result<u8> {
    let id = find::run(client, run, context).await?;
    let run = client.run(id).await?;
    if context.json {
        context.out.json(&run)?;
        return Ok(0);
    }
    header(&run, context)?;
    let tail = tail(&run);
    let most = if all { usize::MAX } else { SHOWN_CHILDREN };
    let tree = Tree::load(client, run.summary).await?;
    context.out.line(&format!("\n{}\n\n{}", tree.draw(&context.out, most, Timestamp::now()), tree.totals()))?;
    context.out.line(&tail)?;
    Ok(0)
}

fn header(run: &RunShape, context: &Context) -> Result<()> {
    let out = &context.out;
    let summary = &run.summary;
    let field = |name: &str, value: String| out.line(&format!("{:<11} {value}", format!("{name}:")));
    out.line(&out.on_stdout(&harmless(&summary.name, 0), Colour::Bold))?;
    field("id", summary.id.to_string())?;
    field("entry", format!("{} {}/{}", summary.kind.as_str(), summary.module, summary.entry))?;
    let state = out.on_stdout(summary.state.as_str(), state_colour(summary.state));
    let label = summary.label.as_ref().map(|label| format!(" ({})", harmless(label, 0))).unwrap_or_default();
    field("state", state + &label)?;
    field("parameters", harmless(run.parameters.get(), 12))?;
    field("created", date(summary.created_at))?;
    if let Some(duration) = run_duration(summary, Timestamp::now()) {
        field("duration", duration)?;
    }
    if summary.usage.fuel > 0 {
        let of = thousands(run.limits.fuel);
        field("fuel", format!("{} of {of}", thousands(summary.usage.fuel)))?;
    }
    field("memory", format!("{} of {}", bytes(summary.usage.memory_peak_bytes), bytes(run.limits.memory_bytes)))?;
    Ok(())
}

/// The attempts where there were several, then the failure or the result.
fn tail(run: &RunShape) -> String {
    let mut text = String::new();
    if run.attempts.len() > 1 {
        text += "\nattempts:\n";
        for attempt in &run.attempts {
            let failure = attempt.failure.as_ref();
            let why = failure.map(|f| format!(": {}: {}", f.kind.name(), harmless(&f.message, 5))).unwrap_or_default();
            let took = duration(attempt.usage.duration_ms);
            text += &format!("  {}. {} in {took}{why}\n", attempt.number, attempt.state.as_str());
        }
    }
    match (&run.summary.failure, &run.result) {
        (Some(failure), _) => {
            text += &format!("\nfailure: {}: {}", failure.kind.name(), harmless(&failure.message, 2));
            if let Some(details) = &failure.details {
                text += &format!("\n{}", pretty(&details.to_string()));
            }
        }
        (None, Some(result)) => text += &format!("\nresult:\n{}", pretty(result.get())),
        (None, None) => text += "\nno result yet",
    }
    text
}

async fn cancel(run: &str, client: &Client, context: &Context) -> Result<u8> {
    let id: RunId = find::run(client, run, context).await?;
    let run = client.cancel(id).await?;
    if context.json {
        context.out.json(&run)?;
    } else {
        let name = harmless(&run.summary.name, 0);
        context.out.line(&format!("the run `{name}` ({}) is {}", short_id(id), run.summary.state.as_str()))?;
    }
    Ok(0)
}
