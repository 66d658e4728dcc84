//! `tarefa completions` and `tarefa man`: what a shell and `man` know of the command line.

use std::path::PathBuf;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Context};
use crate::error::{Error, Result};

const INSTALL: &str = "\
bash:  tarefa completions bash > ~/.local/share/bash-completion/completions/tarefa
zsh:   tarefa completions zsh > \"${fpath[1]}/_tarefa\"
fish:  tarefa completions fish > ~/.config/fish/completions/tarefa.fish";

/// Print what a shell needs to complete the words of a command
#[derive(Debug, clap::Args)]
#[command(after_help = INSTALL)]
pub(super) struct Args {
    shell: Shell,
}

/// Print the manual page, or write all of them
#[derive(Debug, clap::Args)]
#[command(after_help = "For `man tarefa` and `man tarefa-run`:  tarefa man --dir ~/.local/share/man/man1")]
pub(super) struct ManArgs {
    /// Write a page for each verb into this folder instead
    #[arg(long)]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tarefa", &mut script);
    context.out.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(0)
}

pub(super) fn man(args: &ManArgs, context: &Context) -> Result<u8> {
    let Some(dir) = &args.dir else {
        context.out.line(page(Cli::command())?.trim_end())?;
        return Ok(0);
    };
    let cannot = |error: std::io::Error| Error::invalid(format!("cannot write into `{}`: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(cannot)?;
    let mut command = Cli::command();
    command.build();
    let mut open = vec![command];
    while let Some(command) = open.pop() {
        // Each verb has its `help`, of which there is nothing to say.
        open.extend(command.get_subcommands().filter(|verb| verb.get_name() != "help").cloned());
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        std::fs::write(dir.join(format!("{name}.1")), page(command)?).map_err(cannot)?;
    }
    context.out.note(&format!("wrote the manual pages into `{}`", dir.display()));
    Ok(0)
}

fn page(command: Command) -> Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(anyhow::Error::from)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
