//! Limits of tags.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The limit of a tag, and how many runs it concerns now.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TagLimitShape {
    pub tag: String,
    /// How many runs with the tag may run at a time; those of flows count, too, but not below one that counts.
    #[schema(minimum = 1, maximum = 100_000)]
    pub max: u32,
    /// More than may, where the limit was lowered meanwhile.
    pub running: u64,
    pub waiting: u64,
}

/// All limits of tags.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TagLimitsShape {
    pub items: Vec<TagLimitShape>,
}

/// The body of `PUT /api/tag-limits/{tag}`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTagLimit {
    #[schema(minimum = 1, maximum = 100_000)]
    pub max: u32,
}
