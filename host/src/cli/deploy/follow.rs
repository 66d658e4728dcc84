//! What `tarefa deploy --follow` does after all is deployed: it tells of each run and of what is skipped, and at the end
//! pauses what it deployed.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::shapes::{RunSummary, SkipShape};
use crate::cli::Context;
use crate::cli::format::{clock, counted, harmless, run_duration, short_id};
use crate::cli::output::{Colour, state_colour};
use crate::cli::session::Session;
use crate::cli::signals::Signals;
use crate::client::{Client, MAX_RUNS_PAGE, RunsFilter};
use crate::domain::{RunId, State};
use crate::error::Result;

/// How often the deployments are looked at.
const INTERVAL: Duration = Duration::from_millis(250);
/// Of two runs the one that was submitted later may be seen first.
const OVERLAP: Duration = Duration::from_secs(1);

/// A deployment, and what was seen of it.
struct Watched<'a> {
    deployment: &'a str,
    /// When the oldest run was submitted that may still change; none where there is no run.
    since: Option<Timestamp>,
    /// The state in which each run was seen last, of those since then.
    runs: HashMap<RunId, State>,
    /// How many occurrences each of the latest skips was.
    skips: HashMap<i64, u64>,
}

/// Something to tell: when it was, in words, and as JSON.
type News = (Timestamp, String, Value);

/// Tells of these deployments until a signal comes, and pauses them.
pub(super) async fn follow(
    names: &[String],
    session: &Session,
    signals: &mut Signals,
    context: &Context,
) -> Result<u8> {
    let client = &session.client;
    let list = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut watched = Vec::with_capacity(names.len());
    for name in names {
        watched.push(Watched::start(name, client, context).await?);
    }
    context.out.note(&format!("following {list}; Ctrl-C pauses what was deployed, and ends"));
    let stop = loop {
        tokio::select! {
            stop = signals.next() => break stop,
            told = tell_after(INTERVAL, &mut watched, client, context) => told?,
        }
    };
    context.out.note(&format!("{}: pausing what was deployed", stop.name()));
    for name in names {
        client.set_deployment_paused(name, true).await?;
    }
    tell_after(Duration::ZERO, &mut watched, client, context).await?;
    context.out.note(&format!("paused {list}; `tarefa deployments resume NAME` has one go on without this command"));
    Ok(0)
}

/// Tells what is new, in the order in which it happened.
async fn tell_after(wait: Duration, watched: &mut [Watched<'_>], client: &Client, context: &Context) -> Result<()> {
    tokio::time::sleep(wait).await;
    let mut news: Vec<News> = Vec::new();
    for watched in watched {
        news.extend(watched.look(client, context).await?);
    }
    news.sort_by_key(|(at, ..)| *at);
    for (_, words, json) in news {
        if context.json {
            context.out.json(&json)?;
        } else {
            context.out.line(&words)?;
        }
    }
    Ok(())
}

impl Watched<'_> {
    /// What was before is not told.
    async fn start<'a>(deployment: &'a str, client: &Client, context: &Context) -> Result<Watched<'a>> {
        let filter =
            RunsFilter { deployment: Some(deployment.to_owned()), root: true, limit: Some(1), ..RunsFilter::default() };
        let since = client.runs(&filter).await?.items.first().map(|newest| newest.created_at);
        let mut watched = Watched { deployment, since, runs: HashMap::new(), skips: HashMap::new() };
        watched.look(client, context).await?;
        Ok(watched)
    }

    async fn look(&mut self, client: &Client, context: &Context) -> Result<Vec<News>> {
        let mut news = self.look_at_runs(client, context).await?;
        let skips = client.skips(self.deployment).await?;
        let before = std::mem::replace(&mut self.skips, skips.iter().map(|skip| (skip.no, skip.n)).collect());
        for skip in skips {
            let n = skip.n.saturating_sub(before.get(&skip.no).copied().unwrap_or(0));
            if n > 0 {
                news.push((skip.at, skip_in_words(self.deployment, &skip, n), json!({"skip": skip})));
            }
        }
        Ok(news)
    }

    /// The runs that have started or ended since the last look.
    async fn look_at_runs(&mut self, client: &Client, context: &Context) -> Result<Vec<News>> {
        let mut filter = RunsFilter {
            deployment: Some(self.deployment.to_owned()),
            root: true,
            since: self.since,
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
        // Newest first. What is over need not be asked for again, but for the newest.
        if let Some(oldest) = runs.iter().rev().find(|run| !run.state.is_final()).or(runs.first()) {
            self.since = self.since.max(Some(oldest.created_at - OVERLAP));
        }
        let before = std::mem::replace(&mut self.runs, runs.iter().map(|run| (run.id, run.state)).collect());
        let changed = runs.into_iter().filter(|run| before.get(&run.id) != Some(&run.state));
        let news = changed.filter_map(|run| {
            let at = match run.state {
                State::Running => run.started_at?,
                state if state.is_final() => run.finished_at?,
                _ => return None,
            };
            Some((at, run_in_words(at, &run, context), json!({"run": run})))
        });
        Ok(news.collect())
    }
}

/// A line for a run that has started or ended, as `tarefa serve` writes them.
fn run_in_words(at: Timestamp, run: &RunSummary, context: &Context) -> String {
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

fn skip_in_words(deployment: &str, skip: &SkipShape, n: u64) -> String {
    let many = if n > 1 { format!(" {}", counted(n, "occurrence", "occurrences")) } else { String::new() };
    format!("{} -------- {deployment} skipped{many}: {}", clock(skip.at), harmless(&skip.detail, 2))
}
