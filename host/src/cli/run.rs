//! `tarefa run`: from a target to a result.

use super::attend::{self, Attended, End, OnSignal};
use super::choose::{self, Target};
use super::format::{harmless, short_id};
use super::register::{Component, registered, short_digest};
use super::session::{Grantable, Session};
use super::signals::Signals;
use super::{Context, params, parse};
use crate::api::shapes::{Caller, ModuleShape, SubmitShape};
use crate::client::Client;
use crate::domain::{DirGrant, Entry, Grants, HttpGrant, LimitsPatch, Metering, Retries};
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
    /// A parameter: JSON, or a string
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = parse::pair)]
    params: Vec<(String, String)>,
    /// All parameters as one JSON object
    #[arg(long = "params", value_name = "JSON")]
    object: Option<String>,
    /// A directory that the run's tasks may open: HOST=/GUEST, read-only unless `:rw` follows
    #[arg(long = "dir", value_name = "HOST=/GUEST[:ro|:rw]", value_parser = parse::dir)]
    dirs: Vec<DirGrant>,
    /// A host and port that the run's tasks may send HTTP requests to
    #[arg(long, value_name = "HOST:PORT", value_parser = parse::http)]
    http: Vec<HttpGrant>,
    /// The run's name
    #[arg(long)]
    name: Option<String>,
    /// Limit of fuel of each attempt, such as 500M
    #[arg(long, value_name = "UNITS", value_parser = parse::count)]
    fuel: Option<u64>,
    /// Limit of memory of each attempt, such as 64MiB
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    memory: Option<u64>,
    /// Limit of time, such as 30s: of a task's attempt, of a flow with all its waits
    #[arg(long, value_name = "DURATION", value_parser = parse::milliseconds)]
    timeout: Option<u64>,
    /// Attempts after the first; the delays are those of the entry
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// How computation is measured: `fuel` (exact, limited) or `time` (by the clock alone)
    #[arg(long, value_parser = metering)]
    metering: Option<Metering>,
    /// An IANA time zone such as America/Sao_Paulo
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// A word to find the run by
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// From 0 to 9: what is higher starts first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// Only the result, and what went wrong
    #[arg(short, long)]
    quiet: bool,
}

fn metering(text: &str) -> Result<Metering, String> {
    match text {
        "fuel" => Ok(Metering::Fuel),
        "time" => Ok(Metering::Time),
        _ => Err("it is `fuel` or `time`".to_owned()),
    }
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let component = match Target::of(&args.target) {
        Target::Crate(folder) => Some(Component::build(&folder, None, context, args.quiet)?),
        Target::File(file) => Some(Component::read(&file, None)?),
        Target::Module(_) => None,
    };
    let session = Session::open_quietly(context, Grantable::of(&args.grants())).await?;
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
    fn grants(&self) -> Grants {
        Grants { dirs: self.dirs.clone(), http: self.http.clone() }
    }

    fn submission(&self, module: &ModuleShape, entry: &Entry) -> Result<SubmitShape> {
        let limits = LimitsPatch {
            fuel: self.fuel,
            memory_bytes: self.memory,
            timeout_ms: self.timeout,
            ..LimitsPatch::default()
        };
        Ok(SubmitShape {
            module: module.name.clone(),
            entry: Some(entry.name.clone()),
            parameters: params::read(entry.input.as_ref(), self.object.as_deref(), &self.params)?,
            name: self.name.clone(),
            // What was just registered, even if somebody registers another version meanwhile.
            digest: Some(module.digest.clone()),
            limits: (limits != LimitsPatch::default()).then_some(limits),
            retries: self.retries.map(|max| Retries { max, ..entry.retries.clone() }),
            metering: self.metering,
            tags: (!self.tags.is_empty()).then(|| self.tags.clone()),
            timezone: self.timezone.clone(),
            grants: (!self.dirs.is_empty() || !self.http.is_empty()).then(|| self.grants()),
            priority: self.priority,
            trigger: Some(Caller::Cli),
            ..SubmitShape::default()
        })
    }
}
