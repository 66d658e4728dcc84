//! Where a run is.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A run that has not started this long after its time is shown as late.
pub const LATE_AFTER: SignedDuration = SignedDuration::from_secs(10);

/// How many runs are in each state; those in which none is are absent.
pub type StateCounts = BTreeMap<State, u64>;

/// Where a run is. The last four are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Scheduled,
    Running,
    Cancelling,
    Completed,
    /// The guest's fault.
    Failed,
    /// Our fault.
    Crashed,
    Cancelled,
}

impl State {
    pub const ALL: [State; 7] = [
        State::Scheduled,
        State::Running,
        State::Cancelling,
        State::Completed,
        State::Failed,
        State::Crashed,
        State::Cancelled,
    ];

    pub fn is_final(self) -> bool {
        matches!(self, State::Completed | State::Failed | State::Crashed | State::Cancelled)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            State::Scheduled => "scheduled",
            State::Running => "running",
            State::Cancelling => "cancelling",
            State::Completed => "completed",
            State::Failed => "failed",
            State::Crashed => "crashed",
            State::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A state, or what people call some of the runs that are scheduled: what lists are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownState {
    Is(State),
    /// Never started, and past its time by more than [`LATE_AFTER`].
    Late,
    /// To start again after an attempt.
    AwaitingRetry,
}

impl ShownState {
    pub fn all() -> impl Iterator<Item = ShownState> {
        State::ALL.map(ShownState::Is).into_iter().chain([ShownState::Late, ShownState::AwaitingRetry])
    }

    pub fn as_str(self) -> &'static str {
        match self {
            ShownState::Is(state) => state.as_str(),
            ShownState::Late => "late",
            ShownState::AwaitingRetry => "awaiting_retry",
        }
    }

    /// # Errors
    ///
    /// Names all that there are.
    pub fn parse(text: &str) -> Result<ShownState, String> {
        ShownState::all().find(|state| state.as_str() == text).ok_or_else(|| {
            let known: Vec<&str> = ShownState::all().map(ShownState::as_str).collect();
            format!("unknown state `{}`; states are {}", text.escape_debug(), known.join(", "))
        })
    }
}

impl From<State> for ShownState {
    fn from(state: State) -> ShownState {
        ShownState::Is(state)
    }
}

/// What an unfinished run waits for; shown, never deciding a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// A slot, the runs whose output it takes, or one that does the same, whose result is to stand for its own.
    Slot,
    /// Others to let go of a limit that they share with it.
    Limit,
    Retry,
    /// A time, until which it sleeps.
    Timer,
    /// A signal.
    Signal,
    /// That it is resumed.
    Resume,
}

impl WaitingFor {
    pub fn in_words(self) -> &'static str {
        match self {
            WaitingFor::Slot => "waits for a slot",
            WaitingFor::Limit => "waits for a limit",
            WaitingFor::Retry => "waits to be tried again",
            WaitingFor::Timer => "sleeps",
            WaitingFor::Signal => "waits for a signal",
            WaitingFor::Resume => "is paused",
        }
    }
}
