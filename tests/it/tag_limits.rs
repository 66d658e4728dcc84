//! Limits of tags, which concern the runs of flows, too, and change while the server runs.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{Running, TestApp, answer, child_id, text};
use crate::concurrency::{most_at_a_time, span};
use crate::process::{data_dir, output};

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

pub async fn set(app: &Running, tag: &str, max: u32) -> (StatusCode, Value) {
    answer(app.raw(Method::PUT, &format!("/api/tag-limits/{tag}")).json(&json!({"max": max}))).await
}

async fn limit(app: &Running, tag: &str, max: u32) {
    let (status, body) = set(app, tag, max).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

/// Waits until so many run and wait with a tag.
async fn until(app: &Running, tag: &str, running: u64, waiting: u64) {
    let found = async {
        loop {
            let limit = app.get(&format!("/api/tag-limits/{tag}")).await;
            if limit["running"] == running && limit["waiting"] == waiting {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), found).await.is_err() {
        panic!("not {running} and {waiting}: {}", app.get("/api/tag-limits").await);
    }
}

async fn tagged(app: TestApp) -> Running {
    let app = app.start().await;
    app.register("tagged").await;
    app
}

#[tokio::test]
async fn the_maximum_is_never_exceeded_by_runs_and_children_together() {
    let app = tagged(TestApp::new().slots(16)).await;
    limit(&app, "db", 2).await;
    limit(&app, "gpu", 3).await;
    let (mut flows, mut tasks) = (Vec::new(), Vec::new());
    for n in 0..20 {
        flows.push(app.submit("tagged", "mixed", json!({"n": 4, "ms": n % 2})).await);
        tasks.push(app.submit("tagged", ["query", "train", "load"][n % 3], json!({"ms": 0})).await);
    }
    let mut runs = Vec::new();
    for id in &tasks {
        runs.push(app.until_final(id).await);
    }
    for id in &flows {
        assert_eq!(app.until_final(id).await["result"], 4);
        runs.extend(app.children(id).await);
    }
    for (tag, max) in [("db", 2), ("gpu", 3)] {
        let with_tag = |run: &&Value| run["tags"].as_array().unwrap().contains(&json!(tag));
        let spans: Vec<_> = runs.iter().filter(with_tag).map(span).collect();
        assert!(spans.len() > 100);
        let most = most_at_a_time(&spans);
        assert!(most <= max, "{most} ran at a time with the tag `{tag}`");
        until(&app, tag, 0, 0).await;
    }
}

#[tokio::test]
async fn a_child_that_waits_for_its_tag_says_so_and_holds_no_slot() {
    let app = tagged(TestApp::new().slots(2).manual_clock()).await;
    app.register("noop").await;
    limit(&app, "db", 1).await;
    let id = app.submit("tagged", "queries", json!({"n": 3, "ms": 1000})).await;
    until(&app, "db", 1, 2).await;
    // Its row comes a moment after the flow has submitted it.
    app.until(&id, |run| run["children"] == json!({"running": 1, "scheduled": 2})).await;
    let children = app.children(&id).await;
    let waits: Vec<_> = children.iter().map(|child| (&child["waiting_for"], &child["waiting_on"])).collect();
    assert_eq!(waits.iter().filter(|waits| **waits == (&json!("limit"), &json!("tag/db"))).count(), 2, "{waits:?}");
    assert_eq!(app.run("noop", "submitted", json!({"n": 2})).await["state"], "completed", "there is a slot");
    let top = app.submit("tagged", "query", json!({"ms": 1000})).await;
    until(&app, "db", 1, 3).await;
    for _ in 0..4 {
        app.until_asleep(1, SECOND).await;
        app.advance(SECOND);
    }
    let finished: Vec<_> = app.children(&id).await;
    assert_eq!(app.until_final(&id).await["result"], 3, "{finished:?}");
    assert_eq!(app.until_final(&top).await["state"], "completed");
}

#[tokio::test]
async fn a_limit_changes_while_runs_wait_for_it_and_counts_what_runs_already() {
    let app = tagged(TestApp::new().slots(16).manual_clock()).await;
    let id = app.submit("tagged", "queries", json!({"n": 3, "ms": 1_000})).await;
    app.until_asleep(3, SECOND).await;
    app.until(&id, |run| run["children"] == json!({"running": 3})).await;
    limit(&app, "db", 2).await;
    until(&app, "db", 3, 0).await;
    let second = app.submit("tagged", "queries", json!({"n": 6, "ms": 10_000})).await;
    let top = app.submit("tagged", "query", json!({"ms": 10_000})).await;
    until(&app, "db", 3, 7).await;
    app.advance(SECOND);
    app.until_final(&id).await;
    until(&app, "db", 2, 5).await;
    limit(&app, "db", 4).await;
    until(&app, "db", 4, 3).await;
    limit(&app, "db", 1).await;
    until(&app, "db", 4, 3).await;
    let listed = app.get("/api/tag-limits").await;
    assert_eq!(listed["items"], json!([{"tag": "db", "max": 1, "running": 4, "waiting": 3}]));
    let removed = app.raw(Method::DELETE, "/api/tag-limits/db").send().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    app.until_asleep(7, MINUTE).await;
    app.advance(SECOND * 10);
    app.until_final(&second).await;
    app.until_final(&top).await;
    let (status, body) = app.try_get("/api/tag-limits/db").await;
    assert_eq!((status, &body["error"]["message"]), (StatusCode::NOT_FOUND, &json!("tag `db` has no limit")));
}

#[tokio::test]
async fn a_run_does_not_wait_for_what_a_run_above_it_holds() {
    let app = tagged(TestApp::new().slots(4).manual_clock()).await;
    limit(&app, "db", 1).await;
    let id = app.submit("tagged", "session", json!({"n": 3, "ms": 1000})).await;
    app.until_asleep(3, SECOND).await;
    until(&app, "db", 1, 0).await;
    let other = app.submit("tagged", "session", json!({"n": 1, "ms": 1000})).await;
    until(&app, "db", 1, 1).await;
    app.advance(SECOND);
    assert_eq!(app.until_final(&id).await["result"], 3);
    app.until_asleep(1, SECOND).await;
    app.advance(SECOND);
    assert_eq!(app.until_final(&other).await["result"], 1);
}

#[tokio::test]
async fn what_fails_traps_or_awaits_its_retry_lets_go() {
    let app = tagged(TestApp::new().manual_clock()).await;
    limit(&app, "db", 1).await;
    assert_eq!(app.run("tagged", "troubles", json!({})).await["result"], 4);
    app.register("by_name").await;
    let retries = app.submit("by_name", "run", json!({"entry": "tagged/second_time", "parameters": {}})).await;
    // Its row comes a moment after the flow has submitted it.
    app.until(&retries, |run| run["children"] == json!({"scheduled": 1})).await;
    app.until(&child_id(&retries, 0), |run| run["waiting_for"] == "retry").await;
    let top = app.submit("tagged", "second_time", json!({})).await;
    app.until(&top, |run| run["waiting_for"] == "retry").await;
    until(&app, "db", 0, 0).await;
    let flow = app.submit("tagged", "queries", json!({"n": 2, "ms": HOUR.as_millis() as u64})).await;
    until(&app, "db", 1, 1).await;
    let (status, _) = app.post(&format!("/api/runs/{flow}/cancel"), json!({})).await;
    assert_eq!(status, StatusCode::OK);
    app.until_final(&flow).await;
    until(&app, "db", 0, 0).await;
    app.advance(HOUR);
    for id in [&retries, &top] {
        assert_eq!(app.until_final(id).await["state"], "completed");
    }
}

#[tokio::test]
async fn a_child_flow_that_is_put_away_holds_its_tag_also_after_a_restart() {
    let mut app = tagged(TestApp::new().manual_clock().evict_at_once()).await;
    limit(&app, "db", 1).await;
    let holder = app.submit("tagged", "waits_below", json!({"name": "go"})).await;
    let parked = |run: &Value| run["attempts"][0]["number"] == 1 && run["attempts"][0]["worker"].is_null();
    app.until(&holder, parked).await;
    until(&app, "db", 1, 0).await;
    let waiting = app.submit("tagged", "queries", json!({"n": 1, "ms": 0})).await;
    until(&app, "db", 1, 1).await;
    app.restart(Duration::ZERO).await;
    until(&app, "db", 1, 1).await;
    let child = text(&app.children(&holder).await[0]["id"]);
    app.post(&format!("/api/runs/{child}/signals/go"), json!(7)).await;
    assert_eq!(app.until_final(&holder).await["result"], 7);
    assert_eq!(app.until_final(&waiting).await["state"], "completed");
    // Cancelled where nobody has it in memory, it lets go at once.
    let holder = app.submit("tagged", "waits_below", json!({"name": "go"})).await;
    app.until(&holder, parked).await;
    app.post(&format!("/api/runs/{holder}/cancel"), json!({})).await;
    until(&app, "db", 0, 0).await;
    assert_eq!(app.run("tagged", "query", json!({"ms": 0})).await["state"], "completed");
}

#[tokio::test]
async fn a_child_that_waited_for_its_tag_when_the_server_stopped_waits_again() {
    let mut app = tagged(TestApp::new().manual_clock()).await;
    limit(&app, "db", 1).await;
    let id = app.submit("tagged", "queries", json!({"n": 3, "ms": 1000})).await;
    until(&app, "db", 1, 2).await;
    app.restart(Duration::ZERO).await;
    until(&app, "db", 1, 2).await;
    for _ in 0..3 {
        app.until_asleep(1, SECOND).await;
        app.advance(SECOND);
    }
    assert_eq!(app.until_final(&id).await["result"], 3);
}

#[tokio::test]
async fn what_is_no_limit_of_a_tag_is_refused() {
    let app = TestApp::new().start().await;
    let long = "x".repeat(65);
    for (tag, max, part) in [
        ("db", 0, "`max` is 0; it goes from 1 to 100000"),
        ("db", 100_001, "`max` is 100001; it goes from 1 to 100000"),
        (long.as_str(), 1, "a tag has 65 bytes; it takes 1 to 64"),
    ] {
        let (status, body) = set(&app, tag, max).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(body["error"]["message"], part);
    }
    let (status, _) = answer(app.raw(Method::DELETE, "/api/tag-limits/none")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[test]
fn the_command_line_sets_lists_and_deletes_limits() {
    let data = data_dir();
    let stdout = |arguments: &[&str]| {
        let output = output(data.path(), arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(stdout(&["limits", "set", "my db", "1"]), "at most 1 run with the tag `my db` at a time; 0 now\n");
    assert_eq!(stdout(&["limits"]), "tag    max  running  waiting\nmy db    1        0        0\n");
    assert_eq!(stdout(&["limits", "delete", "my db"]), "the tag `my db` has no limit any more\n");
    assert_eq!(stdout(&["limits", "--json"]).replace([' ', '\n'], ""), "{\"items\":[]}");
    let refused = output(data.path(), &["limits", "delete", "my db"]);
    assert_eq!(refused.status.code(), Some(3));
}
