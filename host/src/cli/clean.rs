//! `tarefa clean`: gives back what the data directory can be without, or all of it.

use std::fs;
use std::path::{Path, PathBuf};

use super::format::{bytes, counted};
use super::session::{Grantable, Session};
use super::{Context, confirm};
use crate::client::Client;
use crate::datadir::DataDir;
use crate::domain::{Keep, RetentionPatch};
use crate::error::{Error, Result};

/// What is ours in a data directory: nothing else is ever deleted. The lock stays: another may be about to take it.
const DATABASE: &str = "tarefa.db";
const FILES: [&str; 5] = ["tarefa.db-wal", "tarefa.db-shm", "tarefa.db-snapshot", "key", DATABASE];
const FOLDERS: [&str; 2] = ["modules", "cache"];
const CACHE: &str = "cache";

/// Delete compiled code, which is made anew when it is needed; with `--older-than` instead runs that ended long ago; with
/// `--data` everything: modules, runs and logs
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Delete all data, after asking
    #[arg(long)]
    data: bool,
    /// Delete runs that ended longer ago, such as `7d`, with all below them and their logs; but those of deployments that say
    /// themselves how long their runs are kept
    #[arg(long, value_name = "SPAN", conflicts_with = "data")]
    older_than: Option<Keep>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Files and their size.
#[derive(Default)]
struct Found {
    paths: Vec<PathBuf>,
    bytes: u64,
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<u8> {
    if let Some(span) = args.older_than {
        let session = Session::open(context).await?;
        let result = prune(span, &session.client, context).await;
        return session.close(result).await;
    }
    if let Some(named) = &context.server {
        return Err(Error::invalid(format!(
            "`clean` works on a data directory of this machine, and {} names the server at {}: give `--data-dir`",
            named.by, named.url
        )));
    }
    let dir = &context.data_dir;
    // A directory without our database is somebody else's.
    if !dir.join(DATABASE).is_file() {
        context.out.note(&format!("there is no data in `{}`", dir.display()));
        return Ok(0);
    }
    if args.data && !args.yes {
        // Whether a server holds it is said before anybody is asked.
        drop(DataDir::take(dir)?);
        if !confirmed(dir, context).await? {
            return Ok(1);
        }
    }
    // Held while we work, so that no server starts on what is half gone.
    let held = DataDir::take(dir)?;
    let found = if args.data { all(dir)? } else { compiled(dir)? };
    for path in &found.paths {
        fs::remove_file(path)
            .map_err(|error| Error::invalid(format!("cannot delete `{}`: {error}", path.display())))?;
    }
    drop(held);
    let files = counted(found.paths.len() as u64, "file", "files");
    let what = if args.data { "all data" } else { "compiled code" };
    if context.json {
        context.out.json(&serde_json::json!({"files": found.paths.len(), "bytes": found.bytes}))?;
    } else {
        context.out.line(&format!("deleted {what} in `{}`: {files}, {}", dir.display(), bytes(found.bytes)))?;
    }
    Ok(0)
}

/// Goes through the server that holds the data directory, or that was named.
async fn prune(span: Keep, client: &Client, context: &Context) -> Result<u8> {
    let pruned = client.prune(&RetentionPatch { runs: Some(span), logs: None }).await?;
    if context.json {
        context.out.json(&pruned)?;
    } else {
        let (runs, lines) = (counted(pruned.runs, "run", "runs"), counted(pruned.log_lines, "line", "lines"));
        context.out.line(&format!("deleted {runs} and {lines} of their logs"))?;
    }
    Ok(0)
}

async fn confirmed(dir: &Path, context: &Context) -> Result<bool> {
    let held = match contents(context).await {
        Ok(held) => held,
        // What cannot be read any more may be just why all is to go.
        Err(_) => "all modules, deployments, runs and logs".to_owned(),
    };
    let what = format!("{held} in `{}` ({})", dir.display(), bytes(all(dir)?.bytes));
    confirm::ask(&what, context)
}

/// `2 modules, 1 deployment and 120 runs with their logs`.
async fn contents(context: &Context) -> Result<String> {
    let session = Session::open_quietly(context, Grantable::default()).await?;
    let health = session.client.health().await;
    let count = session.client.count_runs().await;
    let deployments = session.client.deployments().await;
    session.close(Ok(())).await?;
    let modules = counted(health?.modules, "module", "modules");
    let deployments = counted(deployments?.len() as u64, "deployment", "deployments");
    Ok(format!("{modules}, {deployments} and {} with their logs", counted(count?, "run", "runs")))
}

fn all(dir: &Path) -> Result<Found> {
    let mut found = Found::default();
    for name in FILES {
        found.add(dir.join(name));
    }
    for name in FOLDERS {
        found.add_files_in(&dir.join(name))?;
    }
    Ok(found)
}

fn compiled(dir: &Path) -> Result<Found> {
    let mut found = Found::default();
    found.add_files_in(&dir.join(CACHE))?;
    Ok(found)
}

impl Found {
    fn add(&mut self, path: PathBuf) {
        let Ok(about) = path.symlink_metadata() else { return };
        if about.is_file() {
            self.bytes += about.len();
            self.paths.push(path);
        }
    }

    /// A folder that a link stands for is somebody else's.
    fn add_files_in(&mut self, folder: &Path) -> Result<()> {
        if folder.is_symlink() {
            return Ok(());
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::invalid(format!("cannot read `{}`: {error}", folder.display()))),
        };
        for entry in entries {
            self.add(entry.map_err(anyhow::Error::from)?.path());
        }
        Ok(())
    }
}
