//! `tarefa deployments`: what is deployed, and what can be done with it.

use clap::Subcommand;
use comfy_table::Cell;
use jiff::Timestamp;

use super::find::{self, DEPLOYMENT};
use super::format::{countdown, counted, date, harmless};
use super::output::{Colour, state_colour};
use super::session::Session;
use super::table::{Cells, Column, layout, state_cell};
use super::{Context, confirm, trigger, upcoming};
use crate::api::shapes::{DeploymentShape, Page};
use crate::client::Client;
use crate::domain::{Catchup, DeploymentSpec};
use crate::error::Result;

/// Occurrences that are shown of a deployment.
const SHOWN_NEXT: u32 = 5;

/// List the deployments; show, run, pause, resume or delete one
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show a deployment, its schedules and what comes next
    Show {
        #[arg(help = DEPLOYMENT)]
        name: String,
    },
    /// Run a deployment now, and follow the run, as `tarefa trigger` does
    Run(trigger::Args),
    /// Keep a deployment's schedules from firing
    Pause {
        #[arg(help = DEPLOYMENT)]
        name: String,
    },
    /// Have a deployment's schedules go on
    Resume {
        #[arg(help = DEPLOYMENT)]
        name: String,
    },
    /// Delete a deployment, after asking; its runs stay
    Delete {
        #[arg(help = DEPLOYMENT)]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    if let Some(Verb::Run(args)) = args.verb {
        return trigger::run(args, context).await;
    }
    let session = Session::open(context).await?;
    let client = &session.client;
    let result = match args.verb {
        None | Some(Verb::Run(_)) => list(client, context).await,
        Some(Verb::Show { name }) => show(&name, client, context).await,
        Some(Verb::Pause { name }) => set_paused(&name, true, client, context).await,
        Some(Verb::Resume { name }) => set_paused(&name, false, client, context).await,
        Some(Verb::Delete { name, yes }) => delete(&name, yes, client, context).await,
    };
    session.close(result).await
}

async fn list(client: &Client, context: &Context) -> Result<u8> {
    let items = client.deployments().await?;
    if context.json {
        context.out.json(&Page { items, next_cursor: None })?;
    } else if items.is_empty() {
        context.out.note("nothing is deployed yet: `tarefa deploy PATH --every 30s` does it");
    } else {
        let columns = [
            Column("name", Cells::Words),
            Column("entry", Cells::Text),
            Column("schedule", Cells::Text),
            Column("next", Cells::Words),
            Column("last run", Cells::Words),
        ];
        let now = Timestamp::now();
        let rows = items.iter().map(|deployment| row(deployment, context, now)).collect();
        context.out.line(&layout(&context.out, &columns, rows))?;
    }
    Ok(0)
}

fn row(deployment: &DeploymentShape, context: &Context, now: Timestamp) -> Vec<Cell> {
    let next = match deployment.next_at {
        _ if deployment.paused => "paused".to_owned(),
        _ if deployment.broken.is_some() => "broken".to_owned(),
        Some(at) => countdown(now, at),
        None if deployment.schedules.is_empty() => "by request".to_owned(),
        None => "never".to_owned(),
    };
    vec![
        Cell::new(&deployment.name),
        Cell::new(entry(deployment)),
        Cell::new(schedules_in_words(deployment).join("; ")),
        Cell::new(next),
        deployment.last_run.as_ref().map_or_else(|| Cell::new(""), |run| state_cell(&context.out, run)),
    ]
}

async fn show(name: &str, client: &Client, context: &Context) -> Result<u8> {
    let deployment = find::deployment(client, name).await?;
    if context.json {
        context.out.json(&deployment)?;
        return Ok(0);
    }
    let out = &context.out;
    let field = |name: &str, value: String| {
        let name = if name.is_empty() { String::new() } else { format!("{name}:") };
        out.line(&format!("{name:<12} {value}"))
    };
    let spec = &deployment.spec();
    out.line(&out.on_stdout(&deployment.name, Colour::Bold))?;
    if let Some(description) = &spec.description {
        field("description", harmless(description, 13))?;
    }
    let version = spec.digest.as_ref().map_or("newest", |digest| digest.as_str().get(..12).unwrap_or(digest.as_str()));
    field("entry", format!("{}, version {version}", entry(&deployment)))?;
    if let Some(why) = &deployment.broken {
        field("broken", harmless(why, 13))?;
    }
    if !spec.parameters.is_empty() {
        let json = serde_json::to_string(&spec.parameters).map_err(anyhow::Error::from)?;
        field("parameters", harmless(&json, 13))?;
    }
    if deployment.schedules.is_empty() {
        field("schedule", "none".to_owned())?;
    }
    for (i, words) in schedules_in_words(&deployment).into_iter().enumerate() {
        field(if i == 0 { "schedule" } else { "" }, words)?;
    }
    field("policies", policies(spec))?;
    if let Some(project) = &spec.project {
        field("project", project.clone())?;
    }
    for (name, value) in settings(spec)? {
        field(&name, value)?;
    }
    field("created", date(deployment.created_at))?;
    if deployment.n_skipped > 0 {
        field("skipped", counted(deployment.n_skipped, "occurrence", "occurrences"))?;
    }
    if let Some(run) = &deployment.last_run {
        let state = out.on_stdout(run.state.as_str(), state_colour(run.state));
        field("last run", format!("{state}, {} ({})", date(run.created_at), super::format::short_id(run.id)))?;
    }
    if spec.paused {
        return field(
            "next",
            format!("never: it is paused; `tarefa deployments resume {}` has it go on", deployment.name),
        )
        .map(|()| 0);
    }
    let next = client.upcoming(Some(&deployment.name), SHOWN_NEXT).await?.items;
    for (i, words) in upcoming::lines(next.iter().filter(|next| !next.paused), Timestamp::now()).into_iter().enumerate()
    {
        field(if i == 0 { "next" } else { "" }, words)?;
    }
    Ok(0)
}

/// What else a deployment says, as it is written.
fn settings(spec: &DeploymentSpec) -> Result<Vec<(String, String)>> {
    const TOLD: [&str; 11] = [
        "module",
        "entry",
        "digest",
        "description",
        "parameters",
        "schedules",
        "paused",
        "overlap",
        "catchup",
        "catchup_max",
        "project",
    ];
    let serde_json::Value::Object(all) = serde_json::to_value(spec).map_err(anyhow::Error::from)? else {
        return Ok(Vec::new());
    };
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let others = all.into_iter().filter(|(name, _)| !TOLD.contains(&name.as_str()));
    Ok(others.map(|(name, value)| (name, harmless(&text(&value), 13))).collect())
}

async fn set_paused(name: &str, paused: bool, client: &Client, context: &Context) -> Result<u8> {
    let name = find::deployment(client, name).await?.name;
    let deployment = client.set_deployment_paused(&name, paused).await?;
    if context.json {
        context.out.json(&deployment)?;
    } else {
        let next = deployment.next_at.filter(|_| !paused);
        let next = next.map(|at| format!(", next {}", countdown(Timestamp::now(), at))).unwrap_or_default();
        let words = if paused { "is paused" } else { "goes on" };
        context.out.line(&format!("the deployment `{name}` {words}{next}"))?;
    }
    Ok(0)
}

async fn delete(name: &str, yes: bool, client: &Client, context: &Context) -> Result<u8> {
    let name = find::deployment(client, name).await?.name;
    if !yes && !confirm::ask(&format!("the deployment `{name}`"), context)? {
        return Ok(1);
    }
    client.delete_deployment(&name).await?;
    if context.json {
        context.out.json(&serde_json::json!({"deleted": name}))?;
    } else {
        context.out.line(&format!("deleted the deployment `{name}`; its runs stay"))?;
    }
    Ok(0)
}

fn entry(deployment: &DeploymentShape) -> String {
    format!("{}/{}", deployment.module, deployment.entry)
}

/// Each schedule in words, which name its time zone.
pub(super) fn schedules_in_words(deployment: &DeploymentShape) -> Vec<String> {
    let words = deployment.schedules.iter().map(|shape| {
        let paused = if shape.paused { ", paused" } else { "" };
        format!("{}{paused}", harmless(&shape.description, 0))
    });
    words.collect()
}

/// `catchup = last, overlap = skip`.
pub(super) fn policies(spec: &DeploymentSpec) -> String {
    let word = |value: serde_json::Result<serde_json::Value>| {
        value.ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let catchup = word(serde_json::to_value(spec.catchup));
    let most = if spec.catchup == Catchup::All { format!(" (the latest {})", spec.catchup_max) } else { String::new() };
    format!("catchup = {catchup}{most}, overlap = {}", word(serde_json::to_value(spec.overlap)))
}
