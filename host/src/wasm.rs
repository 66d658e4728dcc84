//! Components: from uploaded bytes to attempts in fresh sandboxes. The only user of wasmtime.

mod cache;
pub mod compile;
pub mod engine;
mod failure;
mod host;
mod inspect;
mod interface;
mod limiter;
mod random;
mod sandbox;

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Context;
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::domain::{Description, Digest, Failure, FailureKind, Metering};
use crate::error::{Error, Result};
use cache::Cache;
use engine::{Allocation, engine};
use host::HostState;
use interface::Linkage;

pub use failure::Stop;
pub use host::log::level_name;
pub use host::{Argument, FlowHost, Level, LogSink, Outbox, Submit, Variables};
pub use random::{Secret, Seed};
pub use sandbox::{Job, display_name};

/// Components that are kept loaded; the one that was used longest ago goes first.
const MAX_LOADED: usize = 200;
/// How often a guest that is metered by time gives its thread back.
const EPOCH: Duration = Duration::from_millis(10);

/// How components are kept, compiled and run.
pub struct WasmConfig {
    pub data_dir: PathBuf,
    /// Our binary, which compiles in a process of its own.
    pub compiler: PathBuf,
    /// Sandboxes that can be open at once in the pool; more are made on demand.
    pub pool_instances: u32,
}

/// The engines with all that is loaded in them.
pub struct Wasm {
    shared: Arc<Shared>,
    loaded: Mutex<Loaded>,
    /// One compilation at a time: each may take gigabytes.
    compiling: tokio::sync::Mutex<()>,
    compiler: PathBuf,
    modules_dir: PathBuf,
}

/// What a loaded component needs to be linked once more.
struct Shared {
    /// None where the address space for a pool cannot be had.
    pool: Option<Linked>,
    on_demand: Linked,
    /// For runs that are metered by time; made when the first of them comes.
    time: OnceLock<Linked>,
    cache: Cache,
    opened: Opened,
}

/// Sandboxes that were opened since the start.
#[derive(Debug, Default)]
pub struct Opened {
    pub in_pool: AtomicU64,
    pub on_demand: AtomicU64,
}

/// An engine with what guests import.
struct Linked {
    engine: Engine,
    linker: Linker<HostState>,
    /// Names the engine's compiled code: version and settings.
    name: String,
}

#[derive(Default)]
struct Loaded {
    components: HashMap<(Digest, Metering), (Arc<Component>, u64)>,
    uses: u64,
}

/// A module's code, ready for fresh instances.
pub struct Component {
    shared: Arc<Shared>,
    digest: Digest,
    metering: Metering,
    /// None where the component does not fit in the pool, or there is none.
    pooled: Option<Linkage>,
    /// The same code on demand; linked when it is first asked for.
    on_demand: OnceLock<Linkage>,
}

impl Linked {
    fn new(metering: Metering, allocation: Allocation) -> wasmtime::Result<Linked> {
        let engine = engine(metering, allocation)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Linked { linker: host::linker(&engine)?, engine, name: format!("{:016x}", hasher.finish()) })
    }

    #[allow(unsafe_code)]
    fn link(&self, code: &[u8]) -> wasmtime::Result<Linkage> {
        // SAFETY: the bytes are what this version's compiler made for this engine: `Cache::get` checked the keyed hash
        // of them, of the engine's name and of the module's digest.
        let component = unsafe { wasmtime::component::Component::deserialize(&self.engine, code) }?;
        Linkage::of(self.linker.instantiate_pre(&component)?)
    }
}

impl Shared {
    fn on_demand(&self, metering: Metering) -> &Linked {
        match metering {
            Metering::Fuel => &self.on_demand,
            Metering::Time => self.time.get_or_init(|| {
                let linked = Linked::new(metering, Allocation::OnDemand).expect("the fuel engine could be made so too");
                tick(&linked.engine);
                linked
            }),
        }
    }
}

/// Moves the engine's epoch for as long as the engine lives.
fn tick(engine: &Engine) {
    let engine = engine.weak();
    std::thread::spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(EPOCH);
        }
    });
}

impl Wasm {
    /// # Errors
    ///
    /// Where the data directory cannot be written.
    pub fn new(config: WasmConfig) -> anyhow::Result<Wasm> {
        let modules_dir = config.data_dir.join("modules");
        fs::create_dir_all(&modules_dir).with_context(|| format!("cannot make `{}`", modules_dir.display()))?;
        let pool = Linked::new(Metering::Fuel, Allocation::Pool { instances: config.pool_instances })
            .inspect_err(|error| tracing::warn!("no instance pool, sandboxes are made on demand: {error:#}"))
            .ok();
        let on_demand = Linked::new(Metering::Fuel, Allocation::OnDemand).map_err(anyhow::Error::from)?;
        let cache = Cache::open(&config.data_dir)?;
        Ok(Wasm {
            shared: Arc::new(Shared { pool, on_demand, time: OnceLock::new(), cache, opened: Opened::default() }),
            loaded: Mutex::default(),
            compiling: tokio::sync::Mutex::new(()),
            compiler: config.compiler,
            modules_dir,
        })
    }

    /// How many sandboxes were opened, and where.
    pub fn opened(&self) -> &Opened {
        &self.shared.opened
    }

    /// The component of a registered module, compiled for `metering` if it was not yet.
    ///
    /// # Errors
    ///
    /// Where its bytes are gone or damaged, or the engine does not take them any more.
    pub async fn load(&self, digest: &Digest, metering: Metering) -> Result<Arc<Component>> {
        if let Some(component) = self.lock().get(digest, metering) {
            return Ok(component);
        }
        let wasm = || {
            let path = self.module_path(digest);
            let wasm = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
            anyhow::ensure!(Digest::of(&wasm) == *digest, "`{}` was changed since it was registered", path.display());
            anyhow::Ok(wasm)
        };
        self.load_with(digest, metering, wasm).await
    }

    /// As `load`, with the module's bytes from `wasm` where the cache has no code.
    async fn load_with(
        &self,
        digest: &Digest,
        metering: Metering,
        wasm: impl FnOnce() -> anyhow::Result<Vec<u8>>,
    ) -> Result<Arc<Component>> {
        let engine = &self.shared.on_demand(metering).name;
        let code = match self.shared.cache.get(engine, digest) {
            Some(code) => code,
            None => self.compile(engine, digest, metering, wasm).await?,
        };
        let component = Arc::new(self.link(digest, metering, &code)?);
        self.lock().put(component.clone());
        Ok(component)
    }

    async fn compile(
        &self,
        engine: &str,
        digest: &Digest,
        metering: Metering,
        wasm: impl FnOnce() -> anyhow::Result<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let _one_at_a_time = self.compiling.lock().await;
        // Another may have compiled it while we waited.
        if let Some(code) = self.shared.cache.get(engine, digest) {
            return Ok(code);
        }
        let code = compile::compile(&self.compiler, metering, &wasm()?).await?;
        self.shared.cache.put(engine, digest, &code)?;
        Ok(code)
    }

    fn link(&self, digest: &Digest, metering: Metering, code: &[u8]) -> Result<Component> {
        let pool = self.shared.pool.as_ref().filter(|_| metering == Metering::Fuel);
        // What does not fit in the pool runs on demand.
        let pooled = pool.and_then(|pool| pool.link(code).ok());
        let on_demand = OnceLock::new();
        if pooled.is_none() {
            let pre = self.shared.on_demand(metering).link(code);
            let _ = on_demand.set(pre.map_err(|error| Error::invalid(inspect::refusal(&error)))?);
        }
        Ok(Component { shared: self.shared.clone(), digest: digest.clone(), metering, pooled, on_demand })
    }

    /// Forgets the code of a component that was refused or only tried, unless it is registered.
    pub fn forget_unregistered(&self, digest: &Digest) {
        if !self.module_path(digest).exists() {
            self.forget(digest);
        }
    }

    /// Forgets a component that no module is any more: its bytes, its compiled code, and what is loaded of it.
    pub fn forget(&self, digest: &Digest) {
        self.lock().components.retain(|(loaded, _), _| loaded != digest);
        self.shared.cache.remove(digest);
        // As in the cache: what cannot be removed is at worst some space.
        let _ = fs::remove_file(self.module_path(digest));
    }

    /// Where the bytes of a registered module are.
    pub fn module_path(&self, digest: &Digest) -> PathBuf {
        self.modules_dir.join(format!("{digest}.wasm"))
    }

    fn keep(&self, digest: &Digest, wasm: &[u8]) -> anyhow::Result<()> {
        let path = self.module_path(digest);
        if !path.exists() {
            let file = tempfile::NamedTempFile::new_in(&self.modules_dir)?;
            let cannot = || format!("cannot write `{}`", path.display());
            fs::write(file.path(), wasm).with_context(cannot)?;
            // On disk before the database names it: without it its runs cannot go on.
            file.as_file().sync_all().with_context(cannot)?;
            file.persist(&path).with_context(cannot)?;
            fs::File::open(&self.modules_dir).and_then(|dir| dir.sync_all()).with_context(cannot)?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loaded {
    fn get(&mut self, digest: &Digest, metering: Metering) -> Option<Arc<Component>> {
        self.uses += 1;
        let (component, used) = self.components.get_mut(&(digest.clone(), metering))?;
        *used = self.uses;
        Some(component.clone())
    }

    fn put(&mut self, component: Arc<Component>) {
        if self.components.len() >= MAX_LOADED
            && let Some(oldest) = self.components.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone())
        {
            self.components.remove(&oldest);
        }
        self.uses += 1;
        self.components.insert((component.digest.clone(), component.metering), (component, self.uses));
    }
}

impl Component {
    /// What the component's types say of it; none where it says so itself.
    fn description(&self) -> Result<Option<Description>> {
        let linkage = match &self.pooled {
            Some(pooled) => pooled.clone(),
            None => self.on_demand().map_err(|failure| Error::invalid(failure.message))?,
        };
        Ok(linkage.description())
    }

    fn on_demand(&self) -> std::result::Result<Linkage, Failure> {
        if let Some(pre) = self.on_demand.get() {
            return Ok(pre.clone());
        }
        let linked = self.shared.on_demand(self.metering);
        let missing = |what: String| Failure::new(FailureKind::Unavailable, what);
        let code = self.shared.cache.get(&linked.name, &self.digest);
        let code = code.ok_or_else(|| missing(format!("the compiled code of {} is gone", self.digest)))?;
        let pre = linked.link(&code).map_err(|error| missing(format!("{:#}", error.root_cause())))?;
        Ok(self.on_demand.get_or_init(|| pre).clone())
    }
}

/// The binary that compiles: ours, also where ours is run by tests.
pub fn own_binary() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find our own binary")
}
