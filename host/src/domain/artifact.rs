//! What runs show of their work: progress, and artifacts beside the result.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::module::check_name;
use super::run::printable;

/// The largest artifact, as JSON text in bytes: larger data belongs in files.
pub const MAX_ARTIFACT_BYTES: usize = 256 << 10;
/// Artifacts of one attempt.
pub const MAX_ARTIFACTS: usize = 100;
/// What one attempt may write of artifacts, those included that it replaces: each write goes to disk.
pub const MAX_WRITTEN_BYTES: usize = 16 << 20;
/// What a write counts with at least.
pub const MIN_WRITTEN_BYTES: usize = 1 << 10;

/// In characters.
const MAX_TITLE: usize = 200;
const MAX_DESCRIPTION: usize = 1000;
const MAX_TEXT: usize = 200;
const MAX_COLUMNS: usize = 100;
const MAX_URL: usize = 2048;

/// How far a run is, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// So much of so much.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub share: Option<(u64, u64)>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// How often the attempt has told of it: one that is called again is heard only where it goes on.
    pub calls: u32,
}

/// What changes in a progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgressPart {
    Share(u64, u64),
    Text(String),
}

impl Progress {
    pub fn with(&self, part: ProgressPart) -> Progress {
        let mut progress = self.clone();
        match part {
            ProgressPart::Share(done, total) => progress.share = Some((done.min(total), total)),
            ProgressPart::Text(text) => {
                progress.text = Some(printable(&text, MAX_TEXT)).filter(|text| !text.is_empty())
            }
        }
        progress
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactKind {
    Markdown,
    Table,
    Link,
}

impl ArtifactKind {
    pub const ALL: [ArtifactKind; 3] = [ArtifactKind::Markdown, ArtifactKind::Table, ArtifactKind::Link];

    pub fn as_str(self) -> &'static str {
        match self {
            ArtifactKind::Markdown => "markdown",
            ArtifactKind::Table => "table",
            ArtifactKind::Link => "link",
        }
    }

    pub fn parse(text: &str) -> Option<ArtifactKind> {
        ArtifactKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What an artifact has to say: see `wit/schemas/artifact.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ArtifactContent {
    Markdown {
        text: String,
    },
    Table {
        columns: Vec<String>,
        /// Of each row as many cells as there are columns, any JSON.
        rows: Vec<Vec<Value>>,
    },
    Link {
        /// `http` or `https`.
        url: String,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        text: Option<String>,
    },
}

impl ArtifactContent {
    pub fn kind(&self) -> ArtifactKind {
        match self {
            ArtifactContent::Markdown { .. } => ArtifactKind::Markdown,
            ArtifactContent::Table { .. } => ArtifactKind::Table,
            ArtifactContent::Link { .. } => ArtifactKind::Link,
        }
    }
}

/// An artifact that was just written, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub key: String,
    pub kind: ArtifactKind,
    pub title: Option<String>,
    pub description: Option<String>,
    /// The JSON text of an [`ArtifactContent`].
    pub content: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(borrow)]
    content: &'a RawValue,
}

impl Artifact {
    /// Reads what a guest writes.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(key: String, json: &str) -> Result<Artifact, String> {
        check_name("artifact", &key)?;
        let wrong = |why: String| format!("the artifact `{key}` {why}");
        if json.len() > MAX_ARTIFACT_BYTES {
            return Err(wrong(format!("has {} bytes and the limit is {MAX_ARTIFACT_BYTES}", json.len())));
        }
        let unreadable = |error: serde_json::Error| wrong(format!("is not what it should be: {error}"));
        let Written { title, description, content } = serde_json::from_str(json).map_err(unreadable)?;
        let read: ArtifactContent = serde_json::from_str(content.get()).map_err(unreadable)?;
        check(&read).map_err(wrong)?;
        let cut = |text: Option<String>, most| text.map(|text| printable(&text, most)).filter(|text| !text.is_empty());
        Ok(Artifact {
            kind: read.kind(),
            title: cut(title, MAX_TITLE),
            description: cut(description, MAX_DESCRIPTION),
            content: content.get().to_owned(),
            key,
        })
    }
}

fn check(content: &ArtifactContent) -> Result<(), String> {
    match content {
        ArtifactContent::Markdown { .. } => Ok(()),
        ArtifactContent::Table { columns, rows } => {
            let most = columns.len();
            if most > MAX_COLUMNS {
                return Err(format!("has {most} columns and the limit is {MAX_COLUMNS}"));
            }
            match rows.iter().zip(1..).find(|(row, _)| row.len() != most) {
                None => Ok(()),
                Some((row, n)) => Err(format!("has {} cells in row {n}; by its columns there are {most}", row.len())),
            }
        }
        ArtifactContent::Link { url, .. } => check_url(url),
    }
}

/// An address that a browser may be sent to: of the web, without what could be read as another host.
fn check_url(url: &str) -> Result<(), String> {
    if url.len() > MAX_URL {
        return Err(format!("has an address of {} bytes and the limit is {MAX_URL}", url.len()));
    }
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'`');
    if host.is_empty() || host.contains('@') || !url.bytes().all(is_plain) {
        let shown = printable(url, MAX_TEXT);
        return Err(format!(
            "has the address `{}`; give one that begins with `http://` or `https://` and a host, \
             with all else than plain ASCII written as `%` and its code",
            shown.escape_debug()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(key: &str, artifact: Value) -> String {
        Artifact::read(key.to_owned(), &artifact.to_string()).expect_err("it is refused")
    }

    #[test]
    fn an_artifact_is_kept_as_it_was_written() {
        let json =
            r#"{"title": "A\u0007b", "content": {"kind":"table", "columns":["n"],"rows":[[1.50], [{"b":1,"a":2}]]}}"#;
        let artifact = Artifact::read("rows".to_owned(), json).expect("reads");
        assert_eq!((artifact.kind, artifact.title.as_deref()), (ArtifactKind::Table, Some("A b")));
        assert_eq!(artifact.content, r#"{"kind":"table", "columns":["n"],"rows":[[1.50], [{"b":1,"a":2}]]}"#);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let link = |url: &str| json!({"content": {"kind": "link", "url": url}});
        let text = "x".repeat(MAX_ARTIFACT_BYTES);
        let table = [
            (refused("A", link("https://a")), "invalid artifact name `A`"),
            (refused("a", json!({"content": {"kind": "markdown", "text": text}})), "bytes and the limit is 262144"),
            (refused("a", json!({"content": {"kind": "image", "text": "x"}})), "unknown variant `image`"),
            (refused("a", json!({"content": {"kind": "markdown"}})), "missing field `text`"),
            (refused("a", json!({"content": {"kind": "markdown", "text": "", "x": 1}})), "unknown field `x`"),
            (refused("a", json!({"kind": "markdown", "text": ""})), "unknown field `kind`"),
            (
                refused("a", json!({"content": {"kind": "table", "columns": ["a"], "rows": [[1], []]}})),
                "the artifact `a` has 0 cells in row 2; by its columns there are 1",
            ),
        ];
        for (error, expected) in table {
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_link_leads_to_the_web_alone() {
        for url in ["http://a", "https://a.b:1/c?d#e", "https://[::1]/%C3%A9"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        let bad = [
            "",
            "a",
            "javascript:alert(1)",
            "JAVASCRIPT:x",
            "https:",
            "https://",
            "https:///a",
            "file:///etc/passwd",
            "data:text/html,x",
            "https://bank.example@evil.example/",
            "https://a\\b",
            "https://a/ b",
            "https://a/\u{202e}",
            "https://a/\"x",
            " https://a",
            "https://a\n",
            "//a",
            "HTTPS://a",
        ];
        for url in bad {
            assert!(check_url(url).is_err(), "{url}");
        }
        assert!(check_url(&format!("https://a/{}", "x".repeat(MAX_URL))).is_err());
    }

    #[test]
    fn the_parts_of_a_progress_are_told_one_by_one() {
        let progress = Progress::default().with(ProgressPart::Text("a\u{1b}[2Jb".to_owned()));
        let progress = progress.with(ProgressPart::Share(12, 10));
        assert_eq!((progress.share, progress.text.as_deref()), (Some((10, 10)), Some("a [2Jb")));
        assert_eq!(progress.with(ProgressPart::Text(String::new())).text, None);
    }
}
