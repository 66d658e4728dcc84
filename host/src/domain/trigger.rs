//! What brings a run about.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What brought a run about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A deployment's schedule.
    Schedule,
    /// A request to run past occurrences of a deployment's schedules.
    Backfill,
    /// A call of the API.
    Api,
    /// The command line.
    Cli,
    /// The flow run that it is a child of.
    Flow,
}

impl Trigger {
    pub const ALL: [Trigger; 5] = [Trigger::Schedule, Trigger::Backfill, Trigger::Api, Trigger::Cli, Trigger::Flow];

    pub fn as_str(self) -> &'static str {
        match self {
            Trigger::Schedule => "schedule",
            Trigger::Backfill => "backfill",
            Trigger::Api => "api",
            Trigger::Cli => "cli",
            Trigger::Flow => "flow",
        }
    }

    pub fn parse(text: &str) -> Option<Trigger> {
        Trigger::ALL.into_iter().find(|trigger| trigger.as_str() == text)
    }
}
