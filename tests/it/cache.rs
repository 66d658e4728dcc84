//! Results of tasks stand for those of runs that would do the same, as long as they are to.

use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tarefa::domain::DirMode;
use tempfile::TempDir;

use crate::app::{Running, TestApp, guest, text};
use crate::process::{data_dir, output};
use crate::wat::TextGuest;

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const MOMENT: SignedDuration = SignedDuration::from_millis(1);

/// A server with the module `cached`, and the directory that its tasks are granted.
async fn cached(app: TestApp) -> (Running, TempDir) {
    let shared = tempfile::tempdir().expect("a directory");
    let app = app.allow_dir(shared.path(), DirMode::Rw).manual_clock().start().await;
    app.register("cached").await;
    (app, shared)
}

fn submit(shared: &Path, entry: &str, parameters: Value) -> Value {
    let grants = json!({"dirs": [{"host": shared, "guest": "/data", "mode": "rw"}]});
    json!({"module": "cached", "entry": entry, "parameters": parameters, "grants": grants})
}

/// What ran, in order.
fn effects(shared: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(shared.join("effects")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn put(shared: &Path, name: &str) {
    std::fs::write(shared.join(name), "").expect("writes");
}

/// The result of a run that completed, and the run that it is from.
fn result(run: &Value) -> (&Value, &Value) {
    assert_eq!(run["state"], "completed", "{run}");
    (&run["result"], &run["cached_from"])
}

/// A run that a worker took, and that waits for one that does the same.
async fn until_it_waits(app: &Running, id: &str) {
    app.until(id, |run| run["state"] == "scheduled" && run["history"].as_array().unwrap().len() == 1).await;
}

/// A task that has nothing to do with the others: when it is over, the worker has looked at all before it.
async fn run_another(app: &Running, shared: &Path) {
    let run = app.run_with(submit(shared, "price", json!({"item": "another"}))).await;
    assert_eq!(run["state"], "completed", "{run}");
}

/// Submits the same so many times: the first runs until a minute is over, and the worker has looked at all.
async fn fetch_x(app: &Running, shared: &Path, n: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..n {
        ids.push(app.submit_with(submit(shared, "fetch", json!({"name": "x"}))).await);
        // Those that are taken together may come in any order.
        app.until_asleep(1, MINUTE).await;
    }
    run_another(app, shared).await;
    ids
}

#[tokio::test]
async fn a_result_stands_for_the_runs_that_would_do_the_same_as_long_as_it_is_to() {
    let (app, shared) = cached(TestApp::new()).await;
    let tea = || submit(shared.path(), "price", json!({"item": "tea"}));
    let first = app.run_with(tea()).await;
    assert_eq!(result(&first), (&json!(1), &Value::Null));
    app.advance(HOUR - MOMENT);
    let second = app.run_with(tea()).await;
    assert_eq!(result(&second), (&json!(1), &first["id"]));
    assert_eq!(
        (&second["label"], &second["n_attempts"], &second["attempts"]),
        (&json!("priced"), &json!(0), &json!([]))
    );
    assert_eq!(second["usage"], json!({"fuel": 0, "memory_peak_bytes": 0, "duration_ms": 0.0}));
    assert_eq!(second["started_at"], second["finished_at"]);
    let history = second["history"].as_array().unwrap();
    let end = json!({"at": second["finished_at"], "state": "completed",
        "reason": format!("from the cache: run `{}`", text(&first["id"]))});
    assert_eq!(history.last(), Some(&end), "{history:?}");
    app.advance(MOMENT);
    let third = app.run_with(tea()).await;
    assert_eq!(result(&third), (&json!(2), &Value::Null), "what came from the cache makes nothing younger");
    assert_eq!(result(&app.run_with(tea()).await), (&json!(2), &third["id"]));
}

#[tokio::test]
async fn other_parameters_another_version_and_other_grants_are_not_the_same() {
    let (app, shared) = cached(TestApp::new()).await;
    let tea = || submit(shared.path(), "price", json!({"item": "tea"}));
    app.run_with(tea()).await;
    let coffee = app.run_with(submit(shared.path(), "price", json!({"item": "coffee"}))).await;
    assert_eq!(result(&coffee), (&json!(2), &Value::Null));
    let mut read_twice = tea();
    read_twice["grants"]["dirs"].as_array_mut().unwrap().push(json!({"host": shared.path(), "guest": "/again"}));
    assert_eq!(result(&app.run_with(read_twice).await), (&json!(3), &Value::Null));
    let mut same_code = guest("cached");
    // A custom section of no meaning.
    same_code.extend([0, 2, 1, b'x']);
    let (status, version) = app.try_register("cached", same_code).await;
    assert_eq!(status, 201, "{version}");
    assert_eq!(result(&app.run_with(tea()).await), (&json!(4), &Value::Null));
    assert_eq!(effects(shared.path()), ["tea", "coffee", "tea", "tea"]);
}

#[tokio::test]
async fn a_key_says_which_parameters_count_and_a_global_scope_that_grants_do_not() {
    let (app, shared) = cached(TestApp::new()).await;
    let tea_for = |buyer: &str| submit(shared.path(), "price_for", json!({"item": "tea", "buyer": buyer}));
    let first = app.run_with(tea_for("Ana")).await;
    assert_eq!(result(&app.run_with(tea_for("Rui")).await), (&json!(1), &first["id"]));

    let first = app.run_with(submit(shared.path(), "price_anywhere", json!({"item": "tea"}))).await;
    let nothing = json!({"module": "cached", "entry": "price_anywhere", "parameters": {"item": "tea"}});
    assert_eq!(result(&app.run_with(nothing).await), (&json!(2), &first["id"]));
    assert_eq!(effects(shared.path()), ["tea for Ana", "tea"]);
}

#[tokio::test]
async fn of_runs_that_do_the_same_at_the_same_time_one_runs_and_the_others_hold_no_slot() {
    let (app, shared) = cached(TestApp::new().slots(2)).await;
    put(shared.path(), "x");
    let ids = fetch_x(&app, shared.path(), 5).await;
    assert_eq!(app.show(&ids[0]).await["state"], "running");
    for id in &ids[1..] {
        until_it_waits(&app, id).await;
        let waits = app.show(id).await;
        assert_eq!((&waits["waiting_for"], &waits["n_attempts"]), (&json!("slot"), &json!(0)));
    }
    app.advance(MINUTE);
    assert_eq!(result(&app.until_final(&ids[0]).await), (&json!(1), &Value::Null));
    for id in &ids[1..] {
        assert_eq!(result(&app.until_final(id).await), (&json!(1), &json!(ids[0])));
    }
    assert_eq!(effects(shared.path()), ["x", "another"]);
}

#[tokio::test]
async fn more_than_there_is_room_for_wait_on_record() {
    let (app, shared) = cached(TestApp::new().slots(2)).await;
    put(shared.path(), "x");
    let ids = fetch_x(&app, shared.path(), 1003).await;
    let given_back = app.until(&ids[1002], |run| run["scheduled_at"] != run["created_at"]).await;
    assert_eq!((&given_back["state"], &given_back["n_attempts"]), (&json!("scheduled"), &json!(0)));
    app.advance(MINUTE);
    for id in &ids[1..] {
        assert_eq!(result(&app.advance_until_final(id, MINUTE).await).1, &json!(ids[0]));
    }
    assert_eq!(effects(shared.path()), ["x", "another"]);
}

#[tokio::test]
async fn children_of_several_flows_share_one_run() {
    for app in [TestApp::new(), TestApp::new().evict_at_once()] {
        let (app, shared) = cached(app.slots(1)).await;
        put(shared.path(), "x");
        let mut flows = Vec::new();
        for _ in 0..3 {
            flows.push(app.submit_with(submit(shared.path(), "fetches", json!({"name": "x", "n": 4}))).await);
        }
        for id in &flows {
            app.until(id, |run| {
                run["children"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>() == 4
            })
            .await;
        }
        app.until_asleep(1, MINUTE).await;
        app.advance(MINUTE);
        let mut original = Vec::new();
        for id in &flows {
            let flow = app.until_final(id).await;
            assert_eq!((&flow["state"], &flow["result"]), (&json!("completed"), &json!([1, 1, 1, 1])));
            assert_eq!(flow["children"], json!({"completed": 4}));
            let graph = app.get(&format!("/api/runs/{id}/graph")).await;
            assert!(graph["nodes"].as_array().unwrap().iter().all(|node| node["state"] == "completed"), "{graph}");
            let children = app.children(id).await;
            original.extend(children.iter().map(|child| child["cached_from"].clone()));
        }
        original.sort_by_key(Value::to_string);
        original.dedup();
        assert_eq!(original.len(), 2, "one ran, and all others name it: {original:?}");
        assert_eq!(effects(shared.path()), ["x"]);
    }
}

#[tokio::test]
async fn where_one_fails_the_next_runs() {
    let (app, shared) = cached(TestApp::new().slots(2)).await;
    let ids = fetch_x(&app, shared.path(), 3).await;
    app.advance(MINUTE);
    assert_eq!(app.until_final(&ids[0]).await["state"], "failed");
    app.until_asleep(1, MINUTE).await;
    put(shared.path(), "x");
    app.advance(MINUTE);
    let (mut own, mut cached) = (0, 0);
    for id in &ids[1..] {
        match result(&app.until_final(id).await) {
            (_, Value::Null) => own += 1,
            _ => cached += 1,
        }
    }
    assert_eq!((own, cached), (1, 1));
    assert_eq!(effects(shared.path()), ["x", "another", "x"]);
}

#[tokio::test]
async fn where_one_is_cancelled_the_next_runs_and_one_that_waits_is_cancelled_at_once() {
    let (app, shared) = cached(TestApp::new().slots(2)).await;
    put(shared.path(), "x");
    let flow = app.submit_with(submit(shared.path(), "fetches", json!({"name": "x", "n": 1}))).await;
    app.until_asleep(1, MINUTE).await;
    let waits = app.submit_with(submit(shared.path(), "fetch", json!({"name": "x"}))).await;
    let next = app.submit_with(submit(shared.path(), "fetch", json!({"name": "x"}))).await;
    run_another(&app, shared.path()).await;
    for id in [&waits, &flow] {
        let (status, body) = app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
        assert!(status.is_success(), "{body}");
        assert_eq!(app.until_final(id).await["state"], "cancelled");
    }
    app.until_asleep(1, MINUTE).await;
    app.advance(MINUTE);
    assert_eq!(result(&app.until_final(&next).await).1, &Value::Null);
    assert_eq!(effects(shared.path()), ["x", "another", "x"]);
}

#[tokio::test]
async fn those_that_wait_go_on_after_a_restart() {
    let (mut app, shared) = cached(TestApp::new().slots(2)).await;
    put(shared.path(), "x");
    let ids = fetch_x(&app, shared.path(), 2).await;
    app.restart(Duration::ZERO).await;
    app.until_asleep(1, MINUTE).await;
    app.advance(MINUTE);
    let (first, second) = (app.until_final(&ids[0]).await, app.until_final(&ids[1]).await);
    assert_eq!(result(&first).0, result(&second).0);
    assert_ne!(first["cached_from"].is_null(), second["cached_from"].is_null(), "one of them ran");
}

#[tokio::test]
async fn a_result_that_took_a_retry_stands_too() {
    let (app, shared) = cached(TestApp::new()).await;
    let second_time = || submit(shared.path(), "second_time", json!({"item": "tea"}));
    let first = app.submit_with(second_time()).await;
    app.advance_to_next_wake(MINUTE).await;
    assert_eq!(result(&app.until_final(&first).await), (&json!(2), &Value::Null));
    assert_eq!(result(&app.run_with(second_time()).await), (&json!(2), &json!(first)));
}

#[tokio::test]
async fn a_run_that_is_to_be_tried_again_may_have_the_result_of_another_by_then() {
    let (app, shared) = cached(TestApp::new().slots(2)).await;
    let mut fetch = submit(shared.path(), "fetch", json!({"name": "x"}));
    fetch["retries"] = json!({"max": 1, "delay_ms": 10_000});
    let first = app.submit_with(fetch.clone()).await;
    app.until_asleep(1, MINUTE).await;
    let second = app.submit_with(fetch).await;
    run_another(&app, shared.path()).await;
    app.advance(MINUTE);
    app.until(&first, |run| run["waiting_for"] == "retry").await;
    put(shared.path(), "x");
    app.until(&second, |run| run["state"] == "running").await;
    app.advance_until_final(&second, MINUTE).await;
    let run = app.advance_until_final(&first, MINUTE).await;
    assert_eq!(result(&run), (&json!(3), &json!(second)));
    let attempts = run["attempts"].as_array().unwrap();
    assert_eq!((&run["n_attempts"], attempts.len(), &attempts[0]["state"]), (&json!(1), 1, &json!("failed")));
    let history: Vec<_> = run["history"].as_array().unwrap().iter().map(|item| text(&item["state"])).collect();
    assert_eq!(history, ["scheduled", "running", "scheduled", "completed"]);
    assert_eq!(effects(shared.path()), ["x", "another", "x"]);
}

#[tokio::test]
async fn a_flow_sees_the_same_after_a_restart_and_takes_over_the_same_when_it_is_retried() {
    let (mut app, shared) = cached(TestApp::new()).await;
    let tea = app.run_with(submit(shared.path(), "price", json!({"item": "tea"}))).await;
    let id = app.submit_with(submit(shared.path(), "naps", json!({"item": "tea", "fails": true}))).await;
    app.until(&id, |run| run["waiting_for"] == "timer").await;
    app.restart(Duration::ZERO).await;
    assert_eq!(app.advance_until_final(&id, MINUTE).await["failure"]["message"], "as it was told");
    for child in app.children(&id).await {
        assert_eq!(result(&child).1, &tea["id"]);
    }
    // Of the cache there is nothing left.
    app.advance(HOUR + HOUR);
    let mut same_code = guest("cached");
    same_code.extend([0, 2, 1, b'x']);
    app.try_register("cached", same_code).await;
    let how = json!({"module": "newest"});
    let (status, body) = app.post(&format!("/api/runs/{id}/retry"), how).await;
    assert_eq!(status, 200, "{body}");
    app.advance_until_final(&id, MINUTE).await;
    for child in app.children(&id).await {
        assert_eq!(result(&child).1, &tea["id"], "{child}");
        assert!(!child["reused_from"].is_null(), "{child}");
    }
    assert_eq!(effects(shared.path()), ["tea"]);
}

#[tokio::test]
async fn when_the_original_is_deleted_others_run_again() {
    let (app, shared) = cached(TestApp::new()).await;
    let tea = || submit(shared.path(), "price", json!({"item": "tea"}));
    let first = text(&app.run_with(tea()).await["id"]);
    let second = text(&app.run_with(tea()).await["id"]);
    let deleted = app.raw(reqwest::Method::DELETE, &format!("/api/runs/{first}")).send().await.expect("answers");
    assert!(deleted.status().is_success());
    assert_eq!(result(&app.show(&second).await), (&json!(1), &json!(first)), "it keeps the result");
    let third = app.run_with(tea()).await;
    assert_eq!(result(&third), (&json!(2), &Value::Null));
    assert_eq!(result(&app.run_with(tea()).await), (&json!(2), &third["id"]));
}

#[tokio::test]
async fn a_rule_that_cannot_be_is_refused_with_its_module() {
    let app = TestApp::new().start().await;
    let schema = json!({"type": "object", "properties": {"id": {}}});
    let table = [
        (json!({"cache": {"max_age_ms": 0}}), "`cache.max_age_ms` is 0; it goes from 1 to 315360000000 (ten years)"),
        (json!({"cache": {"max_age_ms": 5}, "kind": "flow"}), "`cache` is of tasks"),
        (json!({"cache": {"max_age_ms": 5, "key": "{day}"}, "input": schema}), "names the parameter `day`"),
        (json!({"cache": {"max_age_ms": 5, "scope": "world"}}), "unknown variant `world`"),
        (json!({"cache": {"max_age": 5}}), "unknown field `max_age`"),
    ];
    for (entry, why) in table {
        let (status, body) = app.try_register("wrong", TextGuest::new("honest").entry(entry.clone()).build()).await;
        let message = text(&body["error"]["message"]);
        assert!(status == 400 && message.contains(why), "{entry}: {status} {message}");
    }
}

#[test]
fn the_command_line_marks_what_came_from_the_cache() {
    let (data, folder) = (data_dir(), tempfile::tempdir().expect("a directory"));
    let wasm = folder.path().join("honest.wasm");
    std::fs::write(&wasm, TextGuest::new("honest").entry(json!({"cache": {"max_age_ms": 3_600_000}})).build())
        .expect("writes");
    let run = || output(data.path(), &["run", wasm.to_str().expect("UTF-8"), "--json"]);
    let ids = [run(), run()].map(|output| {
        assert!(output.status.success(), "{output:?}");
        let run: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        text(&run["id"])
    });
    let shown = String::from_utf8(output(data.path(), &["runs", "show", &ids[1]]).stdout).expect("UTF-8");
    assert!(shown.contains(&format!("from cache: {}", ids[0])), "{shown}");
    assert!(shown.contains("1 task run: 1 completed; 0 attempts; 1 from the cache"), "{shown}");
    let listed = String::from_utf8(output(data.path(), &["runs"]).stdout).expect("UTF-8");
    assert_eq!(listed.matches("completed from cache").count(), 1, "{listed}");
}
