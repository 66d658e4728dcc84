//! Asks before what cannot be undone.

use std::io::{BufRead as _, IsTerminal as _};

use super::Context;
use crate::error::{Error, Result};

/// Asks whether `what` is to be deleted, and says so where it is not.
///
/// # Errors
///
/// `invalid` where there is nobody to ask.
pub(super) fn ask(what: &str, context: &Context) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::invalid(format!("this deletes {what}, and there is nobody to ask: give `--yes`")));
    }
    context.out.note(&format!("delete {what}? [y/N]"));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(anyhow::Error::from)?;
    let confirmed = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if !confirmed {
        context.out.note("nothing was deleted");
    }
    Ok(confirmed)
}
