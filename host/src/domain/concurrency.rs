//! Limits across runs: how many of them may run at a time, how many may start within a span of time, and who comes first.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::DeploymentSpec;
pub use super::rate::Rate;

/// The longest key of a concurrency limit, in bytes.
pub const MAX_KEY: usize = 200;
/// The most runs that a limit lets run at a time: what is more is none.
pub const MAX_CONCURRENT: u32 = 100_000;
pub const MAX_PRIORITY: u8 = 9;
/// How long a run waits until it counts as much as one that was submitted just now with a priority one higher.
pub const PRIORITY_STEP: SignedDuration = SignedDuration::from_secs(60);

/// What becomes of a run that comes while as many run as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// It runs beside them.
    Allow,
    /// It waits for its turn.
    Queue,
    /// It waits for its turn, unless another waits already: then it is skipped.
    QueueOne,
    /// It is skipped.
    Skip,
    /// It takes the place of the oldest one, which is cancelled.
    CancelRunning,
}

impl OnConflict {
    /// Whether a run is skipped that comes while so many run and wait.
    pub fn skips(self, max: usize, running: usize, waiting: usize) -> bool {
        match self {
            OnConflict::Allow | OnConflict::Queue | OnConflict::CancelRunning => false,
            OnConflict::Skip => running + waiting >= max,
            // Those that wait while there is room are about to start.
            OnConflict::QueueOne => waiting > max.saturating_sub(running),
        }
    }
}

/// How many runs may run at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// A template such as `{customer}`, filled with the parameters: each value has its own limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    #[schema(minimum = 1, maximum = 100_000)]
    pub max: u32,
    #[serde(default = "queue")]
    pub on_conflict: OnConflict,
}

fn queue() -> OnConflict {
    OnConflict::Queue
}

impl Concurrency {
    /// # Errors
    ///
    /// Names what is out of range, and the range.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MAX_CONCURRENT).contains(&self.max) {
            return Err(format!("`concurrency.max` is {}; it goes from 1 to {MAX_CONCURRENT}", self.max));
        }
        match &self.key {
            // What stands in the braces may be anything that a parameter is called.
            Some(key) => check_key(key).and_then(|()| fill(key, |_| Some(String::new())).map(drop)),
            None => Ok(()),
        }
    }

    /// The key with the values of these parameters in their places; strings go in as they are, all else as JSON.
    fn key_of(&self, parameters: &Map<String, Value>) -> Result<Option<String>, String> {
        let Some(template) = &self.key else { return Ok(None) };
        let value = |name: &str| match parameters.get(name)? {
            Value::String(text) => Some(text.clone()),
            value => Some(value.to_string()),
        };
        let key = fill(template, value)?;
        check_key(&key)?;
        Ok(Some(key))
    }
}

fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(format!("`concurrency.key` has {} bytes; it takes 1 to {MAX_KEY}", key.len()));
    }
    if key.chars().any(char::is_control) {
        return Err(format!("`concurrency.key` has control characters: `{}`", key.escape_debug()));
    }
    Ok(())
}

/// Puts values into the places of a template that braces name.
fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let Some(length) = rest[open..].find('}') else {
            return Err(format!("`concurrency.key` is `{template}`: a `{{` is not closed"));
        };
        let name = &rest[open + 1..open + length];
        filled.push_str(&rest[..open]);
        filled.push_str(&value(name).ok_or_else(|| {
            format!("`concurrency.key` is `{template}`, and there is no parameter `{}`", name.escape_debug())
        })?);
        rest = &rest[open + length + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// What a run holds while it runs, beside others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// What is limited, such as `deployment/etl` or `key/acme`.
    pub name: String,
    /// How many runs may hold it at a time.
    pub max: u32,
    pub on_conflict: OnConflict,
}

/// How often runs may start that have this name in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    pub name: String,
    pub rate: Rate,
}

/// What a run waits for before it starts, beside its time: frozen at its submit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Across {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Hold>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: u8,
}

fn is_zero(value: &u8) -> bool {
    *value == 0
}

impl Across {
    /// Whether others may keep it from starting.
    pub fn is_limited(&self) -> bool {
        !self.holds.is_empty() || self.pace.is_some()
    }

    /// The names of all that it may wait for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.holds.iter().map(|hold| hold.name.as_str()).chain(self.pace.as_ref().map(|pace| pace.name.as_str()))
    }
}

/// The place of a run in the order in which those start that are due: waiting for [`PRIORITY_STEP`] counts as much as a
/// step of priority.
pub fn order_of(scheduled_at: Timestamp, priority: u8) -> Timestamp {
    scheduled_at.saturating_sub(PRIORITY_STEP * i32::from(priority)).unwrap_or(Timestamp::MIN)
}

/// What is limited of a tag's runs.
pub fn tag_name(tag: &str) -> String {
    format!("tag/{tag}")
}

/// Limits across runs as somebody asks for them, before the parameters of a run are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AcrossRules {
    /// The deployment that it is a run of.
    pub deployment: Option<String>,
    /// How it meets another run of its deployment.
    pub overlap: Option<OnConflict>,
    pub concurrency: Option<Concurrency>,
    pub rate: Option<Rate>,
    pub priority: u8,
}

impl AcrossRules {
    /// Those of a deployment's run. One that somebody triggers by hand neither waits for its schedule's runs nor is
    /// skipped for them, but they meet it.
    pub fn of_deployment(name: &str, spec: &DeploymentSpec, by_hand: bool) -> AcrossRules {
        AcrossRules {
            deployment: Some(name.to_owned()),
            overlap: Some(if by_hand { OnConflict::Allow } else { spec.overlap }),
            concurrency: spec.concurrency.clone(),
            rate: spec.rate,
            priority: spec.priority,
        }
    }

    /// What a run of `module/entry` with these parameters waits for.
    ///
    /// # Errors
    ///
    /// Names what is out of range, or the parameter that is not there.
    pub fn of_run(&self, module: &str, entry: &str, parameters: &Map<String, Value>) -> Result<Across, String> {
        check_priority(self.priority)?;
        let mut across = Across { priority: self.priority, ..Across::default() };
        if self.overlap.is_none() && self.concurrency.is_none() && self.rate.is_none() {
            return Ok(across);
        }
        let own = match &self.deployment {
            Some(deployment) => format!("deployment/{deployment}"),
            None => format!("entry/{module}/{entry}"),
        };
        across.holds.extend(self.overlap.map(|on_conflict| Hold { name: own.clone(), max: 1, on_conflict }));
        if let Some(concurrency) = &self.concurrency {
            concurrency.check()?;
            let name = match (concurrency.key_of(parameters)?, &self.deployment) {
                (None, _) => own.clone(),
                (Some(key), Some(_)) => format!("{own}/{key}"),
                (Some(key), None) => format!("key/{key}"),
            };
            across.holds.push(Hold { name, max: concurrency.max, on_conflict: concurrency.on_conflict });
        }
        if let Some(rate) = self.rate {
            rate.check()?;
            // All of its runs together, whatever their keys.
            across.pace = Some(Pace { name: format!("rate/{own}"), rate });
        }
        Ok(across)
    }
}

/// # Errors
///
/// Names the value and the range.
pub fn check_priority(priority: u8) -> Result<(), String> {
    match priority {
        0..=MAX_PRIORITY => Ok(()),
        _ => Err(format!("`priority` is {priority}; it goes from 0 to {MAX_PRIORITY}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn keyed(key: &str) -> Concurrency {
        Concurrency { key: Some(key.to_owned()), max: 1, on_conflict: OnConflict::Queue }
    }

    fn parameters(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn a_run_is_skipped_where_as_many_run_as_may_or_where_another_waits() {
        let skips = |policy: OnConflict, running, waiting| policy.skips(2, running, waiting);
        for (running, waiting, skip, queue_one) in [
            (0, 0, false, false),
            (1, 0, false, false),
            (0, 2, true, false),
            (2, 0, true, false),
            (1, 1, true, false),
            (1, 2, true, true),
            (2, 1, true, true),
            (5, 0, true, false),
            (5, 1, true, true),
        ] {
            let got = [skips(OnConflict::Skip, running, waiting), skips(OnConflict::QueueOne, running, waiting)];
            assert_eq!(got, [skip, queue_one], "{running} run and {waiting} wait");
            for never in [OnConflict::Allow, OnConflict::Queue, OnConflict::CancelRunning] {
                assert!(!skips(never, running, waiting));
            }
        }
    }

    #[test]
    fn a_key_is_filled_with_the_parameters() {
        let parameters = parameters(json!({"customer": "acme", "n": 7, "list": [1, "a"], "none": null}));
        let table = [
            ("{customer}", "acme"),
            ("{customer}/{n}", "acme/7"),
            ("db", "db"),
            ("{list}", "[1,\"a\"]"),
            ("}{n}}", "}7}"),
            ("{none}", "null"),
        ];
        for (template, key) in table {
            let concurrency = keyed(template);
            concurrency.check().expect(template);
            assert_eq!(concurrency.key_of(&parameters).expect(template), Some(key.to_owned()));
        }
        let error = keyed("{buyer}").key_of(&parameters).expect_err("there is none");
        assert_eq!(error, "`concurrency.key` is `{buyer}`, and there is no parameter `buyer`");
    }

    #[test]
    fn a_key_is_neither_empty_nor_long_nor_broken() {
        for template in ["", "{customer", "a\nb", &"x".repeat(MAX_KEY + 1)] {
            keyed(template).check().expect_err(template);
        }
        for value in ["", "a\u{1b}[0m", &"x".repeat(MAX_KEY + 1)] {
            keyed("{v}").key_of(&parameters(json!({ "v": value }))).expect_err(value);
        }
        for max in [0, MAX_CONCURRENT + 1] {
            let error = Concurrency { max, ..keyed("k") }.check().expect_err("out of range");
            assert_eq!(error, format!("`concurrency.max` is {max}; it goes from 1 to 100000"));
        }
        assert_eq!(check_priority(10).expect_err("too high"), "`priority` is 10; it goes from 0 to 9");
    }

    #[test]
    fn names_say_whose_the_limit_is() {
        let parameters = parameters(json!({"customer": "acme"}));
        let names = |rules: &AcrossRules| {
            let across = rules.of_run("m", "e", &parameters).expect("in range");
            across.names().map(str::to_owned).collect::<Vec<_>>()
        };
        let rate = Some("10/1m".parse().expect("a rate"));
        let mut rules = AcrossRules { concurrency: Some(keyed("{customer}")), rate, ..AcrossRules::default() };
        assert_eq!(names(&rules), ["key/acme", "rate/entry/m/e"]);
        rules.concurrency = Some(Concurrency { key: None, ..keyed("") });
        assert_eq!(names(&rules), ["entry/m/e", "rate/entry/m/e"]);
        let mut spec: DeploymentSpec = serde_json::from_value(json!({"module": "m"})).expect("a spec");
        spec.concurrency = Some(keyed("{customer}"));
        spec.rate = rate;
        let scheduled = AcrossRules::of_deployment("etl", &spec, false);
        assert_eq!(names(&scheduled), ["deployment/etl", "deployment/etl/acme", "rate/deployment/etl"]);
        let policy = |by_hand| {
            let rules = AcrossRules::of_deployment("etl", &spec, by_hand);
            rules.of_run("m", "e", &parameters).expect("in range").holds.remove(0).on_conflict
        };
        assert_eq!([policy(false), policy(true)], [OnConflict::Skip, OnConflict::Allow]);
        assert_eq!(AcrossRules::default().of_run("m", "e", &parameters), Ok(Across::default()));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_key_that_is_none(text in ".*", value in ".*") {
            let concurrency = keyed(&text);
            let known = concurrency.check().is_ok();
            let mut parameters = Map::new();
            parameters.insert(text.trim_matches(['{', '}']).to_owned(), value.into());
            if let Ok(Some(key)) = concurrency.key_of(&parameters) {
                prop_assert!(known || text.len() > MAX_KEY || text.contains(char::is_control));
                prop_assert!((1..=MAX_KEY).contains(&key.len()) && !key.contains(char::is_control));
            }
        }

        #[test]
        fn each_step_of_priority_is_worth_a_minute(at in 0..1_000_000_000_i64, high in 1..=MAX_PRIORITY, late_s in 0..3600_i64) {
            let early = Timestamp::from_second(at).expect("in range");
            let late = early + SignedDuration::from_secs(late_s);
            prop_assert_eq!(order_of(late, high) < order_of(early, 0), late_s < 60 * i64::from(high));
        }
    }
}
