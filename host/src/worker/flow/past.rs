//! What a flow goes on from: its own record after its worker was lost or it was parked, and what completed in earlier
//! generations.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::FlowRun;
use super::children::{Children, End, Kept};
use crate::domain::fingerprint::checksum;
use crate::domain::{Failure, FailureKind, Kind, Run, RunId, State};
use crate::store::{Ended, Past, StoreError, Taken, Ticket};
use crate::worker::live::{Live, copy_end};
use crate::worker::lock;

/// Children that are read at once.
const PAGE: usize = 1000;

/// What earlier generations left for this one, by what was asked for.
#[derive(Default)]
pub(super) struct TakenOver {
    by_request: HashMap<(Arc<str>, Arc<str>, i64), VecDeque<Taken>>,
}

impl TakenOver {
    /// Children of earlier generations that nobody `claimed` yet. The newest of what is the same comes first; of those
    /// that took over one from before, only they themselves count.
    fn of(candidates: Vec<Taken>, claimed: &HashSet<RunId>) -> TakenOver {
        let mut known = claimed.clone();
        let mut taken_over = TakenOver::default();
        for taken in candidates {
            if known.insert(taken.origin()) {
                let request = (taken.module.clone(), taken.entry.clone(), taken.input_sum);
                taken_over.by_request.entry(request).or_default().push_back(taken);
            }
        }
        taken_over
    }

    /// The first that was asked for in the same words; one that completed before one that has to go on.
    fn take(&mut self, run: &Run) -> Option<Taken> {
        let request = (run.module.clone(), run.entry.clone(), checksum(&run.input));
        let same = self.by_request.get_mut(&request)?;
        let best = same.iter().position(|taken| taken.state == State::Completed).unwrap_or(0);
        same.remove(best)
    }
}

impl FlowRun {
    /// Reads what there is, before the guest is called. `resumed` says that this attempt was begun before.
    ///
    /// # Errors
    ///
    /// Where the record cannot be read.
    pub(in crate::worker) async fn load_past(&self, resumed: bool) -> Result<(), Failure> {
        let run = &self.run;
        let has_earlier = run.retry_of.is_some() || run.generation > run.reuse_from;
        if !run.durable || !(resumed || has_earlier) {
            return Ok(());
        }
        self.called_before.store(resumed, Ordering::Relaxed);
        let mut claimed = HashSet::new();
        if resumed {
            self.load_children(&mut claimed).await?;
            let journal = self.worker.store().journal(run.id, run.generation).map_err(damaged)?;
            self.time().set_journal(journal);
        }
        if has_earlier {
            self.load_earlier(&claimed).map_err(damaged)?;
        }
        Ok(())
    }

    async fn load_children(&self, claimed: &mut HashSet<RunId>) -> Result<(), Failure> {
        let (store, run) = (self.worker.store(), &self.run);
        if !run.state.is_final() {
            store.adopt_children(run.id, run.generation, self.worker.id).map_err(damaged)?;
        }
        let mut order = Vec::new();
        let mut from = 0;
        loop {
            let page = store.past_children(run.id, run.generation, from, PAGE).map_err(damaged)?;
            let is_last = page.len() < PAGE;
            for past in page {
                from = past.seq + 1;
                claimed.extend(past.reused_from.or(past.retry_of));
                if let Some(no) = past.ended.as_ref().and_then(|ended| ended.no) {
                    order.push((no, past.seq));
                }
                self.add_past(&mut self.children(), past)?;
            }
            if is_last {
                break;
            }
            tokio::task::yield_now().await;
        }
        order.sort_unstable();
        self.children().set_finished(order.into_iter().map(|(_, seq)| seq).collect());
        Ok(())
    }

    fn add_past(&self, children: &mut Children, past: Past) -> Result<(), Failure> {
        // Those that ended are on record, those that were submitted before them and had not ended may not be.
        children.leave_places_to(past.seq);
        let request = past.request_sum.unwrap_or_default();
        let Some(Ended { state, at, no, failure, result }) = past.ended else {
            let found = self.worker.store().run(past.id).map_err(damaged)?;
            let Some(run) = found else {
                return Err(Failure::new(FailureKind::CorruptRecord, format!("run `{}` is gone", past.id)));
            };
            children.add_on_record(request, Arc::new(Live::new(run, true)));
            return Ok(());
        };
        let kept = match (failure, result) {
            (Some(failure), _) => children.keep(&Err(failure)),
            (None, Some(result)) => children.keep(&Ok(result)),
            (None, None) if state == State::Cancelled => children.keep(&Err(crate::worker::executor::cancelled())),
            (None, None) => Kept::OnRecord,
        };
        let is_reused = past.reused_from.is_some();
        let end = End { kept, ticket: Ticket::default(), at, is_told: no.is_some(), is_reused };
        children.add_past(request, state, end);
        Ok(())
    }

    /// What earlier generations of this run left, and those of the run that it goes on for.
    fn load_earlier(&self, claimed: &HashSet<RunId>) -> Result<(), StoreError> {
        let store = self.worker.store();
        let mut candidates = Vec::new();
        let mut run = Run::clone(&self.run);
        let mut newest = run.generation;
        let mut before = (newest > run.reuse_from).then_some((run.id, newest - 1));
        loop {
            candidates.extend(store.children_to_take_over(run.id, run.reuse_from..newest)?);
            let Some(goes_on_for) = run.retry_of.map(|id| store.run(id)).transpose()?.flatten() else { break };
            newest = goes_on_for.generation + 1;
            run = goes_on_for;
            before = before.or(Some((run.id, run.generation)));
        }
        if let Some((id, generation)) = before {
            self.time().set_earlier(store.journal(id, generation)?);
        }
        self.has_earlier.store(true, Ordering::Relaxed);
        *lock(&self.taken_over) = TakenOver::of(candidates, claimed);
        // The times and random numbers of the first execution are those of all, so that what depends on them alone is
        // asked for in the same words.
        let first = store.attempts(run.id)?.first().map(|attempt| attempt.started_at);
        self.time().set_start(first.or(run.started_at).unwrap_or(run.created_at));
        let _ = self.origin.set(run.id);
        Ok(())
    }

    /// Ends a child whose input is complete with the result that it had in an earlier generation. Returns false where
    /// there is none; it then goes on for one that did not complete, if there is one.
    pub(super) fn take_over(&self, children: &mut Children, seq: u32, live: &Live) -> bool {
        let mut taken_over = lock(&self.taken_over);
        let run = live.run();
        // What was begun in this generation goes on.
        if run.attempt > 0 {
            return false;
        }
        let Some(taken) = taken_over.take(&run) else { return false };
        let old = match self.worker.store().run(taken.id) {
            Ok(Some(old)) => old,
            // A damaged record is no result: it runs again.
            _ => return false,
        };
        match (&old.result, old.state) {
            (Some(result), State::Completed) => {
                let result = Ok(result.clone());
                self.end_in(children, seq, live, &result, |run| copy_end(run, &old, taken.origin()), None);
                true
            }
            // A flow goes on from what its predecessor has; all attempts of a task name the first.
            _ => {
                let first = old.retry_of.filter(|_| old.kind == Kind::Task);
                live.change(|run| run.retry_of = first.or(Some(old.id)));
                false
            }
        }
    }
}

/// The record cannot be read.
fn damaged(error: StoreError) -> Failure {
    let kind = match &error {
        StoreError::Corrupt { .. } => FailureKind::CorruptRecord,
        _ => FailureKind::Internal,
    };
    Failure::new(kind, error.to_string())
}
