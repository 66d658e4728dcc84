//! Variables that a flow reads.

use std::sync::Arc;

use super::FlowRun;
use super::signals::RETRY_INTERVAL;
use crate::domain::journal::EntryKind;

impl FlowRun {
    /// See `FlowHost`.
    pub(super) async fn read_variable(&self, name: &str) -> Option<Arc<str>> {
        self.unless_ending().await;
        self.unless_paused().await;
        self.spawn_held(&mut self.children());
        let came = || format!("a reading of the variable `{name}`");
        let Some(recorded) = self.next_recorded(EntryKind::Variable, name, came) else { std::future::pending().await };
        let (entry, ticket) = match recorded {
            Some(recorded) => recorded,
            None => {
                let value = self.variable_now(name).await;
                // In a new generation it is read anew; what has not changed is told as it was then.
                let earlier = self.as_earlier(EntryKind::Variable, name).filter(|entry| entry.value == value);
                if earlier.is_none() {
                    self.time().leave_earlier();
                }
                let at = earlier.map_or_else(|| self.worker.app.clock.now(), |entry| entry.at);
                let ticket = self.journal(EntryKind::Variable, name.to_owned(), value, at);
                (self.time().last(), ticket)
            }
        };
        self.worker.store().on_record(ticket).await;
        self.time().pass(entry.at);
        entry.value
    }

    async fn variable_now(&self, name: &str) -> Option<Arc<str>> {
        loop {
            match self.worker.store().variable(name) {
                Ok(value) => return value,
                Err(error) => {
                    tracing::error!("cannot read the variable `{name}`: {error}");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            }
        }
    }
}
