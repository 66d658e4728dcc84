//! `tarefa register`: a component into the registry.

use std::path::Path;

use super::choose::Target;
use super::format::{bytes, counted, harmless};
use super::session::Session;
use super::{Context, crates};
use crate::api::shapes::{BrokenShape, ModuleShape};
use crate::client::Client;
use crate::domain::module::check_name;
use crate::error::{Error, Result};

/// Build a crate if need be, and register the component
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A crate's folder or a .wasm file
    path: String,
    /// The module's name [default: the package's, or the file's]
    #[arg(long)]
    name: Option<String>,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let component = match Target::of(&args.path) {
        Target::Crate(folder) => Component::build(&folder, args.name, context, false)?,
        Target::File(file) => Component::read(&file, args.name)?,
        Target::Module(path) => {
            return Err(Error::not_found(format!("`{path}` is neither a crate's folder nor a .wasm file")));
        }
    };
    let session = Session::open(context).await?;
    let result = register(component, &session.client, context).await;
    session.close(result).await
}

async fn register(component: Component, client: &Client, context: &Context) -> Result<u8> {
    let (module, created) = client.register(&component.name, component.bytes).await?;
    tell_broken(&module, context);
    if context.json {
        context.out.json(&module)?;
    } else {
        let entries = counted(module.entries.len() as u64, "entry", "entries");
        context.out.line(&format!("{} ({}, {entries})", registered(&module, created), bytes(module.size_bytes)))?;
    }
    Ok(0)
}

/// ``registered `penguins` as version 1a2b3c4d5e6f``.
pub(super) fn registered(module: &ModuleShape, created: bool) -> String {
    let version = short_digest(module);
    match created {
        true => format!("registered `{}` as version {version}", module.name),
        false => format!("`{}` is registered already as version {version}", module.name),
    }
}

/// Says which deployments the registered version cannot carry out.
pub(super) fn tell_broken(module: &ModuleShape, context: &Context) {
    for BrokenShape { deployment, why } in &module.broken_deployments {
        context.out.note(&format!("this version breaks the deployment `{deployment}`: {}", harmless(why, 2)));
    }
}

/// The first characters of a digest, which are enough for a reader.
pub(super) fn short_digest(module: &ModuleShape) -> &str {
    module.digest.as_str().get(..12).unwrap_or(module.digest.as_str())
}

/// A component that can be registered.
pub(super) struct Component {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

impl Component {
    pub(super) fn build(folder: &Path, name: Option<String>, context: &Context, quiet: bool) -> Result<Component> {
        if !quiet {
            context.out.note(&format!("building the crate in `{}`", folder.display()));
        }
        let built = crates::build(folder, quiet)?;
        Component::read(&built.path, Some(name.unwrap_or(built.name)))
    }

    /// The component in `file`; its name is that of the file where none is given.
    pub(super) fn read(file: &Path, name: Option<String>) -> Result<Component> {
        let stem = || file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.unwrap_or_else(stem);
        check_name("module", &name).map_err(|error| Error::invalid(format!("{error}; choose one with `--name`")))?;
        let bytes = std::fs::read(file)
            .map_err(|error| Error::not_found(format!("cannot read `{}`: {error}", file.display())))?;
        Ok(Component { name, bytes })
    }
}
