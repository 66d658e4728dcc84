//! Results of tasks that stand for those of runs which would do the same.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::retry::MAX_DELAY_MS;
use super::{Kind, Run, Settings};

/// The longest template of a key, in characters.
const MAX_TEMPLATE: usize = 200;

/// Of a task: how long its results stand for those of runs that would do the same, and which those are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheRule {
    /// From the end of the run that came to the result.
    #[schema(minimum = 1, maximum = 315_360_000_000_u64)]
    pub max_age_ms: u64,
    /// Names the parameters that must be equal, such as `{customer}`; where it is absent, all must be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    #[serde(default)]
    pub scope: CacheScope,
}

/// Whose runs share a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheScope {
    /// Those of the same deployment, or of none, with the same grants.
    #[default]
    Deployment,
    /// All.
    Global,
}

/// Equal for runs that would do the same: a sha-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey(pub [u8; 32]);

impl CacheRule {
    /// Says what an entry of that kind, with that schema of its parameters, cannot have.
    pub fn check(&self, kind: Kind, input: Option<&Value>) -> Result<(), String> {
        if kind == Kind::Flow {
            return Err("`cache` is of tasks; what a flow submits may have one each".to_owned());
        }
        if self.max_age_ms == 0 || self.max_age_ms > MAX_DELAY_MS {
            let age = self.max_age_ms;
            return Err(format!("`cache.max_age_ms` is {age}; it goes from 1 to {MAX_DELAY_MS} (ten years)"));
        }
        let Some(template) = &self.key else { return Ok(()) };
        let length = template.chars().count();
        if length == 0 || length > MAX_TEMPLATE {
            return Err(format!("`cache.key` has {length} characters; it takes 1 to {MAX_TEMPLATE}"));
        }
        let properties = input.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
        for name in placeholders(template) {
            let name = name?;
            if properties.is_none_or(|properties| !properties.contains_key(name)) {
                return Err(format!("`cache.key` names the parameter `{}`, which there is not", name.escape_debug()));
            }
        }
        Ok(())
    }

    /// What a run has in common with all that would do the same. `deployment` is that of the run at the top.
    pub fn key_of(&self, run: &Run, settings: &Settings, deployment: Option<&str>) -> CacheKey {
        let scope = match self.scope {
            CacheScope::Deployment => Some((&settings.dirs, &settings.http, deployment)),
            CacheScope::Global => None,
        };
        let same = self.key.as_deref().and_then(|template| named(template, &run.input));
        let same = same.as_deref().unwrap_or(&run.input);
        let all = serde_json::to_vec(&(&*run.module, run.digest.as_str(), &*run.entry, same, scope));
        CacheKey(Sha256::digest(all.expect("plain data is JSON")).into())
    }
}

/// The parameters that a template names, as JSON: unlike the text that it makes, two of them are equal only where all the
/// values are.
fn named(template: &str, input: &str) -> Option<String> {
    let input: Map<String, Value> = serde_json::from_str(input).ok()?;
    let values: Vec<Option<&Value>> = placeholders(template).map(|name| input.get(name.ok()?)).collect();
    serde_json::to_string(&values).ok()
}

/// The names in the braces of a template.
fn placeholders(template: &str) -> impl Iterator<Item = Result<&str, String>> {
    template.split('{').skip(1).map(|after| match after.split_once('}') {
        Some((name, _)) => Ok(name),
        None => Err("a `{` in `cache.key` has no matching `}`".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::super::{Digest, DirGrant, DirMode, Limits, Metering, Retries, RunId};
    use super::*;

    fn rule(key: Option<&str>, scope: CacheScope) -> CacheRule {
        CacheRule { max_age_ms: 1000, key: key.map(str::to_owned), scope }
    }

    fn run(digest: &str, input: Value) -> Run {
        let (id, digest) = (RunId(uuid::Uuid::nil()), Digest::of(digest.as_bytes()));
        let mut run = Run::new(id, Kind::Task, "m".into(), digest, 1, "e".into(), Timestamp::UNIX_EPOCH);
        run.input = input.to_string().into();
        run
    }

    fn settings(dirs: &[&str]) -> Settings {
        let dir = |host: &&str| DirGrant { host: (*host).to_owned(), guest: "/data".to_owned(), mode: DirMode::Ro };
        Settings {
            limits: Limits::default_for(Kind::Task),
            retries: Retries::default(),
            metering: Metering::Fuel,
            tags: Vec::new(),
            timezone: "UTC".to_owned(),
            dirs: dirs.iter().map(dir).collect(),
            http: Vec::new(),
        }
    }

    #[test]
    fn a_key_differs_with_all_that_tells_runs_apart() {
        let plain = rule(None, CacheScope::Deployment);
        let base = plain.key_of(&run("a", json!({"x": 1})), &settings(&[]), None);
        assert_eq!(base, plain.key_of(&run("a", json!({"x": 1})), &settings(&[]), None));
        let others = [
            plain.key_of(&run("b", json!({"x": 1})), &settings(&[]), None),
            plain.key_of(&run("a", json!({"x": 2})), &settings(&[]), None),
            plain.key_of(&run("a", json!({"x": 1})), &settings(&["/a"]), None),
            plain.key_of(&run("a", json!({"x": 1})), &settings(&[]), Some("nightly")),
        ];
        assert!(others.iter().all(|other| *other != base), "{others:?}");
        let global = rule(None, CacheScope::Global);
        let run = run("a", json!({"x": 1}));
        assert_eq!(global.key_of(&run, &settings(&["/a"]), Some("nightly")), global.key_of(&run, &settings(&[]), None));
    }

    #[test]
    fn a_template_tells_which_parameters_count() {
        let key =
            |template, input| rule(Some(template), CacheScope::Global).key_of(&run("a", input), &settings(&[]), None);
        assert_eq!(key("{a}", json!({"a": 1, "b": 1})), key("{a}", json!({"a": 1, "b": 2})));
        assert_ne!(key("{a}", json!({"a": 1})), key("{a}", json!({"a": 2})));
        // As text, both are `x-y-z`.
        assert_ne!(key("{a}-{b}", json!({"a": "x-y", "b": "z"})), key("{a}-{b}", json!({"a": "x", "b": "y-z"})));
        assert_eq!(key("always", json!({"a": 1})), key("always", json!({"a": 2})));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let schema = json!({"properties": {"id": {}}});
        let check = |max_age_ms, key: &str| {
            let rule = CacheRule { max_age_ms, key: Some(key.to_owned()), scope: CacheScope::Global };
            rule.check(Kind::Task, Some(&schema))
        };
        assert_eq!(check(1, "{id}-x"), Ok(()));
        assert_eq!(check(MAX_DELAY_MS, "x"), Ok(()));
        let table = [
            (check(0, "x"), "`cache.max_age_ms` is 0; it goes from 1 to 315360000000 (ten years)"),
            (check(MAX_DELAY_MS + 1, "x"), "`cache.max_age_ms` is 315360000001"),
            (check(1, ""), "`cache.key` has 0 characters; it takes 1 to 200"),
            (check(1, "{day}"), "`cache.key` names the parameter `day`, which there is not"),
            (check(1, "{id"), "a `{` in `cache.key` has no matching `}`"),
            (rule(None, CacheScope::Global).check(Kind::Flow, None), "`cache` is of tasks"),
        ];
        for (checked, expected) in table {
            let why = checked.expect_err(expected);
            assert!(why.starts_with(expected), "{why}");
        }
    }
}
