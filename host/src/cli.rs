//! The command line: one file per verb. Every verb but `serve`, `build` and `new` talks to a server, which is the one
//! that holds the data directory or one inside this process.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::error::{Error, Result};

mod build;
mod choose;
mod crates;
mod find;
mod follow;
mod format;
mod logs;
mod modules;
mod new;
mod output;
mod params;
mod parse;
mod register;
mod run;
mod runs;
mod serve;
mod session;
mod signals;
mod table;
mod tree;

use output::Output;

/// The exit code of a run that did not complete.
const NOT_COMPLETED: u8 = 1;
/// The exit code of a process whose reader went away, as a shell reports it.
const BROKEN_PIPE: u8 = 141;

/// Runs flows and tasks as sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "tarefa", version, max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// Where runs and modules are stored [default: $XDG_DATA_HOME/tarefa or ~/.local/share/tarefa]
    #[arg(long, global = true, env = "TAREFA_DATA_DIR", hide_env_values = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
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
    Logs(logs::Args),
    Modules(modules::Args),
}

/// What every verb is given.
struct Context {
    data_dir: PathBuf,
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
    let context = Context { data_dir: data_dir(cli.global.data_dir)?, json: cli.global.json, out };
    match cli.verb {
        Verb::Serve(args) => serve::run(args, &context).await,
        Verb::Run(args) => run::run(args, &context).await,
        Verb::Build(args) => build::run(args, &context),
        Verb::New(args) => new::run(args, &context),
        Verb::Register(args) => register::run(args, &context).await,
        Verb::Runs(args) => runs::run(args, &context).await,
        Verb::Logs(args) => logs::run(args, &context).await,
        Verb::Modules(args) => modules::run(args, &context).await,
    }
}

/// The data directory as an absolute path, since a server's user has another working directory.
fn data_dir(given: Option<PathBuf>) -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = given
        .or_else(|| set("XDG_DATA_HOME").map(|base| base.join("tarefa")))
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/share/tarefa")))
        .ok_or_else(|| Error::invalid("no home directory is known: give `--data-dir` or set `TAREFA_DATA_DIR`"))?;
    std::path::absolute(&path)
        .map_err(|error| Error::invalid(format!("invalid data directory `{}`: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_relative_data_directory_is_made_absolute() {
        let path = data_dir(Some(PathBuf::from("here"))).expect("a directory");
        assert!(path.is_absolute() && path.ends_with("here"));
    }
}
