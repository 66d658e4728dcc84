//! Top-level runs: one attempt, after which a run is final, parked, or given back.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::executor::{Attempted, Execution, our_mistake, schedule};
use super::flow::Parked;
use super::live::{Live, ended_attempt, finish};
use super::slots::Slot;
use super::{Worker, cache};
use crate::domain::{Failure, FailureKind, Outcome, Run, RunId, State, Transition};
use crate::store::{Claimed, Ticket, Write};

/// What a top-level run holds after it was carried out.
pub(super) enum After {
    /// Nothing: it is over, or starts anew.
    LetGo,
    /// Its limits across runs: it goes on where it is.
    Parked,
}

/// Carries out a claimed top-level run: one attempt, after which it is final, parked or given back.
pub(super) async fn carry_out(
    worker: &Arc<Worker>,
    claimed: Claimed,
    permit: Slot,
    token: CancellationToken,
    claim: u64,
) -> After {
    let Claimed { run, resumed } = claimed;
    let inherited = run.settings.clone().unwrap_or_default();
    let planned = worker.app.plan(&run).map(Arc::new);
    let live = Arc::new(Live::new(run, true));
    let (outcome, transition) = match &planned {
        Ok(plan) => {
            let execution = Execution {
                worker,
                live: &live,
                plan,
                token: &token,
                depth: 0,
                inherited: &inherited,
                above: None,
                claim,
            };
            if let Some(rule) = &plan.entry().cache {
                return Box::pin(cache::carry_out(&execution, rule, permit)).await;
            }
            match execution.attempt(permit, resumed).await {
                Attempted::Over(outcome, log) => {
                    let transition = execution.after(&outcome, &log);
                    (outcome, transition)
                }
                Attempted::Parked(parked) => return park(worker, &live, &parked).await,
            }
        }
        Err(error) => {
            let failure = Failure::new(FailureKind::MissingEntry, error.message.clone());
            (Outcome::failed(failure), Transition::Final(State::Failed))
        }
    };
    settle(worker, &live, &outcome, transition, None).await
}

/// Puts the end of a top-level run's attempt on record, with `more`, and tells who waits for it.
pub(super) async fn settle(
    worker: &Arc<Worker>,
    live: &Live,
    outcome: &Outcome,
    transition: Transition,
    more: Option<Write>,
) -> After {
    let now = worker.app.clock.now();
    let run = live.run();
    let ticket = match transition {
        Transition::Final(state) => live.record(&worker.app, |run| finish(run, state, outcome, now), more),
        Transition::Retry { at, .. } => {
            let ended = ended_attempt(&run, outcome, now);
            let retry = |run: &mut Run| {
                schedule(run, at);
                run.worker = None;
            };
            live.record(&worker.app, retry, [ended])
        }
    };
    tell(worker, live, ticket).await
}

/// Puts on record that a top-level flow goes on later, without anybody to hold it until then.
async fn park(worker: &Arc<Worker>, live: &Live, parked: &Parked) -> After {
    let run = live.run();
    let release = Write::Release { parent: run.id, generation: run.generation };
    let park = |run: &mut Run| {
        run.wake_at = Some(parked.until);
        run.worker = None;
    };
    if let Some(ticket) = live.record(&worker.app, park, [release]) {
        worker.store().on_record(ticket).await;
    }
    // What came before that was on record woke nobody.
    if worker.came_while_parked(run.id, parked)
        && let Err(error) = worker.store().wake(run.id, worker.app.clock.now())
    {
        tracing::error!("cannot wake run `{}`: {error}", run.id);
    }
    tell(worker, live, None).await
}

/// Tells who waits for a run what became of it, once that is on record.
pub(super) async fn tell(worker: &Arc<Worker>, live: &Live, ticket: Option<Ticket>) -> After {
    let run = live.run();
    if let Some(ticket) = ticket {
        worker.store().on_record(ticket).await;
    }
    // Who cancelled it meanwhile has the last word, which is on record alone.
    let is_final_on_record = || matches!(worker.store().run(run.id), Ok(Some(run)) if run.state.is_final());
    if live.run().state.is_final() || is_final_on_record() {
        worker.app.events.run_finished(run.id);
        return After::LetGo;
    }
    worker.app.events.run_is_due(run.kind);
    match live.run().state {
        State::Running => After::Parked,
        _ => After::LetGo,
    }
}

/// Ends a run whose carrying out panicked.
pub(super) async fn crash(worker: &Arc<Worker>, id: RunId) {
    if let Ok(Some(run)) = worker.store().run(id) {
        let outcome = Outcome::failed(our_mistake());
        settle(worker, &Live::new(run, true), &outcome, Transition::Final(State::Crashed), None).await;
    }
}
