//! Deployments are named ways to run an entry: made, changed, triggered, deleted.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{Running, TestApp, answer, text, time};

/// The test clock's first time.
pub const START: &str = "2026-01-02T03:04:05Z";

pub async fn put(app: &Running, name: &str, body: Value) -> (StatusCode, Value) {
    answer(app.raw(Method::PUT, &format!("/api/deployments/{name}")).json(&body)).await
}

pub async fn deploy(app: &Running, name: &str, body: Value) -> Value {
    let (status, deployment) = put(app, name, body).await;
    assert!(status.is_success(), "deploy {name}: {status} {deployment}");
    deployment
}

async fn patch(app: &Running, name: &str, body: Value) -> (StatusCode, Value) {
    answer(app.raw(Method::PATCH, &format!("/api/deployments/{name}")).json(&body)).await
}

/// The runs of a deployment, oldest first.
pub async fn runs_of(app: &Running, name: &str) -> Vec<Value> {
    let mut runs = app.get(&format!("/api/runs?deployment={name}&root=true&limit=500")).await["items"]
        .as_array()
        .expect("a page has items")
        .clone();
    runs.reverse();
    runs
}

pub async fn skips_of(app: &Running, name: &str) -> Vec<Value> {
    app.get(&format!("/api/deployments/{name}/skips")).await["items"].as_array().expect("a page has items").clone()
}

/// Waits until nothing is due by the clock: the scheduler has seen to all of it.
pub async fn settled(app: &Running) {
    let now = app.server().app.clock.now();
    let settled = async {
        while app.server().app.store.next_occurrence().expect("reads").is_some_and(|at| at <= now) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("the scheduler sees to what is due");
}

/// Moves the clock, and waits until what is due was seen to.
pub async fn step(app: &Running, by: SignedDuration) {
    app.advance(by);
    settled(app).await;
}

/// Waits until no run of a deployment is unfinished.
pub async fn finished(app: &Running, name: &str) {
    for run in runs_of(app, name).await {
        app.until_final(&text(&run["id"])).await;
    }
}

pub async fn with(guests: &[&str]) -> Running {
    let app = TestApp::new().manual_clock().start().await;
    for guest in guests {
        app.register(guest).await;
    }
    app
}

pub fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

pub fn echo(schedules: Value) -> Value {
    json!({"module": "noop", "entry": "echo", "parameters": {"text": "olá"}, "schedules": schedules})
}

#[tokio::test]
async fn a_deployment_is_made_shown_changed_listed_and_deleted() {
    let app = with(&["noop"]).await;
    let (status, made) = put(&app, "a-greeting", echo(json!([{"interval_ms": 30_000}]))).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!((&made["changed"], &made["overlap"], &made["catchup"]), (&json!(true), &json!("skip"), &json!("last")));
    assert_eq!(time(&made["next_at"]), START.parse::<Timestamp>().unwrap() + seconds(30), "one interval later");
    assert_eq!((&made["schedules"][0]["timezone"], &made["paused"]), (&json!("UTC"), &json!(false)));

    let (status, again) = put(&app, "a-greeting", echo(json!([{"interval_ms": 30_000}]))).await;
    assert_eq!((status, &again["changed"]), (StatusCode::OK, &json!(false)), "it says so already");
    assert_eq!(again["updated_at"], made["updated_at"]);

    let (status, changed) = patch(&app, "a-greeting", json!({"description": "says olá", "tags": ["a"]})).await;
    assert_eq!((status, &changed["changed"]), (StatusCode::OK, &json!(true)), "{changed}");
    assert_eq!((&changed["description"], &changed["parameters"]["text"]), (&json!("says olá"), &json!("olá")));
    let (_, changed) = patch(&app, "a-greeting", json!({"description": null})).await;
    assert_eq!((&changed["description"], &changed["tags"]), (&Value::Null, &json!(["a"])));

    deploy(&app, "b", echo(json!([]))).await;
    let page = app.get("/api/deployments?limit=1").await;
    assert_eq!((&page["items"][0]["name"], &page["next_cursor"]), (&json!("a-greeting"), &json!("a-greeting")));
    assert_eq!(app.get("/api/deployments?limit=1&cursor=a-greeting").await["items"][0]["name"], "b");
    assert_eq!(app.get("/api/deployments?module=other").await["items"], json!([]));

    let (status, _) = answer(app.raw(Method::DELETE, "/api/deployments/a-greeting")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, error) = app.try_get("/api/deployments/a-greeting").await;
    assert_eq!((status, &error["error"]["kind"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{error}");
    step(&app, seconds(60)).await;
    assert_eq!(runs_of(&app, "a-greeting").await, Vec::<Value>::new(), "what was deleted does not fire");
}

#[tokio::test]
async fn what_is_triggered_by_hand_has_the_deployments_parameters_and_its_own_over_them() {
    let app = with(&["params", "noop"]).await;
    deploy(
        &app,
        "d",
        json!({"module": "params", "entry": "defaults", "parameters": {"n": 1, "text": "a"}, "tags": ["x"]}),
    )
    .await;
    let body = json!({"parameters": {"text": "b"}, "trigger": "cli", "idempotency_key": "k", "name": "by hand"});
    let (status, run) = app.post("/api/deployments/d/runs?wait=60", body.clone()).await;
    assert_eq!((status, &run["state"]), (StatusCode::CREATED, &json!("completed")), "{run}");
    assert_eq!((&run["parameters"]["n"], &run["parameters"]["text"]), (&json!(1), &json!("b")));
    assert_eq!((&run["deployment"], &run["trigger"], &run["name"]), (&json!("d"), &json!("cli"), &json!("by hand")));
    assert_eq!((&run["tags"], &run["occurrence"]), (&json!(["x"]), &Value::Null));
    let (status, same) = app.post("/api/deployments/d/runs", body).await;
    assert_eq!((status, &same["id"]), (StatusCode::OK, &run["id"]));
    let (status, error) = app.post("/api/deployments/d/runs", json!({"parameters": {"n": "many"}})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{error}");
    deploy(&app, "nightly", echo(json!([]))).await;
    let (status, error) = app.post("/api/deployments/nightli/runs", json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(error["error"]["message"], "deployment `nightli` does not exist; did you mean `nightly`?");
}

#[tokio::test]
async fn a_run_that_its_deployment_cannot_submit_is_recorded_as_skipped() {
    let app = with(&["params"]).await;
    deploy(
        &app,
        "d",
        json!({"module": "params", "entry": "defaults", "parameters": {"n": 1}, "schedules": [{"interval_ms": 60_000}]}),
    )
    .await;
    // Another module under that name has no such entry.
    let (status, body) = app.try_register("params", crate::app::guest("noop")).await;
    assert!(status.is_success(), "{body}");
    assert_eq!(body["broken_deployments"][0]["deployment"], "d", "the registration says so: {body}");
    step(&app, seconds(60)).await;
    assert_eq!(runs_of(&app, "d").await.len(), 0);
    let skips = skips_of(&app, "d").await;
    assert_eq!((&skips[0]["why"], &skips[0]["n"]), (&json!("refused"), &json!(1)), "{skips:?}");
    assert!(text(&skips[0]["detail"]).contains("has no entry `defaults`"), "{skips:?}");
    assert!(text(&app.get("/api/deployments/d").await["broken"]).contains("has no entry `defaults`"));
}

#[tokio::test]
async fn a_deployment_follows_its_modules_newest_version_or_stays_with_one() {
    let app = with(&[]).await;
    let digest = text(&app.register("noop").await["digest"]);
    deploy(&app, "follows", echo(json!([]))).await;
    let mut pinned = echo(json!([]));
    pinned["digest"] = digest.clone().into();
    deploy(&app, "stays", pinned).await;
    let (status, newer) = app.try_register("noop", crate::app::guest("labels")).await;
    assert!(status.is_success(), "{newer}");
    assert_eq!(newer["broken_deployments"].as_array().map(Vec::len), Some(1), "{newer}");
    let (_, run) = app.post("/api/deployments/stays/runs?wait=60", json!({})).await;
    assert_eq!((&run["state"], &run["digest"]), (&json!("completed"), &json!(digest)), "{run}");
    let (status, error) = app.post("/api/deployments/follows/runs", json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{error}");
}

#[tokio::test]
async fn what_is_wrong_with_a_deployment_is_refused_by_name() {
    let app = with(&["noop", "params"]).await;
    let bad = [
        (json!({"module": "noop"}), "several entries"),
        (json!({"module": "nope"}), "module `nope` does not exist"),
        (json!({"module": "noop", "entry": "ech"}), "did you mean `echo`?"),
        (json!({"module": "noop", "entry": "echo", "parameters": {"txt": "a"}}), "did you mean `text`?"),
        (json!({"module": "noop", "entry": "echo", "parameters": {"text": 1}}), "text"),
        (json!({"module": "noop", "entry": "echo", "schedules": [{"interval_ms": 60_000}]}), "text"),
        (json!({"module": "noop", "entry": "echo", "priority": 10}), "`priority` is 10; it goes from 0 to 9"),
        (json!({"module": "noop", "entry": "echo", "priority": -1}), "priority"),
        (json!({"module": "noop", "entry": "echo", "overlap": "wait"}), "unknown variant `wait`"),
        (json!({"module": "noop", "entry": "echo", "catchup": "some"}), "unknown variant `some`"),
        (json!({"module": "noop", "entry": "echo", "catchup_max": 0}), "`catchup_max` is 0"),
        (json!({"module": "noop", "entry": "echo", "concurrency": {"max": 0}}), "`concurrency.max` is 0"),
        (json!({"module": "noop", "entry": "echo", "rate": "10 a minute"}), "`10 a minute` is no rate"),
        (json!({"module": "noop", "entry": "echo", "overlp": "skip"}), "unknown field `overlp`"),
        (json!({"module": "noop", "entry": "echo", "limits": {"fuel": 0}}), "`limits.fuel` is 0"),
        (json!({"module": "noop", "entry": "echo", "description": "x".repeat(5000)}), "5000 bytes"),
        (json!({"module": "noop", "entry": "echo", "grants": {"dirs": [{"host": "/", "guest": "/data"}]}}), "granted"),
        (json!({"module": "noop", "entry": "echo", "timezone": "Mars/Olympus"}), "unknown time zone `Mars/Olympus`"),
    ];
    for (body, why) in bad {
        let (status, error) = put(&app, "d", body.clone()).await;
        assert!(status.is_client_error(), "{body}: {status} {error}");
        assert!(text(&error["error"]["message"]).contains(why), "{body}: {error}");
    }
    for name in ["A", "a%20b", "1a", &"a".repeat(65)] {
        let (status, error) = put(&app, name, json!({"module": "noop", "entry": "noop"})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name}: {error}");
    }
    assert_eq!(app.get("/api/deployments").await["items"], json!([]));
}
