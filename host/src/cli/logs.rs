//! `tarefa logs`: the lines of a run and all below it.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::format::{clock, harmless};
use super::output::{Output, level_colour};
use super::session::Session;
use super::{Context, find};
use crate::api::shapes::{LogShape, Page};
use crate::client::{Client, MAX_PAGE};
use crate::domain::RunId;
use crate::error::{Error, ErrorKind, Result};

/// How often a log that is followed is asked for more.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);
/// How often, and how long apart, a run is asked for whose line is there already.
const NAME_TRIES: u32 = 20;
const NAME_INTERVAL: Duration = Duration::from_millis(10);
/// The least and the worst of what a line may say.
const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// Show what a run and all below it wrote to their logs
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `latest`, a run's id, or the last characters of one
    run: String,
    /// Show new lines as they come, until the run ends
    #[arg(short, long)]
    follow: bool,
    /// Leave out lines below this level
    #[arg(long, value_parser = LEVELS)]
    level: Option<String>,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let session = Session::open(context).await?;
    let result = show(&args, &session, context).await;
    session.close(result).await
}

async fn show(args: &Args, session: &Session, context: &Context) -> Result<u8> {
    let client = &session.client;
    let id = find::run(client, &args.run, context).await?;
    if args.follow {
        session.expect_end(&client.run(id).await?.summary)?;
    }
    if let Some(at) = client.run(id).await?.logs_pruned_at {
        context.out.note(&format!("what it had logged was removed at {at}, as it was older than logs are kept"));
    }
    let mut reader = Reader::new(client.clone(), id, args.level.clone());
    if context.json && !args.follow {
        let mut items = Vec::new();
        loop {
            let (lines, more) = reader.next().await?;
            items.extend(lines);
            if !more {
                context.out.json(&Page { items, next_cursor: None })?;
                return Ok(0);
            }
        }
    }
    loop {
        // Asked before the lines are read, so that none comes after the last reading.
        let over = !args.follow || client.run(id).await?.summary.state.is_final();
        let (lines, more) = reader.next().await?;
        for line in lines {
            if context.json {
                context.out.json(&line)?;
            } else {
                let name = reader.name(line.run_id).await?;
                context.out.line(&print(&context.out, &line, &name, Stream::Out))?;
            }
        }
        if over && !more {
            return Ok(0);
        }
        if !more {
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
    }
}

/// Where a line is written to, which decides on colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// A guest's line of its log: `12:00:01.250 info  process(id=1) | reading`.
pub(super) fn print(out: &Output, line: &LogShape, name: &str, stream: Stream) -> String {
    // Further lines of a message stand below its first, after the time and the level.
    let indent = 12 + 1 + 5 + 1;
    print_as(out, line.at, &line.level, name, &harmless(&line.message, indent), stream)
}

/// A line of a log in words of our own; `what` is a level or `state`.
pub(super) fn print_as(out: &Output, at: Timestamp, what: &str, name: &str, message: &str, stream: Stream) -> String {
    let level = format!("{what:<5}");
    let level = match stream {
        Stream::Out => out.on_stdout(&level, level_colour(what)),
        Stream::Err => out.on_stderr(&level, level_colour(what)),
    };
    format!("{} {level} {} | {message}", clock(at), harmless(name, 0))
}

/// Reads a run's log from its start, and the names of the runs in it.
pub(super) struct Reader {
    client: Client,
    run: RunId,
    level: Option<String>,
    after: Option<i64>,
    names: HashMap<RunId, String>,
}

impl Reader {
    pub(super) fn new(client: Client, run: RunId, level: Option<String>) -> Reader {
        Reader { client, run, level, after: None, names: HashMap::new() }
    }

    /// The next lines, at most one page of them, and whether there may be more at once.
    pub(super) async fn next(&mut self) -> Result<(Vec<LogShape>, bool)> {
        let page = self.client.logs(self.run, self.after, self.level.as_deref(), MAX_PAGE).await?;
        self.after = page.items.last().map(|line| line.no).or(self.after);
        let more = page.items.len() >= MAX_PAGE as usize;
        Ok((page.items, more))
    }

    /// The name of a run, asked for once.
    pub(super) async fn name(&mut self, id: RunId) -> Result<String> {
        if let Some(name) = self.names.get(&id) {
            return Ok(name.clone());
        }
        let mut tries = 0;
        let name = loop {
            match self.client.run(id).await {
                Ok(run) => break run.summary.name,
                // Its line was stored before it was, by some milliseconds.
                Err(Error { kind: ErrorKind::NotFound, .. }) if tries < NAME_TRIES => tries += 1,
                Err(Error { kind: ErrorKind::NotFound, .. }) => return Ok(super::format::short_id(id)),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(NAME_INTERVAL).await;
        };
        self.names.insert(id, name.clone());
        Ok(name)
    }

    pub(super) fn learn_name(&mut self, id: RunId, name: &str) {
        self.names.entry(id).or_insert_with(|| name.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_time_level_run_and_message() {
        let at: Timestamp = "2026-01-01T00:00:00.25Z".parse().expect("a time");
        let line = LogShape {
            no: 1,
            at,
            run_id: RunId(uuid::Uuid::nil()),
            attempt: 1,
            level: "warn".to_owned(),
            message: "one\ntwo\x1b".to_owned(),
        };
        let text = print(&Output::plain(), &line, "process(id=1)", Stream::Out);
        let (time, rest) = text.split_at(12);
        assert!(time.ends_with(":00.250"), "{text}");
        assert_eq!(rest, " warn  process(id=1) | one\n                   two\\u{1b}");
    }
}
