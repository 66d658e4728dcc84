//! Parameters of a run from `--params` and `--param`, read with the entry's schema at hand.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Deeper references than this in a schema are circular.
const MAX_DEPTH: usize = 16;

/// The parameters that `--params` and then each `--param` name; nothing where neither is given.
pub(super) fn read(
    schema: Option<&Value>,
    object: Option<&str>,
    pairs: &[(String, String)],
) -> Result<Option<Map<String, Value>>> {
    if object.is_none() && pairs.is_empty() {
        return Ok(None);
    }
    let mut parameters = match object {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("`--params` is no JSON object: {error}: `{text}`")))?,
        None => Map::new(),
    };
    for (name, text) in pairs {
        parameters.insert(name.clone(), value(schema, name, text));
    }
    Ok(Some(parameters))
}

/// A parameter's value: JSON where the text is JSON, unless the schema asks for a string.
fn value(schema: Option<&Value>, name: &str, text: &str) -> Value {
    let mut types = Vec::new();
    if let Some(root) = schema {
        collect_types(root, root.pointer("/properties").and_then(|all| all.get(name)), &mut types, 0);
    }
    let as_text = || Value::String(text.to_owned());
    let is_text = types.contains(&"string") && types.iter().all(|kind| matches!(*kind, "string" | "null"));
    if is_text && !(text == "null" && types.contains(&"null")) {
        return as_text();
    }
    serde_json::from_str(text).unwrap_or_else(|_| as_text())
}

/// The JSON types that a schema allows, through references and alternatives; none where it does not say.
fn collect_types<'a>(root: &'a Value, schema: Option<&'a Value>, types: &mut Vec<&'a str>, depth: usize) {
    let Some(schema) = schema.filter(|_| depth < MAX_DEPTH) else { return };
    match schema.get("type") {
        Some(Value::String(kind)) => types.push(kind),
        Some(Value::Array(kinds)) => types.extend(kinds.iter().filter_map(Value::as_str)),
        _ => {}
    }
    if let Some(pointer) = schema.get("$ref").and_then(Value::as_str).and_then(|link| link.strip_prefix('#')) {
        collect_types(root, root.pointer(pointer), types, depth + 1);
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        for alternative in schema.get(word).and_then(Value::as_array).into_iter().flatten() {
            collect_types(root, Some(alternative), types, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_json_unless_the_schema_asks_for_a_string() {
        let schema = json!({
            "properties": {
                "n": {"type": "integer"},
                "name": {"type": "string"},
                "note": {"type": ["string", "null"]},
                "colour": {"$ref": "#/$defs/colour"},
                "maybe": {"anyOf": [{"$ref": "#/$defs/colour"}, {"type": "null"}]},
                "either": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
                "loop": {"$ref": "#/properties/loop"},
            },
            "$defs": {"colour": {"type": "string", "enum": ["red", "1"]}},
        });
        let table = [
            ("n", "3", json!(3)),
            ("n", "three", json!("three")),
            ("name", "3", json!("3")),
            ("name", "null", json!("null")),
            ("note", "null", json!(null)),
            ("note", "true", json!("true")),
            ("colour", "1", json!("1")),
            ("maybe", "1", json!("1")),
            ("either", "1", json!(1)),
            ("loop", "[1, 2]", json!([1, 2])),
            ("unknown", "{\"a\": 1}", json!({"a": 1})),
            ("unknown", "a word", json!("a word")),
        ];
        for (name, text, expected) in table {
            assert_eq!(value(Some(&schema), name, text), expected, "{name}={text}");
        }
        assert_eq!(value(None, "n", "3"), json!(3));
    }

    #[test]
    fn single_parameters_come_after_the_object() {
        let pairs = [("b".to_owned(), "2".to_owned())];
        let parameters = read(None, Some(r#"{"a": 1, "b": 1}"#), &pairs).expect("parameters");
        assert_eq!(Value::from(parameters.expect("some")), json!({"a": 1, "b": 2}));
        assert!(read(None, None, &[]).expect("nothing").is_none());
        let error = read(None, Some("[1]"), &[]).expect_err("no object");
        assert!(error.message.starts_with("`--params` is no JSON object: "), "{}", error.message);
    }
}
