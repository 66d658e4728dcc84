//! Everything put together: data directory, store, engines, worker and API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::api::shapes::RunSummary;
use crate::api::{self, ApiState, ServerInfo};
use crate::app::{AllowedDir, App, AppConfig};
use crate::clock::Clock;
use crate::datadir::{DataDir, Holder};
use crate::domain::limits::LimitCaps;
use crate::domain::{NotifyRule, Retention, RunId, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::events::Events;
use crate::maintenance::Maintenance;
use crate::notifier::{self, Notifier};
use crate::scheduler::Scheduler;
use crate::store::{Store, StoreConfig};
use crate::traces::Traces;
use crate::wasm::{Wasm, WasmConfig, own_binary};
use crate::worker::{Worker, WorkerConfig};

/// Task sandboxes at once for each core: they may all wait, and computing ones take turns.
const SLOTS_PER_CORE: usize = 64;
/// Flows that have a sandbox at once, most of which wait for their children. Each place that was ever used keeps some
/// memory, about 100 KiB, and who finds none waits until another gives its own back.
pub const DEFAULT_FLOWS: usize = 1000;
/// Longer than most waits: to call a flow again takes as long as it computes, to keep it takes its memory.
pub const DEFAULT_EVICT_AFTER: Duration = Duration::from_secs(10);
/// What a sandbox may well hold in memory, to bound the slots by what the machine has.
const SLOT_BYTES: u64 = 64 << 20;
/// How long a request that is under way may take once the server stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    /// Task sandboxes at once; 64 for each core where it is absent, memory allowing.
    pub slots: Option<usize>,
    /// Flows in memory at once.
    pub flows: usize,
    /// After which wait a flow gives its sandbox and its memory back.
    pub evict_after: Duration,
    /// Whether this is `tarefa serve`.
    pub serves: bool,
    /// Whether runs are taken up that others left.
    pub claims: bool,
    pub allowed_hosts: Vec<String>,
    pub allowed_dirs: Vec<AllowedDir>,
    pub allowed_http: Vec<String>,
    /// Whom to tell what becomes of all runs.
    pub notify: Vec<NotifyRule>,
    /// Where finished runs are sent as traces, such as `http://127.0.0.1:4318`.
    pub otlp_endpoint: Option<String>,
    pub timezone: String,
    /// How long runs and logs are kept; absent, nothing is deleted unasked.
    pub retention: Option<Retention>,
    /// Our binary, where it is not the one that runs.
    pub compiler: Option<PathBuf>,
    pub clock: Option<Clock>,
    /// Pages of 2 KiB that the database may have.
    pub max_pages: Option<u32>,
    /// Whether each commit is synced to disk before anything in it is acknowledged.
    pub synced: bool,
}

impl ServerConfig {
    /// A server on `data_dir` with everything else as usual, on a free loopback port.
    pub fn new(data_dir: PathBuf) -> ServerConfig {
        ServerConfig {
            data_dir,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            slots: None,
            flows: DEFAULT_FLOWS,
            evict_after: DEFAULT_EVICT_AFTER,
            serves: false,
            claims: true,
            allowed_hosts: Vec::new(),
            allowed_dirs: Vec::new(),
            allowed_http: Vec::new(),
            notify: Vec::new(),
            otlp_endpoint: None,
            timezone: "UTC".to_owned(),
            retention: None,
            compiler: None,
            clock: None,
            max_pages: None,
            synced: false,
        }
    }
}

pub struct Server {
    pub app: Arc<App>,
    worker: Arc<Worker>,
    guests: Option<Runtime>,
    address: SocketAddr,
    serves: bool,
    closing: CancellationToken,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    finished: broadcast::Receiver<RunId>,
    scheduler: Option<Scheduler>,
    traces: Option<Traces>,
    maintenance: Option<Maintenance>,
    notifier: Option<Notifier>,
    /// Last, so that it is let go after all else.
    _data_dir: DataDir,
}

impl Server {
    /// Takes the data directory, settles what a lost process left, and answers.
    ///
    /// # Errors
    ///
    /// `conflict` where another process holds the directory, otherwise what could not be had.
    pub async fn start(config: ServerConfig) -> Result<Server> {
        if !config.listen.ip().is_loopback() {
            return Err(Error::new(
                ErrorKind::Forbidden,
                format!(
                    "will not listen on `{}`: beyond loopback there must be keys, and there are none yet",
                    config.listen
                ),
            ));
        }
        let mut data_dir = DataDir::take(&config.data_dir)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let slots = config.slots.unwrap_or_else(|| default_slots(cores)).max(1);
        let clock = config.clock.unwrap_or(Clock::System);
        let store = Store::open(&StoreConfig {
            path: data_dir.path.join("tarefa.db"),
            max_pages: config.max_pages,
            synced: config.synced,
        })?;
        let now = clock.now();
        if config.claims {
            // Before anything ends.
            store.notify_always(&notifier::events(&config.notify))?;
        }
        store.recover(now)?;
        let worker_id = store.insert_worker(&format!("{}-{}", host_name(), std::process::id()), now)?;
        let wasm = Wasm::new(WasmConfig {
            data_dir: data_dir.path.clone(),
            compiler: config.compiler.map_or_else(own_binary, Ok)?,
            pool_instances: (slots + config.flows).try_into().unwrap_or(u32::MAX),
        })?;
        let (events, cancels) = Events::new();
        let app_config = AppConfig {
            data_dir: data_dir.path.clone(),
            caps: LimitCaps::default(),
            allowed_dirs: config.allowed_dirs,
            allowed_http: config.allowed_http,
            timezone: config.timezone,
            retention: config.retention,
        };
        let app = App::new(store, wasm, events, clock, app_config)?;
        // Guests compute here, one thread a core, so that the API answers under full load.
        let guests = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores)
            .thread_name("guests")
            .enable_all()
            .build()
            .context("cannot start the threads of the guests")?;
        let finished = app.events.finished();
        let traces = config.otlp_endpoint.map(|endpoint| Traces::start(&app, &endpoint)).transpose()?;
        let since = if config.claims { Timestamp::MIN } else { now };
        let worker_config = WorkerConfig { slots, flows: config.flows, evict_after: config.evict_after, since };
        let worker = Worker::start(app.clone(), worker_id, worker_config, guests.handle().clone(), cancels);

        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            Error::unavailable(format!("cannot listen on `{}`: {error}; choose another with `--listen`", config.listen))
        })?;
        let address = listener.local_addr().context("a listener has an address")?;
        let scheduler = config.claims.then(|| Scheduler::start(app.clone()));
        let url = format!("http://{address}");
        // What is left for others is not for us to deliver either.
        let notifier = config.claims.then(|| Notifier::start(&app, config.notify, url));
        let info = ServerInfo { slots, serves: config.serves, allowed_hosts: config.allowed_hosts };
        let closing = CancellationToken::new();
        let router = api::router(ApiState::new(app.clone(), info, worker.clone(), closing.clone()));
        // Without this an ordinary client that keeps its connection waits 40 ms a call.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let close = closing.clone();
        let serve = axum::serve(listener, router).with_graceful_shutdown(async move { close.cancelled().await });
        let serving = tokio::spawn(async move { serve.await });
        let maintenance = config.retention.map(|retention| Maintenance::start(app.clone(), retention));
        data_dir.announce(&Holder {
            pid: std::process::id(),
            url: format!("http://{address}"),
            serves: config.serves,
        })?;
        Ok(Server {
            app,
            worker,
            guests: Some(guests),
            address,
            serves: config.serves,
            closing,
            serving,
            finished,
            scheduler,
            traces,
            maintenance,
            notifier,
            _data_dir: data_dir,
        })
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether it does what `tarefa serve` does.
    pub fn serves(&self) -> bool {
        self.serves
    }

    /// The next top-level run that finishes; none once the server is gone.
    pub async fn next_finished(&mut self) -> Option<RunSummary> {
        loop {
            match self.finished.recv().await {
                Ok(id) => {
                    let run = self.app.run(id).ok()?;
                    return api::summary(&self.app, &run).ok();
                }
                // Who prints slower than runs finish misses some.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// Submits no more of what schedules bring.
    pub fn stop_scheduler(&mut self) {
        drop(self.scheduler.take());
    }

    /// Stops claiming, waits up to `grace` for what runs, gives the rest back, and stops answering.
    pub async fn shutdown(mut self, grace: Duration) {
        self.stop_scheduler();
        self.worker.stop(grace).await;
        if let Some(maintenance) = self.maintenance.take() {
            // It may wait for a backup, which may take long.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, maintenance.stop()).await;
        }
        if let Some(traces) = self.traces.take() {
            traces.close().await;
        }
        if let Some(notifier) = self.notifier.take() {
            notifier.close().await;
        }
        self.closing.cancel();
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, &mut self.serving).await;
        self.serving.abort();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(guests) = self.guests.take() {
            // A runtime must not wait for its tasks within another one.
            guests.shutdown_background();
        }
    }
}

/// As many as the cores keep busy, and the memory holds.
fn default_slots(cores: usize) -> usize {
    let memory = rustix::system::sysinfo();
    let bytes = memory.totalram as u64 * u64::from(memory.mem_unit);
    let by_memory = usize::try_from(bytes / SLOT_BYTES).unwrap_or(usize::MAX);
    (cores * SLOTS_PER_CORE).min(by_memory).max(1)
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
