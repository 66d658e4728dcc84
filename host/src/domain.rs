//! Plain data and pure rules: no I/O, no clock, nothing else of ours.

pub mod artifact;
pub mod attempt;
pub mod cache;
pub mod catchup;
pub mod concurrency;
pub mod deployment;
pub mod failure;
pub mod fingerprint;
pub mod graph;
pub mod http;
pub mod ids;
pub mod journal;
pub mod limits;
pub mod module;
pub mod nearest;
pub mod notify;
pub mod parameters;
pub mod rate;
pub mod retention;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod state;
pub mod trigger;

pub use artifact::{Artifact, ArtifactContent, ArtifactKind, Progress, ProgressPart};
pub use attempt::{Attempt, Outcome, Usage};
pub use cache::{CacheKey, CacheRule, CacheScope};
pub use concurrency::{Across, AcrossRules, Concurrency, Hold, OnConflict, Pace, Rate};
pub use deployment::{Catchup, Deployment, DeploymentSpec, Skip, SkipReason, TimetableRow};
pub use failure::{Failure, FailureKind};
pub use http::HttpGrant;
pub use ids::{Digest, RunId};
pub use limits::{DirGrant, DirMode, Grants, Limits, LimitsPatch, Metering};
pub use module::{Description, Entry, Kind, Module};
pub use notify::{NotifyEvent, NotifyRule};
pub use retention::{Keep, Retention, RetentionPatch};
pub use retry::{Retries, Transition, after_attempt};
pub use run::{Occurrence, Parent, Run, Settings, SettingsPatch};
pub use schedule::{Schedule, ScheduleId};
pub use state::{ShownState, State, StateCounts, WaitingFor};
pub use trigger::Trigger;

/// A time that does not come: the year 9999 begins.
pub const NEVER: Timestamp = Timestamp::constant(253_370_764_800, 0);

/// A point in time, stored with microseconds.
pub use jiff::Timestamp;

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero_ms(value: &u64) -> bool {
    *value == 0
}
