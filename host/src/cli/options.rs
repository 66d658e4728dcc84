//! What `run` and `deploy` may be told of how runs are carried out, and what they are given.

use super::{params, parse};
use crate::domain::{DirGrant, Entry, Grants, HttpGrant, LimitsPatch, Metering, Retries};
use crate::error::Result;

#[derive(Debug, Default, clap::Args)]
pub(super) struct Options {
    /// A parameter: JSON, or a string
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = parse::pair)]
    params: Vec<(String, String)>,
    /// All parameters as one JSON object
    #[arg(long = "params", value_name = "JSON")]
    object: Option<String>,
    /// A directory that the run's tasks may open: HOST=/GUEST, read-only unless `:rw` follows
    #[arg(long = "dir", value_name = "HOST=/GUEST[:ro|:rw]", value_parser = parse::dir)]
    dirs: Vec<DirGrant>,
    /// A host and port that the run's tasks may send HTTP requests to
    #[arg(long, value_name = "HOST:PORT", value_parser = parse::http)]
    http: Vec<HttpGrant>,
    /// Limit of fuel of each attempt, such as 500M
    #[arg(long, value_name = "UNITS", value_parser = parse::count)]
    fuel: Option<u64>,
    /// Limit of memory of each attempt, such as 64MiB
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    memory: Option<u64>,
    /// Limit of time, such as 30s: of a task's attempt, of a flow with all its waits
    #[arg(long, value_name = "DURATION", value_parser = parse::milliseconds)]
    timeout: Option<u64>,
    /// Attempts after the first; the delays are those of the entry
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// How computation is measured: `fuel` (exact, limited) or `time` (by the clock alone)
    #[arg(long, value_parser = parse::word::<Metering>)]
    pub(super) metering: Option<Metering>,
    /// An IANA time zone such as America/Sao_Paulo
    #[arg(long, value_name = "ZONE")]
    pub(super) timezone: Option<String>,
    /// A word to find the run by
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

impl Options {
    /// Nothing but the number of retries.
    pub(super) fn retrying(retries: Option<u32>) -> Options {
        Options { retries, ..Options::default() }
    }

    /// The parameters, read with the entry's schema at hand; nothing where none is given.
    pub(super) fn parameters(&self, entry: &Entry) -> Result<Option<serde_json::Map<String, serde_json::Value>>> {
        params::read(entry.input.as_ref(), self.object.as_deref(), &self.params)
    }

    pub(super) fn grants(&self) -> Grants {
        Grants { dirs: self.dirs.clone(), http: self.http.clone() }
    }

    pub(super) fn given_grants(&self) -> Option<Grants> {
        (!self.dirs.is_empty() || !self.http.is_empty()).then(|| self.grants())
    }

    pub(super) fn limits(&self) -> Option<LimitsPatch> {
        let limits = LimitsPatch {
            fuel: self.fuel,
            memory_bytes: self.memory,
            timeout_ms: self.timeout,
            ..LimitsPatch::default()
        };
        (limits != LimitsPatch::default()).then_some(limits)
    }

    pub(super) fn retries(&self, entry: &Entry) -> Option<Retries> {
        self.retries.map(|max| Retries { max, ..entry.retries.clone() })
    }

    pub(super) fn tags(&self) -> Option<Vec<String>> {
        (!self.tags.is_empty()).then(|| self.tags.clone())
    }
}
