//! How far runs are, as they tell it themselves.

use std::time::Instant;

use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Running, TestApp};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

async fn start(app: TestApp) -> Running {
    let app = app.start().await;
    app.register("shows").await;
    app
}

#[tokio::test]
async fn a_run_tells_how_far_it_is_while_it_goes_on_and_the_last_of_it_stays() {
    let app = start(TestApp::new().manual_clock()).await;
    let id = app.submit("shows", "tells", json!({"steps": 7, "nap_ms": 60_000})).await;
    let expected = json!({"done": 7, "total": 7, "text": "counting"});
    let run = app.until(&id, |run| !run["progress"].is_null()).await;
    assert_eq!((&run["state"], &run["progress"]), (&json!("running"), &expected));
    assert_eq!(app.get("/api/runs").await["items"][0]["progress"], expected);
    let mut events = app.raw(Method::GET, &format!("/api/runs/{id}/events")).send().await.expect("answers");
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!(run["progress"], expected);
    let mut told = String::new();
    while let Some(chunk) = events.chunk().await.expect("the stream goes on") {
        told += std::str::from_utf8(&chunk).expect("UTF-8");
    }
    assert!(told.contains(r#""progress":{"done":7,"total":7,"text":"counting"}"#), "{told}");

    let hostile = "\u{1b}[2J\u{7}".to_owned() + &"é".repeat(500);
    let run = app.run("shows", "tells_of", json!({"text": hostile})).await;
    let expected = " [2J ".to_owned() + &"é".repeat(195);
    assert_eq!(run["progress"], json!({"done": null, "total": null, "text": expected}));
    let none = app.run("shows", "shows", json!({})).await;
    assert_eq!(none["progress"], Value::Null);
}

#[tokio::test]
async fn who_follows_a_run_hears_of_its_progress() {
    let app = start(TestApp::new().manual_clock()).await;
    let body = json!({
        "module": "shows", "entry": "tells", "parameters": {"steps": 7, "nap_ms": 60_000},
        "scheduled_at": "2026-01-02T03:04:15Z",
    });
    let id = app.submit_with(body).await;
    let mut events = app.raw(Method::GET, &format!("/api/runs/{id}/events")).send().await.expect("answers");
    let mut told = String::new();
    let mut until = async |wanted: &str| {
        while !told.contains(wanted) {
            let chunk = events.chunk().await.expect("the stream goes on").expect("it does not end");
            told += std::str::from_utf8(&chunk).expect("UTF-8");
        }
    };
    until(r#""progress":null"#).await;
    app.advance_to_next_wake(MINUTE).await;
    // It sleeps by now, so that nothing else is told of it.
    until(r#""progress":{"done":7,"total":7,"text":"counting"}"#).await;
    app.advance_until_final(&id, MINUTE).await;
}

#[tokio::test]
async fn a_flood_of_progress_is_a_few_writes() {
    let app = start(TestApp::new()).await;
    let store = &app.server().app.store;
    let (_, before) = store.commits_and_writes();
    let started = Instant::now();
    let run = app.run("shows", "tells", json!({"steps": 1_000_000, "nap_ms": 0})).await;
    let took_ms = started.elapsed().as_millis() as u64;
    assert_eq!((&run["state"], &run["progress"]["done"]), (&json!("completed"), &json!(1_000_000)), "{run}");
    let (_, after) = store.commits_and_writes();
    assert!(after - before <= took_ms / 100 + 10, "{} writes in {took_ms} ms", after - before);
}
