//! Which runs lists show and statistics count, as queries say it.

use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;

use crate::domain::{Kind, RunId, ShownState, Timestamp, Trigger};
use crate::error::{Error, Result};
use crate::store::RunFilter;

/// Part of the queries of lists and statistics, which refuse the names that neither they nor this have.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FilterQuery {
    /// One state, or several with commas; `late` and `awaiting_retry` are states too.
    #[param(example = "failed,crashed")]
    state: Option<String>,
    /// Only flows, or only tasks.
    kind: Option<Kind>,
    /// Only runs of this module.
    module: Option<String>,
    /// Only runs of entries of this name.
    entry: Option<String>,
    /// Only runs without a parent.
    #[serde(default, deserialize_with = "flag")]
    #[param(default = false)]
    root: bool,
    /// Only children of this run.
    parent: Option<RunId>,
    /// Only runs that gave their outcome this label.
    label: Option<String>,
    /// Only runs with this tag.
    tag: Option<String>,
    /// Only runs of this deployment.
    deployment: Option<String>,
    /// Only runs that this brought about.
    trigger: Option<Trigger>,
    /// Only runs that were submitted at this time or later.
    since: Option<Timestamp>,
    /// Only runs that were submitted before this time.
    until: Option<Timestamp>,
    /// A part of the run's name, entry, module or id.
    q: Option<String>,
}

impl FilterQuery {
    pub(super) fn read(self, now: Timestamp) -> Result<RunFilter> {
        let states = self.state.as_deref().unwrap_or_default().split(',').filter(|name| !name.is_empty());
        Ok(RunFilter {
            states: states.map(ShownState::parse).collect::<Result<_, _>>().map_err(Error::invalid)?,
            now,
            kind: self.kind,
            module: self.module,
            entry: self.entry,
            top: self.root,
            parent: self.parent,
            label: self.label,
            tag: self.tag,
            deployment: self.deployment,
            trigger: self.trigger,
            since: self.since,
            until: self.until,
            text: self.q,
        })
    }
}

/// In a part of a query everything is text.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| serde::de::Error::custom("`root` is `true` or `false`"))
}
