//! What becomes of a run that comes while as many run as may.

use jiff::SignedDuration;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::concurrency::{cancel, nap, until_blocked, until_running, with_sleeper};

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[tokio::test]
async fn a_run_is_skipped_while_as_many_are_unfinished_as_may() {
    let app = with_sleeper(TestApp::new()).await;
    let first = app.submit_with(nap("k", "skip", 60_000)).await;
    let (status, body) = app.post("/api/runs", nap("k", "skip", 1)).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let message = format!("skipped: the limit of `key/k` is 1, and run `{first}` is not over yet");
    assert_eq!((&body["error"]["kind"], &body["error"]["message"]), (&json!("conflict"), &json!(message)));
    assert_eq!(app.get("/api/health").await["unfinished_runs"], 1, "it is not on record");
    // One for later neither meets others nor is met.
    let mut later = nap("k", "skip", 1);
    later["scheduled_at"] = json!("2026-01-02T04:00:00Z");
    let later = app.submit_with(later).await;
    app.until_asleep(1, MINUTE).await;
    app.advance(MINUTE);
    app.until_final(&first).await;
    let second = app.submit_with(nap("k", "skip", 0)).await;
    assert_eq!(app.until_final(&second).await["state"], "completed");
    app.advance(HOUR);
    app.until_asleep(1, SECOND).await;
    app.advance(SECOND);
    app.until_final(&later).await;
}

#[tokio::test]
async fn a_repeated_submit_gives_the_first_run_and_is_not_skipped_by_it() {
    let app = with_sleeper(TestApp::new()).await;
    let mut body = nap("k", "skip", 60_000);
    body["idempotency_key"] = json!("once");
    let first = app.submit_with(body.clone()).await;
    let (status, again) = app.post("/api/runs", body.clone()).await;
    assert_eq!((status, text(&again["id"])), (StatusCode::OK, first.clone()));
    body["idempotency_key"] = json!("twice");
    assert_eq!(app.post("/api/runs", body.clone()).await.0, StatusCode::CONFLICT);
    cancel(&app, &first).await;
    app.until_final(&first).await;
    // What was skipped has not used up its key.
    let (status, run) = app.post("/api/runs", body).await;
    assert_eq!(status, StatusCode::CREATED, "{run}");
    cancel(&app, &text(&run["id"])).await;
    app.until_final(&text(&run["id"])).await;
}

#[tokio::test]
async fn one_waits_and_the_next_is_skipped() {
    let app = with_sleeper(TestApp::new()).await;
    let first = app.submit_with(nap("k", "queue-one", 1000)).await;
    let second = app.submit_with(nap("k", "queue-one", 1000)).await;
    until_blocked(&app, &second, "key/k").await;
    assert_eq!(app.post("/api/runs", nap("k", "queue-one", 1)).await.0, StatusCode::CONFLICT);
    app.until_asleep(1, SECOND).await;
    app.advance(SECOND);
    app.until_final(&first).await;
    until_running(&app, &second).await;
    let third = app.submit_with(nap("k", "queue-one", 1000)).await;
    app.until_asleep(1, SECOND).await;
    app.advance(SECOND);
    app.until_final(&second).await;
    until_running(&app, &third).await;
    app.until_asleep(1, SECOND).await;
    app.advance(SECOND);
    app.until_final(&third).await;
}

#[tokio::test]
async fn a_run_takes_the_place_of_the_oldest_and_of_those_that_wait_for_it() {
    let app = with_sleeper(TestApp::new().slots(2)).await;
    let first = app.submit_with(nap("k", "queue", 60_000)).await;
    until_running(&app, &first).await;
    let waiting = app.submit_with(nap("k", "queue", 1000)).await;
    until_blocked(&app, &waiting, "key/k").await;
    let last = app.submit_with(nap("k", "cancel-running", 1000)).await;
    until_running(&app, &last).await;
    for id in [&first, &waiting] {
        let run = app.until_final(id).await;
        assert_eq!(run["state"], "cancelled", "{run}");
        let reason = json!(format!("run `{last}` took its place in `key/k`"));
        assert!(run["history"].as_array().unwrap().iter().any(|item| item["reason"] == reason), "{run}");
    }
    app.until_asleep(1, SECOND).await;
    app.advance(SECOND);
    assert_eq!(app.until_final(&last).await["state"], "completed");
}

#[tokio::test]
async fn who_is_allowed_anyway_waits_for_nobody_but_counts() {
    let app = with_sleeper(TestApp::new()).await;
    let mut ids = vec![app.submit_with(nap("k", "queue", 1000)).await];
    for _ in 0..2 {
        ids.push(app.submit_with(nap("k", "allow", 2000)).await);
    }
    for id in &ids {
        until_running(&app, id).await;
    }
    let waits = app.submit_with(nap("k", "queue", 1000)).await;
    app.until_asleep(3, MINUTE).await;
    app.advance(SECOND);
    app.until_final(&ids[0]).await;
    until_blocked(&app, &waits, "key/k").await;
    app.advance(SECOND);
    until_running(&app, &waits).await;
    app.until_asleep(1, SECOND).await;
    app.advance(SECOND);
    app.until_final(&waits).await;
}

#[tokio::test]
async fn what_is_no_limit_is_refused_with_what_is_allowed() {
    let app = with_sleeper(TestApp::new()).await;
    let base = json!({"module": "sleeper", "entry": "nap", "parameters": {"ms": 1}});
    let with = |field: &str, value: Value| {
        let mut body = base.clone();
        body[field] = value;
        body
    };
    for (body, part) in [
        (with("priority", json!(10)), "`priority` is 10; it goes from 0 to 9"),
        (with("priority", json!(-1)), "invalid value"),
        (with("rate", json!("10")), "is no rate: write it as `10/1m`"),
        (with("rate", json!("0/1m")), "it goes from 1 to 10000"),
        (with("rate", json!("1/2d")), "it goes from 1 ms to a day"),
        (with("concurrency", json!({"max": 0})), "`concurrency.max` is 0; it goes from 1 to 100000"),
        (with("concurrency", json!({"max": 1, "key": ""})), "`concurrency.key` has 0 bytes; it takes 1 to 200"),
        (with("concurrency", json!({"max": 1, "key": "{ms"})), "a `{` is not closed"),
        (with("concurrency", json!({"max": 1, "key": "{who}"})), "there is no parameter `who`"),
        (with("concurrency", json!({"max": 1, "on_conflict": "panic"})), "unknown variant `panic`"),
        (with("concurrency", json!({"max": 1, "maximum": 2})), "unknown field `maximum`"),
        (with("concurrency", json!([null, 1])), "invalid type: sequence"),
    ] {
        let (status, answer) = app.post("/api/runs", body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(text(&answer["error"]["message"]).contains(part), "{body}: {answer}");
    }
}
