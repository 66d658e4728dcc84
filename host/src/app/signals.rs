//! Signals to flows, and pauses.

use serde_json::value::RawValue;

use super::App;
use crate::domain::module::check_name;
use crate::domain::{Failure, FailureKind, Kind, Run, RunId, State};
use crate::error::{Error, Result};
use crate::store::{NewSignal, Signalled};
use crate::wasm::Outbox;

/// The largest payload of a signal, as JSON text in bytes.
pub const MAX_SIGNAL_BYTES: usize = 256 << 10;

impl App {
    /// Keeps a signal for a flow's run, which is told of it when it waits for one of that name.
    ///
    /// # Errors
    ///
    /// `invalid` for name and payload, `not_found`, `conflict` where the run is over or no flow's, `unavailable` where as
    /// many wait there as are kept.
    pub fn signal(&self, signal: &NewSignal<'_>) -> Result<()> {
        check_name("signal", signal.name).map_err(Error::invalid)?;
        if signal.payload.len() > MAX_SIGNAL_BYTES {
            let length = signal.payload.len();
            return Err(Error::too_large(format!(
                "the payload has {length} bytes and the limit is {MAX_SIGNAL_BYTES}"
            )));
        }
        if let Err(error) = serde_json::from_str::<&RawValue>(signal.payload) {
            return Err(Error::invalid(format!("the payload is not JSON: {error}")));
        }
        let id = signal.run;
        match self.store.send_signal(signal, self.clock.now())? {
            Signalled::Kept => {}
            Signalled::NoSuchRun => return Err(Error::not_found(format!("run `{id}` does not exist"))),
            Signalled::IsTask => {
                return Err(Error::conflict(format!("run `{id}` is a task's; only flows wait for signals")));
            }
            Signalled::Final(state) => {
                return Err(Error::conflict(format!("run `{id}` is {} already", state.as_str())));
            }
            Signalled::Full => {
                return Err(Error::unavailable(format!(
                    "run `{id}` has as many signals as are kept, and takes none of them"
                )));
            }
        }
        self.look_again(id);
        Ok(())
    }

    /// Keeps a flow from going on, or a run from being started, until it is resumed. What a flow has submitted goes on.
    ///
    /// # Errors
    ///
    /// `not_found`, `conflict` where it is over, being cancelled, or a task that runs.
    pub fn pause(&self, id: RunId) -> Result<Run> {
        self.set_paused(id, true)
    }

    /// Has a run go on that was paused.
    ///
    /// # Errors
    ///
    /// As `pause`.
    pub fn resume(&self, id: RunId) -> Result<Run> {
        self.set_paused(id, false)
    }

    fn set_paused(&self, id: RunId, paused: bool) -> Result<Run> {
        let before = self.store.set_paused(id, paused, self.clock.now())?;
        let before = before.ok_or_else(|| Error::not_found(format!("run `{id}` does not exist")))?;
        if before.state.is_final() || before.state == State::Cancelling {
            return Err(Error::conflict(format!("run `{id}` is {} already", before.state.as_str())));
        }
        if before.kind == Kind::Task && before.state == State::Running {
            return Err(Error::conflict(format!("run `{id}` is a task that runs; cancel it, or pause its flow")));
        }
        match paused {
            true => {
                self.events.pause(id);
                // It may have been about to start.
                self.offer_limits_of(&before);
            }
            false => self.events.resume(id),
        }
        self.look_again(id);
        self.run(id)
    }

    fn look_again(&self, id: RunId) {
        self.events.flow_has_news(id);
        for kind in [Kind::Flow, Kind::Task] {
            self.events.run_is_due(kind);
        }
    }
}

impl Outbox for App {
    fn send(&self, run: &str, name: &str, payload: &str, sender: Option<(RunId, u32, u32)>) -> Result<(), Failure> {
        let invalid = |why: String| Failure::new(FailureKind::InvalidInput, why);
        let run = run.parse().map_err(|_| invalid(format!("`{}` is not the id of a run", run.escape_debug())))?;
        self.signal(&NewSignal { run, name, payload, sender }).map_err(|error| invalid(error.message))
    }
}
