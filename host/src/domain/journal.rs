//! What a flow was told beside the ends of its children: the rest of what it needs to go on where it was.

use std::sync::Arc;

use jiff::Timestamp;

/// The meaning of what is journalled. A run that was begun with another one cannot go on.
pub const JOURNAL_VERSION: u32 = 1;

/// What is recorded of a variable that a flow reads again, where it has the value that the flow read last: a flow may
/// read a large one often. It is no JSON text.
pub const UNCHANGED: &str = "";

/// One thing that a flow was told, and what it had asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Counted from 1 within one generation.
    pub no: u32,
    pub kind: EntryKind,
    /// What was asked for: a timer's nanoseconds, the name of a signal or variable.
    pub key: String,
    /// JSON text.
    pub value: Option<Arc<str>>,
    /// Flow time is at least this once the flow was told.
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A sleep; `at` is its deadline.
    Timer,
    /// A wait for a signal; `at` is when it ends without one.
    Wait,
    /// The signal that a wait got.
    Signal,
    /// The end of a wait that got none.
    Timeout,
    /// A signal that the flow sent.
    Sent,
    /// A variable that the flow read; without a value where there was none.
    Variable,
}

impl EntryKind {
    pub const ALL: [EntryKind; 6] = [
        EntryKind::Timer,
        EntryKind::Wait,
        EntryKind::Signal,
        EntryKind::Timeout,
        EntryKind::Sent,
        EntryKind::Variable,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            EntryKind::Timer => "timer",
            EntryKind::Wait => "wait",
            EntryKind::Signal => "signal",
            EntryKind::Timeout => "timeout",
            EntryKind::Sent => "sent",
            EntryKind::Variable => "variable",
        }
    }

    pub fn parse(text: &str) -> Option<EntryKind> {
        EntryKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
