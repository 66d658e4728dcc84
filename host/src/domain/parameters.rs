//! Parameters: defaults, and the check against an entry's schema.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::module::nearest;

/// An entry's schema, compiled.
pub struct Schema {
    validator: jsonschema::Validator,
    properties: Map<String, Value>,
    /// Whether names beyond `properties` are refused.
    closed: bool,
}

impl Schema {
    /// # Errors
    ///
    /// Says why `schema` is no JSON Schema.
    pub fn compile(schema: &Value) -> Result<Schema, String> {
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .build(schema)
            .map_err(|error| format!("its `input` is no JSON Schema: {error}"))?;
        Ok(Schema {
            validator,
            properties: schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default(),
            closed: schema.get("additionalProperties") == Some(&Value::Bool(false)),
        })
    }

    /// Whether every object without members passes unchanged, so that there is nothing to do for it.
    pub fn takes_nothing(&self) -> bool {
        self.properties.is_empty() && self.closed
    }

    /// Puts defaults in the place of absent parameters, and checks the whole.
    ///
    /// # Errors
    ///
    /// Names the parameter, what it is and what it should be.
    pub fn complete(&self, mut input: Map<String, Value>) -> Result<Map<String, Value>, String> {
        if self.closed
            && let Some(unknown) = input.keys().find(|name| !self.properties.contains_key(*name))
        {
            return Err(self.unknown(unknown));
        }
        for (name, schema) in &self.properties {
            if let Some(default) = schema.get("default")
                && !input.contains_key(name)
            {
                input.insert(name.clone(), default.clone());
            }
        }
        let input = Value::Object(input);
        if let Some(error) = self.validator.iter_errors(&input).next() {
            return Err(explain(&error));
        }
        match input {
            Value::Object(input) => Ok(input),
            _ => unreachable!("an object was made above"),
        }
    }

    /// Checks parameters of which some may still be absent.
    ///
    /// # Errors
    ///
    /// As [`Schema::complete`].
    pub fn check_some(schema: &Value, input: Map<String, Value>) -> Result<(), String> {
        let mut schema = schema.clone();
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("required");
        }
        Schema::compile(&schema)?.complete(input).map(drop)
    }

    fn unknown(&self, name: &str) -> String {
        let mut message = format!("unknown parameter `{}`", name.escape_debug());
        if let Some(near) = nearest(name, self.properties.keys().map(String::as_str)) {
            let _ = write!(message, "; did you mean `{near}`?");
        }
        if self.properties.is_empty() {
            message.push_str("; there are no parameters");
        } else {
            let known: Vec<String> = self.properties.keys().map(|known| format!("`{known}`")).collect();
            let _ = write!(message, " (known: {})", known.join(", "));
        }
        message
    }
}

fn explain(error: &jsonschema::ValidationError<'_>) -> String {
    // A value may be a megabyte long: the message shows its beginning.
    const MOST: usize = 300;
    let place = error.instance_path().to_string();
    let mut message = match place.strip_prefix('/') {
        Some(place) => format!("invalid parameter `{}`: {error}", place.replace('/', ".")),
        None => format!("invalid parameters: {error}"),
    };
    if let Some((end, _)) = message.char_indices().nth(MOST) {
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn complete(input: Value) -> Result<Value, String> {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["id"],
            "properties": {"id": {"type": "integer", "minimum": 0}, "who": {"type": "string", "default": "Ana"}},
        });
        let input = input.as_object().cloned().expect("an object");
        Schema::compile(&schema).expect("a schema").complete(input).map(Value::Object)
    }

    #[test]
    fn defaults_are_applied() {
        assert_eq!(complete(json!({"id": 1})), Ok(json!({"id": 1, "who": "Ana"})));
        assert_eq!(complete(json!({"id": 1, "who": "Rui"})), Ok(json!({"id": 1, "who": "Rui"})));
    }

    #[test]
    fn what_does_not_match_is_named() {
        assert_eq!(
            complete(json!({"idd": 1})).unwrap_err(),
            "unknown parameter `idd`; did you mean `id`? (known: `id`, `who`)"
        );
        assert_eq!(complete(json!({})).unwrap_err(), "invalid parameters: \"id\" is a required property");
        assert_eq!(
            complete(json!({"id": "x"})).unwrap_err(),
            "invalid parameter `id`: \"x\" is not of type \"integer\""
        );
        assert_eq!(
            complete(json!({"id": -1})).unwrap_err(),
            "invalid parameter `id`: -1 is less than the minimum of 0"
        );
    }
}
