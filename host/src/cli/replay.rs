//! `tarefa replay`: a run that is over, called once more against its record.

use std::path::PathBuf;

use super::find::RUN;
use super::format::{harmless, short_id, thousands};
use super::session::Session;
use super::{Context, NOT_COMPLETED, find};
use crate::api::shapes::{ReplayShape, ReplayedOutcome};
use crate::cli::output::Colour;
use crate::client::Client;
use crate::domain::Kind;
use crate::domain::run::preview;
use crate::error::{Error, Result};

/// Call a run that is over once more against its record, and tell whether it comes out the same
///
/// A flow sees the children, times and random numbers that it saw; a task has its input and its random numbers, but
/// neither files nor HTTP. Nothing is stored. The exit code is 0 only if it came out the same.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(help = RUN)]
    run: String,
    /// Call this component instead, to see whether changed code would go on from the record
    #[arg(long, value_name = "FILE.wasm")]
    module: Option<PathBuf>,
    /// One of its attempts, from 1 [default: the last]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let module = match &args.module {
        None => None,
        Some(file) => Some(
            std::fs::read(file)
                .map_err(|error| Error::not_found(format!("cannot read `{}`: {error}", file.display())))?,
        ),
    };
    let session = Session::open(context).await?;
    let result = replay(&args, module, &session.client, context).await;
    session.close(result).await
}

async fn replay(args: &Args, module: Option<Vec<u8>>, client: &Client, context: &Context) -> Result<u8> {
    let id = find::run(client, &args.run, context).await?;
    let replay = client.replay(id, args.attempt, module).await?;
    if context.json {
        context.out.json(&replay)?;
    } else {
        report(&replay, context)?;
    }
    Ok(if replay.same { 0 } else { NOT_COMPLETED })
}

fn report(replay: &ReplayShape, context: &Context) -> Result<()> {
    let out = &context.out;
    let line = |name: &str, text: String| out.line(&format!("{:<9} {text}", format!("{name}:")));
    let by = if replay.other_module { ", with another module" } else { "" };
    let name = harmless(&replay.name, 0);
    out.line(&format!("replayed `{name}` ({}), attempt {}{by}", short_id(replay.run_id), replay.attempt))?;
    for live in &replay.live {
        line("live", harmless(live, 0))?;
    }
    if replay.cut_off {
        line("record", "ends where the run was ended from outside".to_owned())?;
    }
    if replay.kind == Kind::Flow {
        let differs = replay.difference.as_ref().map(|difference| harmless(difference, 2));
        line("calls", differs.unwrap_or_else(|| "same".to_owned()))?;
    }
    line(
        "outcome",
        match replay.same_outcome {
            true => format!("same: {}", outcome(&replay.recorded)),
            false => {
                format!("recorded {}\n          replayed {}", outcome(&replay.recorded), outcome(&replay.replayed))
            }
        },
    )?;
    let log = &replay.log;
    line(
        "log",
        match log.differing_line {
            None if log.removed => "the recorded one was removed".to_owned(),
            None => format!("same: {} lines", log.recorded_lines),
            Some(place) => {
                let text =
                    |text: &Option<String>| text.as_deref().map_or("nothing".to_owned(), |text| harmless(text, 10));
                let (recorded, replayed) = (text(&log.recorded), text(&log.replayed));
                format!("line {place} recorded {recorded}\n          line {place} replayed {replayed}")
            }
        },
    )?;
    let (recorded, replayed) = (thousands(replay.fuel.recorded), thousands(replay.fuel.replayed));
    line(
        "fuel",
        match recorded == replayed {
            true => format!("same: {recorded}"),
            false => format!("recorded {recorded}, replayed {replayed}"),
        },
    )?;
    let (verdict, colour) = match (replay.same, replay.other_module && replay.kind == Kind::Flow) {
        (true, false) => ("it came out the same", Colour::Green),
        (false, false) => ("it did not come out the same", Colour::Red),
        (true, true) => ("that module would go on from this record", Colour::Green),
        (false, true) => ("that module would not go on from this record", Colour::Red),
    };
    out.line(&out.on_stdout(verdict, colour))
}

fn outcome(outcome: &ReplayedOutcome) -> String {
    match (&outcome.failure, &outcome.result) {
        (Some(failure), _) => format!("{}: {}", failure.kind.name(), harmless(&failure.message, 10)),
        (None, result) => {
            let whole = result.as_ref().map_or("null", |result| result.get());
            let shown = preview(whole);
            harmless(shown, 10) + if shown.len() < whole.len() { "…" } else { "" }
        }
    }
}
