//! `tarefa variables`: values that are kept for runs to read.

use clap::Subcommand;
use comfy_table::Cell;
use jiff::Timestamp;

use super::Context;
use super::format::{between, bytes, duration, harmless, pretty};
use super::session::Session;
use super::table::{Cells, Column, layout};
use crate::api::shapes::{Page, VariableSummary};
use crate::client::Client;
use crate::error::Result;

/// List, show, set or delete variables: values that runs read; no place for secrets
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List all, with the beginnings of their values
    List,
    /// Print the value of one
    Get { name: String },
    /// Set one to a value
    Set {
        name: String,
        /// JSON, or else a text
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Delete one
    Delete { name: String },
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let session = Session::open(context).await?;
    let client = &session.client;
    let result = match args.verb {
        None | Some(Verb::List) => list(client, context).await,
        Some(Verb::Get { name }) => get(&name, client, context).await,
        Some(Verb::Set { name, value }) => set(&name, &value, client, context).await,
        Some(Verb::Delete { name }) => delete(&name, client, context).await,
    };
    session.close(result).await
}

async fn list(client: &Client, context: &Context) -> Result<u8> {
    let mut all = Page { items: Vec::new(), next_cursor: None };
    loop {
        let page = client.variables(all.next_cursor.as_deref()).await?;
        all.items.extend(page.items);
        all.next_cursor = page.next_cursor;
        if all.next_cursor.is_none() {
            break;
        }
    }
    if context.json {
        context.out.json(&all)?;
    } else if all.items.is_empty() {
        context.out.note("there are no variables; `tarefa variables set NAME VALUE` sets one");
    } else {
        let now = Timestamp::now();
        let columns = [
            Column("name", Cells::Words),
            Column("value", Cells::Text),
            Column("size", Cells::Numbers),
            Column("age", Cells::Numbers),
        ];
        let rows = all.items.iter().map(|variable| row(variable, now)).collect();
        context.out.line(&layout(&context.out, &columns, rows))?;
    }
    Ok(0)
}

fn row(variable: &VariableSummary, now: Timestamp) -> Vec<Cell> {
    let is_whole = variable.preview.len() as u64 == variable.size_bytes;
    let rest = if is_whole { "" } else { " …" };
    vec![
        Cell::new(&variable.name),
        Cell::new(harmless(&variable.preview, 0) + rest),
        Cell::new(bytes(variable.size_bytes)),
        Cell::new(duration(between(variable.updated_at, now))),
    ]
}

async fn get(name: &str, client: &Client, context: &Context) -> Result<u8> {
    let variable = client.variable(name).await?;
    match context.json {
        true => context.out.json(&variable)?,
        false if context.out.terminal => context.out.line(&harmless(&pretty(variable.value.get()), 0))?,
        false => context.out.line(variable.value.get())?,
    }
    Ok(0)
}

async fn set(name: &str, value: &str, client: &Client, context: &Context) -> Result<u8> {
    let value = serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::String(value.to_owned()));
    let variable = client.set_variable(name, &value).await?;
    match context.json {
        true => context.out.json(&variable)?,
        false => context.out.line(&format!("set the variable `{name}`, {}", bytes(variable.size_bytes)))?,
    }
    Ok(0)
}

async fn delete(name: &str, client: &Client, context: &Context) -> Result<u8> {
    client.delete_variable(name).await?;
    match context.json {
        true => context.out.json(&serde_json::json!({"deleted": name}))?,
        false => context.out.line(&format!("deleted the variable `{name}`"))?,
    }
    Ok(0)
}
