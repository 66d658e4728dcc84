//! `tarefa run`: from a target to a result.

use super::Context;
use super::attend::{self, Attended, End, OnSignal};
use super::choose::{self, Target};
use super::format::{harmless, short_id};
use super::options::Options;
use super::register::{Component, registered, short_digest, tell_broken};
use super::session::{Grantable, Session};
use super::signals::Signals;
use crate::api::shapes::{Caller, ModuleShape, SubmitShape};
use crate::client::Client;
use crate::domain::Entry;
use crate::error::{Error, ErrorKind, Result};

/// How long the reply to the submit may wait for the end of the run: what is shorter needs no second call.
const FIRST_WAIT_S: f64 = 0.1;

/// Run an entry, follow it to its end and print its result: as JSON on stdout, all else on stderr
#[derive(Debug, clap::Args)]
#[command(after_help = "The exit code is 0 only where the run completed, and 1 where it did not.")]
pub(super) struct Args {
    /// A crate's folder (built first), a .wasm file, or the name of a registered module
    target: String,
    /// May be left out where the module has one flow, or one entry
    entry: Option<String>,
    /// The run's name
    #[arg(long)]
    name: Option<String>,
    /// From 0 to 9: what is higher starts first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    #[command(flatten)]
    options: Options,
    /// Only the result, and what went wrong
    #[arg(short, long)]
    quiet: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let component = match Target::of(&args.target) {
        Target::Crate(folder) => Some(Component::build(&folder, None, context, args.quiet)?),
        Target::File(file) => Some(Component::read(&file, None)?),
        Target::Module(_) => None,
    };
    let session = Session::open_quietly(context, Grantable::of(&args.options.grants())).await?;
    if !args.quiet {
        session.say_which(context);
    }
    let result = submit_and_follow(&args, component, &session, context).await;
    attend::close(result, args.quiet, session, context).await
}

async fn submit_and_follow(
    args: &Args,
    component: Option<Component>,
    session: &Session,
    context: &Context,
) -> Result<End> {
    let client = &session.client;
    let mut signals = Signals::catch()?;
    // A registration compiles, which can take long. From the submit on, a signal must find the run to cancel.
    let module = tokio::select! {
        module = module(args, component, client, context) => module?,
        stop = signals.next() => return Ok(End::Left(stop)),
    };
    let entry = choose::entry(&module, args.entry.as_deref())?;
    let run = client.submit(&args.submission(&module, entry)?, Some(FIRST_WAIT_S)).await?;
    if !args.quiet {
        let name = harmless(&run.summary.name, 0);
        context.out.note(&format!(
            "submitted `{}/{}` as run `{name}` ({})",
            module.name,
            entry.name,
            short_id(run.summary.id)
        ));
    }
    let attended = Attended { session, context, quiet: args.quiet, on_signal: OnSignal::Cancel };
    attended.to_end(&run.summary, &mut signals).await
}

/// The module of the run, registered first where it was built or read from a file.
async fn module(args: &Args, component: Option<Component>, client: &Client, context: &Context) -> Result<ModuleShape> {
    let (module, what) = match component {
        Some(component) => {
            let (module, created) = client.register(&component.name, component.bytes).await?;
            tell_broken(&module, context);
            let what = registered(&module, created);
            (module, what)
        }
        None => {
            let module = client.module(&args.target).await.map_err(|error| match error.kind {
                ErrorKind::NotFound => Error::not_found(format!("{error}; nor is it a crate's folder or a .wasm file")),
                _ => error,
            })?;
            let what = format!("running the registered module `{}`, version {}", module.name, short_digest(&module));
            (module, what)
        }
    };
    if !args.quiet {
        context.out.note(&what);
    }
    Ok(module)
}

impl Args {
    fn submission(&self, module: &ModuleShape, entry: &Entry) -> Result<SubmitShape> {
        let options = &self.options;
        Ok(SubmitShape {
            module: module.name.clone(),
            entry: Some(entry.name.clone()),
            parameters: options.parameters(entry)?,
            name: self.name.clone(),
            // What was just registered, even if somebody registers another version meanwhile.
            digest: Some(module.digest.clone()),
            limits: options.limits(),
            retries: options.retries(entry),
            metering: options.metering,
            tags: options.tags(),
            timezone: options.timezone.clone(),
            grants: options.given_grants(),
            priority: self.priority,
            trigger: Some(Caller::Cli),
            ..SubmitShape::default()
        })
    }
}
