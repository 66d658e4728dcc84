//! A whole Tarefa in a test: real SQLite, the real router over loopback, and if wanted a clock moved by hand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tarefa::app::AllowedDir;
use tarefa::clock::{Clock, Manual};
use tarefa::domain::{DirMode, Retention, RunId};
use tarefa::server::{Server, ServerConfig};

use tempfile::TempDir;

/// Seconds that anything in a test may take; far more than it does, and less than CI waits.
const PATIENCE: f64 = 120.0;

/// What a test's server has.
pub struct TestApp {
    config: ServerConfig,
    data: TempDir,
    manual: Option<Arc<Manual>>,
}

/// A server that runs until the test ends.
pub struct Running {
    pub server: Option<Server>,
    pub url: String,
    http: Client,
    manual: Option<Arc<Manual>>,
    config: ServerConfig,
    /// Gone when the test ends.
    _data: TempDir,
}

impl TestApp {
    pub fn new() -> TestApp {
        let data = tempfile::tempdir().expect("a directory");
        let mut config = ServerConfig::new(data.path().join("data"));
        config.compiler = Some(env!("CARGO_BIN_EXE_tarefa").into());
        TestApp { config, data, manual: None }
    }

    pub fn slots(mut self, slots: usize) -> TestApp {
        self.config.slots = Some(slots);
        self
    }

    pub fn flows(mut self, flows: usize) -> TestApp {
        self.config.flows = flows;
        self
    }

    /// Flows give their sandboxes back as soon as they wait.
    pub fn evict_at_once(mut self) -> TestApp {
        self.config.evict_after = Duration::ZERO;
        self
    }

    pub fn max_pages(mut self, pages: u32) -> TestApp {
        self.config.max_pages = Some(pages);
        self
    }

    /// With each commit synced to disk.
    pub fn synced(mut self) -> TestApp {
        self.config.synced = true;
        self
    }

    pub fn allow_dir(mut self, path: &Path, mode: DirMode) -> TestApp {
        self.config.allowed_dirs.push(AllowedDir { path: path.to_owned(), mode });
        self
    }

    pub fn allow_http(mut self, host: &str) -> TestApp {
        self.config.allowed_http.push(host.to_owned());
        self
    }

    /// What is older than this is deleted.
    pub fn retention(mut self, runs: &str, logs: &str) -> TestApp {
        self.config.retention =
            Some(Retention { runs: runs.parse().expect("a span"), logs: logs.parse().expect("a span") });
        self
    }

    /// With a collector of traces.
    pub fn otlp_endpoint(mut self, url: &str) -> TestApp {
        self.config.otlp_endpoint = Some(url.to_owned());
        self
    }

    /// With a rule of the server's own on whom to tell what becomes of runs.
    pub fn notify(mut self, rule: Value) -> TestApp {
        self.config.notify.push(serde_json::from_value(rule).expect("a rule"));
        self
    }

    /// With a clock that stands still at 2026-01-02 03:04:05 UTC until the test moves it.
    pub fn manual_clock(mut self) -> TestApp {
        let clock = Clock::manual("2026-01-02T03:04:05Z".parse::<Timestamp>().expect("a time"));
        let Clock::Manual(manual) = &clock else { unreachable!("it was made so") };
        self.manual = Some(manual.clone());
        self.config.clock = Some(clock);
        self
    }

    pub fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    pub async fn start(self) -> Running {
        share_cache(&self.config.data_dir);
        let server = Server::start(self.config.clone()).await.expect("the server starts");
        let url = server.url();
        let TestApp { config, data, manual } = self;
        Running { server: Some(server), url, http: client(), manual, config, _data: data }
    }
}

/// Compiling a guest takes longer than most tests: all share one cache of compiled code, and its key.
pub fn share_cache(data_dir: &Path) {
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared");
    std::fs::create_dir_all(shared.join("cache")).expect("makes the shared cache");
    std::fs::create_dir_all(data_dir).expect("makes the data directory");
    let key = shared.join("key");
    // Whoever comes first makes the key, whole or not at all.
    if !key.exists() {
        let own = tempfile::NamedTempFile::new_in(&shared).expect("a file");
        std::fs::write(own.path(), [7; 32]).expect("writes the key");
        let _ = own.persist_noclobber(&key);
    }
    std::fs::copy(&key, data_dir.join("key")).expect("copies the key");
    std::os::unix::fs::symlink(shared.join("cache"), data_dir.join("cache")).expect("links the cache");
}

/// The bytes of a guest of `tests/guests`, which `make guests` builds.
pub fn guest(name: &str) -> Vec<u8> {
    read_wasm(&format!("examples/{name}.wasm"))
}

/// The bytes of a module of `examples`.
pub fn example(name: &str) -> Vec<u8> {
    read_wasm(&format!("{name}.wasm"))
}

fn read_wasm(path: &str) -> Vec<u8> {
    let path = repository().join("target/wasm32-wasip2/release").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("`{}`: {error}; run `make guests` first", path.display()))
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host is in the repository").to_owned()
}

impl Running {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).timeout(Duration::from_secs_f64(PATIENCE + 30.0))
    }

    /// A GET's status and JSON.
    pub async fn try_get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.try_get(path).await;
        assert!(status.is_success(), "GET {path}: {status} {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(&body)).await
    }

    /// Any request, for what the other verbs do not say.
    pub fn raw(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path)
    }

    pub async fn try_register(&self, name: &str, wasm: Vec<u8>) -> (StatusCode, Value) {
        let request = self.request(Method::POST, &format!("/api/modules?name={name}"));
        answer(request.header("content-type", "application/wasm").body(wasm)).await
    }

    /// Registers a guest of `tests/guests` under its own name.
    pub async fn register(&self, name: &str) -> Value {
        let (status, body) = self.try_register(name, guest(name)).await;
        assert!(status.is_success(), "register {name}: {status} {body}");
        body
    }

    /// Submits a run and returns its id.
    pub async fn submit(&self, module: &str, entry: &str, parameters: Value) -> String {
        self.submit_with(json!({"module": module, "entry": entry, "parameters": parameters})).await
    }

    /// Submits what `body` says and returns the run's id.
    pub async fn submit_with(&self, body: Value) -> String {
        let (status, run) = self.post("/api/runs", body).await;
        assert!(status.is_success(), "submit: {status} {run}");
        text(&run["id"])
    }

    /// Submits a run and returns it once it is final.
    pub async fn run(&self, module: &str, entry: &str, parameters: Value) -> Value {
        self.run_with(json!({"module": module, "entry": entry, "parameters": parameters})).await
    }

    /// Submits what `body` says and returns the run once it is final.
    pub async fn run_with(&self, body: Value) -> Value {
        let (status, run) = self.post(&format!("/api/runs?wait={PATIENCE}"), body).await;
        assert!(status.is_success(), "submit: {status} {run}");
        assert!(!run["finished_at"].is_null(), "the run is not final after {PATIENCE} s: {run}");
        run
    }

    pub async fn show(&self, id: &str) -> Value {
        self.get(&format!("/api/runs/{id}")).await
    }

    /// Asks for a run again and again until it is as `condition` says.
    pub async fn until(&self, id: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                let run = self.show(id).await;
                if condition(&run) {
                    return run;
                }
                tokio::task::yield_now().await;
            }
        };
        let patience = Duration::from_secs_f64(PATIENCE);
        match tokio::time::timeout(patience, found).await {
            Ok(run) => run,
            Err(_) => panic!("the run did not get there: {}", self.show(id).await),
        }
    }

    pub async fn until_final(&self, id: &str) -> Value {
        self.until(id, |run| !run["finished_at"].is_null()).await
    }

    /// All children of a run's newest generation, in order.
    pub async fn children(&self, id: &str) -> Vec<Value> {
        self.pages(&format!("/api/runs/{id}/children?limit=1000")).await
    }

    /// All lines of a run's log.
    pub async fn logs(&self, id: &str) -> Vec<Value> {
        self.pages(&format!("/api/runs/{id}/logs?limit=1000")).await
    }

    /// The messages of a run's log.
    pub async fn messages(&self, id: &str) -> Vec<String> {
        self.logs(id).await.iter().map(|line| text(&line["message"])).collect()
    }

    async fn pages(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}{cursor}")).await;
            items.extend(page["items"].as_array().expect("a page has items").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// Waits until something sleeps that is to be woken within `span`, and moves the clock there.
    pub async fn advance_to_next_wake(&self, span: SignedDuration) {
        let manual = self.manual.as_ref().expect("the test has a manual clock");
        let patience = Duration::from_secs_f64(PATIENCE);
        tokio::time::timeout(patience, manual.advance_to_next_wake(span)).await.expect("somebody sleeps");
    }

    /// Moves the clock by hand.
    pub fn advance(&self, by: SignedDuration) {
        self.manual.as_ref().expect("the test has a manual clock").advance(by);
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs until the test ends")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.config.data_dir.clone()
    }

    /// Waits until `count` sleep that are to be woken within `span`.
    pub async fn until_asleep(&self, count: usize, span: SignedDuration) {
        let manual = self.manual.as_ref().expect("the test has a manual clock");
        let patience = Duration::from_secs_f64(PATIENCE);
        tokio::time::timeout(patience, manual.until_asleep(count, span)).await.expect("so many sleep");
    }

    /// Moves the clock from wake to wake, none further than `span`, until the run is final.
    pub async fn advance_until_final(&self, id: &str, span: SignedDuration) -> Value {
        loop {
            tokio::select! {
                biased;
                run = self.until_final(id) => return run,
                () = self.advance_to_next_wake(span) => {}
            }
        }
    }

    /// Stops the server as SIGTERM does, and starts it anew on the same data.
    pub async fn restart(&mut self, grace: Duration) {
        self.stop(grace).await;
        self.start_again().await;
    }

    /// Stops the server as SIGTERM does.
    pub async fn stop(&mut self, grace: Duration) {
        self.server.take().expect("it runs").shutdown(grace).await;
    }

    /// Starts a server that was stopped, on the same data.
    pub async fn start_again(&mut self) {
        let server = Server::start(self.config.clone()).await.expect("the server starts again");
        self.url = server.url();
        self.server = Some(server);
    }

    /// As if it were that time, by a clock moved by hand: holds from the next start on.
    pub fn set_clock(&mut self, at: Timestamp) {
        let clock = Clock::manual(at);
        let Clock::Manual(manual) = &clock else { unreachable!("it was made so") };
        self.manual = Some(manual.clone());
        self.config.clock = Some(clock);
    }

    /// How long flows keep their sandboxes while they wait: holds from the next start on.
    pub fn set_evict_after(&mut self, after: Duration) {
        self.config.evict_after = after;
    }

    /// As if the operator allowed none: holds from the next start on.
    pub fn without_allowed_dirs(&mut self) {
        self.config.allowed_dirs.clear();
    }

    /// As if the disk had grown: holds from the next start on.
    pub fn without_max_pages(&mut self) {
        self.config.max_pages = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let Some(server) = &self.server else { return };
        let filter = tarefa::store::RunFilter {
            states: vec![tarefa::domain::State::Running.into(), tarefa::domain::State::Cancelling.into()],
            ..Default::default()
        };
        let left = server.app.store.runs(&filter, None, 10).expect("reads the runs");
        assert!(left.is_empty(), "the test left runs behind: {left:?}");
    }
}

/// A client as any program may have one.
pub fn client() -> Client {
    tarefa::tls::plain_client().build().expect("a client")
}

/// The status of an answer and its JSON; null where it is none.
pub async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("the server answers");
    let status = response.status();
    let body = response.bytes().await.expect("the answer arrives whole");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// The id of a child of the first execution of a flow.
pub fn child_id(flow: &str, seq: u32) -> String {
    RunId::child(flow.parse().expect("an id"), 1, seq).to_string()
}

/// The time in a JSON string.
pub fn time(value: &Value) -> Timestamp {
    text(value).parse().expect("a time")
}

/// The text of a JSON string.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}
