//! The guest's misfortune, as data that is stored and shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why an attempt, and in the end a run, did not succeed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    pub kind: FailureKind,
    /// What happened, the limit and the value where there are any, and what to do.
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub details: Option<serde_json::Value>,
    /// The guest's own word on whether trying again could help.
    #[serde(skip_serializing_if = "is_true", default = "yes")]
    pub retryable: bool,
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The entry returned an error.
    TaskError,
    /// A run whose output it takes did not complete.
    UpstreamFailed,
    /// A panic or another trap.
    Trapped,
    StackOverflow,
    OutOfFuel,
    OutOfMemory,
    TimedOut,
    OutputTooLarge,
    LogTooLarge,
    TooManyChildren,
    /// The module, or the entry in it, does not exist.
    MissingEntry,
    /// The arguments do not match the entry's schema.
    InvalidInput,
    /// What the guest returned is not JSON.
    InvalidOutput,
    /// The guest did what its kind or its grants do not allow.
    Denied,
    /// Called again, the flow did something else than is on record.
    Nondeterministic,
    /// The server has no room for another waiting flow.
    Unavailable,
    Cancelled,
    /// The worker died while it ran, again and again.
    WorkerLost,
    /// A stored record does not match its checksum.
    CorruptRecord,
    /// A mistake in Tarefa itself.
    Internal,
}

impl FailureKind {
    /// Whether the same attempt could succeed when it is tried again with the same input and limits.
    pub fn may_be_retried(self) -> bool {
        use FailureKind::*;
        match self {
            TaskError | Trapped | TimedOut | Unavailable => true,
            UpstreamFailed | StackOverflow | OutOfFuel | OutOfMemory | OutputTooLarge | LogTooLarge
            | TooManyChildren | MissingEntry | InvalidInput | InvalidOutput | Denied | Nondeterministic | Cancelled
            | WorkerLost | CorruptRecord | Internal => false,
        }
    }

    /// Whether it is our fault, so that the run is `crashed`, not `failed`.
    pub fn is_ours(self) -> bool {
        matches!(self, FailureKind::WorkerLost | FailureKind::CorruptRecord | FailureKind::Internal)
    }

    /// Whether the guest came to it by itself, and would again, rather than being ended at whatever point it had reached.
    pub fn is_of_the_guest(self) -> bool {
        use FailureKind::*;
        !self.is_ours() && !matches!(self, TimedOut | Unavailable | Nondeterministic | Cancelled)
    }

    /// The name in snake case, as in JSON.
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => unreachable!("a unit variant is a string in JSON"),
        }
    }

    pub fn parse(name: &str) -> Option<FailureKind> {
        serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
    }
}

impl Failure {
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), details: None, retryable: true }
    }

    pub fn may_be_retried(&self) -> bool {
        self.retryable && self.kind.may_be_retried()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        assert_eq!(FailureKind::OutOfFuel.name(), "out_of_fuel");
        assert_eq!(FailureKind::parse("out_of_fuel"), Some(FailureKind::OutOfFuel));
        assert_eq!(FailureKind::parse("nonsense"), None);
    }

    #[test]
    fn a_permanent_error_is_not_retried() {
        let mut failure = Failure::new(FailureKind::TaskError, "no");
        assert!(failure.may_be_retried());
        failure.retryable = false;
        assert!(!failure.may_be_retried());
    }
}
