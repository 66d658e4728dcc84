//! What `tarefa deploy --follow` does after all is deployed: it tells of each run, and at the end pauses what it deployed.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::shapes::RunSummary;
use crate::cli::Context;
use crate::cli::format::{clock, harmless, run_duration, short_id};
use crate::cli::output::{Colour, state_colour};
use crate::cli::session::Session;
use crate::cli::signals::Signals;
use crate::client::{Client, MAX_RUNS_PAGE, RunsFilter};
use crate::domain::{RunId, State};
use crate::error::Result;

/// How often the runs are looked at.
const INTERVAL: Duration = Duration::from_millis(250);
/// Of two runs the one that was submitted later may be seen first.
const OVERLAP: Duration = Duration::from_secs(1);

/// The runs of one deployment.
struct Watched<'a> {
    deployment: &'a str,
    /// When the oldest run was submitted that is not over.
    since: Timestamp,
    /// The state in which each run was seen last, of those since then.
    seen: HashMap<RunId, State>,
}

/// Tells of the runs of these deployments until a signal comes, and pauses the deployments.
pub(super) async fn follow(
    names: &[String],
    session: &Session,
    signals: &mut Signals,
    context: &Context,
) -> Result<u8> {
    let client = &session.client;
    let list = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    context.out.note(&format!("following {list}; Ctrl-C pauses what was deployed, and ends"));
    let now = Timestamp::now();
    let mut watched: Vec<Watched> =
        names.iter().map(|name| Watched { deployment: name, since: now, seen: HashMap::new() }).collect();
    let stop = loop {
        tokio::select! {
            stop = signals.next() => break stop,
            told = tell(&mut watched, client, context) => told?,
        }
    };
    context.out.note(&format!("{}: pausing what was deployed", stop.name()));
    for name in names {
        client.set_deployment_paused(name, true).await?;
    }
    tell_once(&mut watched, client, context).await?;
    context.out.note(&format!("paused {list}; `tarefa deployments resume NAME` has one go on without this command"));
    Ok(0)
}

async fn tell(watched: &mut [Watched<'_>], client: &Client, context: &Context) -> Result<()> {
    tokio::time::sleep(INTERVAL).await;
    tell_once(watched, client, context).await
}

/// Tells what is new, in the order in which it happened.
async fn tell_once(watched: &mut [Watched<'_>], client: &Client, context: &Context) -> Result<()> {
    let mut news: Vec<(Timestamp, RunSummary)> = Vec::new();
    for watched in watched {
        news.extend(watched.news(client).await?);
    }
    news.sort_by_key(|(at, _)| *at);
    for (at, run) in news {
        if context.json {
            context.out.json(&run)?;
        } else {
            context.out.line(&line(at, &run, context))?;
        }
    }
    Ok(())
}

impl Watched<'_> {
    /// The runs that have started or ended since the last look.
    async fn news(&mut self, client: &Client) -> Result<Vec<(Timestamp, RunSummary)>> {
        let mut filter = RunsFilter {
            deployment: Some(self.deployment.to_owned()),
            root: true,
            since: Some(self.since),
            limit: Some(MAX_RUNS_PAGE),
            ..RunsFilter::default()
        };
        let mut runs = Vec::new();
        loop {
            let page = client.runs(&filter).await?;
            runs.extend(page.items);
            filter.cursor = page.next_cursor;
            if filter.cursor.is_none() {
                break;
            }
        }
        // Newest first; what is over need not be asked for again, but for the newest.
        let unfinished = runs.iter().rev().find(|run| !run.state.is_final());
        if let Some(oldest) = unfinished.or(runs.first()) {
            self.since = self.since.max(oldest.created_at - OVERLAP);
        }
        let before = std::mem::take(&mut self.seen);
        self.seen = runs.iter().map(|run| (run.id, run.state)).collect();
        let news = runs.into_iter().filter(|run| before.get(&run.id) != Some(&run.state));
        let told = news.filter_map(|run| match run.state {
            State::Running => Some((run.started_at?, run)),
            state if state.is_final() => Some((run.finished_at?, run)),
            _ => None,
        });
        Ok(told.collect())
    }
}

/// A line for a run that has started or ended, as `tarefa serve` writes them.
fn line(at: Timestamp, run: &RunSummary, context: &Context) -> String {
    let out = &context.out;
    let deployment = run.deployment.as_deref().unwrap_or_default();
    let state = out.on_stdout(run.state.as_str(), state_colour(run.state));
    let label = run.label.as_ref().map(|label| format!(" ({})", harmless(label, 0))).unwrap_or_default();
    let took =
        run_duration(run, at).filter(|_| run.state.is_final()).map(|took| format!(" {took}")).unwrap_or_default();
    let failure = run.failure.as_ref();
    let why = failure.map(|f| format!(": {}: {}", f.kind.name(), harmless(&f.message, 2))).unwrap_or_default();
    let id = out.on_stdout(&short_id(run.id), Colour::Dim);
    format!("{} {id} {deployment} {} {state}{label}{took}{why}", clock(at), harmless(&run.name, 0))
}
