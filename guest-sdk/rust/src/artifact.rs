//! Artifacts: what a run shows of its work beside its result.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};

use crate::{Result, TaskError, backend};

/// An artifact to be written under a key, which is made as the name of an entry. What the run wrote under that key
/// before is replaced.
///
/// ```
/// # use tarefa_sdk::{prelude::*, testing};
/// #[data]
/// struct Sold { product: String, n: u32 }
///
/// #[task]
/// fn report(sold: Vec<Sold>) -> Result<()> {
///     artifact("sold").title("What was sold").table(&sold)?;
///     artifact("summary").markdown(format!("**{}** products", sold.len()))?;
///     artifact("board").link("https://example.com/sales", "all sales")
/// }
/// # report(vec![Sold { product: "tea".into(), n: 2 }]).unwrap();
/// # assert_eq!(testing::artifacts()[0].1["content"]["columns"], json!(["product", "n"]));
/// ```
///
/// An artifact has at most 256 KiB of JSON; an attempt writes at most 100 of them, and at most 16 MiB with those that it
/// replaces.
#[must_use = "nothing is written before `markdown`, `table` or `link`"]
pub fn artifact(key: &str) -> Artifact<'_> {
    Artifact { key, title: None, description: None }
}

/// What [`artifact`] begins.
#[derive(Clone, Debug)]
pub struct Artifact<'a> {
    key: &'a str,
    title: Option<String>,
    description: Option<String>,
}

impl Artifact<'_> {
    /// What people see of it, at most 200 characters.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// More about it, at most 1,000 characters.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Writes text in Markdown.
    ///
    /// # Errors
    /// Where a limit is reached, or the key is no name.
    pub fn markdown(self, text: impl AsRef<str>) -> Result<()> {
        self.write(json!({ "kind": "markdown", "text": text.as_ref() }))
    }

    /// Writes a table with one row for each item. Items are structs or maps: their members are the columns, in their
    /// order; a cell may be any JSON.
    ///
    /// # Errors
    /// Where a row is something else, a limit is reached, or the key is no name.
    pub fn table<T: Serialize>(self, rows: impl IntoIterator<Item = T>) -> Result<()> {
        let mut columns: Vec<String> = Vec::new();
        let mut table: Vec<Vec<Value>> = Vec::new();
        for row in rows {
            let text = serde_json::to_string(&row)?;
            let Row(members) = serde_json::from_str(&text).map_err(|_| {
                TaskError::permanent(format_args!("a row of a table is a struct or a map, not `{text}`"))
            })?;
            let mut cells = vec![Value::Null; columns.len()];
            for (name, value) in members {
                match columns.iter().position(|column| *column == name) {
                    Some(place) => cells[place] = value,
                    None => {
                        columns.push(name);
                        cells.push(value);
                    }
                }
            }
            table.push(cells);
        }
        for row in &mut table {
            row.resize(columns.len(), Value::Null);
        }
        self.write(json!({ "kind": "table", "columns": columns, "rows": table }))
    }

    /// Writes a link to a page, with the text that people see of it. Its address begins with `https://` or `http://`.
    ///
    /// # Errors
    /// Where the address is another, a limit is reached, or the key is no name.
    pub fn link(self, url: impl AsRef<str>, text: impl AsRef<str>) -> Result<()> {
        self.write(json!({ "kind": "link", "url": url.as_ref(), "text": text.as_ref() }))
    }

    fn write(self, content: Value) -> Result<()> {
        let Self { key, title, description } = self;
        backend::write_artifact(
            key,
            &json!({ "title": title, "description": description, "content": content }).to_string(),
        )
    }
}

/// The members of an object in their order, which `serde_json`'s own does not keep.
struct Row(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Row(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}
