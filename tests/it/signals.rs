//! Signals, which flows wait for, and pauses.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tarefa::domain::DirMode;

use tarefa::domain::WaitingFor;

use crate::app::{Running, TestApp, text};
use crate::process::{Process, data_dir, output};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

async fn signal(app: &Running, id: &str, name: &str, payload: Value) -> (StatusCode, Value) {
    app.post(&format!("/api/runs/{id}/signals/{name}"), payload).await
}

async fn signalled(app: &Running, id: &str, name: &str, payload: Value) {
    let (status, body) = signal(app, id, name, payload).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
}

async fn start(app: TestApp) -> Running {
    let app = app.manual_clock().start().await;
    app.register("signals").await;
    app
}

async fn until_it_waits(app: &Running, id: &str) {
    app.until(id, |run| run["waiting_for"] == "signal").await;
}

async fn until_parked(app: &Running, id: &str) {
    app.until(id, |run| run["attempts"][0]["number"] == 1 && run["attempts"][0]["worker"].is_null()).await;
}

#[tokio::test]
async fn a_flow_waits_for_a_signal_and_gets_its_payload() {
    let app = start(TestApp::new()).await;
    let id = app.submit("signals", "waits", json!({"name": "approval"})).await;
    until_it_waits(&app, &id).await;
    app.advance(SignedDuration::from_secs(5));
    signalled(&app, &id, "other", json!("not this one")).await;
    signalled(&app, &id, "approval", json!({"by": "Ana"})).await;
    let run = app.until_final(&id).await;
    assert_eq!(run["result"], json!([{"by": "Ana"}, 5000]), "{run}");
    assert_eq!(run["waiting_for"], Value::Null);
}

#[tokio::test]
async fn a_signal_that_was_sent_before_the_wait_is_kept_in_order() {
    let mut app = start(TestApp::new()).await;
    let body = json!({
        "module": "signals", "entry": "collects", "parameters": {"name": "item", "n": 4},
        "scheduled_at": "2026-01-02T03:05:05Z",
    });
    let id = app.submit_with(body).await;
    for payload in [json!(1), json!("two"), json!(null), json!([4])] {
        signalled(&app, &id, "item", payload).await;
    }
    app.restart(Duration::ZERO).await;
    app.advance_to_next_wake(MINUTE).await;
    assert_eq!(app.until_final(&id).await["result"], json!([1, "two", null, [4]]));
}

#[tokio::test]
async fn a_wait_ends_at_its_time_across_a_restart() {
    let mut app = start(TestApp::new()).await;
    let id = app.submit("signals", "waits", json!({"name": "approval", "timeout_ms": 60_000})).await;
    until_it_waits(&app, &id).await;
    app.stop(Duration::ZERO).await;
    app.advance(SignedDuration::from_secs(45));
    app.start_again().await;
    app.until_asleep(1, SignedDuration::from_secs(15)).await;
    app.advance(SignedDuration::from_secs(15));
    assert_eq!(app.until_final(&id).await["result"], json!(["timeout", 60_000]));
}

#[tokio::test]
async fn a_flow_is_told_of_the_same_signals_when_it_is_called_again() {
    let mut app = start(TestApp::new()).await;
    let id = app.submit("signals", "collects", json!({"name": "item", "n": 4})).await;
    for n in 0..4 {
        until_it_waits(&app, &id).await;
        signalled(&app, &id, "item", json!({"n": n})).await;
        app.until(&id, |run| run["children"]["completed"] == n + 1).await;
        app.restart(Duration::ZERO).await;
    }
    let run = app.until_final(&id).await;
    assert_eq!(run["result"], json!([{"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}]), "{run}");
    assert_eq!(run["children"], json!({"completed": 4}));
}

#[tokio::test]
async fn a_parked_flow_wakes_of_a_signal() {
    let app = start(TestApp::new().evict_at_once()).await;
    let id = app.submit("signals", "waits", json!({"name": "approval"})).await;
    until_parked(&app, &id).await;
    until_it_waits(&app, &id).await;
    signalled(&app, &id, "approval", json!("yes")).await;
    assert_eq!(app.until_final(&id).await["result"], json!(["yes", 0]));
}

#[tokio::test]
async fn a_flow_in_a_parked_flow_wakes_of_a_signal() {
    let app = start(TestApp::new().evict_at_once()).await;
    app.register("by_name").await;
    let nested = json!({"entry": "signals/waits", "parameters": {"name": "approval"}});
    let id = app.submit("by_name", "run", nested).await;
    until_parked(&app, &id).await;
    let child = text(&app.children(&id).await[0]["id"]);
    signalled(&app, &child, "approval", json!("yes")).await;
    assert_eq!(app.until_final(&id).await["result"], json!(["yes", 0]));
}

#[tokio::test]
async fn no_signal_is_lost_while_flows_are_parked_again_and_again() {
    let app = TestApp::new().evict_at_once().start().await;
    app.register("signals").await;
    let id = app.submit("signals", "collects", json!({"name": "item", "n": 60})).await;
    for n in 0..60 {
        signalled(&app, &id, "item", json!(n)).await;
        // Some while it waits in memory, some while it is being parked, some after.
        tokio::time::sleep(Duration::from_millis(n % 20)).await;
    }
    let run = app.until_final(&id).await;
    assert_eq!(run["result"], json!((0..60).collect::<Vec<_>>()), "{run}");
}

#[tokio::test]
async fn tasks_and_flows_send_signals_and_flows_each_once() {
    let mut app = start(TestApp::new()).await;
    let id = app.submit("signals", "collects", json!({"name": "item", "n": 3})).await;
    let sender = app.submit("signals", "tells_twice", json!({"run_id": id, "name": "item"})).await;
    app.until(&id, |run| run["children"]["completed"] == 1).await;
    // It is called again, and has sent the first already.
    app.restart(Duration::ZERO).await;
    app.advance_until_final(&sender, MINUTE).await;
    let tells = app.run("signals", "tells", json!({"run_id": id, "name": "item", "payload": "from a task"})).await;
    assert_eq!(tells["state"], "completed", "{tells}");
    assert_eq!(app.until_final(&id).await["result"], json!([1, 2, "from a task"]));

    let nobody = "0198f2a0-1234-7abc-8def-0123456789ab";
    let run = app.run("signals", "tells", json!({"run_id": nobody, "name": "item", "payload": 1})).await;
    assert_eq!(run["failure"]["message"], format!("run `{nobody}` does not exist"), "{run}");
    let run = app.run("signals", "task_waits", json!({})).await;
    let expected = "denied: the task `task_waits` waited for a signal; only flows may";
    assert_eq!(run["failure"]["message"], expected, "{run}");
}

#[tokio::test]
async fn a_retried_flow_has_its_approval_still() {
    let shared = tempfile::tempdir().expect("a directory");
    let app = start(TestApp::new().allow_dir(shared.path(), DirMode::Ro)).await;
    let grants = json!({"dirs": [{"host": shared.path(), "guest": "/data", "mode": "ro"}]});
    let body = json!({"module": "signals", "entry": "approved", "parameters": {"name": "file"}, "grants": grants});
    let id = app.submit_with(body).await;
    signalled(&app, &id, "approval", json!("Ana")).await;
    assert_eq!(app.until_final(&id).await["state"], "failed");
    std::fs::write(shared.path().join("file"), "there").expect("writes");
    let (status, body) = app.post(&format!("/api/runs/{id}/retry"), json!({})).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let run = app.until_final(&id).await;
    assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &json!("Ana")), "{run}");
}

#[tokio::test]
async fn a_signal_that_nobody_could_get_is_refused() {
    let app = start(TestApp::new()).await;
    let task = text(&app.run("signals", "note", json!({"payload": 1})).await["id"]);
    let flow = text(&app.run("signals", "waits", json!({"name": "a", "timeout_ms": 0})).await["id"]);
    let refused = async |id: &str, name: &str| {
        let (status, body) = signal(&app, id, name, json!(1)).await;
        (status.as_u16(), text(&body["error"]["message"]))
    };
    assert_eq!(refused(&task, "a").await, (409, format!("run `{task}` is a task's; only flows wait for signals")));
    assert_eq!(refused(&flow, "a").await, (409, format!("run `{flow}` is completed already")));
    let nobody = "0198f2a0-1234-7abc-8def-0123456789ab";
    assert_eq!(refused(nobody, "a").await, (404, format!("run `{nobody}` does not exist")));
    assert_eq!(refused(&flow, "A").await.0, 400, "names are in lower case");
    let waiting = app.submit("signals", "waits", json!({"name": "never"})).await;
    let large = json!("x".repeat(300_000));
    let (status, body) = signal(&app, &waiting, "a", large).await;
    assert_eq!(status.as_u16(), 413, "{body}");
    for _ in 0..1000 {
        signalled(&app, &waiting, "a", json!(1)).await;
    }
    assert_eq!(refused(&waiting, "a").await.0, 503, "as many wait as are kept");
    app.post(&format!("/api/runs/{waiting}/cancel"), json!({})).await;
    app.until_final(&waiting).await;
}

#[tokio::test]
async fn a_paused_flow_goes_on_when_it_is_resumed() {
    for app in [TestApp::new(), TestApp::new().evict_at_once()] {
        let mut app = start(app).await;
        let id = app.submit("signals", "steps", json!({"n": 3})).await;
        app.until(&id, |run| run["waiting_for"] == "timer").await;
        let (status, run) = app.post(&format!("/api/runs/{id}/pause"), json!({})).await;
        assert_eq!((status.as_u16(), &run["state"], &run["waiting_for"]), (200, &json!("running"), &json!("resume")));
        app.advance(MINUTE);
        app.restart(Duration::ZERO).await;
        // A run that is not paused goes its way meanwhile.
        app.run("signals", "note", json!({"payload": 1})).await;
        let paused = app.show(&id).await;
        assert_eq!((&paused["children"], &paused["waiting_for"]), (&json!({"completed": 1}), &json!("resume")));
        let (status, _) = app.post(&format!("/api/runs/{id}/resume"), json!({})).await;
        assert_eq!(status, StatusCode::OK);
        let run = app.advance_until_final(&id, MINUTE).await;
        assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &json!(3)), "{run}");
        let reasons: Vec<_> =
            run["history"].as_array().unwrap().iter().filter_map(|item| item["reason"].as_str()).collect();
        assert!(reasons.contains(&"paused") && reasons.contains(&"resumed"), "{reasons:?}");
    }
}

#[tokio::test]
async fn a_run_that_was_not_started_can_be_paused_and_a_task_that_runs_cannot() {
    let app = start(TestApp::new()).await;
    app.register("sleeper").await;
    let later = json!({"module": "signals", "entry": "note", "parameters": {"payload": 1}, "scheduled_at": "2026-01-02T03:05:05Z"});
    let id = app.submit_with(later).await;
    app.post(&format!("/api/runs/{id}/pause"), json!({})).await;
    app.advance(MINUTE);
    app.run("signals", "note", json!({"payload": 2})).await;
    let run = app.show(&id).await;
    assert_eq!((&run["state"], &run["waiting_for"]), (&json!("scheduled"), &json!("resume")));
    app.post(&format!("/api/runs/{id}/resume"), json!({})).await;
    assert_eq!(app.until_final(&id).await["result"], 1);

    let nap = app.submit("sleeper", "nap", json!({"ms": 1000})).await;
    app.until(&nap, |run| run["state"] == "running").await;
    let (status, body) = app.post(&format!("/api/runs/{nap}/pause"), json!({})).await;
    let expected = format!("run `{nap}` is a task that runs; cancel it, or pause its flow");
    assert_eq!((status.as_u16(), &body["error"]["message"]), (409, &json!(expected)));
    app.advance_until_final(&nap, MINUTE).await;
    let (status, _) = app.post(&format!("/api/runs/{nap}/resume"), json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT, "it is over");
}

#[test]
fn the_command_line_pauses_resumes_and_sends_signals() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let data = data_dir();
    let server = Process::serve(data.path(), &[]);
    let id = runtime.block_on(async {
        server.register("signals").await;
        let id = server.submit("signals", "waits", json!({"name": "approval"})).await;
        server.until(id, |run| run.summary.waiting_for == Some(WaitingFor::Signal)).await;
        id.to_string()
    });
    let tarefa = |arguments: &[&str]| {
        let output = output(data.path(), arguments);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let short = &id[id.len() - 8..];
    assert!(tarefa(&["runs", "show", &id]).1.contains("state:      running: waits for a signal"));
    assert_eq!(tarefa(&["runs", "pause", &id]).1, format!("the run `waits` ({short}) is paused\n"));
    assert!(tarefa(&["runs", "show", &id]).1.contains("state:      running: is paused"));
    assert_eq!(
        tarefa(&["runs", "signal", &id, "approval", "{\"by\": \"Ana\"}"]).1,
        format!("sent `approval` to the run {short}\n")
    );
    let (code, _, error) = tarefa(&["runs", "signal", &id, "approval", "yes"]);
    assert!(code == Some(2) && error.contains("a text needs quotes"), "{error}");
    assert_eq!(tarefa(&["runs", "resume", &id]).1, format!("the run `waits` ({short}) goes on\n"));
    let run = runtime.block_on(server.until_final(id.parse().expect("an id")));
    assert!(run.result.expect("it completed").get().starts_with("[{\"by\":\"Ana\"},"));
}
