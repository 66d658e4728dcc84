//! Follows a run to its end: its log and the changes of the runs below it, in plain lines on stderr.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::format::{harmless, run_duration, thousands};
use super::logs::{Reader, Stream, print, print_as};
use super::output::{Output, state_colour};
use super::progress::{Progress, Screen};
use crate::api::shapes::{RunShape, RunSummary};
use crate::client::{Client, RunsFilter};
use crate::domain::{FailureKind, Kind, RunId, ShownState, State};
use crate::error::Result;

/// The first wait between two looks at a run; it doubles up to the longest.
const FIRST_INTERVAL: Duration = Duration::from_millis(10);
const LONGEST_INTERVAL: Duration = Duration::from_millis(100);
/// Children of a flow up to which each of them has its lines; of more, only their numbers are told.
const MOST_CHILDREN: u32 = 200;
/// How often the numbers of many children are told.
const NUMBERS_INTERVAL: Duration = Duration::from_secs(1);
/// How often those of many children that tell most are looked for, to be drawn, and the most that are: what a tall
/// terminal has room for.
const TELLING_INTERVAL: Duration = Duration::from_millis(500);
const MOST_TELLING: usize = 50;
/// The states of those that tell most, these before those.
const TELLING: [&[ShownState]; 3] = [
    &[ShownState::Is(State::Running), ShownState::Is(State::Cancelling)],
    &[ShownState::Is(State::Failed), ShownState::Is(State::Crashed)],
    &[ShownState::AwaitingRetry],
];

pub(super) struct Follower<'a> {
    client: &'a Client,
    out: &'a Output,
    run: RunId,
    /// Nothing is told, only the end is waited for.
    quiet: bool,
    /// What was before it was retried is not told again.
    since: Timestamp,
    log: Reader,
    /// The state in which each run below was seen last.
    seen: HashMap<RunId, State>,
    /// Flows whose children may still change.
    flows: Vec<RunId>,
    /// Flows of many children, and when these were looked at last.
    many: HashMap<RunId, Instant>,
    /// When the numbers of many children were told last, and what was told.
    told: (Option<Instant>, String),
    /// What is drawn, where the terminal lets it be.
    progress: Progress,
}

/// A line to be told, in its place in time.
type Event = (Timestamp, String);

impl<'a> Follower<'a> {
    pub(super) fn new(client: &'a Client, out: &'a Output, run: &RunSummary, quiet: bool) -> Follower<'a> {
        let mut log = Reader::new(client.clone(), run.id, None);
        log.learn_name(run.id, &run.name);
        let flows = if run.kind == Kind::Flow { vec![run.id] } else { Vec::new() };
        Follower {
            client,
            out,
            run: run.id,
            quiet,
            since: run.retried_at.unwrap_or(Timestamp::MIN),
            log,
            seen: HashMap::new(),
            flows,
            many: HashMap::new(),
            told: (None, String::new()),
            progress: Progress::default(),
        }
    }

    /// The run as it is when it is final.
    pub(super) async fn follow(mut self) -> Result<RunShape> {
        let mut interval = FIRST_INTERVAL;
        loop {
            let run = self.client.run(self.run).await?;
            if !self.quiet {
                self.tell(&run).await?;
            }
            if run.summary.state.is_final() {
                self.out.draw(Vec::new());
                return Ok(run);
            }
            if self.out.live && !self.quiet {
                self.out.draw(self.progress.lines(&run.summary, self.out, Screen::of_terminal(), Timestamp::now()));
            }
            tokio::time::sleep(interval).await;
            interval = (interval * 2).min(LONGEST_INTERVAL);
        }
    }

    /// Tells what is new. `run` was read before, so nothing is missed where it is final.
    async fn tell(&mut self, run: &RunShape) -> Result<()> {
        let mut events: Vec<Event> = Vec::new();
        let mut i = 0;
        while i < self.flows.len() {
            if self.look_below(self.flows[i], &mut events).await? {
                i += 1;
            } else {
                self.flows.swap_remove(i);
            }
        }
        // Where they are drawn they need not be told.
        if !self.out.live && run.summary.children.values().sum::<u64>() > u64::from(MOST_CHILDREN) {
            self.tell_numbers(run);
        }
        loop {
            let (lines, more) = self.log.next().await?;
            for line in lines {
                let name = self.log.name(line.run_id).await?;
                let text = print(self.out, &line, &name, Stream::Err);
                events.push((line.at, text));
            }
            if !more {
                break;
            }
            self.write(&mut events);
        }
        self.write(&mut events);
        Ok(())
    }

    /// Notes how the children of one flow have changed. False where there is no more to see of them.
    async fn look_below(&mut self, flow: RunId, events: &mut Vec<Event>) -> Result<bool> {
        let is_root = flow == self.run;
        let over = !is_root && self.seen.get(&flow).is_some_and(|state| state.is_final());
        let looked = self.many.get(&flow);
        if looked.is_some_and(|at| !over && at.elapsed() < TELLING_INTERVAL) {
            return Ok(true);
        }
        if looked.is_none() {
            let page = self.client.children(flow, MOST_CHILDREN, None).await?;
            if page.next_cursor.is_none() {
                self.note_children(flow, page.items, events);
                return Ok(!over);
            }
        }
        if !self.out.live {
            return Ok(false);
        }
        let telling = self.telling_children(flow).await?;
        self.progress.learn_some(flow, telling);
        self.many.insert(flow, Instant::now());
        Ok(!over)
    }

    /// Those of very many children that tell most, in the order of their submits.
    async fn telling_children(&self, flow: RunId) -> Result<Vec<RunSummary>> {
        let first = self.client.children(flow, 1, None).await?.items.pop();
        let generation = first.and_then(|child| child.generation);
        let mut telling: Vec<RunSummary> = Vec::new();
        for states in TELLING {
            let room = MOST_TELLING.saturating_sub(telling.len());
            if room == 0 {
                break;
            }
            let limit = Some(room as u32);
            let filter = RunsFilter { parent: Some(flow), states: states.to_vec(), limit, ..RunsFilter::default() };
            let found = self.client.runs(&filter).await?.items;
            // A flow that started again has children of its earlier executions too.
            telling.extend(found.into_iter().filter(|child| child.generation == generation));
        }
        telling.sort_by_key(|child| child.seq);
        // Between two questions a run may have gone from one state to another.
        telling.dedup_by_key(|child| child.id);
        Ok(telling)
    }

    fn note_children(&mut self, flow: RunId, children: Vec<RunSummary>, events: &mut Vec<Event>) {
        for child in &children {
            let before = self.seen.insert(child.id, child.state);
            if before.is_none() {
                self.log.learn_name(child.id, &child.name);
                if child.kind == Kind::Flow {
                    self.flows.push(child.id);
                }
            }
            self.note_change(child, before, events);
        }
        self.progress.learn(flow, children);
    }

    fn note_change(&self, run: &RunSummary, before: Option<State>, events: &mut Vec<Event>) {
        if before == Some(run.state) {
            return;
        }
        let (at, message) = match (run.state, run.finished_at) {
            // It is drawn already.
            (State::Running, _) if self.out.live => return,
            (State::Running, _) => (run.started_at.unwrap_or(run.created_at), "running".to_owned()),
            (state, Some(at)) if state.is_final() => (at, ended(self.out, run)),
            // That a run waits for its turn or its next attempt is said by its log.
            _ => return,
        };
        events.push((at, print_as(self.out, at, "state", &run.name, &message, Stream::Err)));
    }

    /// How many children there are in each state, at most once in a while.
    fn tell_numbers(&mut self, run: &RunShape) {
        if self.told.0.is_some_and(|at| at.elapsed() < NUMBERS_INTERVAL) && !run.summary.state.is_final() {
            return;
        }
        let states = run.summary.children.iter();
        let numbers: Vec<String> =
            states.map(|(state, count)| format!("{} {}", thousands(*count), state.as_str())).collect();
        let message = format!("runs below: {}", numbers.join(", "));
        if message != self.told.1 {
            self.out.note(&print_as(self.out, Timestamp::now(), "state", &run.summary.name, &message, Stream::Err));
        }
        self.told = (Some(Instant::now()), message);
    }

    fn write(&self, events: &mut Vec<Event>) {
        events.retain(|(at, _)| *at >= self.since);
        events.sort_by_key(|(at, _)| *at);
        for (_, text) in events.drain(..) {
            self.out.note(&text);
        }
    }
}

/// `completed in 12 ms`, `failed after 2.00 s: task_error: …`.
pub(super) fn ended(out: &Output, run: &RunSummary) -> String {
    let mut text = out.on_stderr(run.state.as_str(), state_colour(run.state));
    if let Some(label) = &run.label {
        text += &format!(" ({})", harmless(label, 0));
    }
    if run.cached_from.is_some() {
        text += " from the cache";
    } else if let Some(duration) = run_duration(run, Timestamp::now()) {
        text += if run.state == State::Completed { " in " } else { " after " };
        text += &duration;
    }
    match &run.failure {
        // The state has said it.
        Some(failure) if failure.kind != FailureKind::Cancelled => {
            format!("{text}: {}: {}", failure.kind.name(), harmless(&failure.message, 2))
        }
        _ => text,
    }
}
