//! The books of a flow's children. No I/O, no waiting: every call is short and under the flow's lock.

mod again;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::app::Plan;
use crate::domain::fingerprint::fingerprint;
use crate::domain::run::Upstream;
use crate::domain::{Failure, State, StateCounts};
use crate::store::{MAX_READ_RESULT, Ticket};
use crate::wasm::Argument;
use crate::worker::live::Live;

/// Results are read back from the store when they are waited for, once a flow keeps this much of them.
const MAX_KEPT_BYTES: usize = 16 << 20;

#[derive(Default)]
pub(super) struct Children {
    /// By place.
    all: Vec<Child>,
    /// By place, a checksum of what was asked for.
    requests: Vec<i64>,
    /// How many submits the guest has made since it was called. It is called again from the start, and then asks for
    /// the children that there are.
    submitted: u32,
    /// The child that was submitted last, while it may still be waited for at once.
    held: Option<u32>,
    /// Places in the order in which they finished.
    finished: Vec<u32>,
    pub unfinished: usize,
    /// How those ended that are over.
    pub ended: StateCounts,
    kept_bytes: usize,
    /// Who waits for whose end.
    dependents: HashMap<u32, Vec<u32>>,
    /// By place, whether the flow knows how the child ended.
    seen: Vec<bool>,
    /// Those of which it learnt since its last submit, in that order, as rows of neighbours.
    seen_lately: Vec<(u32, u32)>,
    /// Fingerprints of results that the flow was given, with the place of the child that it was given last.
    results: HashMap<u64, u32>,
    /// How entries are carried out that were submitted before, by the name they were submitted with.
    pub plans: HashMap<Box<str>, Arc<Plan>>,
    /// What the flow's own task waits for.
    pub interest: Interest,
}

enum Child {
    /// It was submitted, but is not on record: it is submitted anew.
    Unknown,
    /// On record, unfinished, and not asked for yet since the flow goes on.
    OnRecord {
        live: Arc<Live>,
    },
    /// It ended when its flow did, in an execution that was lost before it could say so: the flow is not told.
    Untold,
    /// Held back, or waiting for `upstream` others to finish.
    Waiting {
        work: Work,
        upstream: usize,
    },
    /// In a task of its own.
    Running {
        live: Arc<Live>,
        token: CancellationToken,
        task: Option<AbortHandle>,
    },
    /// In the flow's own task.
    Inline {
        live: Arc<Live>,
        token: CancellationToken,
    },
    Finished(End),
}

/// The end of a child.
#[derive(Clone)]
pub(super) struct End {
    pub kept: Kept,
    /// The place of its record.
    pub ticket: Ticket,
    pub at: Timestamp,
    /// Whether it is among what the flow is told.
    pub is_told: bool,
    /// Whether an earlier generation had it.
    pub is_reused: bool,
}

/// A child that is to be carried out.
#[derive(Clone)]
pub(super) struct Work {
    pub live: Arc<Live>,
    pub plan: Arc<Plan>,
    pub token: CancellationToken,
    /// Set where the input needs the outputs of others.
    pub arguments: Option<Arc<Vec<(String, Argument)>>>,
}

/// The result of a finished child.
#[derive(Clone)]
pub(super) enum Kept {
    Here(Result<Arc<str>, Failure>),
    OnRecord,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Interest {
    #[default]
    Nothing,
    Child(u32),
    /// Any end after so many.
    Any(usize),
}

impl Children {
    fn len(&self) -> u32 {
        self.all.len() as u32
    }

    /// The number of the next event.
    pub(super) fn next_no(&self) -> u64 {
        self.finished.len() as u64 + 1
    }

    /// The place of the guest's next submit.
    pub(super) fn next_place(&self) -> u32 {
        self.submitted
    }

    /// A new place, for what the guest asked for.
    fn add_place(&mut self, request: i64, child: Child) {
        let seq = self.submitted as usize;
        self.unfinished += 1;
        self.submitted += 1;
        if seq < self.all.len() {
            (self.all[seq], self.requests[seq]) = (child, request);
        } else {
            self.all.push(child);
            self.requests.push(request);
        }
    }

    /// Whether the child has to wait for any of `upstream`.
    fn set_waiting(&mut self, seq: u32, work: &Work, upstream: &[u32]) -> bool {
        let unfinished: Vec<u32> = upstream.iter().copied().filter(|&up| self.end(up).is_none()).collect();
        self.all[seq as usize] = Child::Waiting { work: work.clone(), upstream: unfinished.len() };
        for &up in &unfinished {
            self.dependents.entry(up).or_default().push(seq);
        }
        !unfinished.is_empty()
    }

    /// Adds a child in the next place. Returns the work where it is to start at once; with `hold` it is held back
    /// instead. A child starts after all that are in `upstream`.
    pub(super) fn add(&mut self, request: i64, work: Work, upstream: &[u32], hold: bool) -> Option<Work> {
        let seq = self.submitted;
        self.add_place(request, Child::Waiting { work: work.clone(), upstream: 0 });
        if !upstream.is_empty() && self.set_waiting(seq, &work, upstream) {
            None
        } else if hold {
            self.held = Some(seq);
            None
        } else {
            Some(work)
        }
    }

    /// Adds a child that is over already.
    pub(super) fn add_finished(&mut self, request: i64, state: State, end: End) {
        let seq = self.submitted;
        self.add_place(request, Child::Untold);
        self.finish(seq, state, end);
    }

    /// The child that was held back, no longer.
    pub(super) fn take_held(&mut self) -> Option<(u32, Work)> {
        let seq = self.held.take()?;
        match &self.all[seq as usize] {
            Child::Waiting { work, .. } => Some((seq, work.clone())),
            _ => None,
        }
    }

    pub(super) fn set_running(&mut self, seq: u32, work: &Work) {
        self.all[seq as usize] = Child::Running { live: work.live.clone(), token: work.token.clone(), task: None };
    }

    pub(super) fn set_task(&mut self, seq: u32, started: AbortHandle) {
        if let Child::Running { task, .. } = &mut self.all[seq as usize] {
            *task = Some(started);
        }
    }

    /// Nobody carries out the children any more; what is on record of them stays.
    pub(super) fn abort(&self) {
        for child in &self.all {
            if let Child::Running { task: Some(task), .. } = child {
                task.abort();
            }
        }
    }

    pub(super) fn set_inline(&mut self, seq: u32, work: &Work) {
        self.all[seq as usize] = Child::Inline { live: work.live.clone(), token: work.token.clone() };
    }

    /// How a child ended, once it is over.
    pub(super) fn end(&self, seq: u32) -> Option<End> {
        match self.all.get(seq as usize)? {
            Child::Finished(end) => Some(end.clone()),
            _ => None,
        }
    }

    pub(super) fn nth_finished(&self, n: usize) -> Option<(u32, End)> {
        let seq = *self.finished.get(n)?;
        self.end(seq).map(|end| (seq, end))
    }

    /// What is kept in memory of a result.
    pub(super) fn keep(&mut self, result: &Result<Arc<str>, Failure>) -> Kept {
        match result {
            Ok(text) if text.len() > MAX_READ_RESULT || self.kept_bytes + text.len() > MAX_KEPT_BYTES => Kept::OnRecord,
            Ok(text) => {
                self.kept_bytes += text.len();
                Kept::Here(Ok(text.clone()))
            }
            Err(failure) => Kept::Here(Err(failure.clone())),
        }
    }

    /// Enters a child's end. Returns those that waited for nothing else.
    pub(super) fn finish(&mut self, seq: u32, state: State, end: End) -> Vec<(u32, Work)> {
        if end.is_told {
            self.finished.push(seq);
        }
        self.all[seq as usize] = Child::Finished(end);
        self.unfinished -= 1;
        *self.ended.entry(state).or_default() += 1;
        let mut free = Vec::new();
        for dependent in self.dependents.remove(&seq).unwrap_or_default() {
            if let Child::Waiting { work, upstream } = &mut self.all[dependent as usize] {
                *upstream -= 1;
                if *upstream == 0 {
                    free.push((dependent, work.clone()));
                }
            }
        }
        free
    }

    /// The flow learns how a child ended, and with `result` what it may pass on.
    pub(super) fn saw(&mut self, seq: u32, result: Option<u64>) {
        if let Some(result) = result {
            self.results.insert(result, seq);
        }
        if self.seen.len() <= seq as usize {
            self.seen.resize(self.all.len(), false);
        }
        if std::mem::replace(&mut self.seen[seq as usize], true) {
            return;
        }
        match self.seen_lately.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            _ => self.seen_lately.push((seq, seq)),
        }
    }

    /// What the next child has to do with those before it, as far as the flow's own calls do not say it.
    pub(super) fn observe(&mut self, arguments: &[(String, Argument)], upstream: &mut Upstream) {
        upstream.waited = std::mem::take(&mut self.seen_lately);
        if self.results.is_empty() {
            return;
        }
        for (_, argument) in arguments {
            let Argument::Value(json) = argument else { continue };
            if let Some(seq) = fingerprint(json).and_then(|print| self.results.get(&print)) {
                upstream.equal.push(*seq);
            }
        }
        upstream.equal.sort_unstable();
        upstream.equal.dedup();
    }

    /// The flow's own task waits for the end of any child.
    pub(super) fn wait_for_any(&mut self) {
        self.interest = Interest::Any(self.finished.len());
    }

    /// Whether the flow's own task waits for that child's end.
    pub(super) fn concerns_the_flow(&self, seq: u32) -> bool {
        match self.interest {
            Interest::Nothing => false,
            Interest::Child(wanted) => wanted == seq,
            Interest::Any(_) => true,
        }
    }

    /// Asks a child to end. Returns it where no task carries it out that could.
    pub(super) fn cancel(&mut self, seq: u32) -> Option<Arc<Live>> {
        match self.all.get(seq as usize)? {
            Child::Waiting { work, .. } => {
                let live = work.live.clone();
                if self.held == Some(seq) {
                    self.held = None;
                }
                Some(live)
            }
            Child::Running { token, .. } | Child::Inline { token, .. } => {
                token.cancel();
                None
            }
            Child::OnRecord { live } => Some(live.clone()),
            Child::Finished(_) | Child::Untold | Child::Unknown => None,
        }
    }

    /// The children that no task of their own carries out; once the flow's call is over, nobody will.
    pub(super) fn take_idle(&mut self) -> Vec<(u32, Arc<Live>)> {
        self.held = None;
        let idle = |child: &Child| match child {
            Child::Waiting { work, .. } => Some(work.live.clone()),
            Child::Inline { live, .. } | Child::OnRecord { live } => Some(live.clone()),
            Child::Running { .. } | Child::Finished(_) | Child::Untold | Child::Unknown => None,
        };
        self.all.iter().zip(0..).filter_map(|(child, seq)| Some((seq, idle(child)?))).collect()
    }
}
