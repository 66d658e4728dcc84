//! The one door: whatever is asked of Tarefa, over HTTP, by the command line or by a flow, is asked here.

mod backfill;
mod backup;
mod deletion;
mod deployments;
mod grants;
mod limits;
mod notify;
mod register;
mod registry;
mod replay;
mod retention;
mod retry;
mod schedules;
mod signals;
mod submit;
mod variables;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use jiff::Timestamp;
use uuid::ContextV7;

use crate::clock::Clock;
use crate::domain::limits::LimitCaps;
use crate::domain::{DirMode, Retention, Run, RunId, State};
use crate::error::{Error, Result};
use crate::events::{CancelRequest, Events};
use crate::metrics::Metrics;
use crate::store::{Cancelled, Store};
use crate::wasm::{Secret, Wasm};
use registry::Registry;

pub use backfill::{Backfill, Backfilled};
pub use backup::Backup;
pub use deployments::{Broken, Changed, Triggered};
pub use limits::{Claimant, Limits, TagLimitInUse};
pub use register::MAX_MODULE_BYTES;
pub use registry::{Plan, Version};
pub use replay::{Call, Execution, ReplayOrder, Replayed, Replayer};
pub use retry::Retry;
pub use schedules::{MAX_UPCOMING, Upcoming};
pub use submit::{MAX_INPUT_BYTES, NewRun, Started, Starter, check_run_name};

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct AppConfig {
    pub data_dir: PathBuf,
    pub caps: LimitCaps,
    /// Directories of the host that may be granted, with what is below them; none by default.
    pub allowed_dirs: Vec<AllowedDir>,
    /// Each `HOST:PORT` that may be granted; none by default.
    pub allowed_http: Vec<String>,
    /// The IANA time zone of runs that name none.
    pub timezone: String,
    /// How long runs and logs are kept; none where nothing is deleted unasked.
    pub retention: Option<Retention>,
}

/// A directory of the host, and the most that may be granted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedDir {
    pub path: PathBuf,
    pub mode: DirMode,
}

pub struct App {
    pub store: Store,
    pub wasm: Wasm,
    pub events: Events,
    pub clock: Clock,
    pub metrics: Metrics,
    pub config: AppConfig,
    /// What all random numbers of guests follow from.
    pub secret: Secret,
    pub limits: Limits,
    registry: Registry,
    /// The worker, once there is one.
    pub starter: OnceLock<Weak<dyn Starter>>,
    /// Written while a module is deleted, so that nobody registers meanwhile what is to go.
    registering: tokio::sync::RwLock<()>,
    /// Held by a backup, which is the only one, and while a module is deleted.
    backing_up: Arc<tokio::sync::Mutex<()>>,
    ids: Mutex<ContextV7>,
}

impl App {
    /// # Errors
    ///
    /// Where the store cannot be read.
    pub fn new(store: Store, wasm: Wasm, events: Events, clock: Clock, config: AppConfig) -> Result<Arc<App>> {
        let secret = Secret::new(store.seed()?);
        let limits = Limits::load(&store)?;
        Ok(Arc::new(App {
            store,
            wasm,
            events,
            clock,
            metrics: Metrics::new(),
            config,
            secret,
            limits,
            registry: Registry::default(),
            starter: OnceLock::new(),
            registering: tokio::sync::RwLock::default(),
            backing_up: Arc::default(),
            ids: Mutex::new(ContextV7::new()),
        }))
    }

    /// A run that exists.
    ///
    /// # Errors
    ///
    /// `not_found` where there is none of that id.
    pub fn run(&self, id: RunId) -> Result<Run> {
        self.store.run(id)?.ok_or_else(|| Error::not_found(format!("run `{id}` does not exist")))
    }

    /// Cancels a run and all below it. Returns the run's state then: `cancelled`, or `cancelling` while a worker ends it.
    ///
    /// # Errors
    ///
    /// `conflict` where the run is final otherwise.
    pub async fn cancel(&self, id: RunId) -> Result<Run> {
        match self.store.cancel(id, self.clock.now(), "cancelled by request")? {
            Cancelled::NoSuchRun => return Err(Error::not_found(format!("run `{id}` does not exist"))),
            Cancelled::Already(State::Cancelled) => {}
            Cancelled::Already(state) => {
                return Err(Error::conflict(format!("run `{id}` is {} already", state.as_str())));
            }
            Cancelled::AtOnce => {
                self.ended_at_once(&self.run(id)?);
            }
            Cancelled::Asked => {
                let parent = self.run(id)?.parent;
                // The worker is gone only while the server stops; then the next start settles the run.
                let _ = self.events.cancel.send(CancelRequest { id, parent }).await;
            }
        }
        self.run(id)
    }

    fn new_id(&self, now: Timestamp) -> RunId {
        let ids = self.ids.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let seconds = now.as_second().max(0) as u64;
        let at = uuid::Timestamp::from_unix(&*ids, seconds, now.subsec_nanosecond().max(0) as u32);
        RunId(uuid::Uuid::new_v7(at))
    }
}
