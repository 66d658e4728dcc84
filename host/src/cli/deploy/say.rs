//! Changes of deployments in words.

use jiff::Timestamp;
use serde_json::Value;

use super::diff::Field;
use super::plan::{Action, Change};
use crate::api::shapes::DeploymentShape;
use crate::cli::deployments::{policies, schedules_in_words};
use crate::cli::format::{counted, harmless};
use crate::cli::output::{Colour, Output};
use crate::cli::upcoming;
use crate::client::Client;
use crate::error::Result;

/// Occurrences that are shown of a deployment.
const SHOWN_NEXT: u32 = 3;

/// What would become of a deployment.
pub(super) fn change(change: &Change, out: &Output) -> String {
    let (mark, colour, words) = match change.action {
        Action::Create => ("+", Colour::Green, "would be created"),
        Action::Update => ("~", Colour::Yellow, "would be updated"),
        Action::Keep => ("=", Colour::Dim, "stays as it is"),
        Action::Delete => ("-", Colour::Red, "would be deleted"),
    };
    let mut text = format!("{} {} {words}", out.on_stdout(mark, colour), change.deployment);
    for field in &change.fields {
        text += &format!("\n    {}", line(field, out));
    }
    text
}

/// `+ description: "b"`, `~ description: "a" → "b"` or `- description: "a"`.
fn line(field: &Field, out: &Output) -> String {
    // Words of our own have no quotes.
    let value = |value: &Value| match value {
        Value::String(text) if field.field == "schedule" => text.clone(),
        value => harmless(&value.to_string(), 0),
    };
    let name = &field.field;
    match (&field.from, &field.to) {
        (None, Some(to)) => format!("{} {name}: {}", out.on_stdout("+", Colour::Green), value(to)),
        (Some(from), None) => format!("{} {name}: {}", out.on_stdout("-", Colour::Red), value(from)),
        (from, to) => {
            let (from, to) = (from.as_ref().map(value), to.as_ref().map(value));
            let mark = out.on_stdout("~", Colour::Yellow);
            format!("{mark} {name}: {} → {}", from.unwrap_or_default(), to.unwrap_or_default())
        }
    }
}

/// `2 to create, 1 to update, 3 unchanged`.
pub(super) fn counts(changes: &[Change]) -> String {
    let words = [
        (Action::Create, "to create"),
        (Action::Update, "to update"),
        (Action::Delete, "to delete"),
        (Action::Keep, "unchanged"),
    ];
    let parts = words.into_iter().filter_map(|(action, words)| {
        let count = changes.iter().filter(|change| change.action == action).count();
        (count > 0).then(|| format!("{count} {words}"))
    });
    let parts: Vec<String> = parts.collect();
    format!("{}: {}", counted(changes.len() as u64, "deployment", "deployments"), parts.join(", "))
}

/// Says what was done, and what comes next.
pub(super) async fn done(
    change: &Change,
    deployment: Option<&DeploymentShape>,
    page: bool,
    client: &Client,
    out: &Output,
) -> Result<()> {
    let name = &change.deployment;
    let Some(deployment) = deployment else {
        return out.line(&format!("deleted `{name}`, which is no longer in the file; its runs stay"));
    };
    let entry = format!("{}/{}", deployment.module, deployment.entry);
    let mut text = match change.action {
        Action::Create => format!("created `{name}`, which runs `{entry}`"),
        Action::Keep if deployment.changed != Some(true) => format!("`{name}` is as it was: nothing has changed"),
        _ => format!("updated `{name}`, which runs `{entry}`"),
    };
    if change.action == Action::Update {
        for field in &change.fields {
            text += &format!("\n  {}", line(field, out));
        }
    }
    let field = |name: &str, value: &str| format!("\n  {name:<10}{value}");
    if page {
        text += &field("page", &client.deployment_url(name).await);
    }
    for (i, words) in schedules_in_words(deployment).iter().enumerate() {
        text += &field(if i == 0 { "schedule" } else { "" }, words);
    }
    text += &field("policies", &policies(&deployment.spec()));
    if deployment.paused {
        text += &field("next", &format!("never: it is paused; `tarefa deployments resume {name}` has it go on"));
    } else if deployment.schedules.is_empty() {
        text += &field("next", &format!("only by request: `tarefa trigger {name}`"));
    }
    let upcoming = client.upcoming(Some(name), SHOWN_NEXT).await?.items;
    let coming = upcoming::lines(upcoming.iter().filter(|next| !next.paused), Timestamp::now());
    for (i, words) in coming.iter().enumerate() {
        text += &field(if i == 0 { "next" } else { "" }, words);
    }
    if coming.is_empty() && !deployment.paused && !deployment.schedules.is_empty() {
        text += &field("next", "never: no schedule goes on");
    }
    out.line(&text)
}
