//! Signals that a flow waits for and sends, and pauses.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::{SignedDuration, Timestamp};

use super::FlowRun;
use crate::domain::journal::{EntryKind, JournalEntry};
use crate::domain::{Failure, NEVER};
use crate::store::{Signal, Ticket, Write};
use crate::wasm::Outbox;

/// How long after an error of the store it is asked again.
pub(super) const RETRY_INTERVAL: std::time::Duration = std::time::Duration::from_millis(200);

impl FlowRun {
    /// Something new is on record: a signal, or that the run is paused or resumed.
    pub(in crate::worker) fn look_again(&self) {
        self.has_news.store(true, Ordering::Relaxed);
        self.progress.notify_one();
    }

    pub(super) fn is_paused(&self) -> bool {
        self.worker.app.events.is_paused(self.run.id)
    }

    /// Returns once the run is not paused.
    pub(super) async fn unless_paused(&self) {
        while self.is_paused() {
            self.waiting(self.progress.notified()).await;
        }
    }

    /// See `FlowHost`.
    pub(super) async fn next_signal(&self, name: &str, timeout_ms: Option<u64>) -> Option<Arc<str>> {
        self.unless_ending().await;
        self.spawn_held(&mut self.children());
        let Some(deadline) = self.begin_to_wait(name, timeout_ms) else { std::future::pending().await };
        let told = match self.recorded_end(name) {
            Some(told) => told,
            None => self.signal_or_timeout(name, deadline).await,
        };
        let (entry, ticket) = told;
        self.worker.store().on_record(ticket).await;
        self.time().pass(entry.at);
        entry.value
    }

    /// When the wait ends without a signal; none where the record has something else in its place.
    fn begin_to_wait(&self, name: &str, timeout_ms: Option<u64>) -> Option<Timestamp> {
        let came = || format!("a wait for the signal `{name}`");
        if let Some((entry, _)) = self.next_recorded(EntryKind::Wait, name, came)? {
            return Some(entry.at);
        }
        let deadline = self.as_earlier(EntryKind::Wait, name).map(|entry| entry.at).unwrap_or_else(|| {
            let span = timeout_ms.map(|ms| SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX)));
            span.and_then(|span| self.worker.app.clock.now().checked_add(span).ok()).unwrap_or(NEVER).min(NEVER)
        });
        self.journal(EntryKind::Wait, name.to_owned(), None, deadline);
        Some(deadline)
    }

    /// How the wait ended, where that is on record, in this generation or in the one before.
    fn recorded_end(&self, name: &str) -> Option<(JournalEntry, Ticket)> {
        if let Some(entry) = self.time().take_recorded() {
            return Some(entry);
        }
        let earlier = self.as_earlier(EntryKind::Signal, name)?;
        let ticket = self.journal(EntryKind::Signal, name.to_owned(), earlier.value.clone(), earlier.at);
        Some((earlier, ticket))
    }

    async fn signal_or_timeout(&self, name: &str, deadline: Timestamp) -> (JournalEntry, Ticket) {
        self.waits_for_time();
        self.time().wait_until(Some((deadline, Some(name.to_owned()))));
        let clock = &self.worker.app.clock;
        let told = loop {
            self.unless_paused().await;
            match self.worker.store().next_signal(self.run.id, name) {
                Ok(Some(signal)) => break self.take(name, signal),
                Ok(None) if clock.now() >= deadline => {
                    let ticket = self.journal(EntryKind::Timeout, name.to_owned(), None, deadline);
                    break (self.time().last(), ticket);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!("cannot read the signals of run `{}`: {error}", self.run.id);
                    tokio::time::sleep(RETRY_INTERVAL).await;
                    continue;
                }
            }
            self.waiting(async {
                tokio::select! {
                    () = self.progress.notified() => {}
                    () = clock.sleep_until(deadline) => {}
                }
            })
            .await;
        };
        self.time().wait_until(None);
        told
    }

    /// The flow is told of a signal, and never again: both are committed together.
    fn take(&self, name: &str, signal: Signal) -> (JournalEntry, Ticket) {
        let at = self.worker.app.clock.now();
        let taken = Write::TakeSignal { no: signal.no, at };
        let ticket = self.journal_with(EntryKind::Signal, name.to_owned(), Some(signal.payload), at, Some(taken));
        (self.time().last(), ticket)
    }

    /// See `FlowHost`.
    pub(super) async fn send_once(&self, run: &str, name: &str, payload: &str) -> Result<(), Failure> {
        self.unless_ending().await;
        let key = format!("{run} {name}");
        let came = || format!("a signal sent to {key}");
        let Some(recorded) = self.next_recorded(EntryKind::Sent, &key, came) else { std::future::pending().await };
        if let Some((entry, _)) = recorded {
            return outcome(entry.value.as_deref());
        }
        let no = self.time().next_no();
        let sender = (self.run.id, self.run.generation, no);
        let sent = self.worker.app.send(run, name, payload, Some(sender));
        let value = sent.as_ref().err().and_then(|failure| serde_json::to_string(failure).ok());
        let now = self.worker.app.clock.now();
        let ticket = self.journal(EntryKind::Sent, key, value.map(Into::into), now);
        self.worker.store().on_record(ticket).await;
        self.time().pass(now);
        sent
    }
}

/// What became of a signal that was sent before.
fn outcome(failure: Option<&str>) -> Result<(), Failure> {
    match failure.and_then(|failure| serde_json::from_str(failure).ok()) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}
