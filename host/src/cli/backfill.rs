//! `tarefa backfill`: what a deployment would have run in a past range.

use jiff::Timestamp;

use super::Context;
use super::find::{self, DEPLOYMENT};
use super::format::{counted, thousands};
use super::parse;
use super::session::Session;
use crate::api::shapes::BackfillShape;
use crate::client::Client;
use crate::domain::ScheduleId;
use crate::error::{Error, Result};

/// Run what a deployment's schedules would have run in a past range
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(help = DEPLOYMENT)]
    deployment: String,
    /// The first time of the range: RFC 3339, or `2d` for two days ago
    #[arg(long, value_name = "TIME", value_parser = parse::moment)]
    from: Timestamp,
    /// The end of the range, which is not in it
    #[arg(long, value_name = "TIME", value_parser = parse::moment)]
    to: Timestamp,
    /// How many of these runs may run at a time
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Only of this schedule, by its id
    #[arg(long, value_name = "ID")]
    schedule: Option<String>,
    /// Only show what would be run
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let session = Session::open(context).await?;
    let result = backfill(args, &session, context).await;
    session.close(result).await
}

async fn backfill(args: Args, session: &Session, context: &Context) -> Result<u8> {
    let client: &Client = &session.client;
    let deployment = find::deployment(client, &args.deployment).await?;
    if session.is_embedded() && !args.dry_run {
        return Err(Error::unavailable("there is no server to carry the runs out: start one with `tarefa serve`"));
    }
    let range = BackfillShape {
        from: args.from,
        to: args.to,
        schedule_id: args.schedule.map(ScheduleId),
        concurrency: args.concurrency,
        dry_run: args.dry_run,
    };
    let filled = client.backfill(&deployment.name, &range).await?;
    if context.json {
        context.out.json(&filled)?;
        return Ok(0);
    }
    let occurrences = counted(filled.n_occurrences as u64, "occurrence", "occurrences");
    let runs = counted(filled.n_submitted as u64, "run", "runs");
    let before = match filled.n_run_before {
        0 => String::new(),
        n => format!("; {} had been run before", thousands(n as u64)),
    };
    let did = if args.dry_run { "would be submitted" } else { "submitted" };
    context.out.line(&format!("`{}`: {occurrences}, {runs} {did}{before}", deployment.name))?;
    Ok(0)
}
