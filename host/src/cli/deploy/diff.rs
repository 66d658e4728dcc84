//! What differs between two states of a deployment.

use serde::Serialize;
use serde_json::{Map, Value};

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

fn words(schedule: &Schedule) -> String {
    schedule.describe() + if schedule.paused { ", paused" } else { "" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differ(from: Option<Value>, to: Value) -> Vec<Value> {
        let spec = |mut value: Value| {
            value["module"] = json!("m");
            serde_json::from_value::<DeploymentSpec>(value).expect("a deployment")
        };
        let found = fields(from.map(spec).as_ref(), &spec(to));
        found.iter().map(|field| json!([field.field, field.from, field.to])).collect()
    }

    #[test]
    fn only_what_differs_is_told_part_by_part() {
        let from = json!({"description": "a", "tags": ["x"], "parameters": {"n": 1, "same": {"deep": 1}}});
        let to = json!({"description": "b", "priority": 3, "parameters": {"n": 2, "same": {"deep": 1}},
            "limits": {"fuel": 5}});
        let expected = [
            json!(["description", "a", "b"]),
            json!(["parameters.n", 1, 2]),
            json!(["tags", ["x"], null]),
            json!(["limits.fuel", null, 5]),
            json!(["priority", null, 3]),
        ];
        assert_eq!(differ(Some(from.clone()), to), expected);
        assert_eq!(differ(Some(from.clone()), from), [] as [Value; 0]);
        assert_eq!(
            differ(None, json!({"catchup": "none"})),
            [json!(["catchup", null, "none"]), json!(["module", null, "m"])]
        );
    }

    #[test]
    fn a_schedule_that_says_something_else_is_another_one() {
        let of = |schedules: Value| json!({"schedules": schedules});
        let every = |ms: u64, paused: bool| json!({"interval_ms": ms, "paused": paused});
        let found = differ(
            Some(of(json!([every(1000, false), every(2000, false)]))),
            of(json!([every(2000, true), every(3000, false)])),
        );
        let (from, to): (Vec<bool>, Vec<bool>) =
            found.iter().map(|field| (!field[1].is_null(), !field[2].is_null())).unzip();
        assert_eq!((from, to), (vec![true, true, false], vec![false, true, true]), "{found:?}");
        assert!(found[1][2].as_str().unwrap().ends_with("paused"), "{found:?}");
        assert_eq!(
            differ(
                Some(of(json!([every(1000, false), every(2000, false)]))),
                of(json!([every(2000, false), every(1000, false)]))
            ),
            [] as [Value; 0]
        );
    }
}
