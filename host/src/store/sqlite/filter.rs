//! From a filter of runs to the conditions of a query.

use rusqlite::types::Value;

use super::rows::micros;
use crate::domain::state::LATE_AFTER;
use crate::domain::{RunId, ShownState, Timestamp, Trigger};
use crate::store::RunFilter;

/// The runs that have a tag: their own settings say so or, where these are silent, their entry. What entries say is
/// read once for the whole query.
pub(super) const HAS_TAG: &str = "CASE WHEN json_type(r.settings, '$.tags') IS NULL
    THEN (r.version_id, r.entry) IN (
        SELECT t.id, e.value ->> 'name' FROM versions t, json_each(t.entries) e, json_each(e.value, '$.tags') tag
        WHERE tag.value = ?)
    ELSE EXISTS (SELECT 1 FROM json_each(r.settings, '$.tags') tag WHERE tag.value = ?) END";
/// The runs in whose name, entry, module or id a text stands.
const HAS_TEXT: &str =
    "instr(lower(coalesce(r.name, '') || ' ' || r.entry || ' ' || v.name || ' ' || hex(r.id)), ?) > 0";

/// What stands after `WHERE`, and the values of its `?` in their order. Runs are `r`, their versions `v`.
pub(super) struct Conditions {
    pub sql: String,
    pub values: Vec<Value>,
}

impl Conditions {
    pub(super) fn of(filter: &RunFilter) -> Conditions {
        let mut conditions = Conditions { sql: "true".to_owned(), values: Vec::new() };
        conditions.state(&filter.states, filter.now);
        if filter.top {
            conditions.and("r.parent_id IS NULL", []);
        }
        if let (true, Some(since)) = (filter.top, filter.since) {
            // Their ids are in the order of time, which spares a look at what is older.
            conditions.and("r.id >= ?", [id(RunId::first_at(since))]);
        }
        if let Some(parent) = filter.parent {
            // Its children's ids are near its own, which spares a look at all others.
            let near = RunId::below(parent);
            let ids = [*near.start(), *near.end(), parent].map(id);
            conditions.and("r.id BETWEEN ? AND ? AND r.parent_id = ?", ids);
        }
        match filter.trigger {
            Some(Trigger::Flow) => conditions.and("r.parent_id IS NOT NULL", []),
            Some(trigger) => conditions.and("r.trigger = ?", [text(trigger.as_str())]),
            None => {}
        }
        if let Some(kind) = filter.kind {
            conditions.and("r.kind = ?", [text(kind.as_str())]);
        }
        for (condition, value) in [
            ("v.name = ?", &filter.module),
            ("r.entry = ?", &filter.entry),
            ("r.label = ?", &filter.label),
            ("r.deployment = ?", &filter.deployment),
        ] {
            if let Some(value) = value {
                conditions.and(condition, [text(value)]);
            }
        }
        if let Some(tag) = &filter.tag {
            conditions.and(HAS_TAG, [text(tag), text(tag)]);
        }
        for (condition, at) in [("r.created_at >= ?", filter.since), ("r.created_at < ?", filter.until)] {
            if let Some(at) = at {
                conditions.and(condition, [Value::Integer(micros(at))]);
            }
        }
        if let Some(part) = &filter.text {
            conditions.and(HAS_TEXT, [text(&part.to_lowercase().replace('-', ""))]);
        }
        conditions
    }

    pub(super) fn and<const N: usize>(&mut self, condition: &str, values: [Value; N]) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    fn state(&mut self, states: &[ShownState], now: Timestamp) {
        if states.is_empty() {
            return;
        }
        // Where it can be of use, the index of unfinished runs is offered.
        if !states.iter().any(|state| matches!(state, ShownState::Is(state) if state.is_final())) {
            self.and("r.finished_at IS NULL", []);
        }
        let mut real = Vec::new();
        let mut any = Vec::new();
        for state in states {
            match state {
                // The names are our own words.
                ShownState::Is(state) => real.push(format!("'{}'", state.as_str())),
                ShownState::Late => {
                    let before = micros(now.saturating_sub(LATE_AFTER).unwrap_or(Timestamp::MIN));
                    any.push(format!("r.state = 'scheduled' AND r.attempt = 0 AND r.scheduled_at < {before}"));
                }
                ShownState::AwaitingRetry => any.push("r.state = 'scheduled' AND r.attempt > 0".to_owned()),
            }
        }
        if !real.is_empty() {
            any.push(format!("r.state IN ({})", real.join(", ")));
        }
        self.and(&format!("({})", any.join(" OR ")), []);
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(super) fn id(id: RunId) -> Value {
    Value::Blob(id.as_bytes().to_vec())
}
