//! Values that people keep for runs to read.

use jiff::Timestamp;

/// A variable with its value, JSON text, or a preview of it.
#[derive(Clone, Debug)]
pub struct StoredVariable {
    pub name: String,
    pub value: String,
    pub size_bytes: u64,
    pub updated_at: Timestamp,
}

/// What setting a variable met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetVariable {
    New,
    Replaced,
    /// There are as many as are kept.
    Full,
}
