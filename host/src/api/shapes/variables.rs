//! Values that people keep for runs to read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A variable in lists.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VariableSummary {
    pub name: String,
    /// The first 200 bytes at most of the value's JSON text, cut between two characters.
    pub preview: String,
    pub size_bytes: u64,
    pub updated_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VariableShape {
    pub name: String,
    /// Any JSON.
    #[schema(value_type = serde_json::Value)]
    pub value: Box<RawValue>,
    pub size_bytes: u64,
    pub updated_at: Timestamp,
}
