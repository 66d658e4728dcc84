//! `tarefa trigger`: a run of a deployment, now.

use super::attend::{self, Attended, End, OnSignal};
use super::find::{self, DEPLOYMENT};
use super::format::{harmless, short_id};
use super::session::Session;
use super::signals::Signals;
use super::{Context, choose, params, parse};
use crate::api::shapes::{Caller, DeploymentShape, TriggerShape};
use crate::client::Client;
use crate::error::{Error, Result};

/// Run a deployment now, and follow the run to its end
#[derive(Debug, clap::Args)]
#[command(after_help = "The exit code is 0 only where the run completed, and 1 where it did not.")]
pub(super) struct Args {
    #[arg(help = DEPLOYMENT)]
    deployment: String,
    /// A parameter in the place of the deployment's: JSON, or a string
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = parse::pair)]
    params: Vec<(String, String)>,
    /// Parameters as one JSON object
    #[arg(long = "params", value_name = "JSON")]
    object: Option<String>,
    /// The run's name
    #[arg(long)]
    name: Option<String>,
    /// Submit the run, and leave it to the server
    #[arg(long)]
    detach: bool,
    /// Only the result, and what went wrong
    #[arg(short, long)]
    quiet: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let session = Session::open_quietly(context, super::session::Grantable::default()).await?;
    if !args.quiet {
        session.say_which(context);
    }
    let deployment = match find::deployment(&session.client, &args.deployment).await {
        Ok(deployment) => deployment,
        Err(error) => return session.close(Err(error)).await,
    };
    let grants = deployment.grants.clone().unwrap_or_default();
    let session = session.granting(&grants, context).await?;
    if args.detach {
        let result = detach(&args, &deployment, &session, context).await;
        return session.close(result).await;
    }
    let end = follow(&args, &deployment, &session, context).await;
    attend::close(end, args.quiet, session, context).await
}

async fn detach(args: &Args, deployment: &DeploymentShape, session: &Session, context: &Context) -> Result<u8> {
    if session.is_embedded() {
        let message =
            "there is no server to leave the run to: start one with `tarefa serve`, or do not give `--detach`";
        return Err(Error::unavailable(message));
    }
    let run = session.client.trigger(&deployment.name, &submission(args, deployment, &session.client).await?).await?;
    if context.json {
        context.out.json(&run)?;
    } else {
        context.out.line(&run.summary.id.to_string())?;
    }
    Ok(0)
}

async fn follow(args: &Args, deployment: &DeploymentShape, session: &Session, context: &Context) -> Result<End> {
    let mut signals = Signals::catch()?;
    let run = session.client.trigger(&deployment.name, &submission(args, deployment, &session.client).await?).await?;
    if !args.quiet {
        let name = harmless(&run.summary.name, 0);
        context.out.note(&format!("submitted a run of `{}`: `{name}` ({})", deployment.name, short_id(run.summary.id)));
    }
    let attended = Attended { session, context, quiet: args.quiet, on_signal: OnSignal::Cancel };
    attended.to_end(&run.summary, &mut signals).await
}

async fn submission(args: &Args, deployment: &DeploymentShape, client: &Client) -> Result<TriggerShape> {
    let parameters = if args.params.is_empty() && args.object.is_none() {
        None
    } else {
        let module = client.module(&deployment.module).await?;
        let entry = choose::entry(&module, Some(&deployment.entry))?;
        params::read(entry.input.as_ref(), args.object.as_deref(), &args.params)?
    };
    Ok(TriggerShape { parameters, name: args.name.clone(), trigger: Some(Caller::Cli), ..TriggerShape::default() })
}
