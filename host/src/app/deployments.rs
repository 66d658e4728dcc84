//! Deployments: made, changed, paused, triggered, deleted.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::registry::missing;
use super::{App, NewRun, Plan};
use crate::domain::module::check_name;
use crate::domain::parameters::Schema;
use crate::domain::{
    AcrossRules, Deployment, DeploymentSpec, NotifyRule, Run, Skip, SkipReason, TimetableRow, Trigger,
};
use crate::error::{Error, Result};

/// The largest spec of a deployment, as JSON text in bytes.
pub const MAX_SPEC_BYTES: usize = 1 << 20;
/// How many that are broken by a new version of their module are named.
const MAX_BROKEN: usize = 100;

/// What a change of a deployment came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    Created,
    Updated,
    /// It said all that already.
    Nothing,
}

/// A request to run a deployment now, or at some time.
#[derive(Debug, Default)]
pub struct Triggered {
    /// In the place of the deployment's of the same names.
    pub parameters: Map<String, Value>,
    pub name: Option<String>,
    pub idempotency_key: Option<String>,
    pub scheduled_at: Option<Timestamp>,
}

/// A deployment that the newest version of its module cannot carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub deployment: String,
    pub why: String,
}

impl App {
    /// # Errors
    ///
    /// `not_found`, with the nearest name.
    pub fn deployment(&self, name: &str) -> Result<Deployment> {
        if let Some(deployment) = self.store.deployment(name)? {
            return Ok(deployment);
        }
        let known = self.store.deployments(None, "", 1000)?;
        Err(missing("deployment", name, known.iter().map(|deployment| deployment.name.as_str())))
    }

    /// Makes a deployment as `spec` says, or changes the one of that name. What it says already changes nothing, and
    /// schedules that stay go on where they are.
    ///
    /// # Errors
    ///
    /// `not_found` for module and entry, `invalid` for all else that is wrong with it, `forbidden` for grants.
    pub fn put_deployment(&self, name: &str, spec: &DeploymentSpec) -> Result<(Deployment, Changed)> {
        check_name("deployment", name).map_err(Error::invalid)?;
        loop {
            let found = self.store.deployment(name)?;
            let had = found.as_ref().map_or(&[][..], |found| &found.spec.notify);
            let spec = self.checked(spec.clone(), had)?;
            if let Some(put) = self.change(name, found, spec)? {
                return Ok(put);
            }
        }
    }

    /// Changes what `change` does to a deployment's spec.
    ///
    /// # Errors
    ///
    /// As [`App::put_deployment`], and `not_found`.
    pub fn change_deployment(
        &self,
        name: &str,
        change: impl Fn(DeploymentSpec) -> Result<DeploymentSpec>,
    ) -> Result<(Deployment, Changed)> {
        loop {
            let found = self.deployment(name)?;
            let spec = self.checked(change(found.spec.clone())?, &found.spec.notify)?;
            if let Some(put) = self.change(name, Some(found), spec)? {
                return Ok(put);
            }
        }
    }

    /// # Errors
    ///
    /// `not_found`.
    pub fn pause_deployment(&self, name: &str, paused: bool) -> Result<Deployment> {
        loop {
            // What it says was checked before; its module may be gone by now, which keeps nobody from pausing it.
            let found = self.deployment(name)?;
            let spec = DeploymentSpec { paused, ..found.spec.clone() };
            if let Some((deployment, _)) = self.change(name, Some(found), spec)? {
                return Ok(deployment);
            }
        }
    }

    /// Its runs stay on record, and go on.
    ///
    /// # Errors
    ///
    /// `not_found`.
    pub fn delete_deployment(&self, name: &str) -> Result<()> {
        if !self.store.delete_deployment(name)? {
            // Says which one may have been meant.
            self.deployment(name)?;
        }
        self.events.schedules_changed.notify_one();
        Ok(())
    }

    /// Submits a run of a deployment. Returns it, and whether it is new, as [`App::submit`] does.
    ///
    /// # Errors
    ///
    /// `not_found`, and as [`App::submit`].
    pub fn trigger(&self, name: &str, trigger: Trigger, triggered: Triggered) -> Result<(Run, bool)> {
        let deployment = self.deployment(name)?;
        let mut new = new_run(&deployment, trigger);
        new.parameters.extend(triggered.parameters);
        new.name = triggered.name;
        new.idempotency_key = triggered.idempotency_key;
        new.scheduled_at = triggered.scheduled_at;
        self.submit(new)
    }

    /// The deployments that follow a module's newest version, and that this one cannot carry out.
    pub fn broken_deployments(&self, module: &str) -> Result<Vec<Broken>> {
        let mut broken = Vec::new();
        let mut after = String::new();
        loop {
            let deployments = self.store.deployments(Some(module), &after, 500)?;
            let Some(last) = deployments.last() else { return Ok(broken) };
            after.clone_from(&last.name);
            for deployment in deployments.iter().filter(|deployment| deployment.spec.digest.is_none()) {
                if let Err(error) = self.checked(deployment.spec.clone(), &[]) {
                    broken.push(Broken { deployment: deployment.name.clone(), why: error.message });
                }
                if broken.len() == MAX_BROKEN {
                    return Ok(broken);
                }
            }
        }
    }

    /// A spec whose module can carry it out, with the name of its entry, and the secrets of the rules that it `had`.
    fn checked(&self, mut spec: DeploymentSpec, had: &[NotifyRule]) -> Result<DeploymentSpec> {
        spec.check().map_err(Error::invalid)?;
        spec.notify = self.allowed_rules(spec.notify, had)?;
        let length = serde_json::to_string(&spec).map_err(anyhow::Error::from)?.len();
        if length > MAX_SPEC_BYTES {
            return Err(Error::too_large(format!(
                "the deployment has {length} bytes and the limit is {MAX_SPEC_BYTES}"
            )));
        }
        let version = self.find_version(&spec.module, spec.digest.as_ref())?;
        let name = match &spec.entry {
            Some(name) => name.clone(),
            None => super::register::only_entry(&version.module).map_err(Error::invalid)?.name.clone(),
        };
        let index = version.find(&name).map_err(Error::not_found)?;
        let plan = self.allowed_plan(version, index, spec.settings())?;
        check_parameters(&plan, &spec).map_err(Error::invalid)?;
        spec.entry = Some(name);
        Ok(spec)
    }

    /// Puts a checked spec in the place of what was `found`. None where that is not there any more.
    fn change(
        &self,
        name: &str,
        found: Option<Deployment>,
        spec: DeploymentSpec,
    ) -> Result<Option<(Deployment, Changed)>> {
        let now = self.clock.now();
        let mut skips = Vec::new();
        let (created_at, updated_at, timetable) = match &found {
            Some(found) if found.spec == spec => return Ok(Some((found.clone(), Changed::Nothing))),
            // Later than the last change, whatever the clock says.
            Some(found) => {
                let updated_at = now.max(found.updated_at + SignedDuration::from_micros(1));
                (found.created_at, updated_at, found.timetable.as_slice())
            }
            None => (now, now, [].as_slice()),
        };
        let timetable = spec.schedules.iter().map(|schedule| {
            let id = schedule.id();
            let old = timetable.iter().find(|row| row.id == id);
            let (row, skip) = next_row(schedule, old, spec.paused, now)?;
            skips.extend(skip);
            Ok::<_, Error>(row)
        });
        let timetable = timetable.collect::<Result<_>>()?;
        let deployment = Deployment { name: name.to_owned(), spec, created_at, updated_at, timetable };
        let was = found.as_ref().map(|found| found.updated_at);
        if !self.store.put_deployment(&deployment, was, &skips, now)? {
            return Ok(None);
        }
        self.events.schedules_changed.notify_one();
        Ok(Some((deployment, if found.is_some() { Changed::Updated } else { Changed::Created })))
    }
}

/// Where a schedule is after a change of its deployment, and what was not run while it was paused.
fn next_row(
    schedule: &crate::domain::Schedule,
    old: Option<&TimetableRow>,
    paused: bool,
    now: Timestamp,
) -> Result<(TimetableRow, Option<Skip>)> {
    let rule = schedule.rule().map_err(Error::invalid)?;
    let paused = paused || schedule.paused;
    let created_at = old.map_or(now, |old| old.created_at);
    let (mut next_at, mut skip) = (rule.next(now, created_at), None);
    if let Some(old) = old {
        let was_paused = old.due_at.is_none();
        match old.next_at {
            // It goes on where it is; what is due by now is the scheduler's.
            Some(_) if paused || !was_paused => next_at = old.next_at,
            Some(first) if first <= now => {
                skip = rule.previous(now, created_at).filter(|last| *last >= first).map(|last_at| Skip {
                    schedule_id: schedule.id(),
                    first_at: first,
                    last_at,
                    n: rule.count(
                        first - SignedDuration::from_micros(1),
                        last_at,
                        created_at,
                        crate::domain::catchup::MAX_COUNTED,
                    ),
                    why: SkipReason::Paused,
                    detail: "paused".to_owned(),
                    run_id: None,
                });
            }
            // It only moves forward, wherever the clock is.
            Some(first) => next_at = Some(first),
            None => next_at = None,
        }
    }
    let due_at = next_at.filter(|_| !paused).map(|at| at + schedule.put_off(at));
    let row = TimetableRow { id: schedule.id(), schedule: schedule.clone(), created_at, next_at, due_at };
    Ok((row, skip))
}

/// A run of a deployment as it says by itself.
pub(super) fn new_run(deployment: &Deployment, trigger: Trigger) -> NewRun {
    let spec = &deployment.spec;
    NewRun {
        module: spec.module.clone(),
        entry: spec.entry.clone(),
        digest: spec.digest.clone(),
        parameters: spec.parameters.clone(),
        name: None,
        idempotency_key: None,
        scheduled_at: None,
        settings: spec.settings(),
        trigger,
        deployment: Some(deployment.name.as_str().into()),
        occurrence: None,
        across: AcrossRules::of_deployment(&deployment.name, spec, trigger != Trigger::Schedule),
    }
}

/// A schedule gives no parameters: where there is one, the deployment's must be whole.
fn check_parameters(plan: &Plan, spec: &DeploymentSpec) -> std::result::Result<(), String> {
    let (entry, parameters) = (plan.entry(), spec.parameters.clone());
    if spec.schedules.is_empty() {
        return entry.input.as_ref().map_or(Ok(()), |schema| Schema::check_some(schema, parameters));
    }
    let kind = entry.kind.as_str();
    let whole = plan.schema().complete(parameters);
    whole.map(drop).map_err(|why| format!("the {kind} `{}` cannot be run with these parameters: {why}", entry.name))
}
