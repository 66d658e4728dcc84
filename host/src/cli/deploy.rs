//! `tarefa deploy`: deployments as the command line or a file says, compared with those on record before anything is
//! changed.

mod diff;
mod file;
mod follow;
mod plan;
mod say;

use std::path::PathBuf;

use serde_json::json;

use super::choose::{self, Target};
use super::options::Options;
use super::register::Component;
use super::session::{Grantable, Session};
use super::signals::Signals;
use super::{Context, parse};
use crate::api::shapes::ModuleShape;
use crate::domain::limits::LimitCaps;
use crate::domain::module::check_name;
use crate::domain::parameters::Schema;
use crate::domain::{Catchup, DeploymentSpec, Grants, OnConflict, Schedule};
use crate::error::{Error, Result};
use file::Project;
use plan::{Plan, Source};

/// The file that is taken where nothing is named.
const FILE: &str = "tarefa.toml";

const HELP: &str = "\
Without PATH, the deployments are those of `tarefa.toml`. A deployment is what was deployed last: what is not said is as \
by default, except that one that somebody paused stays paused. Where no policy is given, `catchup = last` holds (after a \
time without a server the latest missed occurrence runs), and `overlap = skip` (no run beside an unfinished one).";

/// Have an entry run on a schedule: build it if need be, register it, and make or change its deployment
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// A crate's folder (built first), a .wasm file, or the name of a registered module
    path: Option<String>,
    /// May be left out where the module has one flow, or one entry
    entry: Option<String>,
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    options: Options,
    /// Deployments from a file [default: tarefa.toml, where no PATH is given]
    #[arg(short, long, value_name = "FILE", conflicts_with = "path")]
    file: Option<PathBuf>,
    /// Delete the deployments that an earlier state of the file had made
    #[arg(long, conflicts_with = "path")]
    prune: bool,
    /// Only show what would be changed
    #[arg(long, conflicts_with = "follow")]
    dry_run: bool,
    /// Stay, print each run, and pause the deployments on Ctrl-C; where there is no server, be it meanwhile
    #[arg(long)]
    follow: bool,
}

/// What a deployment from the command line says beside its entry.
#[derive(Debug, Default, clap::Args)]
#[group(multiple = true, requires = "path")]
struct Flags {
    /// Run so often, such as 30s; may be given several times, as `--cron` and `--at`
    #[arg(long, value_name = "DURATION", value_parser = parse::milliseconds)]
    every: Vec<u64>,
    /// Run when a crontab of this expression would, such as "0 9-18 * * 1-5"
    #[arg(long, value_name = "EXPRESSION")]
    cron: Vec<String>,
    /// Run once, at a time such as 2027-01-31T09:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Vec<String>,
    /// The deployment's name [default: the entry's, with `-` for `_`]
    #[arg(long)]
    name: Option<String>,
    /// What people read about it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What becomes of an occurrence while a run is unfinished: allow, skip, queue, queue-one or cancel-running
    #[arg(long, value_name = "WHAT", value_parser = parse::word::<OnConflict>)]
    overlap: Option<OnConflict>,
    /// Which occurrences run that were missed while there was no server: none, last or all
    #[arg(long, value_name = "WHICH", value_parser = parse::word::<Catchup>)]
    catchup: Option<Catchup>,
    /// Put each occurrence off by up to so long
    #[arg(long, value_name = "DURATION", value_parser = parse::milliseconds, default_value = "0s", hide_default_value = true)]
    jitter: u64,
    /// None of its schedules fires until `tarefa deployments resume NAME`
    #[arg(long)]
    paused: bool,
}

/// A deployment that is wanted, before its module is known.
#[derive(Debug)]
struct Wish {
    /// Where it stands, to begin a message with.
    place: String,
    name: Option<String>,
    target: Target,
    /// Its module and entry are filled in when they are known.
    spec: DeploymentSpec,
    /// What is read with the entry at hand: parameters and the number of retries.
    options: Options,
    /// Whether it is to be paused, where that is said; of its schedules too, in their order.
    paused: Option<bool>,
    told: Vec<Option<bool>>,
}

pub(super) async fn run(args: Args, context: &Context) -> Result<u8> {
    let (dry_run, follow, prune) = (args.dry_run, args.follow, args.prune);
    let mut project = args.project()?;
    // Who follows means to see them run, and had them paused when it ended last time.
    project.wishes.iter_mut().filter(|_| follow).for_each(|wish| _ = wish.paused.get_or_insert(false));
    let prune = match (prune, &project.name) {
        (true, None) => {
            let message =
                "`--prune` needs a line `project = \"NAME\"` in the file, which marks the deployments that it makes";
            return Err(Error::invalid(message));
        }
        (prune, _) => prune,
    };
    let mut builds: Vec<Build> = Vec::new();
    for wish in &project.wishes {
        if !builds.iter().any(|build| build.target == wish.target) {
            let (place, target, component) = (wish.place.clone(), wish.target.clone(), component(wish, context)?);
            builds.push(Build { place, target, component });
        }
    }
    let grants = project.wishes.iter().filter_map(|wish| wish.spec.grants.clone());
    let grantable = Grantable::of(&grants.fold(Grants::default(), |mut all, grants| {
        all.dirs.extend(grants.dirs);
        all.http.extend(grants.http);
        all
    }));
    let mut signals = Signals::catch()?;
    let session = if follow {
        Session::open_to_serve(context, grantable).await?
    } else {
        Session::open_quietly(context, grantable).await?
    };
    session.say_which(context);
    let work = async {
        let plan = plan(project, builds, prune, &session).await?;
        if dry_run {
            return plan.show(context).map(|()| None);
        }
        plan.apply(&session, follow, context).await.map(Some)
    };
    let deployed = tokio::select! {
        deployed = work => deployed,
        stop = signals.next() => {
            session.leave();
            return Ok(stop.exit_code());
        }
    };
    let result = match deployed {
        Ok(Some(names)) if follow => follow::follow(&names, &session, &mut signals, context).await,
        other => other.map(|_| 0),
    };
    session.close(result).await
}

/// What is to be registered for a deployment; nothing where it is of a registered module.
fn component(wish: &Wish, context: &Context) -> Result<Option<Component>> {
    let component = match &wish.target {
        Target::Crate(folder) => Component::build(folder, None, context, false).map(Some),
        Target::File(file) => Component::read(file, None).map(Some),
        Target::Module(_) => Ok(None),
    };
    component.map_err(|error| Error::new(error.kind, format!("{}{error}", wish.place)))
}

/// A module that deployments are of, and what is to be registered for it.
struct Build {
    /// Where it is named first.
    place: String,
    target: Target,
    component: Option<Component>,
}

async fn plan(project: Project, builds: Vec<Build>, prune: bool, session: &Session) -> Result<Plan> {
    let mut sources = Vec::with_capacity(builds.len());
    for Build { place, target, component } in builds {
        let source = Source::load(&target, component, &session.client).await;
        let source = source.map_err(|error| Error::new(error.kind, format!("{place}{error}")))?;
        sources.push((target, source));
    }
    let mut wanted: Vec<Wanted> = Vec::with_capacity(project.wishes.len());
    for wish in project.wishes {
        let source = sources.iter().find(|(target, _)| *target == wish.target);
        let (_, source) = source.expect("each target was loaded");
        let wish = wish.settle(&source.module)?;
        if wanted.iter().any(|other| other.name == wish.name) {
            return Err(Error::invalid(format!("two deployments are named `{}`", wish.name)));
        }
        wanted.push(wish);
    }
    let sources = sources.into_iter().map(|(_, source)| source).collect();
    Plan::make(sources, wanted, project.name, prune, &session.client).await
}

/// A deployment that is wanted, as it goes to the server but for what somebody has paused.
struct Wanted {
    name: String,
    spec: DeploymentSpec,
    paused: Option<bool>,
    told: Vec<Option<bool>>,
}

impl Args {
    fn project(self) -> Result<Project> {
        let Some(path) = self.path else {
            let file = self.file.unwrap_or_else(|| FILE.into());
            if file.as_os_str() == FILE && !file.exists() {
                let message = format!("there is no `{FILE}` here: give a PATH, such as `tarefa deploy . --every 30s`");
                return Err(Error::invalid(message));
            }
            return Project::read(&file);
        };
        let target = Target::of(&path);
        let Flags { every, cron, at, name, description, overlap, catchup, jitter, paused } = self.flags;
        let zone = self.options.timezone.clone();
        let schedule = || Schedule {
            timezone: zone.clone().unwrap_or_else(|| "UTC".to_owned()),
            jitter_ms: jitter,
            ..Schedule::default()
        };
        let every = every.into_iter().map(|ms| Schedule { interval_ms: Some(ms), ..schedule() });
        let cron = cron.into_iter().map(|cron| Schedule { cron: Some(cron), ..schedule() });
        let at = at.into_iter().map(|at| Schedule { at: Some(at), ..schedule() });
        let mut said = json!({"module": path, "paused": paused});
        if let Some(overlap) = overlap {
            said["overlap"] = json!(overlap);
        }
        let spec = serde_json::from_value(said).map_err(anyhow::Error::from)?;
        let spec = DeploymentSpec {
            entry: self.entry,
            description,
            schedules: every.chain(cron).chain(at).collect(),
            catchup: catchup.unwrap_or_default(),
            limits: self.options.limits(),
            metering: self.options.metering,
            tags: self.options.tags(),
            timezone: zone.clone(),
            grants: self.options.given_grants(),
            ..spec
        };
        let paused = paused.then_some(true);
        let told = vec![None; spec.schedules.len()];
        let wish = Wish { place: String::new(), name, target, spec, options: self.options, paused, told };
        Ok(Project { name: None, wishes: vec![wish] })
    }
}

impl Wish {
    /// Fills in what the module says, and checks the whole.
    fn settle(self, module: &ModuleShape) -> Result<Wanted> {
        let Wish { place, name, mut spec, options, paused, told, .. } = self;
        let wrong = |message: String| Error::invalid(format!("{place}{message}"));
        let entry = choose::entry(module, spec.entry.as_deref())
            .map_err(|error| Error::new(error.kind, format!("{place}{error}")))?;
        spec.module = module.name.clone();
        spec.entry = Some(entry.name.clone());
        if let Some(parameters) = options.parameters(entry)? {
            spec.parameters = parameters;
        }
        spec.retries = options.retries(entry).or(spec.retries);
        let name = name.unwrap_or_else(|| entry.name.replace('_', "-"));
        check_name("deployment", &name).map_err(wrong)?;
        let of = |message: String| wrong(format!("deployment `{name}`: {message}"));
        spec.check().map_err(of)?;
        spec.limits.iter().try_for_each(|limits| limits.check(&LimitCaps::default())).map_err(of)?;
        spec.retries.iter().try_for_each(|retries| retries.check()).map_err(of)?;
        // Of a pinned version the server knows the parameters.
        if let Some(schema) = entry.input.as_ref().filter(|_| spec.digest.is_none()) {
            let parameters = spec.parameters.clone();
            let whole = || Schema::compile(schema)?.complete(parameters.clone()).map(drop);
            // Without a schedule, who triggers it gives the rest.
            let checked =
                if spec.schedules.is_empty() { Schema::check_some(schema, parameters.clone()) } else { whole() };
            checked.map_err(of)?;
        }
        Ok(Wanted { name, spec, paused, told })
    }
}
