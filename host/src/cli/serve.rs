//! `tarefa serve`: the server, until a signal ends it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::config::{self, Sections};
use super::format::{counted, harmless, short_id};
use super::output::{Colour, state_colour};
use super::session::refuse_second;
use super::signals::Signals;
use super::{Context, parse};
use crate::api::shapes::{Health, RunSummary};
use crate::app::AllowedDir;
use crate::client::Client;
use crate::domain::http::host_and_port;
use crate::domain::{Keep, Retention};
use crate::error::Result;
use crate::server::{DEFAULT_EVICT_AFTER, DEFAULT_FLOWS, Server, ServerConfig};

/// Serve the API and run what is submitted
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A TOML file that has what these flags say, under their names, and whom to notify
    /// [default: $XDG_CONFIG_HOME/tarefa/server.toml where it exists]
    #[arg(long, value_name = "FILE", env = "TAREFA_CONFIG")]
    config: Option<PathBuf>,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4200")]
    listen: SocketAddr,
    /// Attempts that may hold a sandbox at a time [default: 64 per core, memory allowing]
    #[arg(long, value_name = "N", value_parser = slots)]
    slots: Option<usize>,
    /// What an acknowledgement survives: `normal` the end of the process, however it ends; `full` also a loss of power,
    /// since each commit is synced to disk first
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    durability: Durability,
    /// Seconds that running attempts are waited for at the end
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    grace: u64,
    /// A name besides those of loopback under which the server may be called
    #[arg(long = "allow-host", value_name = "NAME")]
    allow_hosts: Vec<String>,
    /// A directory that runs may be granted, with all in it; read-only unless `:rw` follows
    #[arg(long = "allow-dir", value_name = "PATH[:ro|:rw]", value_parser = parse::allowed_dir)]
    allow_dirs: Vec<AllowedDir>,
    /// A host and port that runs may be granted
    #[arg(long = "allow-http", value_name = "HOST:PORT", value_parser = host_and_port)]
    allow_http: Vec<String>,
    /// An OpenTelemetry collector, such as http://127.0.0.1:4318, that gets finished runs as traces
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_parser = parse::collector)]
    otlp_endpoint: Option<String>,
    /// Flows that may be in memory at a time
    #[arg(long, value_name = "N", default_value_t = DEFAULT_FLOWS)]
    flows: usize,
    /// After how many seconds of waiting a flow gives its sandbox back, to be called again
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_EVICT_AFTER.as_secs())]
    evict_after: u64,
    /// The time zone of runs that name none
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    timezone: String,
    /// How long runs that are over are kept, with all below them, such as `7d`, or `forever`; a deployment may say otherwise
    #[arg(long, value_name = "SPAN", default_value_t = Retention::default().runs)]
    keep_runs: Keep,
    /// How long their logs are
    #[arg(long, value_name = "SPAN", default_value_t = Retention::default().logs)]
    keep_logs: Keep,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Durability {
    #[default]
    Normal,
    Full,
}

fn slots(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|slots| *slots > 0).ok_or_else(|| "it is a number from 1".to_owned())
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    refuse_second(context)?;
    let (args, sections) = match config::path(args.config.as_deref()) {
        Some(path) => config::read(&path, std::env::args_os().collect())?,
        None => (args, Sections::default()),
    };
    let mut signals = Signals::catch()?;
    let grace = Duration::from_secs(args.grace);
    let config = ServerConfig {
        listen: args.listen,
        slots: args.slots,
        flows: args.flows.max(1),
        evict_after: Duration::from_secs(args.evict_after),
        allowed_hosts: args.allow_hosts,
        allowed_dirs: args.allow_dirs,
        allowed_http: args.allow_http,
        notify: sections.notify,
        otlp_endpoint: args.otlp_endpoint.filter(|endpoint| !endpoint.is_empty()),
        timezone: args.timezone,
        retention: Some(Retention { runs: args.keep_runs, logs: args.keep_logs }),
        synced: args.durability == Durability::Full,
        serves: true,
        ..ServerConfig::new(context.data_dir.clone())
    };
    let mut server = Server::start(config).await?;
    up(&server, context).await?;
    let first = loop {
        tokio::select! {
            stop = signals.next() => break stop,
            Some(run) = server.next_finished() => {
                // A server goes on where nobody reads its output.
                let _ = finished(&run, context);
            }
        }
    };
    context.out.note(&format!(
        "{}: waiting up to {} for running attempts; a second signal ends at once",
        first.name(),
        counted(args.grace, "second", "seconds")
    ));
    tokio::select! {
        () = server.shutdown(grace) => Ok(0),
        second = signals.next() => Ok(second.exit_code()),
    }
}

/// Says that the server is up, and what it has.
async fn up(server: &Server, context: &Context) -> Result<()> {
    let url = server.url();
    let health = Client::new(&url)?.health().await?;
    if context.json {
        return context.out.json(&health);
    }
    context.out.line(&block(&url, &health))
}

fn block(url: &str, health: &Health) -> String {
    format!(
        "tarefa {} serves {url}\n  data directory   {}\n  slots            {}\n  modules          {}\n  unfinished runs  {}",
        health.version, health.data_dir, health.slots, health.modules, health.unfinished_runs
    )
}

/// A line for a run that has ended and that no flow had submitted.
fn finished(run: &RunSummary, context: &Context) -> Result<()> {
    let out = &context.out;
    if context.json {
        return out.json(run);
    }
    let at = super::format::clock(run.finished_at.unwrap_or(run.created_at));
    let state = out.on_stdout(run.state.as_str(), state_colour(run.state));
    let took = super::format::run_duration(run, run.created_at).unwrap_or_default();
    let failure = run.failure.as_ref();
    let why = failure.map(|f| format!(": {}: {}", f.kind.name(), harmless(&f.message, 2))).unwrap_or_default();
    let id = out.on_stdout(&short_id(run.id), Colour::Dim);
    out.line(&format!("{at} {id} {}/{} {} {state} {took}{why}", run.module, run.entry, harmless(&run.name, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_says_what_the_server_has() {
        let health = Health {
            status: "ok".to_owned(),
            version: "0.1.0".to_owned(),
            data_dir: "/data".to_owned(),
            slots: 128,
            modules: 4,
            unfinished_runs: 0,
            serves: true,
        };
        let expected = "\
tarefa 0.1.0 serves http://127.0.0.1:4200
  data directory   /data
  slots            128
  modules          4
  unfinished runs  0";
        assert_eq!(block("http://127.0.0.1:4200", &health), expected);
    }
}
