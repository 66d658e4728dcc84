//! `tarefa limits`: how many runs with a tag may run at a time.

use clap::Subcommand;
use comfy_table::Cell;

use super::Context;
use super::format::harmless;
use super::session::Session;
use super::table::{Cells, Column, layout};
use crate::client::Client;
use crate::error::Result;

/// List the limits of tags; set or delete one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Limit how many runs with a tag may run at a time, those of flows too, from now on
    Set {
        tag: String,
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
        max: u32,
    },
    /// Let any number of runs with a tag run
    Delete { tag: String },
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let session = Session::open(context).await?;
    let result = match args.verb {
        None => list(&session.client, context).await,
        Some(Verb::Set { tag, max }) => set(&tag, max, &session.client, context).await,
        Some(Verb::Delete { tag }) => delete(&tag, &session.client, context).await,
    };
    session.close(result).await
}

async fn set(tag: &str, max: u32, client: &Client, context: &Context) -> Result<u8> {
    let limit = client.set_tag_limit(tag, max).await?;
    if context.json {
        context.out.json(&limit)?;
    } else {
        let (tag, runs) = (harmless(tag, 0), if max == 1 { "run" } else { "runs" });
        context.out.line(&format!("at most {max} {runs} with the tag `{tag}` at a time; {} now", limit.running))?;
    }
    Ok(0)
}

async fn delete(tag: &str, client: &Client, context: &Context) -> Result<u8> {
    client.remove_tag_limit(tag).await?;
    if context.json {
        context.out.json(&serde_json::json!({"deleted": tag}))?;
    } else {
        context.out.line(&format!("the tag `{}` has no limit any more", harmless(tag, 0)))?;
    }
    Ok(0)
}

async fn list(client: &Client, context: &Context) -> Result<u8> {
    let limits = client.tag_limits().await?;
    if context.json {
        context.out.json(&limits)?;
    } else if limits.items.is_empty() {
        context.out.note("no tag has a limit: `tarefa limits set TAG MAX` sets one");
    } else {
        let columns = [
            Column("tag", Cells::Words),
            Column("max", Cells::Numbers),
            Column("running", Cells::Numbers),
            Column("waiting", Cells::Numbers),
        ];
        let rows = limits.items.iter().map(|limit| {
            let name = Cell::new(harmless(&limit.tag, 0));
            vec![name, Cell::new(limit.max), Cell::new(limit.running), Cell::new(limit.waiting)]
        });
        context.out.line(&layout(&context.out, &columns, rows.collect()))?;
    }
    Ok(0)
}
