//! The command line: one file per verb. Every verb but `serve`, `build`, `new` and `cron` talks to a server, which is the
//! one that holds the data directory or one inside this process.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::error::Result;

mod artifacts;
mod attend;
mod backfill;
mod backup;
mod build;
mod choose;
mod clean;
mod completions;
mod config;
mod confirm;
mod crates;
mod cron;
mod deploy;
mod deployments;
mod find;
mod follow;
mod format;
mod limits;
mod logs;
mod modules;
mod new;
mod options;
mod output;
mod params;
mod parse;
mod progress;
mod register;
mod replay;
mod run;
mod runs;
mod serve;
mod session;
mod settings;
mod signals;
mod table;
mod tree;
mod trigger;
mod upcoming;
mod variables;

use output::Output;
use settings::{NamedServer, Settings};

/// The exit code of a run that did not complete.
const NOT_COMPLETED: u8 = 1;
/// The exit code of a process whose reader went away, as a shell reports it.
const BROKEN_PIPE: u8 = 141;

const SETTINGS: &str = "\
TAREFA_DATA_DIR and TAREFA_API_URL stand for `--data-dir` and `--api-url`: in the environment, else in a file `.env` in
the current directory. Where a server is named, every verb goes through it. NO_COLOR turns colours and live progress off.";

/// Runs flows and tasks as sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "tarefa", version, max_term_width = 110, after_help = SETTINGS)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Args)]
struct Global {
    #[command(flatten)]
    settings: settings::Flags,
    /// Print the API's JSON on stdout
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Args),
    Run(run::Args),
    Build(build::Args),
    New(new::Args),
    Register(register::Args),
    Runs(runs::Args),
    Replay(replay::Args),
    Logs(logs::Args),
    Artifacts(artifacts::Args),
    Variables(variables::Args),
    Modules(modules::Args),
    Deploy(deploy::Args),
    Deployments(deployments::Args),
    Trigger(trigger::Args),
    Upcoming(upcoming::Args),
    Backfill(backfill::Args),
    Limits(limits::Args),
    Backup(backup::Args),
    Clean(clean::Args),
    Cron(cron::Args),
    Completions(completions::Args),
    Man(completions::ManArgs),
}

/// What every verb is given.
struct Context {
    data_dir: PathBuf,
    /// The server that was named; none where the data directory decides.
    server: Option<NamedServer>,
    json: bool,
    out: Output,
}

/// Reads the process's arguments, does what they say, and returns the exit code.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors too, with code 0. Where nobody reads, nothing is lost.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let out = Output::new();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            out.error(&format!("cannot start threads: {error}"));
            return 70;
        }
    };
    let code = match runtime.block_on(dispatch(cli, out.clone())) {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => BROKEN_PIPE,
        Err(error) => {
            out.error(&error.message);
            error.kind.exit_code()
        }
    };
    // What still runs is not waited for: a verb that wants something finished has waited itself.
    runtime.shutdown_background();
    code
}

async fn dispatch(cli: Cli, out: Output) -> Result<u8> {
    let Settings { server, data_dir } = Settings::read(cli.global.settings)?;
    let context = Context { data_dir, server, json: cli.global.json, out };
    match cli.verb {
        Verb::Serve(args) => serve::run(args, &context).await,
        Verb::Run(args) => run::run(args, &context).await,
        Verb::Build(args) => build::run(args, &context),
        Verb::New(args) => new::run(args, &context),
        Verb::Register(args) => register::run(args, &context).await,
        Verb::Runs(args) => runs::run(args, &context).await,
        Verb::Replay(args) => replay::run(args, &context).await,
        Verb::Logs(args) => logs::run(args, &context).await,
        Verb::Artifacts(args) => artifacts::run(args, &context).await,
        Verb::Variables(args) => variables::run(args, &context).await,
        Verb::Modules(args) => modules::run(args, &context).await,
        Verb::Deploy(args) => deploy::run(args, &context).await,
        Verb::Deployments(args) => deployments::run(args, &context).await,
        Verb::Trigger(args) => trigger::run(args, &context).await,
        Verb::Upcoming(args) => upcoming::run(args, &context).await,
        Verb::Backfill(args) => backfill::run(args, &context).await,
        Verb::Limits(args) => limits::run(args, &context).await,
        Verb::Backup(args) => backup::run(args, &context).await,
        Verb::Clean(args) => clean::run(&args, &context).await,
        Verb::Cron(args) => cron::run(args, &context),
        Verb::Completions(args) => completions::run(&args, &context),
        Verb::Man(args) => completions::man(&args, &context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
