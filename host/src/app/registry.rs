//! Registered modules in memory, and how an entry of theirs is carried out.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockWriteGuard, Weak};

use super::App;
use crate::domain::module::nearest;
use crate::domain::parameters::Schema;
use crate::domain::{Digest, Entry, Failure, FailureKind, Limits, Module, Run, Settings, SettingsPatch};
use crate::error::{Error, Result};
use crate::wasm::Component;

/// Versions that are kept in memory; past this many all that nobody uses are forgotten, and read anew.
const MAX_VERSIONS: usize = 10_000;

#[derive(Default)]
pub(super) struct Registry {
    versions: RwLock<Versions>,
}

#[derive(Default)]
struct Versions {
    known: HashMap<i64, Arc<Version>>,
    /// The module that is being deleted: none of its versions is given out.
    closed: Option<String>,
}

/// One version of a module, ready to be asked.
pub struct Version {
    pub id: i64,
    pub name: Arc<str>,
    pub module: Module,
    schemas: Vec<OnceLock<Schema>>,
}

/// How one entry is carried out: all that its runs have in common.
pub struct Plan {
    pub version: Arc<Version>,
    /// Its place in the module.
    index: usize,
    pub entry_name: Arc<str>,
    pub title: Arc<str>,
    pub settings: Arc<Settings>,
    /// Set once the first attempt needs it.
    pub component: tokio::sync::OnceCell<Arc<Component>>,
}

impl Registry {
    /// Gives out no version of a module as long as the returned guard lives.
    pub(super) fn close(&self, module: &str) -> Closed<'_> {
        let mut versions = self.lock();
        let mut given_out = Vec::new();
        versions.known.retain(|_, version| {
            let own = &*version.name == module;
            if own {
                given_out.push(Arc::downgrade(version));
            }
            !own
        });
        versions.closed = Some(module.to_owned());
        Closed { registry: self, given_out }
    }

    fn lock(&self) -> RwLockWriteGuard<'_, Versions> {
        self.versions.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A module of which no version is given out.
pub(super) struct Closed<'a> {
    registry: &'a Registry,
    given_out: Vec<Weak<Version>>,
}

impl Closed<'_> {
    /// Whether somebody still has a version from before, such as a flow that may submit runs of it.
    pub(super) fn is_in_use(&self) -> bool {
        self.given_out.iter().any(|version| version.strong_count() > 0)
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.registry.lock().closed = None;
    }
}

impl Version {
    fn new(id: i64, module: Module) -> Version {
        let schemas = module.entries.iter().map(|_| OnceLock::new()).collect();
        Version { id, name: module.name.as_str().into(), module, schemas }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.module.entries.iter().position(|entry| entry.name == name)
    }

    /// The place of the entry with that name.
    ///
    /// # Errors
    ///
    /// Names the nearest one, or all.
    pub fn find(&self, name: &str) -> std::result::Result<usize, String> {
        self.position(name).ok_or_else(|| {
            let shown = shown(name);
            let names = || self.module.entries.iter().map(|entry| entry.name.as_str());
            match nearest(name, names()) {
                Some(near) => format!("module `{}` has no entry `{shown}`; did you mean `{near}`?", self.name),
                None => {
                    let names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
                    format!("module `{}` has no entry `{shown}` (it has {})", self.name, names.join(", "))
                }
            }
        })
    }

    /// Whether a run of the entry keeps a journal, if it is a flow's.
    pub fn is_durable(&self, entry: &str) -> bool {
        self.position(entry).is_none_or(|index| self.module.entries[index].durable)
    }

    /// What a run of an entry may be given: the compiled schema.
    pub fn schema(&self, index: usize) -> &Schema {
        self.schemas[index].get_or_init(|| {
            let anything = serde_json::json!({"type": "object"});
            let schema = self.module.entries[index].input.as_ref().unwrap_or(&anything);
            Schema::compile(schema).expect("the schema was compiled when the module was registered")
        })
    }
}

impl Plan {
    /// How an entry is carried out with `patch` over what it says itself. What a child inherits (time zone, grants,
    /// metering) is the top-level run's.
    pub fn new(version: Arc<Version>, index: usize, patch: &SettingsPatch, inherited: &SettingsPatch) -> Plan {
        let entry = &version.module.entries[index];
        let limits = Limits::default_for(entry.kind).patched(&entry.limits);
        let settings = Settings {
            limits: limits.patched(patch.limits.as_ref().unwrap_or(&Default::default())),
            retries: patch.retries.clone().unwrap_or_else(|| entry.retries.clone()),
            tags: patch.tags.clone().unwrap_or_else(|| entry.tags.clone()),
            metering: patch.metering.or(inherited.metering).unwrap_or_default(),
            timezone: patch.timezone.clone().or_else(|| inherited.timezone.clone()).unwrap_or_else(|| "UTC".to_owned()),
            dirs: patch.dirs.clone().or_else(|| inherited.dirs.clone()).unwrap_or_default(),
            http: patch.http.clone().or_else(|| inherited.http.clone()).unwrap_or_default(),
        };
        Plan {
            entry_name: entry.name.as_str().into(),
            title: entry.title().into(),
            settings: Arc::new(settings),
            component: tokio::sync::OnceCell::new(),
            index,
            version,
        }
    }

    pub fn entry(&self) -> &Entry {
        &self.version.module.entries[self.index]
    }

    pub fn schema(&self) -> &Schema {
        self.version.schema(self.index)
    }
}

impl App {
    /// The version with that number.
    pub fn version(&self, id: i64) -> Result<Arc<Version>> {
        let read = self.registry.versions.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(version) = read.known.get(&id) {
            return Ok(version.clone());
        }
        drop(read);
        // Read under the lock: what was read before a deletion must not come in after it.
        let mut versions = self.registry.lock();
        let module = self.store.version(id)?;
        let module = module.ok_or_else(|| Error::not_found(format!("version {id} of a module does not exist")))?;
        if versions.closed.as_ref() == Some(&module.name) {
            return Err(Error::conflict(format!("module `{}` is being deleted", module.name)));
        }
        if versions.known.len() >= MAX_VERSIONS {
            versions.known.retain(|_, version| Arc::strong_count(version) > 1);
        }
        Ok(versions.known.entry(id).or_insert_with(|| Arc::new(Version::new(id, module))).clone())
    }

    /// The newest version of a module, or the one with that digest.
    ///
    /// # Errors
    ///
    /// `not_found`, with the nearest name.
    pub fn find_version(&self, name: &str, digest: Option<&Digest>) -> Result<Arc<Version>> {
        if let Some(id) = self.store.find_version(name, digest)? {
            return self.version(id);
        }
        if let Some(digest) = digest
            && self.store.find_version(name, None)?.is_some()
        {
            return Err(Error::not_found(format!("module `{}` has no version `{digest}`", shown(name))));
        }
        let modules = self.store.modules("", 1000)?;
        Err(missing("module", name, modules.iter().map(|module| module.name.as_str())))
    }

    /// The entry that a flow of `version` means by `name`: one of its own module, or `module/entry`.
    pub fn find_entry(
        &self,
        version: &Arc<Version>,
        name: &str,
    ) -> std::result::Result<(Arc<Version>, usize), Failure> {
        let missing = |why: String| Failure::new(FailureKind::MissingEntry, why);
        match name.split_once('/') {
            None => Ok((version.clone(), version.find(name).map_err(missing)?)),
            Some((module, entry)) => {
                let version = self.find_version(module, None).map_err(|error| missing(error.message))?;
                let index = version.find(entry).map_err(missing)?;
                Ok((version, index))
            }
        }
    }

    /// How a run on record is carried out.
    ///
    /// # Errors
    ///
    /// Where its entry cannot be found.
    pub fn plan(&self, run: &Run) -> Result<Plan> {
        let own = run.settings.as_deref().cloned().unwrap_or_default();
        if run.parent.is_none() {
            return self.plan_below(run, &own);
        }
        let root = self.run(run.root_id)?;
        self.plan_below(run, &root.settings.as_deref().cloned().unwrap_or_default())
    }

    /// As `plan`, with the settings of the top-level run.
    pub fn plan_below(&self, run: &Run, inherited: &SettingsPatch) -> Result<Plan> {
        let version = self.version(run.version)?;
        let index = version.find(&run.entry).map_err(Error::not_found)?;
        let patch = run.settings.as_deref().cloned().unwrap_or_default();
        Ok(Plan::new(version, index, &patch, inherited))
    }

    /// The settings of a run whose entry does not exist: what any entry of its kind would have.
    pub fn default_settings(&self, run: &Run) -> Settings {
        Settings {
            limits: Limits::default_for(run.kind),
            retries: Default::default(),
            metering: Default::default(),
            tags: Vec::new(),
            timezone: self.config.timezone.clone(),
            dirs: Vec::new(),
            http: Vec::new(),
        }
    }
}

/// What is called so does not exist; names the nearest of those that do.
pub(super) fn missing<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let hint = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Error::not_found(format!("{what} `{}` does not exist{hint}", shown(name)))
}

/// A name that may be anything, as errors have it.
fn shown(name: &str) -> String {
    name.chars().take(100).flat_map(char::escape_debug).collect()
}
