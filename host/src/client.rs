//! The HTTP client that the command line uses: one typed verb per call of the API.

mod artifacts;
mod variables;

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use crate::api::shapes::{
    ErrorShape, Health, LogShape, ModuleShape, Page, PrunedShape, ReplayShape, RetryShape, RunShape, RunSummary,
    SetTagLimit, StatsShape, SubmitShape, TagLimitShape, TagLimitsShape,
};
use crate::domain::{Kind, RetentionPatch, RunId, ShownState, Timestamp, Trigger};
use crate::error::{Error, ErrorKind, Result};
use crate::tls;

mod deployments;

/// How long a connection to a server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a reply may take, beyond what the call itself waits for: a registration compiles a module.
const REPLY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a deletion may take: a flow of a million children is deleted bit by bit.
const DELETE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a backup may take at most; each piece of it has the time of a reply.
const BACKUP_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// The longest page of children and logs.
pub const MAX_PAGE: u32 = 1000;
/// The longest page of runs.
pub const MAX_RUNS_PAGE: u32 = 500;

/// A connection to one server.
#[derive(Clone, Debug)]
pub struct Client {
    base: Url,
    http: reqwest::Client,
}

/// Which runs to list; what is absent does not filter.
#[derive(Clone, Debug, Default)]
pub struct RunsFilter {
    /// One of these; any where it is empty.
    pub states: Vec<ShownState>,
    pub kind: Option<Kind>,
    pub module: Option<String>,
    pub entry: Option<String>,
    /// Only runs at the top of their tree.
    pub root: bool,
    /// Only children of this run.
    pub parent: Option<RunId>,
    pub label: Option<String>,
    pub tag: Option<String>,
    pub deployment: Option<String>,
    pub trigger: Option<Trigger>,
    /// Only runs that were submitted then or later, and before `until`.
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// A part of the run's name, entry, module or id.
    pub text: Option<String>,
    /// At most [`MAX_RUNS_PAGE`].
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:4200`; with or without `/api` or a slash at its end.
    pub fn new(base: &str) -> Result<Client> {
        let base = base_url(base)?;
        let http = tls::plain_client()
            // The servers of this client listen on loopback, where a proxy is never meant.
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(anyhow::Error::from)?;
        Ok(Client { base, http })
    }

    /// The server's URL without a slash at its end.
    pub fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub async fn health(&self) -> Result<Health> {
        self.json(self.request(Method::GET, &["health"])).await
    }

    /// Registers a component; also says whether this made a new version.
    pub async fn register(&self, name: &str, bytes: Vec<u8>) -> Result<(ModuleShape, bool)> {
        let request = self
            .request(Method::POST, &["modules"])
            .query(&[("name", name)])
            .header("content-type", "application/wasm")
            .body(bytes);
        let response = self.send(request, REPLY_TIMEOUT).await?;
        let created = response.status() == StatusCode::CREATED;
        Ok((self.read(response).await?, created))
    }

    /// What a component would be once it is registered; registers nothing.
    pub async fn examine(&self, name: &str, bytes: Vec<u8>) -> Result<ModuleShape> {
        let request = self
            .request(Method::POST, &["modules"])
            .query(&[("name", name), ("check", "true")])
            .header("content-type", "application/wasm")
            .body(bytes);
        self.json(request).await
    }

    /// The modules, one page.
    pub async fn modules(&self, cursor: Option<&str>) -> Result<Page<ModuleShape>> {
        let request = self.request(Method::GET, &["modules"]).query(&[("limit", MAX_RUNS_PAGE)]);
        self.json(with(request, "cursor", cursor)).await
    }

    /// One module with its entries and versions.
    pub async fn module(&self, name: &str) -> Result<ModuleShape> {
        self.json(self.request(Method::GET, &["modules", name])).await
    }

    /// Submits a run; with `wait_s` the reply comes when the run is final or that many seconds have passed.
    pub async fn submit(&self, submit: &SubmitShape, wait_s: Option<f64>) -> Result<RunShape> {
        let request = self.request(Method::POST, &["runs"]).json(submit);
        let wait = Duration::try_from_secs_f64(wait_s.unwrap_or(0.0))
            .map_err(|_| Error::invalid("the seconds to wait are negative or too many"))?;
        let response = self.send(with(request, "wait", wait_s), wait.saturating_add(REPLY_TIMEOUT)).await?;
        self.read(response).await
    }

    /// A run with all that is known of it.
    pub async fn run(&self, id: RunId) -> Result<RunShape> {
        self.json(self.request(Method::GET, &["runs", &id.to_string()])).await
    }

    /// Runs, newest first, one page.
    pub async fn runs(&self, filter: &RunsFilter) -> Result<Page<RunSummary>> {
        let mut request = self.request(Method::GET, &["runs"]);
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        request = with(request, "state", (!states.is_empty()).then(|| states.join(",")));
        request = with(request, "kind", filter.kind.map(Kind::as_str));
        request = with(request, "module", filter.module.as_deref());
        request = with(request, "entry", filter.entry.as_deref());
        request = with(request, "root", filter.root.then_some(true));
        request = with(request, "parent", filter.parent);
        request = with(request, "label", filter.label.as_deref());
        request = with(request, "tag", filter.tag.as_deref());
        request = with(request, "deployment", filter.deployment.as_deref());
        request = with(request, "trigger", filter.trigger.map(Trigger::as_str));
        request = with(request, "since", filter.since);
        request = with(request, "until", filter.until);
        request = with(request, "q", filter.text.as_deref());
        request = with(request, "limit", filter.limit);
        self.json(with(request, "cursor", filter.cursor.as_deref())).await
    }

    /// How many runs there are, those of flows too.
    pub async fn count_runs(&self) -> Result<u64> {
        let stats: StatsShape = self.json(self.request(Method::GET, &["stats"])).await?;
        Ok(stats.items.iter().map(|item| item.total).sum())
    }

    /// The children of a flow run in the order in which it submitted them, one page.
    pub async fn children(&self, id: RunId, limit: u32, cursor: Option<&str>) -> Result<Page<RunSummary>> {
        let request = self.request(Method::GET, &["runs", &id.to_string(), "children"]).query(&[("limit", limit)]);
        self.json(with(request, "cursor", cursor)).await
    }

    /// Log lines of a run and its children with a `no` above `after`, oldest first.
    pub async fn logs(&self, id: RunId, after: Option<i64>, level: Option<&str>, limit: u32) -> Result<Page<LogShape>> {
        let request = self.request(Method::GET, &["runs", &id.to_string(), "logs"]).query(&[("limit", limit)]);
        self.json(with(with(request, "after", after), "level", level)).await
    }

    /// Cancels a run and all below it.
    pub async fn cancel(&self, id: RunId) -> Result<RunShape> {
        let request = self.request(Method::POST, &["runs", &id.to_string(), "cancel"]);
        self.json(request.json(&serde_json::json!({}))).await
    }

    /// Tries a run again that did not complete.
    pub async fn retry(&self, id: RunId, how: &RetryShape) -> Result<RunShape> {
        let request = self.request(Method::POST, &["runs", &id.to_string(), "retry"]);
        self.json(request.json(how)).await
    }

    /// Sends a signal to a flow.
    pub async fn signal(&self, id: RunId, name: &str, payload: &serde_json::Value) -> Result<()> {
        let request = self.request(Method::POST, &["runs", &id.to_string(), "signals", name]);
        self.send(request.json(payload), REPLY_TIMEOUT).await.map(drop)
    }

    /// Keeps a run from going on, or has it go on.
    pub async fn set_paused(&self, id: RunId, paused: bool) -> Result<RunShape> {
        let verb = if paused { "pause" } else { "resume" };
        let request = self.request(Method::POST, &["runs", &id.to_string(), verb]);
        self.json(request.json(&serde_json::json!({}))).await
    }

    /// Calls a run that is over once more, or another component in its place.
    pub async fn replay(&self, id: RunId, attempt: Option<u32>, module: Option<Vec<u8>>) -> Result<ReplayShape> {
        let request = self.request(Method::POST, &["runs", &id.to_string(), "replay"]);
        let request = match module {
            Some(wasm) => request.header("content-type", "application/wasm").body(wasm),
            None => request.json(&serde_json::json!({})),
        };
        self.json(with(request, "attempt", attempt)).await
    }

    /// Deletes a final top-level run with all below it.
    pub async fn delete_run(&self, id: RunId) -> Result<()> {
        self.send(self.request(Method::DELETE, &["runs", &id.to_string()]), DELETE_TIMEOUT).await.map(drop)
    }

    /// Deletes runs and logs that are older than that.
    pub async fn prune(&self, older_than: &RetentionPatch) -> Result<PrunedShape> {
        let request = self.request(Method::POST, &["prune"]).json(older_than);
        let response = self.send(request, DELETE_TIMEOUT).await?;
        self.read(response).await
    }

    /// Deletes a module that no run on record uses, with all its versions.
    pub async fn delete_module(&self, name: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, &["modules", name]), DELETE_TIMEOUT).await.map(drop)
    }

    /// Gives all that the server keeps to `take`, as a tar archive, piece by piece. Returns its size in bytes.
    pub async fn backup(&self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
        let mut response = self.send(self.request(Method::GET, &["backup"]), BACKUP_TIMEOUT).await?;
        let mut bytes = 0;
        loop {
            let piece = tokio::time::timeout(REPLY_TIMEOUT, response.chunk()).await;
            match piece {
                Ok(Ok(Some(piece))) => {
                    bytes += piece.len() as u64;
                    take(&piece)?;
                }
                Ok(Ok(None)) => return Ok(bytes),
                Ok(Err(_)) | Err(_) => {
                    let message = format!(
                        "the backup is not whole: the server at {} stopped sending after {bytes} bytes; its log may say why",
                        self.url()
                    );
                    return Err(Error::unavailable(message));
                }
            }
        }
    }

    /// The limits of tags.
    pub async fn tag_limits(&self) -> Result<TagLimitsShape> {
        self.json(self.request(Method::GET, &["tag-limits"])).await
    }

    /// Limits how many runs with a tag may run at a time.
    pub async fn set_tag_limit(&self, tag: &str, max: u32) -> Result<TagLimitShape> {
        self.json(self.request(Method::PUT, &["tag-limits", tag]).json(&SetTagLimit { max })).await
    }

    /// Lets any number of runs with a tag run.
    pub async fn remove_tag_limit(&self, tag: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, &["tag-limits", tag]), REPLY_TIMEOUT).await.map(drop)
    }

    /// A request to `/api/…`; the parts of the path are escaped.
    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        // Only a URL without a host has no path, and those were refused.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path);
        }
        self.http.request(method, url)
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let response = self.send(request, REPLY_TIMEOUT).await?;
        self.read(response).await
    }

    /// Sends a request; a reply that is not 2xx is the server's error.
    async fn send(&self, request: RequestBuilder, timeout: Duration) -> Result<Response> {
        let response = request.timeout(timeout).send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.unreachable(error))?;
        Err(refused(status.as_u16(), &body))
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T> {
        let body = response.bytes().await.map_err(|error| self.unreachable(error))?;
        serde_json::from_slice(&body).map_err(|error| {
            let message = format!("the reply of the server at {} is not what was expected: {error}", self.url());
            Error { kind: ErrorKind::Internal, message, source: Some(error.into()) }
        })
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        let reason = if error.is_timeout() { "no reply in time".to_owned() } else { innermost(&error) };
        let message = format!("cannot reach the server at {}: {reason}", self.url());
        Error { kind: ErrorKind::Unavailable, message, source: Some(error.into()) }
    }
}

/// The URL that the API's paths are below.
fn base_url(text: &str) -> Result<Url> {
    let mut url = match Url::parse(text.trim()).ok().filter(Url::has_host) {
        Some(url) if url.scheme() == "http" => url,
        Some(url) if url.scheme() == "https" => {
            let message = "there is no TLS yet: give http://HOST:PORT, for a server elsewhere that of a tunnel to it";
            return Err(Error::invalid(format!("cannot use `{text}`: {message}")));
        }
        _ => return Err(Error::invalid(format!("`{text}` is no URL of a server: give http://HOST:PORT"))),
    };
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/api").unwrap_or(path).to_owned();
    url.set_path(&path);
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// Adds a query parameter where there is a value.
fn with<T: serde::Serialize>(request: RequestBuilder, name: &str, value: Option<T>) -> RequestBuilder {
    match value {
        Some(value) => request.query(&[(name, value)]),
        None => request,
    }
}

/// The error in a reply's body, or the status where the body has none.
fn refused(status: u16, body: &[u8]) -> Error {
    if let Ok(shape) = serde_json::from_slice::<ErrorShape>(body) {
        return Error::new(shape.error.kind, shape.error.message);
    }
    use ErrorKind::*;
    let kinds = [Invalid, Forbidden, NotFound, MethodNotAllowed, Conflict, TooLarge, UnsupportedMediaType, Unavailable];
    let kind = kinds.into_iter().find(|kind| kind.status() == status).unwrap_or(Internal);
    let text: String = String::from_utf8_lossy(body).trim().chars().take(200).collect();
    Error::new(kind, format!("the server answered with status {status}: {text}"))
}

/// The cause at the bottom, such as `Connection refused`, without its number.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.chars().next().map_or_else(String::new, |first| first.to_lowercase().to_string() + &text[first.len_utf8()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_path_are_escaped() {
        let client = Client::new("http://127.0.0.1:4200").expect("a URL");
        let request = client.request(Method::GET, &["modules", "a/b ?"]).build().expect("a request");
        assert_eq!(request.url().as_str(), "http://127.0.0.1:4200/api/modules/a%2Fb%20%3F");
        assert_eq!(client.url(), "http://127.0.0.1:4200");
    }

    #[test]
    fn the_servers_url_may_end_in_api_or_a_slash() {
        let url = |text: &str| Client::new(text).expect("a URL").url().to_owned();
        for text in ["http://h:1", "http://h:1/", "http://h:1/api", " http://h:1/api//?x#y "] {
            assert_eq!(url(text), "http://h:1", "{text}");
        }
        assert_eq!(url("http://h/tarefa/api/"), "http://h/tarefa");
        let request = Client::new("http://h/tarefa/api/").expect("a URL").request(Method::GET, &["health"]);
        assert_eq!(request.build().expect("a request").url().path(), "/tarefa/api/health");
        let refused = |text: &str| Client::new(text).expect_err(text).message;
        assert!(refused("https://h").contains("there is no TLS yet"));
        for text in ["127.0.0.1:4200", "localhost:4200", "ftp://h", "h", ""] {
            assert!(refused(text).contains("is no URL of a server"), "{text}");
        }
    }

    #[test]
    fn a_refusal_has_the_servers_kind_and_message() {
        let error = refused(409, br#"{"error": {"kind": "conflict", "message": "other parameters"}}"#);
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Conflict, "other parameters"));
        let error = refused(404, b"nothing here\n");
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert_eq!(error.message, "the server answered with status 404: nothing here");
        assert_eq!(refused(502, b"").kind, ErrorKind::Internal);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unavailable() {
        let client = Client::new("http://127.0.0.1:1").expect("a URL");
        let error = client.health().await.expect_err("nothing listens on port 1");
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert_eq!(error.message, "cannot reach the server at http://127.0.0.1:1: connection refused");
    }
}
