//! Limits across runs: how many run at a time, how many start within a span, and who comes first.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tarefa::api::shapes::SubmitShape;
use tarefa::client::RunsFilter;

use crate::app::{Running, TestApp, text, time};
use crate::process::{Process, data_dir, output};

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// How many spans there are at most at a time.
pub fn most_at_a_time(spans: &[(Timestamp, Timestamp)]) -> usize {
    let mut changes: Vec<(Timestamp, i32)> = spans.iter().flat_map(|(from, to)| [(*from, 1), (*to, -1)]).collect();
    // One that ends when another starts is not there any more.
    changes.sort_unstable();
    let mut count = 0;
    let counts = changes.into_iter().map(|(_, change)| {
        count += change;
        count
    });
    usize::try_from(counts.max().unwrap_or(0)).unwrap()
}

/// When a run that is over ran, the last time.
pub fn span(run: &Value) -> (Timestamp, Timestamp) {
    (time(&run["started_at"]), time(&run["finished_at"]))
}

/// A nap that holds a key.
pub fn nap(key: &str, on_conflict: &str, ms: u64) -> Value {
    json!({
        "module": "sleeper", "entry": "nap", "parameters": {"ms": ms},
        "concurrency": {"key": key, "max": 1, "on_conflict": on_conflict},
    })
}

pub async fn with_sleeper(app: TestApp) -> Running {
    let app = app.manual_clock().start().await;
    app.register("sleeper").await;
    app
}

pub async fn until_running(app: &Running, id: &str) -> Value {
    app.until(id, |run| run["state"] == "running").await
}

/// Waits until a run was turned away by that limit.
pub async fn until_blocked(app: &Running, id: &str, on: &str) {
    let run = app.until(id, |run| run["waiting_for"] == "limit").await;
    assert_eq!((&run["waiting_on"], &run["state"], &run["n_attempts"]), (&json!(on), &json!("scheduled"), &json!(0)));
}

pub async fn cancel(app: &Running, id: &str) {
    let (status, run) = app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
    assert_eq!(status, StatusCode::OK, "{run}");
}

#[tokio::test]
async fn the_maximum_is_never_exceeded_and_all_come_to_their_turn() {
    let app = TestApp::new().slots(16).start().await;
    app.register("noop").await;
    let maxima = [1_usize, 2, 3, 5];
    let mut ids = Vec::new();
    for n in 0..200 {
        let which = n % maxima.len();
        let (entry, parameters) = if n % 3 == 0 { ("submitted", json!({"n": 3})) } else { ("noop", json!({})) };
        let body = json!({
            "module": "noop", "entry": entry, "parameters": parameters, "priority": n % 10,
            "concurrency": {"key": format!("key {which}"), "max": maxima[which]},
        });
        ids.push((which, app.submit_with(body).await));
    }
    let mut spans = vec![Vec::new(); maxima.len()];
    for (which, id) in &ids {
        let run = app.until_final(id).await;
        assert_eq!(run["state"], "completed", "{run}");
        assert_eq!(run["holds"][0]["name"], format!("key/key {which}"));
        spans[*which].push(span(&run));
    }
    for (max, spans) in maxima.iter().zip(&spans) {
        let most = most_at_a_time(spans);
        assert!(most <= *max, "{most} ran at a time where {max} may");
    }
}

#[tokio::test]
async fn who_needs_two_limits_takes_both_or_none_and_none_waits_for_ever() {
    let app = TestApp::new().slots(16).start().await;
    app.register("noop").await;
    for tag in ["a", "b"] {
        let (status, limit) = crate::tag_limits::set(&app, tag, 1).await;
        assert_eq!(status, StatusCode::OK, "{limit}");
    }
    let mut ids = Vec::new();
    for n in 0..120 {
        let tags = [json!(["a", "b"]), json!(["b", "a"]), json!(["a"]), json!(["b"])][n % 4].clone();
        let concurrency = json!({"key": "c", "max": 2});
        let mut body = json!({"module": "noop", "entry": "noop", "tags": tags});
        if n % 5 == 0 {
            body["concurrency"] = concurrency;
        }
        ids.push(app.submit_with(body).await);
    }
    let mut spans = [Vec::new(), Vec::new()];
    for id in &ids {
        let run = app.until_final(id).await;
        assert_eq!(run["state"], "completed", "{run}");
        for (spans, tag) in spans.iter_mut().zip(["a", "b"]) {
            if run["tags"].as_array().unwrap().contains(&json!(tag)) {
                spans.push(span(&run));
            }
        }
    }
    assert_eq!(spans.map(|spans| most_at_a_time(&spans)), [1, 1]);
}

#[tokio::test]
async fn runs_that_wait_for_a_limit_take_no_slot_and_starve_nobody() {
    let app = with_sleeper(TestApp::new().slots(2)).await;
    let first = app.submit_with(nap("k", "queue", 60_000)).await;
    until_running(&app, &first).await;
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(app.submit_with(nap("k", "queue", 1000)).await);
    }
    until_blocked(&app, waiting.last().unwrap(), "key/k").await;
    let other = app.submit_with(nap("other", "queue", 1000)).await;
    until_running(&app, &other).await;
    let plain = app.submit("sleeper", "nap", json!({"ms": 0})).await;
    app.until_asleep(2, MINUTE).await;
    app.advance(SECOND);
    app.until_final(&plain).await;
    for id in &waiting {
        cancel(&app, id).await;
    }
    app.advance(MINUTE);
    assert_eq!(app.until_final(&first).await["state"], "completed");
    assert_eq!(app.get("/api/health").await["unfinished_runs"], 0);
}

#[tokio::test]
async fn a_run_that_awaits_its_retry_lets_others_go_first() {
    let app = with_sleeper(TestApp::new()).await;
    app.register("flaky").await;
    let flaky = json!({
        "module": "flaky", "entry": "fixed", "parameters": {"succeeds_at": 2}, "concurrency": {"key": "k", "max": 1},
    });
    let flaky = app.submit_with(flaky).await;
    app.until(&flaky, |run| run["waiting_for"] == "retry").await;
    let second = app.submit_with(nap("k", "queue", 300_000)).await;
    until_running(&app, &second).await;
    // It, and who waits for the time of the retry.
    app.until_asleep(2, MINUTE * 5).await;
    app.advance(MINUTE);
    let run = app.until(&flaky, |run| run["waiting_for"] == "limit").await;
    assert_eq!((&run["state"], &run["n_attempts"]), (&json!("scheduled"), &json!(1)), "{run}");
    app.advance(MINUTE * 5);
    app.until_final(&second).await;
    assert_eq!(app.until_final(&flaky).await["n_attempts"], 2);
    // Tried again by hand it waits for its turn, too.
    let failed = json!({
        "module": "flaky", "entry": "fixed", "parameters": {"succeeds_at": 9}, "concurrency": {"key": "k", "max": 1},
        "retries": {"max": 0},
    });
    let failed = text(&app.run_with(failed).await["id"]);
    let third = app.submit_with(nap("k", "queue", 1000)).await;
    until_running(&app, &third).await;
    let (status, body) = app.post(&format!("/api/runs/{failed}/retry"), json!({})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    app.until(&failed, |run| run["waiting_for"] == "limit").await;
    assert_eq!(app.post("/api/runs", nap("k", "queue-one", 1)).await.0, StatusCode::CONFLICT, "one waits already");
    app.until_asleep(1, SECOND).await;
    app.advance(SECOND);
    app.until_final(&third).await;
    assert_eq!(app.until_final(&failed).await["n_attempts"], 2);
}

#[tokio::test]
async fn who_fails_traps_or_is_stopped_leaves_nothing_held() {
    let app = with_sleeper(TestApp::new()).await;
    app.register("panics").await;
    app.register("fails").await;
    let concurrency = json!({"key": "k", "max": 1});
    for (module, entry, parameters) in [
        ("fails", "fail", json!({"message": "as it does"})),
        ("panics", "spin", json!({})),
        ("sleeper", "nap", json!({"ms": 0})),
    ] {
        let limits = json!({"fuel": 1_000_000});
        let body = json!({
            "module": module, "entry": entry, "parameters": parameters, "concurrency": concurrency, "limits": limits,
        });
        app.run_with(body).await;
    }
    let running = app.submit_with(nap("k", "queue", 60_000)).await;
    until_running(&app, &running).await;
    let waiting = app.submit_with(nap("k", "queue", 60_000)).await;
    until_blocked(&app, &waiting, "key/k").await;
    cancel(&app, &waiting).await;
    let run = app.show(&waiting).await;
    assert_eq!((&run["state"], &run["waiting_for"]), (&json!("cancelled"), &Value::Null), "it is over at once");
    let last = app.submit_with(nap("k", "queue", 1000)).await;
    cancel(&app, &running).await;
    until_running(&app, &last).await;
    app.until_asleep(1, SECOND).await;
    app.advance(SECOND);
    assert_eq!(app.until_final(&last).await["state"], "completed");
}

#[tokio::test]
async fn a_paused_run_keeps_nobody_from_its_turn_and_waits_for_its_own_again() {
    let app = with_sleeper(TestApp::new()).await;
    let first = app.submit_with(nap("k", "queue", 1000)).await;
    let paused = app.submit_with(nap("k", "queue", 1000)).await;
    let last = app.submit_with(nap("k", "queue", 5000)).await;
    until_blocked(&app, &last, "key/k").await;
    until_blocked(&app, &paused, "key/k").await;
    app.post(&format!("/api/runs/{paused}/pause"), json!({})).await;
    assert_eq!(app.show(&paused).await["waiting_for"], "resume");
    app.until_asleep(1, SECOND).await;
    app.advance(SECOND);
    app.until_final(&first).await;
    until_running(&app, &last).await;
    app.post(&format!("/api/runs/{paused}/resume"), json!({})).await;
    until_blocked(&app, &paused, "key/k").await;
    app.until_asleep(1, MINUTE).await;
    app.advance(SECOND * 5);
    app.until_final(&last).await;
    until_running(&app, &paused).await;
    app.until_asleep(1, MINUTE).await;
    app.advance(SECOND);
    app.until_final(&paused).await;
}

/// A flow that waits for the signal `go`, and holds a key meanwhile.
async fn parked_holder(app: &Running) -> String {
    let body = json!({
        "module": "signals", "entry": "waits", "parameters": {"name": "go"}, "concurrency": {"key": "k", "max": 1},
    });
    let id = app.submit_with(body).await;
    app.until(&id, |run| run["attempts"][0]["number"] == 1 && run["attempts"][0]["worker"].is_null()).await;
    id
}

#[tokio::test]
async fn a_parked_flow_holds_what_it_held_also_after_a_restart() {
    let mut app = with_sleeper(TestApp::new().evict_at_once()).await;
    app.register("signals").await;
    let holder = parked_holder(&app).await;
    let waiting = app.submit_with(nap("k", "queue", 0)).await;
    until_blocked(&app, &waiting, "key/k").await;
    app.restart(Duration::ZERO).await;
    until_blocked(&app, &waiting, "key/k").await;
    app.post(&format!("/api/runs/{holder}/signals/go"), json!(1)).await;
    assert_eq!(app.until_final(&holder).await["state"], "completed");
    assert_eq!(app.until_final(&waiting).await["state"], "completed");
}

#[tokio::test]
async fn a_parked_flow_that_is_cancelled_lets_go_at_once() {
    let app = with_sleeper(TestApp::new().evict_at_once()).await;
    app.register("signals").await;
    let holder = parked_holder(&app).await;
    let waiting = app.submit_with(nap("k", "queue", 0)).await;
    until_blocked(&app, &waiting, "key/k").await;
    cancel(&app, &holder).await;
    assert_eq!(app.until_final(&waiting).await["state"], "completed");
    // One that takes its place does so, too.
    let holder = parked_holder(&app).await;
    let last = app.submit_with(nap("k", "cancel-running", 0)).await;
    assert_eq!(app.until_final(&last).await["state"], "completed");
    assert_eq!(app.show(&holder).await["state"], "cancelled");
}

#[tokio::test]
async fn a_task_that_holds_a_limit_does_not_wait_with_it_for_the_result_of_another() {
    let effects = tempfile::tempdir().unwrap();
    let app = TestApp::new().manual_clock().allow_dir(effects.path(), tarefa::domain::DirMode::Rw).start().await;
    app.register("cached").await;
    std::fs::write(effects.path().join("a"), "").unwrap();
    let fetch = |key: &str| {
        json!({
            "module": "cached", "entry": "fetch", "parameters": {"name": "a"}, "concurrency": {"key": key, "max": 1},
            "grants": {"dirs": [{"host": effects.path(), "guest": "/data", "mode": "rw"}]},
        })
    };
    let first = app.submit_with(fetch("k")).await;
    app.until_asleep(1, MINUTE).await;
    let twin = app.submit_with(fetch("other")).await;
    app.until(&twin, |run| run["state"] == "scheduled" && run["scheduled_at"] != run["created_at"]).await;
    let third = app.submit_with(fetch("other")).await;
    app.until(&third, |run| run["state"] == "scheduled" && run["scheduled_at"] != run["created_at"]).await;
    app.advance(MINUTE);
    app.until_final(&first).await;
    for id in [&twin, &third] {
        // They look every ten seconds.
        assert_eq!(app.advance_until_final(id, MINUTE).await["cached_from"], json!(first));
    }
}

#[tokio::test]
async fn after_kill_9_the_maximum_holds_and_all_come_to_their_turn() {
    let data = data_dir();
    let mut server = Process::serve(data.path(), &[]);
    server.register("sleeper").await;
    for n in 0..30 {
        let body = json!({
            "module": "sleeper", "entry": if n % 2 == 0 { "nap" } else { "flow_sleeps" }, "parameters": {"ms": 30},
            "concurrency": {"key": "k", "max": 2},
        });
        let submit: SubmitShape = serde_json::from_value(body).unwrap();
        server.client.submit(&submit, None).await.expect("submits");
        if n % 10 == 9 {
            server.kill();
            server = Process::serve(data.path(), &[]);
        }
    }
    let runs = server.client.runs(&RunsFilter { root: true, limit: Some(100), ..RunsFilter::default() }).await.unwrap();
    let mut spans = Vec::new();
    for run in &runs.items {
        let run = server.until_final(run.id).await;
        assert_eq!(run.summary.state, tarefa::domain::State::Completed, "{run:?}");
        spans.push((run.summary.started_at.unwrap(), run.summary.finished_at.unwrap()));
    }
    assert_eq!(spans.len(), 30);
    assert!(most_at_a_time(&spans) <= 2, "{spans:?}");
    let shown = output(data.path(), &["runs", "show", "latest"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("holds:      key/k (2 at a time)"), "{shown}");
    server.kill();
}
