//! Where a run is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a run is. The last four are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
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

/// What an unfinished run waits for; shown, never deciding a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// A slot, or the runs whose output it takes.
    Slot,
    Retry,
}
