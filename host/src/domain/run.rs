//! One request to execute an entry.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Across, Attempt, Digest, DirGrant, Failure, HttpGrant, Kind, Limits, LimitsPatch, Metering, Retries, RunId,
    ScheduleId, State, StateCounts, Trigger, Usage,
};

/// The longest name of a run and of a label, in characters.
pub const MAX_RUN_NAME: usize = 200;
pub const MAX_LABEL: usize = 64;
/// What lists show of a result, in bytes of its JSON text.
pub const PREVIEW_BYTES: usize = 200;
/// Tags of one run, and the longest of them.
pub const MAX_TAGS: usize = 20;
pub const MAX_TAG: usize = 64;

/// A run with all that is stored of it. Texts are shared, since runs are copied on their way to the store.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: RunId,
    pub parent: Option<Parent>,
    /// The run at the top of the tree; its own id there.
    pub root_id: RunId,
    pub kind: Kind,
    pub module: Arc<str>,
    pub digest: Digest,
    /// The store's number for that module and digest.
    pub version: i64,
    pub entry: Arc<str>,
    /// A name from the template or the submit; else see [`Run::display_name`].
    pub name: Option<Arc<str>>,
    /// One JSON object, already checked.
    pub input: Arc<str>,
    /// What differs from the entry's settings; frozen at the submit.
    pub settings: Option<Arc<SettingsPatch>>,
    /// Runs of the same flow that this one takes data from or waits for.
    pub upstream: Option<Arc<Upstream>>,
    pub idempotency_key: Option<Arc<str>>,
    /// What it was brought about by, and for which deployment.
    pub trigger: Trigger,
    pub deployment: Option<Arc<str>>,
    /// The occurrence of a schedule that it is the run of.
    pub occurrence: Option<Occurrence>,
    /// Of a flow's child: the one of an earlier generation that did not complete, and that it goes on for.
    pub retry_of: Option<RunId>,
    /// When it was retried by hand last.
    pub retried_at: Option<Timestamp>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    pub state: State,
    /// Of a flow: counts its executions from the start, and is part of its children's ids.
    pub generation: u32,
    /// The attempt that runs or ran last; 0 before the first.
    pub attempt: u32,
    /// How often a worker died while it ran, without anything new on record in between.
    pub rescues: u32,
    /// Attempts that use up no retry: lost ones, and those before it was retried by hand.
    pub uncounted: u32,
    pub result: Option<Arc<str>>,
    pub failure: Option<Arc<Failure>>,
    pub label: Option<Arc<str>>,
    /// Of a flow that is final: how the children of its newest generation ended. None where no worker saw its end.
    pub children: Option<Arc<StateCounts>>,
    pub created_at: Timestamp,
    pub scheduled_at: Timestamp,
    /// Of the attempt that runs or ran last.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// Of the last attempt.
    pub usage: Usage,
    /// The worker that holds it, while it is unfinished, or held it last.
    pub worker: Option<i64>,
    /// Of a child that is over: the number, from 1, that its end has among the ends of its siblings. None where its flow
    /// was ending, and is not told.
    pub event_no: Option<u64>,
    /// Whether it keeps a journal, from which it goes on after its worker was lost; only of flows.
    pub durable: bool,
    /// Of a flow that holds no worker and goes on from its journal: when, at the latest.
    pub wake_at: Option<Timestamp>,
    /// The first generation whose completed children later ones may take over.
    pub reuse_from: u32,
    /// Of a child: the run of an earlier generation whose result it has.
    pub reused_from: Option<RunId>,
    /// Of a task: the run whose result it has from the cache.
    pub cached_from: Option<RunId>,
    /// Of a child: a checksum of what the flow asked for.
    pub request_sum: Option<i64>,
    /// What it waits for beside its time; None where that is nothing, and for children.
    pub across: Option<Arc<Across>>,
    /// The limit that it waits for, where it was turned away.
    pub blocked_on: Option<Arc<str>>,
}

impl Run {
    /// A top-level run that was just submitted, and has nothing of its own yet.
    pub fn new(
        id: RunId,
        kind: Kind,
        module: Arc<str>,
        digest: Digest,
        version: i64,
        entry: Arc<str>,
        now: Timestamp,
    ) -> Run {
        Run {
            id,
            parent: None,
            root_id: id,
            kind,
            module,
            digest,
            version,
            entry,
            name: None,
            input: "{}".into(),
            settings: None,
            upstream: None,
            idempotency_key: None,
            trigger: Trigger::Api,
            deployment: None,
            occurrence: None,
            retry_of: None,
            retried_at: None,
            paused_at: None,
            state: State::Scheduled,
            generation: 0,
            attempt: 0,
            rescues: 0,
            uncounted: 0,
            result: None,
            failure: None,
            label: None,
            children: None,
            created_at: now,
            scheduled_at: now,
            started_at: None,
            finished_at: None,
            usage: Usage::default(),
            worker: None,
            event_no: None,
            durable: true,
            wake_at: None,
            reuse_from: 1,
            reused_from: None,
            cached_from: None,
            request_sum: None,
            across: None,
            blocked_on: None,
        }
    }
}

impl Run {
    /// The attempt that the run's own row tells: the one that runs or ran last. Its worker is named by a number there.
    pub fn last_attempt(&self) -> Option<Attempt> {
        Some(Attempt {
            number: self.attempt,
            state: self.state,
            failure: self.failure.as_deref().cloned(),
            started_at: self.started_at?,
            finished_at: self.finished_at,
            usage: self.usage,
            worker: None,
        })
    }
}

/// A point in time that a schedule names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Occurrence {
    pub schedule_id: ScheduleId,
    /// What the schedule says, without its jitter.
    pub at: Timestamp,
}

/// A child's place below the flow run that submitted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    pub id: RunId,
    pub generation: u32,
    /// Its place in the order in which the flow submitted, from 0.
    pub seq: u32,
}

/// Places (`seq`) of the siblings that a child depends on, or may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Upstream {
    /// Their output is an argument: the child starts after them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub data: Vec<u32>,
    /// They must have completed first: the child starts after them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub order: Vec<u32>,
    /// Their result equals an argument.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub equal: Vec<u32>,
    /// Those whose end the flow learnt of since it submitted the child before, in that order: from the first to the last
    /// of each row of neighbours.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub waited: Vec<(u32, u32)>,
}

impl Upstream {
    /// The places in `waited`, one by one.
    pub fn waited(&self) -> impl Iterator<Item = u32> {
        self.waited.iter().flat_map(|&(first, last)| first..=last)
    }
}

/// How a run is carried out, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub limits: Limits,
    pub retries: Retries,
    pub metering: Metering,
    pub tags: Vec<String>,
    /// An IANA time zone name.
    pub timezone: String,
    /// Directories that the tasks of this run may open.
    pub dirs: Vec<DirGrant>,
    /// Hosts that the tasks of this run may send requests to.
    pub http: Vec<HttpGrant>,
}

/// What a submit says on how to carry a run out; what is absent is as the entry says, or as the parent run has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsPatch {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsPatch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metering: Option<Metering>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirs: Option<Vec<DirGrant>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Vec<HttpGrant>>,
}

/// A run's name where it was given none: the entry's title and, for a child, its place.
pub fn default_name(title: &str, seq: Option<u32>) -> String {
    match seq {
        Some(seq) => format!("{title}-{}", seq + 1),
        None => title.to_owned(),
    }
}

/// What lists show of a result: the beginning of its JSON text, cut between two characters.
pub fn preview(result: &str) -> &str {
    &result[..result.floor_char_boundary(PREVIEW_BYTES)]
}

/// Fills a run-name template such as `process(id={id})` with the values of `input`; strings go in as they are, all
/// else as JSON. A placeholder without a value stays.
pub fn render_name(template: &str, input: &serde_json::Map<String, serde_json::Value>) -> String {
    let mut name = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        name.push_str(&rest[..open]);
        rest = &rest[open..];
        let Some(close) = rest.find('}') else { break };
        match input.get(&rest[1..close]) {
            Some(serde_json::Value::String(text)) => name.push_str(text),
            Some(value) => name.push_str(&value.to_string()),
            None => name.push_str(&rest[..=close]),
        }
        rest = &rest[close + 1..];
    }
    name.push_str(rest);
    printable(&name, MAX_RUN_NAME)
}

/// `text` without control characters, cut after `most` characters.
pub fn printable(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_cut_between_two_characters() {
        assert_eq!(preview("[1,2]"), "[1,2]");
        let text = format!("x{}", "é".repeat(PREVIEW_BYTES));
        assert_eq!(preview(&text), &text[..PREVIEW_BYTES - 1]);
    }

    #[test]
    fn a_template_takes_its_values_from_the_input() {
        let input = serde_json::json!({"id": 7, "who": "Ana\n", "list": [1, "a"]});
        let input = input.as_object().expect("an object");
        assert_eq!(render_name("p(id={id})", input), "p(id=7)");
        assert_eq!(render_name("{who} {list} {none} {", input), "Ana  [1,\"a\"] {none} {");
        assert_eq!(render_name(&"x".repeat(500), input).len(), MAX_RUN_NAME);
    }
}
