//! What is to be done, known as a whole before any of it is.

use serde::Serialize;

use super::Wanted;
use super::diff::{self, Field};
use super::say;
use crate::api::shapes::{DeploymentShape, ModuleShape};
use crate::cli::Context;
use crate::cli::choose::Target;
use crate::cli::output::Colour;
use crate::cli::register::{Component, registered, short_digest, tell_broken};
use crate::cli::session::Session;
use crate::client::Client;
use crate::domain::DeploymentSpec;
use crate::error::{Error, ErrorKind, Result};

/// The module of a deployment: on record, or as it will be once its component is registered.
pub(super) struct Source {
    pub(super) module: ModuleShape,
    /// What is to be registered.
    component: Option<Component>,
}

impl Source {
    pub(super) async fn load(target: &Target, component: Option<Component>, client: &Client) -> Result<Source> {
        let Some(component) = component else {
            let Target::Module(name) = target else { unreachable!("all else was built or read") };
            let module = client.module(name).await.map_err(|error| match error.kind {
                ErrorKind::NotFound => Error::not_found(format!("{error}; nor is it a crate's folder or a .wasm file")),
                _ => error,
            })?;
            return Ok(Source { module, component: None });
        };
        let module = client.examine(&component.name, component.bytes.clone()).await?;
        let newest = match client.module(&component.name).await {
            Ok(newest) => Some(newest),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let is_new = newest.is_none_or(|newest| newest.digest != module.digest);
        Ok(Source { module, component: is_new.then_some(component) })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Create,
    Update,
    /// It is as it is wanted.
    Keep,
    Delete,
}

/// What becomes of one deployment.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub(super) deployment: String,
    pub(super) action: Action,
    pub(super) fields: Vec<Field>,
    /// As it is to be; none where it is to be deleted.
    #[serde(skip)]
    spec: Option<DeploymentSpec>,
}

pub(super) struct Plan {
    sources: Vec<Source>,
    changes: Vec<Change>,
}

impl Plan {
    /// Compares what is wanted with what is on record.
    pub(super) async fn make(
        sources: Vec<Source>,
        wanted: Vec<Wanted>,
        project: Option<String>,
        prune: bool,
        client: &Client,
    ) -> Result<Plan> {
        let mut changes = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let current = match client.deployment(&wanted.name).await {
                Ok(current) => Some(current.spec()),
                Err(error) if error.kind == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            changes.push(change(wanted, current.as_ref(), project.as_deref())?);
        }
        if prune {
            let all = client.deployments().await?;
            let gone = all.into_iter().filter(|deployment| {
                deployment.project == project && changes.iter().all(|change| change.deployment != deployment.name)
            });
            let gone: Vec<Change> = gone.map(deletion).collect();
            changes.extend(gone);
        }
        Ok(Plan { sources, changes })
    }

    /// Shows what would be done.
    pub(super) fn show(&self, context: &Context) -> Result<()> {
        let new = || self.sources.iter().filter(|source| source.component.is_some());
        if context.json {
            let modules: Vec<&ModuleShape> = new().map(|source| &source.module).collect();
            return context.out.json(&serde_json::json!({"modules": modules, "changes": self.changes}));
        }
        for source in new() {
            let version = short_digest(&source.module);
            let mark = context.out.on_stdout("+", Colour::Green);
            context.out.line(&format!("{mark} module `{}`, version {version}", source.module.name))?;
        }
        for change in &self.changes {
            context.out.line(&say::change(change, &context.out))?;
        }
        context.out.line(&format!("{}; nothing was changed", say::counts(&self.changes)))
    }

    /// Does it, and says so. Returns the names of the deployments that are there then.
    pub(super) async fn apply(self, session: &Session, follow: bool, context: &Context) -> Result<Vec<String>> {
        let client = &session.client;
        for Source { component, .. } in self.sources {
            let Some(component) = component else { continue };
            let (mut module, created) = client.register(&component.name, component.bytes).await?;
            context.out.note(&registered(&module, created));
            // Those that are changed next were checked with it.
            module.broken_deployments.retain(|broken| self.changes.iter().all(|c| c.deployment != broken.deployment));
            tell_broken(&module, context);
        }
        let mut names = Vec::with_capacity(self.changes.len());
        for (done, change) in self.changes.iter().enumerate() {
            let deployment = carry_out(change, client).await.map_err(|error| {
                let left = self.changes.len() - done;
                let rest =
                    if left > 1 { format!("; it and the {} after it are as before", left - 1) } else { String::new() };
                Error::new(error.kind, format!("deployment `{}`: {error}{rest}", change.deployment))
            })?;
            if context.json {
                context.out.json(&serde_json::json!({"change": change, "deployment": deployment}))?;
            } else {
                // Where no server stays there is no page.
                let page = follow || !session.is_embedded();
                say::done(change, deployment.as_ref(), page, client, &context.out).await?;
            }
            names.extend(deployment.map(|deployment| deployment.name));
        }
        if session.is_embedded() && !follow && !names.is_empty() {
            context
                .out
                .note("no server runs: the deployments are kept, and their schedules fire while `tarefa serve` runs");
        }
        Ok(names)
    }
}

fn change(wanted: Wanted, current: Option<&DeploymentSpec>, project: Option<&str>) -> Result<Change> {
    let Wanted { name, mut spec, paused, told } = wanted;
    let others = current.and_then(|current| current.project.as_deref());
    if let (Some(theirs), Some(ours)) = (others, project)
        && theirs != ours
    {
        return Err(Error::conflict(format!(
            "the deployment `{name}` is of the project `{theirs}`, not of `{ours}`: choose another name, or delete it first"
        )));
    }
    spec.project = project.or(others).map(str::to_owned);
    spec.paused = paused.unwrap_or_else(|| current.is_some_and(|current| current.paused));
    for (schedule, told) in spec.schedules.iter_mut().zip(told) {
        let old = current.and_then(|current| current.schedules.iter().find(|old| old.id() == schedule.id()));
        schedule.paused = told.unwrap_or_else(|| old.is_some_and(|old| old.paused));
    }
    let fields = diff::fields(current, &spec);
    let action = match current {
        None => Action::Create,
        Some(_) if fields.is_empty() => Action::Keep,
        Some(_) => Action::Update,
    };
    Ok(Change { deployment: name, action, fields, spec: Some(spec) })
}

fn deletion(deployment: DeploymentShape) -> Change {
    Change { deployment: deployment.name, action: Action::Delete, fields: Vec::new(), spec: None }
}

/// The deployment as it is then; none where it is deleted.
async fn carry_out(change: &Change, client: &Client) -> Result<Option<DeploymentShape>> {
    match &change.spec {
        None => client.delete_deployment(&change.deployment).await.map(|()| None),
        // What seems to be there already may differ in what is not shown: the server knows.
        Some(spec) => client.put_deployment(&change.deployment, spec).await.map(Some),
    }
}
