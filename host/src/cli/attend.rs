//! A run that is followed to its end, and what is said of it then: what `run`, `runs retry` and `runs watch` share.

use std::pin::pin;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::follow::{Follower, ended};
use super::format::{between, duration, harmless, short_id};
use super::output::{Output, state_colour};
use super::session::Session;
use super::signals::{Signals, Stop};
use super::tree::Tree;
use super::{Context, NOT_COMPLETED};
use crate::api::shapes::{RunShape, RunSummary};
use crate::domain::{FailureKind, RunId, State};
use crate::error::{Error, ErrorKind, Result};

/// How following a run came to its end.
pub(super) enum End {
    Final(Box<RunShape>),
    /// Whatever still runs is left.
    Left(Stop),
}

/// What the first signal does; a second one leaves at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnSignal {
    Cancel,
    /// The run goes on.
    Detach,
}

pub(super) struct Attended<'a> {
    pub(super) session: &'a Session,
    pub(super) context: &'a Context,
    /// Nothing is said on the way.
    pub(super) quiet: bool,
    pub(super) on_signal: OnSignal,
}

impl Attended<'_> {
    pub(super) async fn to_end(&self, run: &RunSummary, signals: &mut Signals) -> Result<End> {
        let (client, out) = (&self.session.client, &self.context.out);
        let mut end = pin!(Follower::new(client, out, run, self.quiet).follow());
        let mut cancelled = false;
        loop {
            tokio::select! {
                final_run = &mut end => return final_run.map(|run| End::Final(Box::new(run))).map_err(|error| lost(error, run.id)),
                stop = signals.next() => {
                    if self.on_signal == OnSignal::Detach {
                        out.note(&format!("detached; the run goes on: `tarefa runs watch {}`", short_id(run.id)));
                        return Ok(End::Left(stop));
                    }
                    if cancelled {
                        return Ok(End::Left(stop));
                    }
                    cancelled = true;
                    out.note(&format!("{}: cancelling the run; a second one leaves at once", stop.name()));
                    // A run that ended in this moment is followed to its end all the same.
                    if let Err(error) = client.cancel(run.id).await
                        && error.kind != ErrorKind::Conflict
                    {
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// Says how it ended, and ends the session.
pub(super) async fn close(end: Result<End>, quiet: bool, session: Session, context: &Context) -> Result<u8> {
    // What is drawn goes with those who drew it.
    context.out.draw(Vec::new());
    match end {
        Ok(End::Left(stop)) => {
            session.leave();
            Ok(stop.exit_code())
        }
        Ok(End::Final(run)) => {
            let result = report(quiet, &run, &session, context).await;
            session.close(result).await
        }
        Err(error) => session.close(Err(error)).await,
    }
}

/// Says how to find a run again whose server went away.
fn lost(error: Error, id: RunId) -> Error {
    match error.kind {
        ErrorKind::Unavailable => Error::unavailable(format!("{error}; look at the run with `tarefa runs show {id}`")),
        _ => error,
    }
}

/// The result on stdout; how it went on stderr.
async fn report(quiet: bool, run: &RunShape, session: &Session, context: &Context) -> Result<u8> {
    let out = &context.out;
    let completed = run.summary.state == State::Completed;
    match &run.result {
        _ if context.json => out.json(run)?,
        Some(result) if completed => out.json::<RawValue>(result)?,
        // Of a function that returns nothing.
        None if completed => out.line("null")?,
        _ => {}
    }
    if !quiet {
        // The tree is read for its sums only, so a run of which it cannot be had is reported all the same.
        let tree = Tree::load(&session.client, session.client.run(run.summary.id).await?.summary).await?;
        out.note(&format!("{}; {}", ending(run, out), tree.totals()));
        out.note(&match session.is_embedded() {
            true => format!("look at it again with `tarefa runs show {}`", short_id(run.summary.id)),
            false => format!("{}/runs/{}", session.client.url(), run.summary.id),
        });
    }
    if completed {
        return Ok(0);
    }
    if quiet {
        out.error(&format!("the run `{}` {}", harmless(&run.summary.name, 0), ended(out, &run.summary)));
    } else if let Some(failure) = &run.summary.failure
        && failure.kind != FailureKind::Cancelled
    {
        out.error(&format!("{}: {}", failure.kind.name(), harmless(&failure.message, 2)));
    }
    Ok(NOT_COMPLETED)
}

/// `completed in 1.53 s`, from the submit to the end.
fn ending(run: &RunShape, out: &Output) -> String {
    let summary = &run.summary;
    let took = between(summary.created_at, summary.finished_at.unwrap_or_else(Timestamp::now));
    let state = out.on_stderr(summary.state.as_str(), state_colour(summary.state));
    let label = summary.label.as_ref().map(|label| format!(" ({})", harmless(label, 0))).unwrap_or_default();
    let word = if summary.state == State::Completed { "in" } else { "after" };
    format!("{state}{label} {word} {}", duration(took))
}
