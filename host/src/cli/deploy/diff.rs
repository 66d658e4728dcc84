//! What differs between two states of a deployment.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::retry::human_ms;
use crate::domain::{DeploymentSpec, Schedule};

/// A part of a deployment that is to change; what is absent is as by default.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Field {
    /// `description`, or `limits.fuel`.
    pub(super) field: String,
    pub(super) from: Option<Value>,
    pub(super) to: Option<Value>,
}

/// The fields in which two states differ, schedules last. Of what is new, those that are not as by default.
pub(super) fn fields(from: Option<&DeploymentSpec>, to: &DeploymentSpec) -> Vec<Field> {
    let json = |spec: &DeploymentSpec| match serde_json::to_value(spec) {
        Ok(Value::Object(mut fields)) => {
            fields.remove("schedules");
            fields
        }
        _ => Map::new(),
    };
    let mut new = json(to);
    if from.is_none() {
        let by_default = serde_json::from_value(serde_json::json!({"module": ""})).map(|spec| json(&spec));
        let by_default = by_default.unwrap_or_default();
        new.retain(|name, value| by_default.get(name) != Some(value));
    }
    let mut found = Vec::new();
    compare("", &from.map(json).unwrap_or_default(), &new, &mut found);
    compare_schedules(from.map_or(&[], |spec| &spec.schedules), &to.schedules, &mut found);
    found
}

fn compare(prefix: &str, from: &Map<String, Value>, to: &Map<String, Value>, found: &mut Vec<Field>) {
    let empty = Map::new();
    let added = to.keys().filter(|key| !from.contains_key(*key));
    for key in from.keys().chain(added) {
        let field = format!("{prefix}{key}");
        let (from, to) = (from.get(key), to.get(key));
        // A table that is there on one side only is told part by part, too.
        let table = |value: Option<&Value>| value.is_none_or(Value::is_object);
        if table(from) && table(to) {
            let members = |value: Option<&Value>| value.and_then(Value::as_object).unwrap_or(&empty).clone();
            compare(&format!("{field}."), &members(from), &members(to), found);
        } else if from != to {
            found.push(Field { field, from: from.cloned(), to: to.cloned() });
        }
    }
}

/// A schedule that says something else is another one.
fn compare_schedules(from: &[Schedule], to: &[Schedule], found: &mut Vec<Field>) {
    let field = |from: Option<&Schedule>, to: Option<&Schedule>| {
        let text = |schedule: Option<&Schedule>| schedule.map(|schedule| Value::from(words(schedule)));
        Field { field: "schedule".to_owned(), from: text(from), to: text(to) }
    };
    for old in from {
        match to.iter().find(|new| new.id() == old.id()) {
            None => found.push(field(Some(old), None)),
            Some(new) if new.paused != old.paused => found.push(field(Some(old), Some(new))),
            Some(_) => {}
        }
    }
    let added = to.iter().filter(|new| from.iter().all(|old| old.id() != new.id()));
    found.extend(added.map(|new| field(None, Some(new))));
}

/// All that a schedule says.
fn words(schedule: &Schedule) -> String {
    let mut text = schedule.to_string();
    if schedule.jitter_ms > 0 {
        text += &format!(", put off by up to {}", human_ms(schedule.jitter_ms));
    }
    let times = [("counted from", schedule.anchor), ("from", schedule.start), ("until", schedule.end)];
    for (word, at) in times.into_iter().filter_map(|(word, at)| Some((word, at?))) {
        text += &format!(", {word} {at}");
    }
    if schedule.paused {
        text += ", paused";
    }
    text
}
