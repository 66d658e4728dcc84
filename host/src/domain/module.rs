//! Modules and what they offer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub use super::nearest::nearest;
use super::{CacheRule, Digest, LimitsPatch, Retries};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// May run tasks and other flows.
    Flow,
    /// One sandboxed unit of work.
    Task,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Flow => "flow",
            Kind::Task => "task",
        }
    }
}

/// One version of a registered module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Module {
    pub name: String,
    pub digest: Digest,
    pub size_bytes: u64,
    pub created_at: Timestamp,
    pub entries: Vec<Entry>,
}

/// What a module says of itself: see `wit/schemas/describe.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    pub entries: Vec<Entry>,
}

/// What a module offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    pub name: String,
    pub kind: Kind,
    /// What people see.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
    /// The JSON Schema of the parameters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Object>)]
    pub input: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<Object>)]
    pub output: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run_name: Option<String>,
    #[serde(default)]
    pub retries: Retries,
    #[serde(default)]
    pub limits: LimitsPatch,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tags: Vec<String>,
    /// Of a flow: whether it goes on where it was after its worker was lost. What it observes is then the same each time
    /// that it is called: times, random numbers and the ends of its children are those on record.
    #[serde(skip_serializing_if = "is_true", default = "yes")]
    pub durable: bool,
    /// Of a task.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cache: Option<CacheRule>,
}

fn yes() -> bool {
    true
}

fn is_true(value: &bool) -> bool {
    *value
}

impl Entry {
    /// An entry that says nothing of itself but its name.
    pub fn new(name: &str, kind: Kind) -> Entry {
        Entry {
            name: name.to_owned(),
            kind,
            title: None,
            description: None,
            input: None,
            output: None,
            run_name: None,
            retries: Retries::default(),
            limits: LimitsPatch::default(),
            tags: Vec::new(),
            durable: true,
            cache: None,
        }
    }

    /// The title, or the name where there is none.
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

/// Names of modules and entries match `[a-z][a-z0-9_-]{0,63}`. `what` is the thing that is named.
pub fn check_name(what: &str, name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    if name.len() > 64 {
        return Err(format!("the {what} name has {} characters; the most is 64", name.chars().count()));
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(allowed) {
        return Err(format!(
            "invalid {what} name `{}`: it starts with a lower-case letter and goes on with lower-case letters, digits, `_` and `-`",
            name.escape_debug()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(check_name("module", "flow_paralelo").is_ok());
        let long = "a".repeat(65);
        for bad in ["", "1a", "_a", "A", "a b", "á", "a/b", &long] {
            assert!(check_name("module", bad).is_err(), "{bad}");
        }
    }
}
