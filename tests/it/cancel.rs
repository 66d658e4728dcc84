//! Cancelling ends a run and everything below it, wherever it is, and gives back what it held.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::app::{Running, TestApp, child_id, text};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

async fn cancel(app: &Running, id: &str) -> Value {
    let (status, run) = app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
    assert_eq!(status, 200, "{run}");
    assert!(["cancelling", "cancelled"].contains(&run["state"].as_str().unwrap()), "{run}");
    app.until_final(id).await
}

/// Cancels a run, and checks that it and all below it are `cancelled` and that the only slot is free again.
async fn cancel_all(app: &Running, id: &str) -> Vec<Value> {
    let run = cancel(app, id).await;
    assert_eq!(run["state"], "cancelled", "{run}");
    let reasons: Vec<_> = run["history"].as_array().unwrap().iter().map(|item| &item["reason"]).collect();
    assert!(reasons.contains(&&json!("cancelled by request")), "{run}");
    let mut below = Vec::new();
    let mut open = vec![id.to_owned()];
    while let Some(id) = open.pop() {
        for child in app.children(&id).await {
            assert_eq!(child["state"], "cancelled", "{child}");
            assert!(!child["finished_at"].is_null(), "{child}");
            open.push(text(&child["id"]));
            below.push(child);
        }
    }
    assert_eq!(app.get("/api/health").await["unfinished_runs"], 0);
    app.register("noop").await;
    let next = app.run("noop", "submitted", json!({"n": 2})).await;
    assert_eq!(next["state"], "completed", "the slot is free: {next}");
    below
}

async fn one_slot(modules: &[&str]) -> Running {
    let app = TestApp::new().slots(1).manual_clock().start().await;
    for module in modules {
        app.register(module).await;
    }
    app
}

/// Waits until a flow has children in these states on record.
async fn until_children(app: &Running, id: &str, states: Value) {
    app.until(id, |run| run["children"] == states).await;
}

#[tokio::test]
async fn a_scheduled_run_is_cancelled_at_once_and_never_starts() {
    let app = one_slot(&["noop"]).await;
    let body = json!({"module": "noop", "entry": "noop", "scheduled_at": "2026-01-02T04:00:00Z"});
    let id = app.submit_with(body).await;
    let (status, run) = app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
    assert_eq!((status.as_u16(), run["state"].as_str()), (200, Some("cancelled")));
    app.advance(SignedDuration::from_hours(1));
    cancel_all(&app, &id).await;
    let run = app.show(&id).await;
    assert_eq!(run["n_attempts"], 0);
    assert!(run["started_at"].is_null());
}

#[tokio::test]
async fn a_task_that_computes_is_stopped() {
    let app = one_slot(&["panics"]).await;
    // So much fuel that it would spin for longer than any test lasts.
    let body = json!({"module": "panics", "entry": "spin", "limits": {"fuel": 1_000_000_000_000_000_u64}});
    let id = app.submit_with(body).await;
    app.until(&id, |run| run["state"] == "running").await;
    cancel_all(&app, &id).await;
    assert_eq!(app.show(&id).await["failure"]["kind"], "cancelled");
}

#[tokio::test]
async fn a_task_that_sleeps_is_stopped() {
    let app = one_slot(&["sleeper"]).await;
    let id = app.submit("sleeper", "nap", json!({"ms": 50_000})).await;
    app.until_asleep(1, MINUTE).await;
    cancel_all(&app, &id).await;
    let run = app.show(&id).await;
    assert_eq!(run["attempts"][0]["state"], "cancelled");
    assert_eq!(run["n_attempts"], 1);
}

#[tokio::test]
async fn a_run_that_awaits_its_retry_is_cancelled_at_once() {
    let app = one_slot(&["flaky"]).await;
    let id = app.submit("flaky", "fixed", json!({"succeeds_at": 9})).await;
    app.until(&id, |run| run["waiting_for"] == "retry").await;
    cancel_all(&app, &id).await;
    assert_eq!(app.show(&id).await["n_attempts"], 1);
}

#[tokio::test]
async fn children_that_run_or_wait_for_a_slot_are_cancelled_with_their_flow() {
    let app = one_slot(&["sleeper"]).await;
    let id = app.submit("sleeper", "naps", json!({"n": 3, "ms": 50_000})).await;
    until_children(&app, &id, json!({"running": 1, "scheduled": 2})).await;
    app.until_asleep(1, MINUTE).await;
    let below = cancel_all(&app, &id).await;
    let mut attempts: Vec<_> = below.iter().map(|child| child["n_attempts"].as_u64().unwrap()).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [0, 0, 1]);
}

#[tokio::test]
async fn a_child_that_awaits_its_retry_is_cancelled_with_its_flow() {
    let app = one_slot(&["by_name", "flaky"]).await;
    let parameters = json!({"entry": "flaky/fixed", "parameters": {"succeeds_at": 9}});
    let id = app.submit("by_name", "run", parameters).await;
    // Its row comes a moment after the flow has submitted it.
    until_children(&app, &id, json!({"scheduled": 1})).await;
    app.until(&child_id(&id, 0), |run| run["waiting_for"] == "retry").await;
    let below = cancel_all(&app, &id).await;
    assert_eq!(below[0]["n_attempts"], 1);
}

#[tokio::test]
async fn a_child_that_waits_for_others_is_cancelled_with_its_flow() {
    let app = TestApp::new().slots(3).manual_clock().start().await;
    app.register("edges").await;
    let id = app.submit("edges", "waits_for", json!({})).await;
    until_children(&app, &id, json!({"running": 3, "scheduled": 1})).await;
    let below = cancel_all(&app, &id).await;
    assert_eq!(below.iter().map(|child| &child["n_attempts"]).collect::<Vec<_>>(), [1, 1, 1, 0]);
}

#[tokio::test]
async fn child_flows_two_deep_are_cancelled_with_all_below_them() {
    let app = one_slot(&["by_name", "sleeper"]).await;
    let nap = json!({"entry": "sleeper/nap", "parameters": {"ms": 50_000}});
    let inner = json!({"entry": "by_name/run", "parameters": nap});
    let id = app.submit("by_name", "run", json!({"entry": "by_name/run", "parameters": inner})).await;
    app.until_asleep(1, MINUTE).await;
    let below = cancel_all(&app, &id).await;
    let entries: Vec<_> = below.iter().map(|run| text(&run["entry"])).collect();
    assert_eq!(entries, ["run", "run", "nap"]);
}

#[tokio::test]
async fn a_child_flow_alone_is_cancelled_with_what_is_below_it_and_the_flow_above_goes_on() {
    let app = one_slot(&["by_name", "sleeper"]).await;
    let nap = json!({"entry": "sleeper/nap", "parameters": {"ms": 50_000}});
    let id = app.submit("by_name", "run", json!({"entry": "by_name/run", "parameters": nap})).await;
    app.until_asleep(1, MINUTE).await;
    until_children(&app, &id, json!({"running": 1})).await;
    let child = child_id(&id, 0);
    cancel_all(&app, &child).await;
    let flow = app.until_final(&id).await;
    // It did not handle the error that its child ended with, and so passed it on as its own.
    assert_eq!(flow["state"], "failed");
    assert_eq!(flow["failure"]["kind"], "task_error");
}

#[tokio::test]
async fn a_flow_sees_that_one_of_its_children_was_cancelled() {
    let app = TestApp::new().slots(2).manual_clock().start().await;
    app.register("fails").await;
    // With one child the flow itself carries it out; with two, the first has a task of its own.
    for n in [1, 2] {
        let id = app.submit("fails", "kinds", json!({"n": n, "ms": 50_000})).await;
        until_children(&app, &id, json!({"running": n})).await;
        app.until_asleep(n, MINUTE).await;
        let first = text(&app.children(&id).await[0]["id"]);
        assert_eq!(cancel(&app, &first).await["state"], "cancelled");
        if n == 2 {
            app.advance_to_next_wake(MINUTE).await;
        }
        let flow = app.until_final(&id).await;
        assert_eq!(flow["state"], "completed", "{flow}");
        let expected = if n == 1 { json!(["cancelled"]) } else { json!(["cancelled", null]) };
        assert_eq!(flow["result"], expected);
    }
}

#[tokio::test]
async fn a_child_that_waits_for_a_slot_can_be_cancelled_alone() {
    let app = one_slot(&["fails"]).await;
    let id = app.submit("fails", "kinds", json!({"n": 2, "ms": 50_000})).await;
    until_children(&app, &id, json!({"running": 1, "scheduled": 1})).await;
    let children = app.children(&id).await;
    let waiting = children.iter().position(|child| child["state"] == "scheduled").unwrap();
    assert_eq!(cancel(&app, &text(&children[waiting]["id"])).await["n_attempts"], 0);
    app.advance_to_next_wake(MINUTE).await;
    let mut expected = [json!(null), json!(null)];
    expected[waiting] = json!("cancelled");
    assert_eq!(app.until_final(&id).await["result"], json!(expected));
}

#[tokio::test]
async fn a_run_that_is_final_cannot_be_cancelled_and_a_cancelled_one_stays_so() {
    let app = one_slot(&["noop"]).await;
    let run = app.run("noop", "noop", json!({})).await;
    let id = text(&run["id"]);
    let (status, error) = app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
    assert_eq!(status, 409);
    assert_eq!(error["error"]["kind"], "conflict");
    assert_eq!(error["error"]["message"], format!("run `{id}` is completed already"));
    assert_eq!(app.show(&id).await, run);

    let body = json!({"module": "noop", "entry": "noop", "scheduled_at": "2026-01-02T04:00:00Z"});
    let id = app.submit_with(body).await;
    let first = cancel(&app, &id).await;
    app.advance(MINUTE);
    assert_eq!(cancel(&app, &id).await, first);

    let unknown = "0198f2a0-1234-7abc-8def-0123456789ab";
    let (status, error) = app.post(&format!("/api/runs/{unknown}/cancel"), json!({})).await;
    assert_eq!(status, 404);
    assert_eq!(error["error"]["message"], format!("run `{unknown}` does not exist"));
}

#[tokio::test]
async fn who_waits_for_a_run_learns_that_it_was_cancelled() {
    let app = one_slot(&["sleeper"]).await;
    let body = json!({"module": "sleeper", "entry": "nap", "parameters": {"ms": 50_000}, "idempotency_key": "k"});
    let id = app.submit_with(body.clone()).await;
    app.until_asleep(1, MINUTE).await;
    let (run, _) = tokio::join!(app.run_with(body), cancel(&app, &id));
    assert_eq!(run["id"], json!(id));
    assert_eq!(run["state"], "cancelled");
}
