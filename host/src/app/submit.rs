//! Submits of top-level runs.

use std::sync::{Arc, Weak};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{App, Plan, Version};
use crate::domain::run::{MAX_RUN_NAME, MAX_TAG, MAX_TAGS, render_name};
use crate::domain::{Across, AcrossRules, Digest, Occurrence, Run, SettingsPatch, Trigger};
use crate::error::{Error, Result};
use crate::store::{Inserted, Skipped};

/// The largest input of a run, as JSON text in bytes.
pub const MAX_INPUT_BYTES: usize = 4 << 20;
/// The longest idempotency key, in bytes.
const MAX_KEY: usize = 256;

/// A request to execute an entry.
#[derive(Debug)]
pub struct NewRun {
    pub module: String,
    /// None: the only flow, or the only entry.
    pub entry: Option<String>,
    pub digest: Option<Digest>,
    pub parameters: Map<String, Value>,
    pub name: Option<String>,
    pub idempotency_key: Option<String>,
    pub scheduled_at: Option<Timestamp>,
    pub settings: SettingsPatch,
    pub trigger: Trigger,
    /// The deployment that it is a run of, and the occurrence of one of its schedules.
    pub deployment: Option<Arc<str>>,
    pub occurrence: Option<Occurrence>,
    pub across: AcrossRules,
}

/// Carries out runs at once where there is room, without putting them on record before as waiting for it.
pub trait Starter: Send + Sync {
    /// Makes a run that is not on record yet one that is being carried out, where there is room for it.
    fn start(self: Arc<Self>, run: &mut Run) -> Option<Box<dyn Started>>;
}

/// A run that has its room; let go where it is dropped before it begins.
pub trait Started {
    /// Carries it out, now that it is on record.
    fn begin(self: Box<Self>, run: Run);
}

impl App {
    /// Puts a run on record; it is there before this returns. Returns the run, and whether it is new: a repeated
    /// idempotency key gives the first run again.
    ///
    /// # Errors
    ///
    /// `not_found` for module and entry, `invalid` for parameters and settings, `forbidden` for grants, `conflict` for
    /// a key that stands for other parameters, and where a limit has the run skipped.
    pub fn submit(&self, new: NewRun) -> Result<(Run, bool)> {
        let mut run = self.prepare(new)?;
        let due = run.scheduled_at <= run.created_at;
        let starter = self.starter.get().and_then(Weak::upgrade).filter(|_| due && !self.may_have_to_wait(&run));
        let started = starter.and_then(|starter| starter.start(&mut run));
        match self.store.insert_run(&run)? {
            Inserted::Inserted { cancelled } => {
                self.metrics.submitted(run.trigger);
                match started {
                    Some(started) => started.begin(run.clone()),
                    None => self.events.run_is_due(run.kind),
                }
                self.tell_cancelled(&cancelled);
                Ok((run, true))
            }
            Inserted::Exists(id) => {
                let existing = self.run(id)?;
                if existing.input != run.input {
                    let key = run.idempotency_key.as_deref().unwrap_or_default();
                    let message = format!("idempotency key `{key}` stands for run `{id}`, which has other parameters");
                    return Err(Error::conflict(message));
                }
                Ok((existing, false))
            }
            Inserted::Skipped(Skipped { name, max, by }) => {
                let message = format!("skipped: the limit of `{name}` is {max}, and run `{by}` is not over yet");
                Err(Error::conflict(message))
            }
        }
    }

    /// The run that a request comes to, checked, and not on record yet.
    ///
    /// # Errors
    ///
    /// As [`App::submit`].
    pub(super) fn prepare(&self, new: NewRun) -> Result<Run> {
        let version = self.find_version(&new.module, new.digest.as_ref())?;
        let index = match &new.entry {
            Some(name) => version.find(name).map_err(Error::not_found)?,
            None => {
                let entry = super::register::only_entry(&version.module).map_err(Error::invalid)?;
                version.find(&entry.name).map_err(Error::not_found)?
            }
        };
        let plan = self.allowed_plan(version, index, new.settings)?;
        if let Some(key) = &new.idempotency_key
            && (key.is_empty() || key.len() > MAX_KEY)
        {
            let message = format!("the idempotency key has {} bytes; it takes 1 to {MAX_KEY}", key.len());
            return Err(Error::invalid(message));
        }
        let parameters = plan.schema().complete(new.parameters).map_err(Error::invalid)?;
        let name = match (new.name, &plan.entry().run_name) {
            (Some(name), _) => Some(check_run_name(name).map_err(Error::invalid)?),
            (None, Some(template)) => Some(render_name(template, &parameters)),
            (None, None) => None,
        };
        let across = new.across.of_run(&plan.version.name, &plan.entry_name, &parameters).map_err(Error::invalid)?;
        let mut run = self.new_run(&plan, parameters)?;
        run.name = name.map(Into::into);
        run.idempotency_key = new.idempotency_key.map(Into::into);
        run.scheduled_at = new.scheduled_at.unwrap_or(run.created_at);
        run.trigger = new.trigger;
        run.deployment = new.deployment;
        run.occurrence = new.occurrence;
        run.across = (across != Across::default()).then(|| Arc::new(across));
        Ok(run)
    }

    /// How an entry is carried out with these settings, where they and their grants may be had.
    pub(super) fn allowed_plan(&self, version: Arc<Version>, index: usize, settings: SettingsPatch) -> Result<Plan> {
        self.check_settings(&settings)?;
        let mut settings = settings;
        settings.timezone.get_or_insert_with(|| self.config.timezone.clone());
        if let Some(dirs) = settings.dirs {
            settings.dirs = Some(self.resolve_dirs(dirs)?);
        }
        if let Some(http) = settings.http {
            settings.http = Some(self.check_http(http)?);
        }
        Ok(Plan::new(version, index, &settings, &settings))
    }

    /// A top-level run with parameters that were checked.
    pub(super) fn new_run(&self, plan: &Plan, parameters: Map<String, Value>) -> Result<Run> {
        let input = Value::Object(parameters).to_string();
        if input.len() > MAX_INPUT_BYTES {
            return Err(Error::too_large(format!(
                "the parameters have {} bytes and the limit is {MAX_INPUT_BYTES}; pass larger data as a file",
                input.len()
            )));
        }
        let now = self.clock.now();
        let id = self.new_id(now);
        let version = &plan.version;
        let (module, digest) = (version.name.clone(), version.module.digest.clone());
        let mut run = Run::new(id, plan.entry().kind, module, digest, version.id, plan.entry_name.clone(), now);
        run.input = input.into();
        run.durable = plan.entry().durable;
        run.settings = Some(Arc::new(frozen(plan)));
        Ok(run)
    }

    /// What a caller or a flow says on how to carry a run out.
    pub fn check_settings(&self, settings: &SettingsPatch) -> Result<()> {
        if let Some(limits) = &settings.limits {
            limits.check(&self.config.caps).map_err(Error::invalid)?;
        }
        if let Some(retries) = &settings.retries {
            retries.check().map_err(Error::invalid)?;
        }
        if let Some(tags) = &settings.tags {
            if tags.len() > MAX_TAGS {
                return Err(Error::invalid(format!("{} tags; the most is {MAX_TAGS}", tags.len())));
            }
            if let Some(tag) = tags.iter().find(|tag| tag.is_empty() || tag.len() > MAX_TAG) {
                return Err(Error::invalid(format!("a tag has {} bytes; it takes 1 to {MAX_TAG}", tag.len())));
            }
        }
        if let Some(zone) = &settings.timezone {
            jiff::tz::TimeZone::get(zone)
                .map_err(|_| Error::invalid(format!("unknown time zone `{}`", zone.escape_debug())))?;
        }
        Ok(())
    }
}

/// The settings with every value in place, so that a later default does not change a run that was accepted.
pub(super) fn frozen(plan: &Plan) -> SettingsPatch {
    let settings = &plan.settings;
    let limits = &settings.limits;
    SettingsPatch {
        limits: Some(crate::domain::LimitsPatch {
            fuel: Some(limits.fuel),
            memory_bytes: Some(limits.memory_bytes),
            timeout_ms: limits.timeout_ms,
            output_bytes: Some(limits.output_bytes),
            log_bytes: Some(limits.log_bytes),
            children: Some(limits.children),
        }),
        retries: Some(settings.retries.clone()),
        metering: Some(settings.metering),
        tags: Some(settings.tags.clone()),
        timezone: Some(settings.timezone.clone()),
        dirs: (!settings.dirs.is_empty()).then(|| settings.dirs.clone()),
        http: (!settings.http.is_empty()).then(|| settings.http.clone()),
    }
}

/// # Errors
///
/// Where the name is empty, too long, or has control characters.
pub fn check_run_name(name: String) -> std::result::Result<String, String> {
    let length = name.chars().count();
    if length == 0 || length > MAX_RUN_NAME {
        return Err(format!("the run's name has {length} characters; it takes 1 to {MAX_RUN_NAME}"));
    }
    if name.chars().any(char::is_control) {
        return Err(format!("the run's name `{}` has control characters", name.escape_debug()));
    }
    Ok(name)
}
