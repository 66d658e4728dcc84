//! `tarefa upcoming`: what comes next.

use comfy_table::Cell;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Context;
use super::find;
use super::format::{countdown, harmless};
use super::session::Session;
use super::table::{Cells, Column, layout};
use crate::api::shapes::UpcomingShape;
use crate::client::Client;
use crate::error::Result;

/// Show what comes next: in how long, and when in the schedule's own time zone
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only of this deployment: its name, or how it begins
    deployment: Option<String>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let session = Session::open(context).await?;
    let result = list(&args, &session.client, context).await;
    session.close(result).await
}

async fn list(args: &Args, client: &Client, context: &Context) -> Result<u8> {
    let deployment = match &args.deployment {
        Some(name) => Some(find::deployment(client, name).await?.name),
        None => None,
    };
    let upcoming = client.upcoming(deployment.as_deref(), args.limit).await?;
    if context.json {
        context.out.json(&upcoming)?;
    } else if upcoming.items.is_empty() {
        context.out.note("nothing comes: no deployment has a schedule that goes on");
    } else {
        let columns = [
            Column("next", Cells::Words),
            Column("when", Cells::Words),
            Column("deployment", Cells::Text),
            Column("schedule", Cells::Text),
        ];
        let now = Timestamp::now();
        let rows = upcoming.items.iter().map(|next| row(next, now)).collect();
        context.out.line(&layout(&context.out, &columns, rows))?;
    }
    Ok(0)
}

fn row(next: &UpcomingShape, now: Timestamp) -> Vec<Cell> {
    let wait = if next.paused { "paused".to_owned() } else { countdown(now, next.at) };
    vec![
        Cell::new(wait),
        Cell::new(local(next)),
        Cell::new(&next.deployment),
        Cell::new(harmless(&next.description, 0)),
    ]
}

/// `2026-11-24 12:00:30 UTC, in 30 s`, for each.
pub(super) fn lines<'a>(upcoming: impl Iterator<Item = &'a UpcomingShape>, now: Timestamp) -> Vec<String> {
    upcoming.map(|next| format!("{}, {}", local(next), countdown(now, next.at))).collect()
}

/// Date and hour in the schedule's time zone, and its name.
fn local(next: &UpcomingShape) -> String {
    let zone = TimeZone::get(&next.timezone).unwrap_or(TimeZone::UTC);
    format!("{} {}", next.at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S"), next.timezone)
}
