//! `tarefa backup`: all that a server keeps, in one file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::Context;
use super::format::bytes;
use super::session::Session;
use super::signals::Signals;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};

const RESTORE: &str = "\
To restore it:  mkdir DIR && tar -xf FILE -C DIR && tarefa serve --data-dir DIR";

/// Copy all modules, runs and logs into one file, while runs go on
#[derive(Debug, clap::Args)]
#[command(after_help = RESTORE)]
pub(super) struct Args {
    /// The tar archive to write; `-` for stdout
    file: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    if args.file.as_os_str() == "-" {
        if context.out.terminal {
            return Err(Error::invalid("an archive is nothing for a terminal: give a file, or a pipe after `-`"));
        }
    } else if args.file.is_dir() {
        return Err(Error::invalid(format!("`{}` is a folder: give a file", args.file.display())));
    } else if !args.force && args.file.symlink_metadata().is_ok() {
        return Err(exists(&args.file));
    }
    let mut signals = Signals::catch()?;
    let session = Session::open(context).await?;
    // What was written by then goes with the future.
    let result = tokio::select! {
        size = back_up(&args, &session.client, context) => size.map(|()| 0),
        stop = signals.next() => Ok(stop.exit_code()),
    };
    session.close(result).await
}

async fn back_up(args: &Args, client: &Client, context: &Context) -> Result<()> {
    if args.file.as_os_str() == "-" {
        let size =
            client.backup(|piece| io::stdout().write_all(piece).map_err(|error| cannot_write("stdout", error))).await?;
        io::stdout().flush().map_err(|error| cannot_write("stdout", error))?;
        context.out.note(&format!("wrote a backup of {} to stdout", bytes(size)));
        return Ok(());
    }
    let name = args.file.display().to_string();
    let cannot = |error| cannot_write(&name, error);
    // Beside the file, so that it comes into its place whole or not at all.
    let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder).map_err(cannot)?;
    let size = client.backup(|piece| file.write_all(piece).map_err(cannot)).await?;
    file.as_file().sync_all().map_err(cannot)?;
    if args.force {
        file.persist(&args.file).map_err(|error| cannot(error.error))?;
    } else {
        file.persist_noclobber(&args.file).map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => exists(&args.file),
            _ => cannot(error.error),
        })?;
    }
    if context.json {
        context.out.json(&serde_json::json!({"file": name, "bytes": size}))?;
    }
    context.out.note(&format!(
        "wrote a backup of {} to `{name}`; to restore it: mkdir DIR && tar -xf {name} -C DIR && tarefa serve --data-dir DIR",
        bytes(size)
    ));
    Ok(())
}

fn exists(file: &Path) -> Error {
    Error::conflict(format!("`{}` exists: give another file, or `--force` to write over it", file.display()))
}

fn cannot_write(name: &str, error: io::Error) -> Error {
    let kind = if error.kind() == io::ErrorKind::BrokenPipe { ErrorKind::Internal } else { ErrorKind::Invalid };
    Error { kind, message: format!("cannot write to `{name}`: {error}"), source: Some(error.into()) }
}
