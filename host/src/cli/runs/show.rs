//! One run in words.

use jiff::Timestamp;

use crate::api::shapes::{RunShape, RunSummary};
use crate::cli::format::{attempts, bytes, date, duration, harmless, percent, pretty, run_duration, thousands};
use crate::cli::output::{Colour, state_colour};
use crate::cli::tree::Tree;
use crate::cli::{Context, find};
use crate::client::Client;
use crate::domain::State;
use crate::error::Result;

/// Children of each flow that are shown without `--all`.
const SHOWN_CHILDREN: usize = 50;

pub(super) async fn show(run: &str, all: bool, client: &Client, context: &Context) -> Result<u8> {
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
    let waits = summary.waiting_for.map(|what| format!(": {}", what.in_words())).unwrap_or_default();
    let on = summary.waiting_on.as_ref().map(|name| format!(" `{}`", harmless(name, 0))).unwrap_or_default();
    field("state", state + &label + &waits + &on)?;
    if let Some(progress) = progress(summary) {
        field("progress", progress)?;
    }
    field("parameters", harmless(run.parameters.get(), 12))?;
    field("created", format!("{} ({})", date(summary.created_at), summary.trigger.as_str()))?;
    if !summary.tags.is_empty() {
        field("tags", harmless(&summary.tags.join(", "), 0))?;
    }
    if run.priority > 0 {
        field("priority", run.priority.to_string())?;
    }
    for hold in &run.holds {
        field("holds", format!("{} ({} at a time)", harmless(&hold.name, 0), hold.max))?;
    }
    if let Some(rate) = run.rate {
        field("rate", rate.to_string())?;
    }
    if let Some(old) = summary.retry_of {
        field("goes on for", old.to_string())?;
    }
    if let Some(old) = summary.reused_from {
        field("result of", old.to_string())?;
    }
    if let Some(original) = summary.cached_from {
        field("from cache", original.to_string())?;
    }
    if run.superseded {
        field("superseded", "by a newer attempt of its flow".to_owned())?;
    }
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

/// `3 of 10 (30 %): reads the table`
fn progress(run: &RunSummary) -> Option<String> {
    let progress = run.progress.as_ref()?;
    let share = percent(run)
        .zip(progress.done.zip(progress.total))
        .map(|(percent, (done, total))| format!("{} of {} ({percent} %)", thousands(done), thousands(total)));
    let parts: Vec<String> = share.into_iter().chain(progress.text.as_ref().map(|text| harmless(text, 0))).collect();
    Some(parts.join(": "))
}

/// The attempts where there were several, then the failure or the result.
fn tail(run: &RunShape) -> String {
    let mut text = String::new();
    if run.attempts.len() > 1 {
        let retries = run.attempts.len() as u64 - 1;
        text += &format!("\n{}:\n", attempts(run.attempts.len() as u64, retries));
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
        // JSON's null is a result, too.
        (None, None) if run.summary.state == State::Completed => text += "\nresult:\nnull",
        (None, None) => text += "\nno result yet",
    }
    text
}
