//! `GET /api/runs/{id}/events`: a run and all below it as they go on.
//!
//! What is sent is read from the store, after it said that there is something new: a client that reads slowly holds up
//! nobody, and is shown the states of later.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use super::ApiState;
use super::extract::{Id, Query};
use super::openapi::{Invalid, NotFound};
use super::shapes::{EventKind, EventShape};
use super::view::{log_line, summary};
use crate::app::App;
use crate::domain::{Kind, Run, RunId, State as RunState};
use crate::error::{Error, Result};
use crate::store::{LogFilter, Watch};

/// Streams at once: each keeps a connection, and some hundred KiB while its client is slow.
const MAX_STREAMS: usize = 256;
/// What a new client is shown of one flow's children …
const SHOWN_CHILDREN: u32 = 1000;
/// … and of a whole tree, in runs.
const SHOWN_RUNS: usize = 10_000;
/// Runs or lines that are read at a time, and wait in memory for the client.
const PAGE: usize = 200;
/// A busy flow is looked at this often at most: people see no difference, and its run does.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How often a run is looked at of which nothing is heard: news are lossy by contract.
const TICK: Duration = Duration::from_secs(5);
/// How often a silent stream says that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The streams that are open.
pub(super) struct Streams {
    places: Arc<Semaphore>,
    /// Ends them all, so that the server can stop.
    closing: CancellationToken,
}

impl Streams {
    /// How many there are.
    pub(super) fn open(&self) -> usize {
        MAX_STREAMS - self.places.available_permits()
    }

    pub(super) fn new(closing: CancellationToken) -> Streams {
        Streams { places: Arc::new(Semaphore::new(MAX_STREAMS)), closing }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Only lines of the log after this number.
    #[param(default = 0)]
    after: Option<i64>,
}

/// Follow a run and all below it, as server-sent events
///
/// `run` has a run in the short form of lists, whenever it changes state; the first tell how things are. `log` has a line
/// of the log, with its number as the event's id. `end` has the run as it ended, and is the last.
#[utoipa::path(
    get, path = "/api/runs/{id}/events", tag = "runs", operation_id = "follow_run",
    params(
        ("id" = RunId, Path, description = "The run"),
        EventsQuery,
        ("Last-Event-ID" = Option<i64>, Header, description = "As `after`: where a client that connects again was"),
    ),
    responses((status = 200, description = "Events", body = EventShape, content_type = "text/event-stream"), Invalid, NotFound),
)]
pub(super) async fn events(
    State(state): State<ApiState>,
    Id(id): Id,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    // Who connects again says where it was, whatever the address says.
    let after = last_event_id(&headers)?.or(query.after).unwrap_or(0);
    let run = state.app.run(id)?;
    let place = state.streams.places.clone().try_acquire_owned().map_err(|_| {
        Error::unavailable(format!("{MAX_STREAMS} event streams are open, which is the most; close one or ask later"))
    })?;
    let follower = Follower {
        id,
        root_id: run.root_id,
        kind: run.kind,
        watch: state.app.store.watch(run.root_id),
        app: state.app.clone(),
        closing: state.streams.closing.clone(),
        after,
        shown: None,
        looked_at: None,
        unread: Unread::default(),
        ready: VecDeque::new(),
        over: false,
        _place: place,
    };
    let events = stream::unfold(follower, Follower::next);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Error::invalid("`Last-Event-ID` is no number of a line"))
}

/// One who follows a run.
struct Follower {
    app: Arc<App>,
    id: RunId,
    root_id: RunId,
    kind: Kind,
    watch: Watch,
    closing: CancellationToken,
    /// The last line that was sent or passed over.
    after: i64,
    /// The state in which the client saw the run last.
    shown: Option<RunState>,
    looked_at: Option<Instant>,
    unread: Unread,
    /// Events that the client has not taken yet.
    ready: VecDeque<Event>,
    /// Nothing comes any more.
    over: bool,
    _place: OwnedSemaphorePermit,
}

/// What is to be read from the store and sent.
#[derive(Default)]
struct Unread {
    /// Flows of the tree whose children are to be shown from a place on.
    flows: VecDeque<(RunId, u32, u32)>,
    /// How many more runs of the tree are shown.
    left: usize,
    runs: Vec<RunId>,
    lines: bool,
    /// The run as it ended.
    end: Option<Run>,
}

/// Resolves once there is something new, and some time after the last look.
async fn news(watch: &Watch, looked_at: Option<Instant>) {
    watch.changed().await;
    if let Some(at) = looked_at {
        tokio::time::sleep_until(at + LOOK_INTERVAL).await;
    }
}

impl Unread {
    fn is_empty(&self) -> bool {
        self.flows.is_empty() && self.runs.is_empty() && !self.lines && self.end.is_none()
    }
}

impl Follower {
    /// The next event, once there is one; none after the end.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Follower)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            if self.over {
                return None;
            }
            let mut missed = false;
            if self.unread.is_empty() {
                tokio::select! {
                    () = self.closing.cancelled() => return None,
                    () = news(&self.watch, self.looked_at) => {}
                    () = tokio::time::sleep(TICK) => missed = true,
                }
            }
            self.looked_at = Some(Instant::now());
            // Reads hold up nobody there.
            let read = move || {
                let read = self.read(missed);
                (self, read)
            };
            let (follower, read) = tokio::task::spawn_blocking(read).await.ok()?;
            if let Err(error) = read {
                // The client connects again, and is told then.
                tracing::warn!("an event stream of run `{}` broke off: {error}", follower.id);
                return None;
            }
            self = follower;
        }
    }

    /// Reads one page of what is to be sent, or sees what is new.
    fn read(&mut self, missed: bool) -> Result<()> {
        if let Some((flow, generation, from)) = self.unread.flows.pop_front() {
            return self.read_children(flow, generation, from);
        }
        if !self.unread.runs.is_empty() {
            return self.read_runs();
        }
        if self.unread.lines {
            return self.read_lines();
        }
        if let Some(run) = self.unread.end.take() {
            self.over = true;
            return self.send(EventKind::End, None, &summary(&self.app, &run)?);
        }
        self.look(missed)
    }

    fn look(&mut self, missed: bool) -> Result<()> {
        let store = self.app.store.clone();
        let Some(run) = store.runs_below(self.id, self.root_id, &[self.id])?.pop() else {
            self.over = true;
            return Ok(());
        };
        let is_final = run.state.is_final();
        if is_final || missed {
            store.settle();
        }
        // Only now: whatever led to the run's end is among the news.
        let news = self.watch.take();
        match news.runs {
            Some(runs) if !missed || runs.contains(&self.id) || self.shown == Some(run.state) => self.add(runs),
            _ => self.show_tree(&run)?,
        }
        self.unread.lines = news.lines || is_final || missed;
        self.unread.end = is_final.then_some(run);
        Ok(())
    }

    /// The run itself comes after those below it.
    fn add(&mut self, mut runs: BTreeSet<RunId>) {
        let own = runs.take(&self.id);
        self.unread.runs = own.into_iter().chain(runs.into_iter().rev()).collect();
    }

    /// Shows the run, and begins with what lies below it.
    fn show_tree(&mut self, run: &Run) -> Result<()> {
        self.unread.left = SHOWN_RUNS;
        self.show(run)
    }

    fn read_children(&mut self, flow: RunId, generation: u32, from: u32) -> Result<()> {
        let limit = PAGE.min(self.unread.left);
        let children = self.app.store.children(flow, generation, from, limit)?;
        let next = children.last().and_then(|child| child.parent).map_or(SHOWN_CHILDREN, |parent| parent.seq + 1);
        self.unread.left -= children.len();
        if children.len() == limit && next < SHOWN_CHILDREN && self.unread.left > 0 {
            self.unread.flows.push_front((flow, generation, next));
        }
        children.iter().try_for_each(|child| self.show(child))
    }

    /// Sends a run of the tree; where it is a flow, its children are next.
    fn show(&mut self, run: &Run) -> Result<()> {
        if run.kind == Kind::Flow && run.generation > 0 {
            self.unread.flows.push_back((run.id, run.generation, 0));
        }
        self.send_run(run)
    }

    fn read_runs(&mut self) -> Result<()> {
        let rest = self.unread.runs.len().saturating_sub(PAGE);
        let mut ids = self.unread.runs.split_off(rest);
        ids.reverse();
        let runs = self.app.store.runs_below(self.id, self.root_id, &ids)?;
        runs.iter().try_for_each(|run| self.send_run(run))
    }

    fn read_lines(&mut self) -> Result<()> {
        let filter = LogFilter { after: self.after, level: 0, limit: PAGE };
        let (lines, end) = match self.kind {
            Kind::Flow => self.app.store.logs_with_end(self.id, self.root_id, filter)?,
            Kind::Task => {
                let lines = self.app.store.own_logs(self.id, filter)?;
                let end = lines.last().map_or(self.after, |line| line.no);
                (lines, end)
            }
        };
        self.after = end;
        self.unread.lines = lines.len() == PAGE;
        for line in lines.into_iter().map(log_line) {
            self.send(EventKind::Log, Some(line.no), &line)?;
        }
        Ok(())
    }

    fn send_run(&mut self, run: &Run) -> Result<()> {
        if run.id == self.id {
            self.shown = Some(run.state);
        }
        self.send(EventKind::Run, None, &summary(&self.app, run)?)
    }

    fn send(&mut self, kind: EventKind, no: Option<i64>, data: &impl Serialize) -> Result<()> {
        let event = Event::default().event(kind.as_str());
        let event = match no {
            Some(no) => event.id(no.to_string()),
            None => event,
        };
        self.ready.push_back(event.json_data(data).map_err(anyhow::Error::from)?);
        Ok(())
    }
}
