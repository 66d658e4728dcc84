//! Failed attempts are tried again, after exact delays, and everything about it is told.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::app::{Running, TestApp, child_id, text, time};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// The milliseconds between the end of each attempt of a run and the start of the next.
fn delays(run: &Value) -> Vec<i128> {
    let attempts = run["attempts"].as_array().expect("a list");
    let between = |pair: &[Value]| time(&pair[1]["started_at"]).duration_since(time(&pair[0]["finished_at"]));
    attempts.windows(2).map(|pair| between(pair).as_millis()).collect()
}

fn states(items: &Value) -> Vec<String> {
    items.as_array().expect("a list").iter().map(|item| text(&item["state"])).collect()
}

/// Runs an entry of `flaky` at the top, moving the clock over every delay.
async fn run_alone(app: &Running, entry: &str, succeeds_at: u32) -> Value {
    let id = app.submit("flaky", entry, json!({"succeeds_at": succeeds_at})).await;
    app.advance_until_final(&id, MINUTE).await
}

/// Runs an entry of `flaky` as the child of a flow, and returns the child.
async fn run_as_child(app: &Running, entry: &str, succeeds_at: u32) -> Value {
    let parameters = json!({"entry": format!("flaky/{entry}"), "parameters": {"succeeds_at": succeeds_at}});
    let id = app.submit("by_name", "run", parameters).await;
    app.advance_until_final(&id, MINUTE).await;
    app.show(&child_id(&id, 0)).await
}

async fn flaky() -> Running {
    let app = TestApp::new().manual_clock().start().await;
    app.register("flaky").await;
    app.register("by_name").await;
    app
}

#[tokio::test]
async fn two_failures_and_a_success_are_three_attempts_with_exact_delays() {
    let app = flaky().await;
    for (entry, expected) in [("fixed", [2000, 2000]), ("listed", [1000, 5000]), ("exponential", [1000, 2000])] {
        for run in [run_alone(&app, entry, 3).await, run_as_child(&app, entry, 3).await] {
            assert_eq!(run["state"], "completed", "{run}");
            assert_eq!(run["result"], 3);
            assert_eq!(run["n_attempts"], 3);
            assert_eq!(states(&run["attempts"]), ["failed", "failed", "completed"]);
            assert_eq!(delays(&run), expected, "{entry}");
            let numbers: Vec<_> = run["attempts"].as_array().unwrap().iter().map(|a| a["number"].clone()).collect();
            assert_eq!(numbers, [1, 2, 3]);
        }
    }
}

#[tokio::test]
async fn exponential_delays_double_up_to_their_cap_and_then_the_run_fails() {
    let app = flaky().await;
    for run in [run_alone(&app, "exponential", 99).await, run_as_child(&app, "exponential", 99).await] {
        assert_eq!(run["state"], "failed", "{run}");
        assert_eq!(delays(&run), [1000, 2000, 4000, 5000, 5000]);
        assert_eq!(states(&run["attempts"]), ["failed"; 6]);
        for (attempt, number) in run["attempts"].as_array().unwrap().iter().zip(1..) {
            assert_eq!(attempt["failure"]["message"], format!("attempt {number} fails until 99"));
        }
        assert_eq!(run["failure"]["kind"], "task_error");
        assert_eq!(run["failure"]["message"], "attempt 6 fails until 99");
    }
}

#[tokio::test]
async fn a_jittered_delay_stays_within_its_share() {
    let app = flaky().await;
    let run = run_alone(&app, "jittered", 4).await;
    let delays = delays(&run);
    assert_eq!(delays.len(), 3);
    assert!(delays.iter().all(|delay| (5000..=15_000).contains(delay)), "{delays:?}");
}

#[tokio::test]
async fn each_failed_attempt_that_is_tried_again_says_so_in_the_log() {
    let app = flaky().await;
    for run in [run_alone(&app, "fixed", 9).await, run_as_child(&app, "fixed", 9).await] {
        let expected =
            [1, 2, 3].map(|n| format!("attempt {n} of 4 failed: attempt {n} fails until 9; retry {n} of 3 in 2 s"));
        assert_eq!(app.messages(&text(&run["id"])).await, expected);
        let lines = app.logs(&text(&run["id"])).await;
        assert!(lines.iter().all(|line| line["level"] == "warn"), "{lines:?}");
        let attempts: Vec<_> = lines.iter().map(|line| line["attempt"].clone()).collect();
        assert_eq!(attempts, [1, 2, 3]);
    }
}

#[tokio::test]
async fn the_history_tells_each_change_with_its_reason() {
    let app = flaky().await;
    let start = time(&json!("2026-01-02T03:04:05Z"));
    let run = run_alone(&app, "listed", 3).await;
    let told: Vec<_> = run["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let after = time(&item["at"]).duration_since(start).as_secs();
            (after, text(&item["state"]), item["reason"].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    let expected = [
        (0, "scheduled", ""),
        (0, "running", ""),
        (0, "scheduled", "attempt 1 failed: attempt 1 fails until 3"),
        (1, "running", ""),
        (1, "scheduled", "attempt 2 failed: attempt 2 fails until 3"),
        (6, "running", ""),
        (6, "completed", ""),
    ];
    assert_eq!(told, expected.map(|(after, state, reason)| (after, state.to_owned(), reason.to_owned())));
}

#[tokio::test]
async fn a_run_that_awaits_its_retry_is_scheduled_and_says_what_it_waits_for() {
    let app = flaky().await;
    let id = app.submit("flaky", "fixed", json!({"succeeds_at": 2})).await;
    let waiting = app.until(&id, |run| run["waiting_for"] == "retry").await;
    assert_eq!(waiting["state"], "scheduled");
    assert_eq!(waiting["n_attempts"], 1);
    assert_eq!(states(&waiting["attempts"]), ["failed"]);
    let delay = time(&waiting["scheduled_at"]).duration_since(time(&waiting["attempts"][0]["finished_at"]));
    assert_eq!(delay, SignedDuration::from_secs(2));
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!(run["result"], 2);
}

#[tokio::test]
async fn a_permanent_error_is_not_tried_again() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("fails").await;
    let run = app.run("fails", "give_up", json!({})).await;
    assert_eq!(run["state"], "failed", "{run}");
    assert_eq!(run["n_attempts"], 1);
    assert_eq!(run["retries"]["max"], 3);
    assert_eq!(run["failure"]["retryable"], false);
    assert_eq!(run["failure"]["details"], json!({"code": 7}));
    assert_eq!(app.messages(&text(&run["id"])).await, Vec::<String>::new());

    let caught = app.run("fails", "catches", json!({})).await;
    let expected = json!({
        "kind": "task_error", "message": "no retry can help", "retryable": false, "details": {"code": 7},
    });
    assert_eq!(caught["result"], expected, "{caught}");
    assert_eq!(app.children(&text(&caught["id"])).await[0]["n_attempts"], 1);
}

#[tokio::test]
async fn retries_of_a_submit_stand_in_the_place_of_the_entrys() {
    let app = flaky().await;
    let body = |retries: Value| json!({"module": "flaky", "entry": "fixed", "parameters": {"succeeds_at": 9}, "retries": retries});
    let id = app.submit_with(body(json!({"max": 1, "delay_ms": [700]}))).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!(run["state"], "failed");
    assert_eq!(delays(&run), [700]);
    assert_eq!(run["retries"]["max"], 1);

    let run = app.run_with(body(json!({"max": 0}))).await;
    assert_eq!(run["n_attempts"], 1);

    let (status, error) = app.post("/api/runs", body(json!({"max": 2000}))).await;
    assert_eq!(status, 400);
    assert_eq!(error["error"]["message"], "`retries.max` is 2000; the most is 1000");
}

#[tokio::test]
async fn a_flow_that_is_tried_again_starts_from_the_beginning_with_children_of_its_own() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("fails").await;
    let run = app.run("fails", "flow_with_retries", json!({})).await;
    let id = text(&run["id"]);
    assert_eq!(run["state"], "failed");
    assert_eq!(run["n_attempts"], 3);
    for generation in 1..=3 {
        let page = app.get(&format!("/api/runs/{id}/children?generation={generation}")).await;
        let children = page["items"].as_array().unwrap();
        assert_eq!(children.len(), 1, "generation {generation}: {page}");
        assert_eq!(children[0]["state"], "failed");
        assert_eq!(children[0]["generation"], generation);
    }
}

#[tokio::test]
async fn the_sleeps_of_guests_follow_the_clock_of_the_host() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("sleeper").await;
    for entry in ["measured", "flow_sleeps"] {
        let id = app.submit("sleeper", entry, json!({"ms": 59_000})).await;
        app.until_asleep(1, MINUTE).await;
        app.advance(SignedDuration::from_secs(58));
        app.until_asleep(1, SignedDuration::from_secs(1)).await;
        assert_eq!(app.show(&id).await["state"], "running");
        app.advance(SignedDuration::from_secs(1));
        let run = app.until_final(&id).await;
        assert_eq!(run["result"], 59_000, "{run}");
        let took = time(&run["finished_at"]).duration_since(time(&run["started_at"]));
        assert_eq!(took, SignedDuration::from_secs(59));
    }
}
