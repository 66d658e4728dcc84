//! A flow that waits long gives its sandbox back, and is called again when what it waits for is there.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tarefa::domain::DirMode;

use crate::app::{Running, TestApp, text};

const HOUR_MS: u64 = 3_600_000;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A value of `/metrics`.
async fn metric(app: &Running, name: &str) -> f64 {
    let response = app.raw(reqwest::Method::GET, "/metrics").send().await.expect("answers");
    let page = response.text().await.expect("is text");
    let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no `{name}` in {page}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

/// Waits until no worker holds a run any more.
async fn until_parked(app: &Running, id: &str) -> Value {
    app.until(id, |run| {
        run["attempts"][0]["number"] == 1 && run["attempts"][0]["worker"].is_null() && run["waiting_for"] == "timer"
    })
    .await
}

async fn until_nothing_is_in_memory(app: &Running) {
    while metric(app, "tarefa_flows_in_memory").await > 0.0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_flow_that_sleeps_holds_nothing_and_wakes_at_its_time() {
    let app = TestApp::new().manual_clock().evict_at_once().start().await;
    app.register("sleeper").await;
    let id = app.submit("sleeper", "flow_sleeps", json!({"ms": HOUR_MS})).await;
    let run = app.until(&id, |run| run["waiting_for"] == "timer").await;
    assert_eq!((&run["state"], &run["n_attempts"]), (&json!("running"), &json!(1)));
    until_nothing_is_in_memory(&app).await;
    app.advance_to_next_wake(HOUR).await;
    let run = app.until_final(&id).await;
    assert_eq!((&run["result"], &run["n_attempts"]), (&json!(HOUR_MS), &json!(1)), "{run}");
    assert_eq!(run["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_parked_flow_survives_a_restart_and_wakes_at_its_time() {
    let mut app = TestApp::new().manual_clock().evict_at_once().start().await;
    app.register("sleeper").await;
    let id = app.submit("sleeper", "flow_sleeps", json!({"ms": HOUR_MS})).await;
    let before = until_parked(&app, &id).await;
    app.restart(Duration::ZERO).await;
    assert_eq!(app.show(&id).await, before, "nobody held it, so nobody gave it back");
    app.advance_to_next_wake(HOUR).await;
    assert_eq!(app.until_final(&id).await["result"], HOUR_MS);
}

#[tokio::test]
async fn a_parked_flow_is_cancelled_at_once_with_all_below_it() {
    let app = TestApp::new().manual_clock().evict_at_once().start().await;
    app.register("sleeper").await;
    app.register("by_name").await;
    let nested = json!({"entry": "sleeper/flow_sleeps", "parameters": {"ms": HOUR_MS}});
    let id = app.submit("by_name", "run", nested).await;
    app.until(&id, |run| {
        run["children"]["running"] == 1 && run["attempts"][0]["number"] == 1 && run["attempts"][0]["worker"].is_null()
    })
    .await;
    let (status, run) = app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
    assert_eq!((status.as_u16(), &run["state"]), (200, &json!("cancelled")), "{run}");
    assert_eq!(app.show(&id).await["children"], json!({"cancelled": 1}));
}

#[tokio::test]
async fn a_timeout_of_a_flow_holds_while_it_is_parked() {
    let app = TestApp::new().manual_clock().evict_at_once().start().await;
    app.register("sleeper").await;
    let limits = json!({"timeout_ms": 5000});
    let body = json!({"module": "sleeper", "entry": "flow_sleeps", "parameters": {"ms": HOUR_MS}, "limits": limits});
    let id = app.submit_with(body).await;
    until_parked(&app, &id).await;
    app.advance_to_next_wake(HOUR).await;
    let run = app.until_final(&id).await;
    assert_eq!((&run["state"], &run["failure"]["kind"]), (&json!("failed"), &json!("timed_out")), "{run}");
}

#[tokio::test]
async fn flows_in_flows_are_parked_together_and_go_on_together() {
    let mut app = TestApp::new().manual_clock().evict_at_once().start().await;
    app.register("observes").await;
    app.register("by_name").await;
    let nested = json!({"entry": "observes/observe", "parameters": {"rounds": 3, "nap_ms": HOUR_MS}});
    let id = app.submit("by_name", "run", nested).await;
    for _ in 0..3 {
        // The task's short sleep, then the flow's long one.
        app.advance_to_next_wake(HOUR).await;
        app.until(&id, |run| run["attempts"][0]["number"] == 1 && run["attempts"][0]["worker"].is_null()).await;
        app.restart(Duration::ZERO).await;
        app.advance_to_next_wake(HOUR).await;
    }
    let run = app.until_final(&id).await;
    assert_eq!(run["state"], "completed", "{run}");
    let child = text(&app.children(&id).await[0]["id"]);
    let children = app.children(&child).await;
    assert_eq!((children.len(), app.show(&child).await["n_attempts"].clone()), (3, json!(1)));
}

#[tokio::test]
async fn a_task_that_is_waited_for_goes_on_while_its_flow_is_evicted() {
    let app = TestApp::new().manual_clock().evict_at_once().start().await;
    app.register("observes").await;
    let id = app.submit("observes", "times", json!({"ms": 60_000})).await;
    app.until_asleep(1, HOUR).await;
    until_nothing_is_in_memory(&app).await;
    app.advance_to_next_wake(HOUR).await;
    app.until(&id, |run| run["waiting_for"] == "timer").await;
    app.advance_to_next_wake(HOUR).await;
    let run = app.until_final(&id).await;
    assert_eq!(run["result"], json!([0, 0, 60_000, 120_000]), "{run}");
    let children = app.children(&id).await;
    assert_eq!((children.len(), &children[0]["n_attempts"]), (1, &json!(1)), "{children:?}");
}

#[tokio::test]
async fn whatever_a_flow_does_comes_out_the_same_when_it_is_evicted_at_each_wait() {
    let effects = tempfile::tempdir().expect("a directory");
    let app = TestApp::new().allow_dir(effects.path(), DirMode::Rw).evict_at_once().start().await;
    app.register("durable").await;
    let grants = json!({"dirs": [{"host": effects.path(), "guest": "/effects", "mode": "rw"}]});
    let step = |x: u64| 3 * x + 1;
    let sum: u64 = (0..20).map(step).sum();
    let in_a_row = |n: u64| (0..n).fold(0, |x, _| step(x));
    let mut tasks = 0;
    for (entry, parameters, n_tasks, expected) in [
        ("sequential", json!({"n": 20}), 20, Some(json!(in_a_row(20)))),
        ("parallel", json!({"n": 20}), 20, Some(json!(sum))),
        ("first_come", json!({"n": 10}), 20, None),
        ("nested", json!({"n": 6}), 15, Some(json!((0..6).map(in_a_row).collect::<Vec<_>>()))),
        ("retrying", json!({"n": 20}), 20, Some(json!(sum))),
        ("sleeping", json!({"n": 5, "ms": 30}), 10, None),
        ("moments", json!({"n": 5}), 5, None),
    ] {
        let body = json!({"module": "durable", "entry": entry, "parameters": parameters, "grants": grants});
        let run = app.run_with(body).await;
        assert_eq!(run["state"], "completed", "{run}");
        if let Some(expected) = expected {
            assert_eq!(run["result"], expected, "{entry}");
        }
        tasks += n_tasks;
        let lines: Vec<Value> = app.logs(&text(&run["id"])).await;
        let mut places: Vec<_> = lines.iter().map(|line| (text(&line["run_id"]), text(&line["message"]))).collect();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), lines.len(), "no line is logged twice: {lines:?}");
    }
    let text = std::fs::read_to_string(effects.path().join("lines")).expect("tasks left lines");
    let ids: std::collections::HashSet<_> = text.lines().map(|line| line.split(' ').next()).collect();
    assert_eq!(ids.len(), tasks, "each task has its line");
}
