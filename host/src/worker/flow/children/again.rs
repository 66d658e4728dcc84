//! The books of a flow whose guest is called again: from its record, or after it had given its sandbox back.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Child, Children, End, Interest, Work};
use crate::domain::{NEVER, State};
use crate::worker::live::Live;

impl Children {
    /// What the guest's next submit is compared with, where that child is on record.
    pub(in crate::worker::flow) fn next_request(&self) -> Option<i64> {
        let next = self.submitted as usize;
        self.all.get(next).filter(|child| !matches!(child, Child::Unknown))?;
        Some(self.requests[next])
    }

    /// The first child on record that the guest has not asked for since it was called.
    pub(in crate::worker::flow) fn first_unclaimed(&self) -> Option<u32> {
        let known = |seq: &u32| !matches!(self.all[*seq as usize], Child::Unknown);
        (self.submitted..self.len()).find(known)
    }

    /// Leaves places before `seq` to children that are not on record.
    pub(in crate::worker::flow) fn leave_places_to(&mut self, seq: u32) {
        while self.len() < seq {
            self.all.push(Child::Unknown);
            self.requests.push(0);
        }
    }

    /// The guest asks once more for the next child. Returns the child's run where somebody has to carry it out.
    pub(in crate::worker::flow) fn claim_next(&mut self) -> Option<Arc<Live>> {
        let seq = self.submitted;
        self.submitted += 1;
        match &self.all[seq as usize] {
            Child::OnRecord { live } => Some(live.clone()),
            _ => None,
        }
    }

    /// The guest is called again from the start.
    pub(in crate::worker::flow) fn rewind(&mut self) {
        self.submitted = 0;
        self.seen.clear();
        self.seen_lately.clear();
        self.results.clear();
    }

    /// Adds an unfinished child that is on record, before the guest is called.
    pub(in crate::worker::flow) fn add_on_record(&mut self, request: i64, live: Arc<Live>) {
        self.unfinished += 1;
        self.all.push(Child::OnRecord { live });
        self.requests.push(request);
    }

    /// Adds a finished child that is on record, before the guest is called. The order in which they finished is set
    /// afterwards.
    pub(in crate::worker::flow) fn add_past(&mut self, request: i64, state: State, end: End) {
        self.all.push(if end.is_told { Child::Finished(end) } else { Child::Untold });
        self.requests.push(request);
        *self.ended.entry(state).or_default() += 1;
    }

    pub(in crate::worker::flow) fn set_finished(&mut self, order: Vec<u32>) {
        self.finished = order;
    }

    /// Puts a child that was asked for again where it can be carried out, as `add` does with a new one.
    pub(in crate::worker::flow) fn add_again(&mut self, seq: u32, work: Work, upstream: &[u32]) -> Option<Work> {
        let waits = self.set_waiting(seq, &work, upstream);
        (!waits).then_some(work)
    }

    /// The run of a child that somebody carries out.
    pub(in crate::worker::flow) fn live(&self, seq: u32) -> Option<Arc<Live>> {
        match self.all.get(seq as usize)? {
            Child::Running { live, .. } | Child::Inline { live, .. } => Some(live.clone()),
            _ => None,
        }
    }

    /// A child that was in the flow's own task goes on in one of its own.
    pub(in crate::worker::flow) fn hand_over(&mut self, seq: u32) {
        let child = &mut self.all[seq as usize];
        if let Child::Inline { live, token } = child {
            *child = Child::Running { live: live.clone(), token: token.clone(), task: None };
        }
        self.interest = Interest::Child(seq);
    }

    /// Whether what the flow waits for is there.
    pub(in crate::worker::flow) fn is_there(&self) -> bool {
        match self.interest {
            Interest::Nothing => false,
            Interest::Child(seq) => self.end(seq).is_some(),
            Interest::Any(after) => self.finished.len() > after,
        }
    }

    /// When the first of the unfinished children goes on, where none of them does anything until then.
    pub(in crate::worker::flow) fn all_parked_until(&self) -> Option<Timestamp> {
        let mut first = NEVER;
        for child in &self.all {
            match child {
                Child::Running { live, .. } => first = first.min(live.parked_until()?),
                // Those that it waits for are among the others.
                Child::Waiting { .. } | Child::Finished(_) | Child::Untold => {}
                Child::Inline { .. } | Child::OnRecord { .. } | Child::Unknown => return None,
            }
        }
        Some(first)
    }
}
