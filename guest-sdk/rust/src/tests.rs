//! The SDK as a module's author sees it, without a host.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use crate::prelude::*;
use crate::testing::{self, Level};

#[data]
#[derive(PartialEq)]
struct Order {
    id: u32,
    items: Vec<String>,
}

/// Counts the items.
///
/// Of one order.
#[task(retries = 3, retry_delay = ["1s", "5s"], jitter = 0.2, timeout = "1m 30s", run_name = "count({factor})", tags = ["a"])]
fn count(order: Order, #[default(2)] factor: u32) -> Result<u32> {
    ensure!(order.id > 0, "order {} has no id", order.id);
    Ok(u32::try_from(order.items.len())? * factor)
}

#[task(
    title = "Echo \"it\"",
    limits(fuel = 1_000_000, memory = "64MiB"),
    retries = 5,
    retry_delay = "2s",
    backoff = "exponential",
    max_delay = "1m"
)]
fn echo(#[default("olá")] mut text: String, note: Option<String>) -> String {
    text.push_str(note.as_deref().unwrap_or_default());
    text
}

#[task]
fn refuse() -> Result<(), String> {
    Err("no".to_owned())
}

#[task]
fn give_up() -> Result<()> {
    Err(TaskError::permanent("never").with_details(json!({ "tried": 1 })))
}

#[flow]
fn both(n: u32) -> Result<u32> {
    let text = echo::submit("a", None);
    let again = echo::submit(&text, Some("b".to_owned()));
    ensure!(again.wait()? == "ab", "not the result of the run");
    let counts = count::map((1..=n).map(|id| (Order { id, items: vec![String::new()] }, 2)))?;
    Ok(counts.iter().sum())
}

export_module!(flows: [both], tasks: [count, echo, refuse, give_up]);

#[test]
fn a_call_runs_the_function() {
    assert_eq!(both(3).unwrap(), 6);
    assert_eq!(echo("x".to_owned(), None).unwrap(), "x");
    let submitted = testing::submitted();
    assert_eq!(submitted.len(), 5);
    assert_eq!(submitted[1].input, json!({ "text": "a", "note": "b" }));
}

#[test]
fn errors_of_every_type_become_task_errors() {
    let error = refuse().unwrap_err();
    assert_eq!((error.kind(), error.message(), error.is_retryable()), ("task_error", "no", true));
    let error = give_up::submit().wait().unwrap_err();
    assert!(!error.is_retryable());
    assert_eq!(error.details(), Some(&json!({ "tried": 1 })));
    let parse = || -> Result<u32> { Ok("x".parse::<u32>()?) };
    assert_eq!(parse().unwrap_err().message(), "invalid digit found in string");
}

#[test]
fn an_upstream_failure_fails_what_depends_on_it() {
    let failed = refuse::submit();
    let run = echo::call("a", None).waits_for(&failed).submit();
    assert_eq!(run.wait().unwrap_err().kind(), "upstream_failed");
    assert_eq!(testing::submitted().len(), 1);
}

#[test]
fn describe_follows_the_contract() {
    let described = TAREFA_MODULE.describe();
    let entries = described["entries"].as_array().unwrap();
    assert_eq!(entries[0]["name"], "both");
    assert_eq!(entries[0]["kind"], "flow");
    let count = &entries[1];
    assert_eq!(count["description"], "Counts the items.\n\nOf one order.");
    assert_eq!(count["retries"], json!({ "max": 3, "delay_ms": [1000, 5000], "jitter": 0.2 }));
    assert_eq!(count["limits"], json!({ "timeout_ms": 90_000 }));
    assert_eq!(count["run_name"], "count({factor})");
    assert_eq!(count["tags"], json!(["a"]));
    let input = &count["input"];
    assert_eq!(input["required"], json!(["order"]));
    assert_eq!(input["additionalProperties"], json!(false));
    assert_eq!(input["properties"]["factor"]["default"], 2);
    assert_eq!(input["properties"]["order"]["$ref"], "#/$defs/Order");
    assert!(input["$defs"]["Order"].is_object() && input.get("title").is_none());
    assert_eq!(count["output"]["format"], "uint32");
    let echo = &entries[2];
    assert_eq!(echo["title"], "Echo \"it\"");
    assert_eq!(echo["input"]["properties"]["text"]["default"], "olá");
    assert!(echo["input"].get("required").is_none());
    assert_eq!(echo["limits"], json!({ "fuel": 1_000_000, "memory_bytes": 67_108_864 }));
    assert_eq!(
        echo["retries"],
        json!({ "max": 5, "delay_ms": 2000, "backoff": "exponential", "max_delay_ms": 60_000 })
    );
    assert_eq!(entries[3]["input"], json!({ "type": "object", "properties": {}, "additionalProperties": false }));
}

#[test]
fn a_module_is_called_by_name_with_json() {
    assert_eq!(TAREFA_MODULE.call("both", r#"{"n":2}"#).unwrap(), "4");
    assert_eq!(TAREFA_MODULE.call("echo", "{}").unwrap(), "\"olá\"");
    assert_eq!(TAREFA_MODULE.call("none", "{}").unwrap_err().kind(), "missing_entry");
    assert_eq!(TAREFA_MODULE.call("both", r#"{"n":-1}"#).unwrap_err().kind(), "invalid_input");
}

#[test]
fn calls_carry_their_options() {
    let retries = Retries::new(2).delay(Duration::from_secs(1)).exponential(Duration::from_secs(60)).jitter(0.5);
    let limits = Limits { fuel: Some(7), timeout: Some(Duration::from_millis(5)), ..Limits::default() };
    echo::call("a", None).name("first").retries(retries).limits(limits).tags(["t"]).run().unwrap();
    let expected = json!({
        "name": "first",
        "retries": { "max": 2, "delay_ms": 1000, "backoff": "exponential", "max_delay_ms": 60_000, "jitter": 0.5 },
        "limits": { "fuel": 7, "timeout_ms": 5 },
        "tags": ["t"],
    });
    assert_eq!(testing::submitted()[0].options, expected);
}

#[test]
fn entries_of_other_modules_have_doubles() {
    testing::set_entry("sales/load", |input| Ok(json!({ "loaded": input["rows"] })));
    assert_eq!(submit_by_name("sales/load", json!({ "rows": 3 })).wait().unwrap(), json!({ "loaded": 3 }));
    assert_eq!(submit_by_name("sales/none", json!({})).wait().unwrap_err().kind(), "missing_entry");
}

#[test]
fn the_run_is_doubled_too() {
    testing::set_context(|context| context.local_time = "2026-03-29T02:30:00.5+02:00".to_owned());
    let now = local_time();
    assert_eq!((now.hour, now.date(), now.time()), (2, "2026-03-29", "02:30:00"));
    sleep(Duration::from_secs(3600));
    assert_eq!(testing::sleeps(), [Duration::from_secs(3600)]);
    assert_eq!(complete_as("pulado", 1), 1);
    assert_eq!(testing::label().as_deref(), Some("pulado"));
    warn!("{} rows", 2);
    assert_eq!((testing::logs()[0].level, testing::logs()[0].message.as_str()), (Level::Warn, "2 rows"));
}

#[test]
fn random_numbers_stay_in_their_range() {
    testing::set_random([0.0, 1.0, 0.5]);
    assert_eq!([random_range(2..=6), random_range(2..=6), random_range(2..=6)], [2, 6, 4]);
    assert!((0..1000).all(|_| (2..=6).contains(&random_range(2_u8..=6)) && (0.0..1.0).contains(&random())));
}

#[test]
fn completions_yield_every_run_once() {
    let runs: Vec<_> = ["a", "b"].into_iter().map(|text| echo::submit(text, None)).collect();
    let texts: Vec<_> = completions(&runs).map(|run| run.wait().unwrap()).collect();
    assert_eq!(texts, ["a", "b"]);
    assert_eq!(completions(&runs).indexes().collect::<Vec<_>>(), [0, 1]);
}

#[task]
fn same(number: f64) -> f64 {
    number
}

#[test]
fn a_number_arrives_as_it_was_sent() {
    // Some of these come back with another last digit from a reader that is only nearly right.
    for number in (1..1000).map(|n| f64::from(n) / 7.0) {
        assert_eq!(same::submit(number).wait().unwrap().to_bits(), number.to_bits(), "{number}");
    }
}
