//! `tarefa.toml`: deployments that are kept in step with a file. A deployment's table is its `DeploymentSpec`, and may
//! have what the flags of `tarefa deploy` are called in its place, in their units.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::Wish;
use crate::cli::choose::Target;
use crate::cli::options::Options;
use crate::cli::parse;
use crate::domain::module::{check_name, nearest};
use crate::domain::{DeploymentSpec, Schedule};
use crate::error::{Error, Result};

/// Keys of a deployment, and of one of its schedules, that are ours beside those of the API.
const OF_DEPLOYMENT: [&str; 8] = ["path", "every", "cron", "at", "jitter", "fuel", "memory", "timeout"];
const OF_SCHEDULE: [&str; 2] = ["every", "jitter"];
/// What the API calls in its units; `every`, `jitter` and `timeout` are the ways to write them.
const NOT_OURS: [&str; 2] = ["interval_ms", "jitter_ms"];

type Table<'a> = DeTable<'a>;

/// A file of deployments.
#[derive(Debug)]
pub(super) struct Project {
    /// Marks the deployments that the file made.
    pub(super) name: Option<String>,
    /// In the order of the file.
    pub(super) wishes: Vec<Wish>,
}

/// What is wrong, and where in the text.
#[derive(Debug)]
struct Wrong {
    at: usize,
    message: String,
}

impl Project {
    pub(super) fn read(file: &Path) -> Result<Project> {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| Error::not_found(format!("cannot read `{shown}`: {error}")))?;
        let line = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let folder = file.parent().unwrap_or(Path::new(""));
        let (name, wishes) = project(&text, folder)
            .map_err(|wrong| Error::invalid(format!("{shown}:{}: {}", line(wrong.at), wrong.message)))?;
        let wishes = wishes.into_iter().map(|(at, wish)| Wish { place: format!("{shown}:{}: ", line(at)), ..wish });
        Ok(Project { name, wishes: wishes.collect() })
    }
}

/// The project's name, and each deployment with its place in the text.
type Parts = (Option<String>, Vec<(usize, Wish)>);

fn project(text: &str, folder: &Path) -> Result<Parts, Wrong> {
    let mut root = Table::parse(text).map_err(|error| wrong(&error, &[]))?.into_inner();
    let name = match root.remove_entry("project") {
        Some((key, value)) => {
            let name: String = read(value)?;
            check_name("project", &name).map_err(|message| Wrong { at: key.span().start, message })?;
            Some(name)
        }
        None => None,
    };
    let deployments = root.remove("deployments");
    if let Some(key) = root.keys().next() {
        return Err(unknown(key.get_ref(), &["project", "deployments"], key.span().start));
    }
    let mut tables: Vec<_> = match deployments.map(Spanned::into_inner) {
        Some(DeValue::Table(tables)) => tables.into_iter().collect(),
        _ => Vec::new(),
    };
    if tables.is_empty() {
        return Err(Wrong {
            at: 0,
            message: "there is no deployment: each is a table `[deployments.NAME]`".to_owned(),
        });
    }
    tables.sort_by_key(|(key, _)| key.span().start);
    let mut wishes = Vec::with_capacity(tables.len());
    for (key, value) in tables {
        let at = key.span().start;
        let wish = deployment(key.get_ref(), at, value, folder)?;
        wishes.push((at, wish));
    }
    Ok((name, wishes))
}

fn deployment(name: &str, at: usize, value: Spanned<DeValue<'_>>, folder: &Path) -> Result<Wish, Wrong> {
    let of = |message: String| Wrong { at, message: format!("deployment `{name}`: {message}") };
    check_name("deployment", name).map_err(|message| Wrong { at, message })?;
    let span = value.span();
    let DeValue::Table(mut table) = value.into_inner() else {
        return Err(of(format!("it is a table `[deployments.{name}]`")));
    };
    table.iter_mut().for_each(|(_, value)| times_as_text(value));
    let path: Option<String> = take(&mut table, "path")?;
    if path.is_some() == table.contains_key("module") {
        return Err(of("it has either `path`, a crate's folder or a .wasm file, or `module`, a registered one".into()));
    }
    if path.is_some() && table.contains_key("digest") {
        return Err(of("`digest` names a version of a registered `module`, and does not go with `path`".into()));
    }
    let paused = table.contains_key("paused");
    let schedules = schedules(&mut table)?;
    let timezone: Option<String> = table.get("timezone").and_then(|zone| zone.get_ref().as_str()).map(str::to_owned);
    let mut limits = (take_as(&mut table, "fuel", parse::count)?, take_as(&mut table, "memory", parse::size)?, None);
    limits.2 = take_as(&mut table, "timeout", parse::milliseconds)?;
    let retries = match table.get("retries").map(Spanned::get_ref) {
        Some(DeValue::Integer(_)) => take(&mut table, "retries")?,
        _ => None,
    };
    // What is to be built gets its name when it is.
    let key = |name| Spanned::new(span.clone(), Cow::Borrowed(name));
    if path.is_some() {
        table.insert(key("module"), Spanned::new(span.clone(), DeValue::String(Cow::Borrowed(""))));
    }
    let mut spec: DeploymentSpec = read_known(DeValue::Table(table), span, &OF_DEPLOYMENT)?;
    let patch = spec.limits.get_or_insert_default();
    patch.fuel = limits.0.or(patch.fuel);
    patch.memory_bytes = limits.1.or(patch.memory_bytes);
    patch.timeout_ms = limits.2.or(patch.timeout_ms);
    spec.limits = spec.limits.filter(|limits| *limits != Default::default());
    for dir in spec.grants.iter_mut().flat_map(|grants| &mut grants.dirs) {
        dir.host = parse::absolute(&folder.join(&dir.host).to_string_lossy()).map_err(of)?;
    }
    for http in spec.grants.iter_mut().flat_map(|grants| &mut grants.http) {
        *http = http.clone().normalised().map_err(of)?;
    }
    let told = schedules.iter().map(|schedule| schedule.paused).collect();
    spec.schedules = schedules.into_iter().map(|schedule| schedule.in_zone(timezone.as_deref())).collect();
    let target = match path {
        Some(path) => Target::at(&folder.join(path).components().collect::<PathBuf>()),
        None => Target::Module(spec.module.clone()),
    };
    let paused = paused.then_some(spec.paused);
    let options = Options::retrying(retries);
    Ok(Wish { place: String::new(), name: Some(name.to_owned()), target, spec, options, paused, told })
}

/// A schedule as it stands in the file.
struct Written {
    schedule: Schedule,
    has_zone: bool,
    paused: Option<bool>,
}

impl Written {
    /// A schedule without a zone of its own has its deployment's.
    fn in_zone(self, zone: Option<&str>) -> Schedule {
        match zone.filter(|_| !self.has_zone) {
            Some(zone) => Schedule { timezone: zone.to_owned(), ..self.schedule },
            None => self.schedule,
        }
    }
}

/// Those in short form, then those of the list.
fn schedules(table: &mut Table<'_>) -> Result<Vec<Written>, Wrong> {
    let jitter_ms = take_as(table, "jitter", parse::milliseconds)?;
    let interval_ms = take_as(table, "every", parse::milliseconds)?;
    let (cron, at) = (take(table, "cron")?, take(table, "at")?);
    let utc = || Schedule { timezone: "UTC".to_owned(), ..Schedule::default() };
    let short = [
        interval_ms.map(|ms| Schedule { interval_ms: Some(ms), ..utc() }),
        cron.map(|cron| Schedule { cron: Some(cron), ..utc() }),
        at.map(|at| Schedule { at: Some(at), ..utc() }),
    ];
    let mut all: Vec<Written> =
        short.into_iter().flatten().map(|schedule| Written { schedule, has_zone: false, paused: None }).collect();
    if let Some(list) = table.remove("schedules") {
        let at = list.span().start;
        let DeValue::Array(list) = list.into_inner() else {
            return Err(Wrong { at, message: "`schedules` is a list, such as `[{ every = \"30s\" }]`".to_owned() });
        };
        for schedule in list {
            all.push(written(schedule)?);
        }
    }
    for written in &mut all {
        if written.schedule.jitter_ms == 0 {
            written.schedule.jitter_ms = jitter_ms.unwrap_or(0);
        }
    }
    Ok(all)
}

fn written(value: Spanned<DeValue<'_>>) -> Result<Written, Wrong> {
    let span = value.span();
    let DeValue::Table(mut table) = value.into_inner() else {
        return Err(Wrong {
            at: span.start,
            message: "a schedule is a table, such as `{ every = \"30s\" }`".to_owned(),
        });
    };
    let interval_ms = take_as(&mut table, "every", parse::milliseconds)?;
    let jitter_ms = take_as(&mut table, "jitter", parse::milliseconds)?;
    let (has_zone, has_paused) = (table.contains_key("timezone"), table.contains_key("paused"));
    let mut schedule: Schedule = read_known(DeValue::Table(table), span, &OF_SCHEDULE)?;
    schedule.interval_ms = interval_ms.or(schedule.interval_ms);
    schedule.jitter_ms = jitter_ms.unwrap_or(schedule.jitter_ms);
    let paused = has_paused.then_some(schedule.paused);
    Ok(Written { schedule, has_zone, paused })
}

/// A point in time may be written without quotes.
fn times_as_text(value: &mut Spanned<DeValue<'_>>) {
    match value.get_mut() {
        DeValue::Datetime(at) => *value.get_mut() = DeValue::String(Cow::Owned(at.to_string())),
        DeValue::Array(values) => values.iter_mut().for_each(times_as_text),
        DeValue::Table(values) => values.iter_mut().for_each(|(_, value)| times_as_text(value)),
        _ => {}
    }
}

fn take<T: DeserializeOwned>(table: &mut Table<'_>, key: &str) -> Result<Option<T>, Wrong> {
    table.remove(key).map(read).transpose()
}

/// What is written as on the command line.
fn take_as<T>(table: &mut Table<'_>, key: &str, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, Wrong> {
    let Some(value) = table.remove(key) else { return Ok(None) };
    let at = value.span().start;
    let text = match value.get_ref() {
        DeValue::Integer(number) => number.as_str().to_owned(),
        _ => self::read(value)?,
    };
    read(&text).map(Some).map_err(|message| Wrong { at, message: format!("`{key}`: {message}") })
}

fn read<T: DeserializeOwned>(value: Spanned<DeValue<'_>>) -> Result<T, Wrong> {
    let span = value.span();
    read_known(value.into_inner(), span, &[])
}

/// Reads a value; `ours` are keys that it could have had beside its own.
fn read_known<T: DeserializeOwned>(
    value: DeValue<'_>,
    span: std::ops::Range<usize>,
    ours: &[&str],
) -> Result<T, Wrong> {
    let start = span.start;
    let own: Vec<usize> = value.as_table().into_iter().flatten().map(|(key, _)| key.span().start).collect();
    T::deserialize(ValueDeserializer::from(Spanned::new(span, value))).map_err(|error| {
        let at = error.span().map_or(start, |span| span.start);
        // Tables within have keys of their own.
        let ours = if own.contains(&at) { ours } else { &[] };
        Wrong { at, ..wrong(&error, ours) }
    })
}

fn wrong(error: &toml::de::Error, ours: &[&str]) -> Wrong {
    let at = error.span().map_or(0, |span| span.start);
    let message = error.message();
    // Serde names the key, and then those that it knows.
    let mut quoted = message.split('`').skip(1).step_by(2);
    match (message.starts_with("unknown field `"), quoted.next()) {
        (true, Some(key)) => {
            let known: Vec<&str> = ours.iter().copied().chain(quoted.filter(|key| !NOT_OURS.contains(key))).collect();
            unknown(key, &known, at)
        }
        _ => Wrong { at, message: message.trim_end().replace('\n', "; ") },
    }
}

fn unknown(key: &str, known: &[&str], at: usize) -> Wrong {
    let list = || known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    let hint = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", list()),
    };
    Wrong { at, message: format!("unknown key `{}`; {hint}", key.escape_debug()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (usize, String) {
        let wrong = project(text, Path::new("")).expect_err(text);
        (text[..wrong.at].matches('\n').count() + 1, wrong.message)
    }

    fn only(text: &str) -> Wish {
        project(text, Path::new("folder")).expect(text).1.remove(0).1
    }

    #[test]
    fn a_deployment_is_what_its_table_says_in_units_that_people_write() {
        let text = r#"
            project = "vendas"

            [deployments.um-dia]
            path = "sub/../."
            entry = "pipeline"
            every = "30s"
            cron = "0 9-18 * * 1-5"
            jitter = "10s"
            timezone = "America/Sao_Paulo"
            schedules = [
                { at = 2027-01-31T09:00:00Z, timezone = "UTC", paused = true },
                { every = "1h", jitter = "1s", start = 2027-01-01T00:00:00Z },
            ]
            timeout = "10min"
            memory = "64MiB"
            fuel = 5_000_000
            retries = 3
            rate = "10/1m"
            overlap = "queue-one"

            [deployments.a-later-one]
            module = "m"
            [deployments.a-later-one.parameters]
            day = 2027-01-31
            [deployments.a-later-one.retries]
            max = 2
            delay_ms = [1000, 2000]
        "#;
        let (name, wishes) = project(text, Path::new("folder")).expect("deployments");
        assert_eq!(name.as_deref(), Some("vendas"));
        let names: Vec<_> = wishes.iter().map(|(_, wish)| wish.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["um-dia", "a-later-one"], "in the order of the file");
        let [(_, first), (_, second)] = &wishes[..] else { panic!("two") };
        assert_eq!(first.target, Target::Crate("folder/sub/..".into()));
        let zone = |zone: &str| Schedule { timezone: zone.to_owned(), jitter_ms: 10_000, ..Schedule::default() };
        let expected = [
            Schedule { interval_ms: Some(30_000), ..zone("America/Sao_Paulo") },
            Schedule { cron: Some("0 9-18 * * 1-5".to_owned()), ..zone("America/Sao_Paulo") },
            Schedule { at: Some("2027-01-31T09:00:00Z".to_owned()), paused: true, ..zone("UTC") },
            Schedule {
                interval_ms: Some(3_600_000),
                jitter_ms: 1000,
                start: Some("2027-01-01T00:00:00Z".parse().unwrap()),
                ..zone("America/Sao_Paulo")
            },
        ];
        assert_eq!(first.spec.schedules, expected);
        assert_eq!(first.told, [None, None, Some(true), None]);
        assert_eq!((first.paused, second.paused), (None, None));
        let limits = first.spec.limits.clone().expect("limits");
        assert_eq!(limits.timeout_ms, Some(600_000));
        assert_eq!((limits.memory_bytes, limits.fuel), (Some(64 << 20), Some(5_000_000)));
        assert_eq!(second.target, Target::Module("m".to_owned()));
        assert_eq!(second.spec.parameters["day"], "2027-01-31");
        assert_eq!(second.spec.retries.as_ref().map(|retries| retries.max), Some(2));
        assert_eq!(second.spec.limits, None);
    }

    #[test]
    fn that_it_is_paused_may_be_said_or_not() {
        let paused = |more: &str| only(&format!("[deployments.a]\nmodule = \"m\"\n{more}")).paused;
        assert_eq!(["", "paused = true", "paused = false"].map(paused), [None, Some(true), Some(false)]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let table = [
            ("projet = \"x\"", 1, "unknown key `projet`; did you mean `project`?"),
            ("\nproject = \"No\"", 2, "invalid project name `No`"),
            ("", 1, "there is no deployment: each is a table `[deployments.NAME]`"),
            ("deployments = 3", 1, "there is no deployment"),
            ("[deployments.A]\nmodule = \"m\"", 1, "invalid deployment name `A`"),
            ("[deployments.a]\nentry = \"e\"", 1, "deployment `a`: it has either `path`"),
            ("[deployments.a]\nmodule = \"m\"\npath = \".\"", 1, "deployment `a`: it has either `path`"),
            ("[deployments.a]\npath = \".\"\n\nevry = \"30s\"", 4, "unknown key `evry`; did you mean `every`?"),
            ("[deployments.a]\npath = \".\"\nwhen = 1", 3, "unknown key `when`; known are `path`, `every`, `cron`, "),
            (
                "[deployments.a]\npath = \".\"\n[deployments.a.limits]\nfuel_ = 3",
                4,
                "unknown key `fuel_`; did you mean `fuel`?",
            ),
            (
                "[deployments.a]\nmodule = \"m\"\nschedules = [\n{ every = \"1s\" },\n{ crn = \"\" }]",
                5,
                "unknown key `crn`; did you mean `cron`?",
            ),
            ("[deployments.a]\nmodule = \"m\"\nevery = 30", 3, "`every`: `30` is no duration"),
            ("[deployments.a]\nmodule = \"m\"\nmemory = \"1 tonne\"", 3, "`memory`: `1 tonne` is no size"),
            (
                "[deployments.a]\nmodule = \"m\"\noverlap = \"skipp\"",
                3,
                "unknown variant `skipp`, expected one of `allow`",
            ),
            ("[deployments.a]\nmodule = \"m\"\nschedules = 1", 3, "`schedules` is a list"),
            ("[deployments.a]\nmodule = \"m\"\nentry = 1", 3, "invalid type: integer `1`, expected a string"),
            ("[deployments.a]\nmodule = \"m\"\n\nentry = ", 4, ""),
            ("[deployments.a]\nmodule = \"m\"\n[deployments.a]", 3, "duplicate key"),
        ];
        for (text, line, message) in table {
            let (at, said) = refused(text);
            assert!(at == line && said.starts_with(message), "{text}: {at}: {said}");
        }
    }
}
