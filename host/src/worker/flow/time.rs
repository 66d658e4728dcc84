//! Flow time, and the journal of what a flow was told beside the ends of its children.
//!
//! Flow time is the latest time that the flow was told of: the start of its run, then the ends of children and its own
//! sleeps. It stands still in between, so that a guest that is called again sees the same times.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, MutexGuard};

use jiff::{SignedDuration, Timestamp};

use super::FlowRun;
use crate::domain::journal::{EntryKind, JournalEntry, UNCHANGED};
use crate::domain::{Failure, FailureKind, NEVER};
use crate::store::{Ticket, Write};
use crate::worker::lock;

pub(super) struct Time {
    start: Timestamp,
    now: Timestamp,
    /// What the flow was told, each with the place of its record.
    journal: Vec<(JournalEntry, Ticket)>,
    /// That of the generation before, which holds as long as the flow is told nothing else.
    earlier: Vec<JournalEntry>,
    /// How much of it the guest asked for again since it was called.
    asked: usize,
    /// Sleeps that the guest waits for together; the number keeps apart those that end at the same time.
    sleeps: BTreeSet<(Timestamp, u64)>,
    next_sleep: u64,
    /// The values of variables that the flow was told last.
    variables: HashMap<String, Arc<str>>,
    /// The time that the guest waits for, or the signal that it waits for until then.
    waits_until: Option<(Timestamp, Option<String>)>,
}

impl Time {
    pub(super) fn starting_at(start: Timestamp) -> Time {
        Time {
            start,
            now: start,
            journal: Vec::new(),
            earlier: Vec::new(),
            asked: 0,
            sleeps: BTreeSet::new(),
            next_sleep: 0,
            variables: HashMap::new(),
            waits_until: None,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn waits_until(&self) -> Option<(Timestamp, Option<String>)> {
        self.waits_until.clone()
    }

    pub(super) fn wait_until(&mut self, until: Option<(Timestamp, Option<String>)>) {
        self.waits_until = until;
    }

    /// The number of the next entry.
    pub(super) fn next_no(&self) -> u32 {
        self.journal.len() as u32 + 1
    }

    /// The entry that was added last.
    pub(super) fn last(&self) -> JournalEntry {
        self.journal.last().expect("one was just added").0.clone()
    }

    /// The next entry on record, whatever it is.
    pub(super) fn take_recorded(&mut self) -> Option<(JournalEntry, Ticket)> {
        let entry = self.journal.get(self.asked).cloned()?;
        self.asked += 1;
        Some(entry)
    }

    pub(super) fn pass(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
    }

    pub(super) fn set_start(&mut self, start: Timestamp) {
        (self.start, self.now) = (start, start);
    }

    /// What is on record, before the guest is called.
    pub(super) fn set_journal(&mut self, entries: Vec<JournalEntry>) {
        self.journal = Vec::with_capacity(entries.len());
        for mut entry in entries {
            self.remember(&mut entry);
            self.journal.push((entry, Ticket::default()));
        }
    }

    /// Remembers what the flow is told of a variable. Returns whether it was told that before; then it is kept once.
    fn remember(&mut self, entry: &mut JournalEntry) -> bool {
        if entry.kind != EntryKind::Variable {
            return false;
        }
        let Some(value) = &entry.value else {
            self.variables.remove(&entry.key);
            return false;
        };
        match self.variables.get(&entry.key).filter(|known| *known == value) {
            Some(known) => entry.value = Some(known.clone()),
            None => {
                self.variables.insert(entry.key.clone(), value.clone());
                return false;
            }
        }
        true
    }

    pub(super) fn set_earlier(&mut self, entries: Vec<JournalEntry>) {
        self.earlier = entries;
    }

    /// The flow is told what it was not told in the generation before.
    pub(super) fn leave_earlier(&mut self) {
        self.earlier.clear();
    }

    /// The guest is called again from the start.
    pub(super) fn rewind(&mut self) {
        self.now = self.start;
        self.asked = 0;
        // The sleeps are gone with the guest; the deadline is what the flow still waits for.
        self.sleeps.clear();
    }

    /// All on record that the guest has not asked for since it was called.
    pub(super) fn unclaimed(&self) -> &[(JournalEntry, Ticket)] {
        self.journal.get(self.asked..).unwrap_or_default()
    }

    /// What was recorded that the guest has not asked for since it was called.
    pub(super) fn first_unclaimed(&self) -> Option<&JournalEntry> {
        self.journal.get(self.asked).map(|(entry, _)| entry)
    }

    fn add_sleep(&mut self, until: Timestamp) -> (Timestamp, u64) {
        self.next_sleep += 1;
        let sleep = (until, self.next_sleep);
        self.sleeps.insert(sleep);
        sleep
    }
}

/// A sleep among those that the guest waits for together.
struct Sleep<'a> {
    flow: &'a FlowRun,
    sleep: (Timestamp, u64),
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.flow.time().sleeps.remove(&self.sleep);
    }
}

impl FlowRun {
    pub(super) fn time(&self) -> MutexGuard<'_, Time> {
        lock(&self.time)
    }

    /// Returns once flow time is `until` or later. Where the guest waits for several sleeps together the first of them
    /// moves flow time, and is the only one on record.
    pub(super) async fn sleep(&self, until: Timestamp) {
        if self.now_is(until) {
            return;
        }
        let sleep = Sleep { flow: self, sleep: self.time().add_sleep(until) };
        // All that the guest waits for are asked before the first of them decides. What is ready anyway, such as its
        // standard output, goes before any sleep.
        tokio::task::yield_now().await;
        loop {
            if self.now_is(until) {
                return;
            }
            let first = self.time().sleeps.first().copied();
            if first == Some(sleep.sleep) {
                let span = until.duration_since(self.time().now);
                let Some(deadline) = self.timer(span).await else { std::future::pending().await };
                self.time().pass(deadline.max(until));
                return;
            }
            // The first one ends the guest's call, or moves the time as far as this one.
            self.progress_of_time().await;
        }
    }

    fn now_is(&self, until: Timestamp) -> bool {
        self.time().now >= until
    }

    /// Lets the flow's task look again: all sleeps of one call are in it.
    async fn progress_of_time(&self) {
        let mut looked = false;
        std::future::poll_fn(|_| {
            if std::mem::replace(&mut looked, true) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }

    /// Sleeps for `span` from now on, or until the deadline that is on record. Returns when it ended; none where the
    /// record has something else.
    async fn timer(&self, span: SignedDuration) -> Option<Timestamp> {
        self.spawn_held(&mut self.children());
        let key = span.as_nanos().to_string();
        let (deadline, ticket) = match self.next_recorded(EntryKind::Timer, &key, || format!("a sleep of {span:?}"))? {
            Some((entry, ticket)) => (entry.at, ticket),
            None => {
                let earlier = self.as_earlier(EntryKind::Timer, &key).map(|entry| entry.at);
                let deadline = earlier
                    .unwrap_or_else(|| self.worker.app.clock.now().saturating_add(span).unwrap_or(NEVER).min(NEVER));
                (deadline, self.journal(EntryKind::Timer, key, None, deadline))
            }
        };
        self.waits_for_time();
        self.time().wait_until(Some((deadline, None)));
        self.waiting(self.worker.app.clock.sleep_until(deadline)).await;
        self.time().wait_until(None);
        self.unless_paused().await;
        self.worker.store().on_record(ticket).await;
        Some(deadline)
    }

    /// What the record has for the guest's next call, which is of this kind and asks for `key`. The inner value is none
    /// where the call is new; the outer one where the record has something else, which ends the flow.
    pub(super) fn next_recorded(
        &self,
        kind: EntryKind,
        key: &str,
        came: impl FnOnce() -> String,
    ) -> Option<Option<(JournalEntry, Ticket)>> {
        let mut time = self.time();
        let Some((entry, ticket)) = time.journal.get(time.asked).cloned() else { return Some(None) };
        if entry.kind != kind || entry.key != key {
            drop(time);
            self.stop(nondeterministic(&format!("wait {}", entry.no), &recorded(&entry), &came()));
            return None;
        }
        time.asked += 1;
        Some(Some((entry, ticket)))
    }

    /// What the guest was told at this place in the generation before, where it asks for the same.
    pub(super) fn as_earlier(&self, kind: EntryKind, key: &str) -> Option<JournalEntry> {
        let mut time = self.time();
        let entry = time.earlier.get(time.asked).filter(|entry| entry.kind == kind && entry.key == key).cloned();
        if entry.is_none() {
            time.leave_earlier();
        }
        entry
    }

    /// Puts on record what the guest is told.
    pub(super) fn journal(&self, kind: EntryKind, key: String, value: Option<Arc<str>>, at: Timestamp) -> Ticket {
        self.journal_with(kind, key, value, at, None)
    }

    /// As `journal`, with a write that is on record whenever the entry is.
    pub(super) fn journal_with(
        &self,
        kind: EntryKind,
        key: String,
        value: Option<Arc<str>>,
        at: Timestamp,
        also: Option<Write>,
    ) -> Ticket {
        let mut time = self.time();
        let mut entry = JournalEntry { no: time.next_no(), kind, key, value, at };
        let is_known = time.remember(&mut entry);
        let (run_id, generation) = (self.run.id, self.run.generation);
        let own = self.run.durable.then(|| {
            let value = if is_known { Some(UNCHANGED.into()) } else { entry.value.clone() };
            Write::Journal { run_id, generation, entry: JournalEntry { value, ..entry.clone() } }
        });
        let ticket = match (own, also) {
            (None, None) => Ticket::default(),
            (own, also) => self.worker.store().append(own.into_iter().chain(also)),
        };
        time.journal.push((entry, ticket));
        time.asked += 1;
        ticket
    }
}

/// What a person reads of an entry.
pub(super) fn recorded(entry: &JournalEntry) -> String {
    match entry.kind {
        EntryKind::Timer => {
            let nanos = entry.key.parse().unwrap_or(0);
            format!("a sleep of {:?}", SignedDuration::from_nanos(nanos))
        }
        EntryKind::Wait => format!("a wait for the signal `{}`", entry.key),
        EntryKind::Signal | EntryKind::Timeout => format!("the end of a wait for the signal `{}`", entry.key),
        EntryKind::Sent => format!("a signal sent to {}", entry.key),
        EntryKind::Variable => format!("a reading of the variable `{}`", entry.key),
    }
}

pub(super) fn nondeterministic(call: &str, recorded: &str, came: &str) -> Failure {
    Failure::new(
        FailureKind::Nondeterministic,
        format!(
            "nondeterministic: {call} differs from the record of this run: recorded was {recorded}, now came {came}; \
             do in tasks what may turn out differently"
        ),
    )
}
