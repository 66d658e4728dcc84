//! `tarefa build`: a crate into a component.

use std::path::PathBuf;

use super::{Context, crates};
use crate::error::Result;

/// Build a crate into a component, and print the path of the .wasm file
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The crate's folder
    #[arg(default_value = ".")]
    path: PathBuf,
}

pub(super) fn run(args: Args, context: &Context) -> Result<u8> {
    let built = crates::build(&args.path, false)?;
    if context.json {
        context.out.json(&serde_json::json!({"name": built.name, "path": built.path.display().to_string()}))?;
    } else {
        context.out.line(&built.path.display().to_string())?;
    }
    Ok(0)
}
