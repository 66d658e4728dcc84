//! `tarefa runs`: the history of runs, and what can be done with one of them.

mod list;
mod show;

use clap::Subcommand;

use super::attend::{self, Attended, End, OnSignal};
use super::find::RUN;
use super::format::{harmless, short_id};
use super::session::Session;
use super::signals::Signals;
use super::{Context, find};
use crate::api::shapes::{RetryModule, RetryShape, RunShape};
use crate::client::Client;
use crate::domain::RunId;
use crate::error::Result;

/// List runs, newest first; show, watch, retry, cancel or delete one
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: list::List,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show a run, the tree of runs below it, and its result or failure
    Show {
        #[arg(help = RUN)]
        run: String,
        /// Show all children of a flow, however many
        #[arg(long)]
        all: bool,
    },
    /// Follow a run to its end, as `tarefa run` does; Ctrl-C leaves it running
    Watch {
        #[arg(help = RUN)]
        run: String,
        /// Only the result, and what went wrong
        #[arg(short, long)]
        quiet: bool,
    },
    /// Try a run again that did not complete, and follow it; a flow keeps what completed
    Retry {
        #[arg(help = RUN)]
        run: String,
        /// Keep nothing of what completed
        #[arg(long)]
        from_start: bool,
        /// With the newest version of its module
        #[arg(long)]
        newest: bool,
        /// Only the result, and what went wrong
        #[arg(short, long)]
        quiet: bool,
    },
    /// Cancel a run and all below it
    Cancel {
        #[arg(help = RUN)]
        run: String,
    },
    /// Delete a run that is over, with all below it, its history and its log
    Delete {
        #[arg(help = RUN)]
        run: String,
    },
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let session = Session::open(context).await?;
    let client = &session.client;
    let result = match args.verb {
        None => list::list(args.list, client, context).await,
        Some(Verb::Show { run, all }) => show::show(&run, all, client, context).await,
        Some(Verb::Cancel { run }) => cancel(&run, client, context).await,
        Some(Verb::Delete { run }) => delete(&run, client, context).await,
        Some(Verb::Watch { run, quiet }) => {
            let end = watch(&run, quiet, &session, context).await;
            return attend::close(end, quiet, session, context).await;
        }
        Some(Verb::Retry { run, from_start, newest, quiet }) => {
            let how = RetryShape { from_start, module: newest.then_some(RetryModule::Newest) };
            return retry(&run, &how, quiet, session, context).await;
        }
    };
    session.close(result).await
}

async fn watch(run: &str, quiet: bool, session: &Session, context: &Context) -> Result<End> {
    let mut signals = Signals::catch()?;
    let id = find::run(&session.client, run, context).await?;
    let run = session.client.run(id).await?;
    session.expect_end(&run.summary)?;
    Attended { session, context, quiet, on_signal: OnSignal::Detach }.to_end(&run.summary, &mut signals).await
}

async fn retry(run: &str, how: &RetryShape, quiet: bool, session: Session, context: &Context) -> Result<u8> {
    let found = match find::run(&session.client, run, context).await {
        Ok(id) => session.client.run(id).await,
        Err(error) => Err(error),
    };
    let old = match found {
        Ok(old) => old,
        Err(error) => return session.close(Err(error)).await,
    };
    let session = session.granting(&old.grants, context).await?;
    let end = retry_and_follow(old.summary.id, how, quiet, &session, context).await;
    attend::close(end, quiet, session, context).await
}

async fn retry_and_follow(
    id: RunId,
    how: &RetryShape,
    quiet: bool,
    session: &Session,
    context: &Context,
) -> Result<End> {
    let mut signals = Signals::catch()?;
    let run = session.client.retry(id, how).await?;
    if !quiet {
        let name = harmless(&run.summary.name, 0);
        // It may have begun by the time of the reply.
        let attempt = run.summary.n_attempts + u32::from(run.summary.started_at.is_none());
        context.out.note(&format!("retrying run `{name}` ({}), attempt {attempt}", short_id(run.summary.id)));
    }
    Attended { session, context, quiet, on_signal: OnSignal::Cancel }.to_end(&run.summary, &mut signals).await
}

async fn delete(run: &str, client: &Client, context: &Context) -> Result<u8> {
    let id = find::run(client, run, context).await?;
    client.delete_run(id).await?;
    if context.json {
        context.out.json(&serde_json::json!({"deleted": id}))?;
    } else {
        context.out.line(&format!("deleted the run {id} and all below it"))?;
    }
    Ok(0)
}

async fn cancel(run: &str, client: &Client, context: &Context) -> Result<u8> {
    let id = find::run(client, run, context).await?;
    let run: RunShape = client.cancel(id).await?;
    if context.json {
        context.out.json(&run)?;
    } else {
        let name = harmless(&run.summary.name, 0);
        context.out.line(&format!("the run `{name}` ({}) is {}", short_id(id), run.summary.state.as_str()))?;
    }
    Ok(0)
}
