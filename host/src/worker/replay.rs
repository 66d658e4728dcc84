//! Guests that are called once more, against the record of their run.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::executor::{Execution, our_mistake};
use super::flow::FlowRun;
use super::live::Live;
use super::{Worker, lock};
use crate::app::{self, App, Call, Replayer};
use crate::clock::{Clock, Manual};
use crate::domain::{Failure, FailureKind, Kind, Outcome, RunId};
use crate::wasm::{FlowHost, Job, Level, LogSink, Outbox, Variables};

/// How long a replay may take; nothing in it waits for anything but its own computing.
const MAX_REPLAY: Duration = Duration::from_secs(60);
/// Variables that are named as read, of however many.
const MAX_READ_NAMES: usize = 100;

impl Replayer for Worker {
    fn call_again(self: Arc<Self>, call: Call) -> BoxFuture<'static, app::Execution> {
        Box::pin(async move {
            let worker = self.clone();
            let called = self.guests.spawn(async move { worker.replay(call).await });
            // Who does not wait for the answer any more ends the guest.
            AbortOnDropHandle::new(called).await.unwrap_or_else(|_| over(Outcome::failed(our_mistake())))
        })
    }
}

fn over(outcome: Outcome) -> app::Execution {
    app::Execution { outcome, lines: Vec::new(), beyond: false, variables: Vec::new() }
}

impl Worker {
    async fn replay(self: &Arc<Worker>, call: Call) -> app::Execution {
        let _slot = self.slots.acquire(call.run.root_id).await;
        let (run, plan) = (Arc::new(call.run), &call.plan);
        let log = Arc::new(Lines::default());
        let reads = Arc::new(Reads { app: self.app.clone(), names: Mutex::default() });
        let clock = Clock::manual(run.started_at.unwrap_or(run.created_at));
        let job = |seeded_by: (_, u32), flow: Option<Arc<dyn FlowHost>>| {
            Arc::new(Job {
                run: run.clone(),
                title: plan.title.clone(),
                settings: plan.settings.clone(),
                clock: clock.clone(),
                sink: log.clone(),
                seed: self.app.secret.of(seeded_by.0, seeded_by.1),
                outbox: Some(Arc::new(Nowhere)),
                variables: Some(reads.clone()),
                durable: flow.is_some(),
                flow,
                logged_bytes: AtomicU64::new(0),
            })
        };
        let mut beyond = false;
        let replayed = async {
            if run.kind == Kind::Task {
                return call.component.call(job((run.id, run.attempt), None), Box::pin(too_long())).await;
            }
            let live = Arc::new(Live::new((*run).clone(), true));
            let (token, inherited) = (CancellationToken::new(), Arc::default());
            let execution = Execution {
                worker: self,
                live: &live,
                plan,
                token: &token,
                depth: 0,
                inherited: &inherited,
                above: None,
                claim: 0,
            };
            let flow = FlowRun::new(&execution, &run);
            if let Err(failure) = flow.load_past(true).await {
                return Outcome::failed(failure);
            }
            let host = flow.clone().against_its_record();
            let ended = async {
                tokio::select! {
                    failure = flow.stopped() => failure,
                    failure = too_long() => failure,
                }
            };
            let outcome = call.component.call(job(flow.seeded_by(), Some(host.clone())), Box::pin(ended)).await;
            beyond = host.went_beyond();
            flow.checked(outcome)
        };
        let outcome = tokio::select! {
            outcome = replayed => outcome,
            () = sleep_at_once(&clock) => unreachable!("it goes on for ever"),
        };
        let lines = std::mem::take(&mut *lock(&log.lines));
        let variables = std::mem::take(&mut *lock(&reads.names)).into_iter().collect();
        app::Execution { outcome, lines, beyond, variables }
    }
}

async fn too_long() -> Failure {
    tokio::time::sleep(MAX_REPLAY).await;
    Failure::new(FailureKind::TimedOut, format!("the replay was ended after {} s", MAX_REPLAY.as_secs()))
}

/// Moves the clock to whenever somebody waits for.
async fn sleep_at_once(clock: &Clock) {
    let manual: &Manual = match clock {
        Clock::Manual(manual) => manual,
        Clock::System => std::future::pending().await,
    };
    loop {
        manual.advance_to_next_wake(SignedDuration::MAX).await;
    }
}

/// Takes what a task sends, which was sent before.
struct Nowhere;

impl Outbox for Nowhere {
    fn send(&self, _run: &str, _name: &str, _payload: &str, _sender: Option<(RunId, u32, u32)>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Reads variables as they are now, and keeps which.
struct Reads {
    app: Arc<App>,
    names: Mutex<BTreeSet<String>>,
}

impl Variables for Reads {
    fn variable(&self, name: &str) -> Result<Option<Arc<str>>, Failure> {
        let mut names = lock(&self.names);
        if names.len() < MAX_READ_NAMES {
            names.insert(name.to_owned());
        }
        drop(names);
        Variables::variable(&*self.app, name)
    }
}

/// Keeps the lines of a log.
#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<(u8, String)>>,
}

impl LogSink for Lines {
    fn write(&self, level: Level, message: String) {
        lock(&self.lines).push((level as u8, message));
    }
}
