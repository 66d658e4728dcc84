//! `tarefa artifacts`: what runs have shown of their work.

use comfy_table::Cell;
use jiff::Timestamp;
use serde_json::Value;

use super::find::RUN;
use super::format::{between, bytes, duration, harmless, short_id};
use super::output::{Colour, Output};
use super::session::Session;
use super::table::{Cells, Column, layout, layout_own};
use super::{Context, find};
use crate::api::shapes::{ArtifactShape, ArtifactSummary, Page};
use crate::client::Client;
use crate::domain::ArtifactContent;
use crate::error::Result;

/// List what runs have shown of their work, or print one such artifact
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(help = RUN, long_help = format!("{RUN}; without it, the newest artifacts of all runs are listed"))]
    run: Option<String>,
    /// The artifact to print; without it, those of the run are listed
    key: Option<String>,
    /// List those of all runs below it, too
    #[arg(long, requires = "run", conflicts_with = "key")]
    below: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let session = Session::open(context).await?;
    let client = &session.client;
    let result = match (&args.run, &args.key) {
        (None, _) => newest(client, context).await,
        (Some(run), None) => of_run(run, args.below, client, context).await,
        (Some(run), Some(key)) => show(run, key, client, context).await,
    };
    session.close(result).await
}

async fn newest(client: &Client, context: &Context) -> Result<u8> {
    let page = client.newest_artifacts().await?;
    list(page, "no run has written an artifact yet", true, context)
}

async fn of_run(run: &str, below: bool, client: &Client, context: &Context) -> Result<u8> {
    let id = find::run(client, run, context).await?;
    let mut all = Page { items: Vec::new(), next_cursor: None };
    loop {
        let page = client.artifacts(id, below, all.next_cursor.as_deref()).await?;
        all.items.extend(page.items);
        all.next_cursor = page.next_cursor;
        if all.next_cursor.is_none() {
            break;
        }
    }
    let none = if below {
        "no run there has written an artifact"
    } else {
        "the run itself has written no artifact; `--below` looks further"
    };
    list(all, none, below, context)
}

fn list(page: Page<ArtifactSummary>, none: &str, with_run: bool, context: &Context) -> Result<u8> {
    if context.json {
        context.out.json(&page)?;
    } else if page.items.is_empty() {
        context.out.note(none);
    } else {
        let now = Timestamp::now();
        let columns = [
            Column("run", Cells::Words),
            Column("key", Cells::Words),
            Column("kind", Cells::Words),
            Column("title", Cells::Text),
            Column("size", Cells::Numbers),
            Column("age", Cells::Numbers),
        ];
        let skipped = usize::from(!with_run);
        let rows = page.items.iter().map(|artifact| row(artifact, now).into_iter().skip(skipped).collect());
        context.out.line(&layout(&context.out, &columns[skipped..], rows.collect()))?;
    }
    Ok(0)
}

fn row(artifact: &ArtifactSummary, now: Timestamp) -> Vec<Cell> {
    vec![
        Cell::new(short_id(artifact.run_id)),
        Cell::new(&artifact.key),
        Cell::new(artifact.kind.as_str()),
        Cell::new(one_line(artifact.title.as_deref().unwrap_or_default())),
        Cell::new(bytes(artifact.size_bytes)),
        Cell::new(duration(between(artifact.written_at, now))),
    ]
}

async fn show(run: &str, key: &str, client: &Client, context: &Context) -> Result<u8> {
    let id = find::run(client, run, context).await?;
    let artifact = client.artifact(id, key).await?;
    let out = &context.out;
    if context.json {
        out.json(&artifact)?;
        return Ok(0);
    }
    let ArtifactShape { summary, content } = artifact;
    if let Some(title) = &summary.title {
        out.line(&out.on_stdout(&one_line(title), Colour::Bold))?;
    }
    if let Some(description) = &summary.description {
        out.line(&out.on_stdout(&one_line(description), Colour::Dim))?;
    }
    let content = serde_json::from_str(content.get()).map_err(anyhow::Error::from)?;
    out.line(&drawn(&content, out))?;
    Ok(0)
}

fn drawn(content: &ArtifactContent, out: &Output) -> String {
    match content {
        ArtifactContent::Markdown { text } => harmless(text, 0),
        ArtifactContent::Link { url, text } => match text {
            Some(text) => format!("{}: {}", one_line(text), one_line(url)),
            None => one_line(url),
        },
        ArtifactContent::Table { columns, rows } => {
            let is_number =
                |n: usize| !rows.is_empty() && rows.iter().all(|row| matches!(row[n], Value::Number(_) | Value::Null));
            let titles = columns
                .iter()
                .zip(0..)
                .map(|(title, n)| (one_line(title), if is_number(n) { Cells::Numbers } else { Cells::Text }));
            let cells = rows.iter().map(|row| row.iter().map(cell).collect());
            layout_own(out, titles.collect(), cells.collect())
        }
    }
}

fn cell(value: &Value) -> Cell {
    Cell::new(match value {
        Value::Null => String::new(),
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    })
}

fn one_line(text: &str) -> String {
    harmless(text, 0).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(content: Value) -> String {
        drawn(&serde_json::from_value(content).expect("a content"), &Output::plain())
    }

    #[test]
    fn tables_are_laid_out_and_links_are_addresses() {
        let table = json!({"kind": "table", "columns": ["name", "n", "more"], "rows": [
            ["Ana\nMaria", 1, null], ["Rui", 12.5, {"a": [true]}],
        ]});
        assert_eq!(shown(table), "name          n  more\nAna Maria     1\nRui        12.5  {\"a\":[true]}");
        assert_eq!(shown(json!({"kind": "table", "columns": [], "rows": []})), "");
        assert_eq!(shown(json!({"kind": "link", "url": "https://a/", "text": "the\tboard"})), "the board: https://a/");
        assert_eq!(shown(json!({"kind": "link", "url": "https://a/"})), "https://a/");
    }

    #[test]
    fn no_artifact_commands_the_terminal() {
        let evil = "\u{1b}]0;x\u{7}\u{9b}2J";
        for content in [
            json!({"kind": "markdown", "text": evil}),
            json!({"kind": "table", "columns": [evil], "rows": [[evil], [{evil: evil}]]}),
            json!({"kind": "link", "url": evil, "text": evil}),
        ] {
            assert!(!shown(content.clone()).chars().any(|c| c.is_control() && c != '\n'), "{content}");
        }
    }
}
