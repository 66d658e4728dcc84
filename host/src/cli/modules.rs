//! `tarefa modules`: what is registered.

use clap::Subcommand;
use comfy_table::Cell;
use jiff::Timestamp;

use super::Context;
use super::format::{between, bytes, duration};
use super::register::short_digest;
use super::session::Session;
use super::table::{Cells, Column, layout};
use crate::api::shapes::{ModuleShape, Page};
use crate::client::Client;
use crate::error::Result;

/// List the registered modules; delete one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Delete a module that no run on record uses, with all its versions
    Delete {
        /// The module's name
        name: String,
    },
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let session = Session::open(context).await?;
    let result = match args.verb {
        None => list(&session.client, context).await,
        Some(Verb::Delete { name }) => delete(&name, &session.client, context).await,
    };
    session.close(result).await
}

async fn delete(name: &str, client: &Client, context: &Context) -> Result<u8> {
    client.delete_module(name).await?;
    if context.json {
        context.out.json(&serde_json::json!({"deleted": name}))?;
    } else {
        context.out.line(&format!("deleted the module `{name}` with all its versions"))?;
    }
    Ok(0)
}

async fn list(client: &Client, context: &Context) -> Result<u8> {
    let mut items = Vec::new();
    let mut next_cursor = None;
    loop {
        let page = client.modules(next_cursor.as_deref()).await?;
        items.extend(page.items);
        next_cursor = page.next_cursor;
        if next_cursor.is_none() {
            break;
        }
    }
    if context.json {
        context.out.json(&Page { items, next_cursor })?;
    } else if items.is_empty() {
        context.out.note("no module is registered yet: `tarefa register PATH` or `tarefa run PATH` does it");
    } else {
        let now = Timestamp::now();
        let columns = [
            Column("name", Cells::Words),
            Column("entries", Cells::Text),
            Column("digest", Cells::Words),
            Column("size", Cells::Numbers),
            Column("age", Cells::Numbers),
        ];
        let rows = items.iter().map(|module| row(module, now)).collect();
        context.out.line(&layout(&context.out, &columns, rows))?;
    }
    Ok(0)
}

fn row(module: &ModuleShape, now: Timestamp) -> Vec<Cell> {
    let entries: Vec<&str> = module.entries.iter().map(|entry| entry.name.as_str()).collect();
    vec![
        Cell::new(&module.name),
        Cell::new(entries.join(", ")),
        Cell::new(short_digest(module)),
        Cell::new(bytes(module.size_bytes)),
        Cell::new(duration(between(module.created_at, now))),
    ]
}
