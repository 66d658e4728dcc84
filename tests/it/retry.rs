//! A run that did not complete is retried as a run of its own that names the old one.

use jiff::SignedDuration;
use serde_json::{Value, json};
use tarefa::domain::DirMode;

use crate::app::{Running, TestApp, child_id, text};

async fn retry(app: &Running, id: &str) -> (u16, Value) {
    let (status, body) = app.post(&format!("/api/runs/{id}/retry"), json!({})).await;
    (status.as_u16(), body)
}

/// Retries a run and returns the new one once it is final.
async fn retried(app: &Running, id: &str) -> Value {
    let (status, run) = retry(app, id).await;
    assert_eq!(status, 201, "{run}");
    app.until_final(&text(&run["id"])).await
}

async fn refusal(app: &Running, id: &str) -> String {
    let (status, body) = retry(app, id).await;
    assert_eq!((status, &body["error"]["kind"]), (409, &json!("conflict")), "{body}");
    text(&body["error"]["message"])
}

#[tokio::test]
async fn a_retry_is_the_same_run_anew() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("fails").await;
    let body = json!({
        "module": "fails", "entry": "fail", "parameters": {"message": "não"}, "name": "nightly", "tags": ["night"],
        "limits": {"fuel": 1_000_000}, "timezone": "America/Sao_Paulo", "idempotency_key": "once",
    });
    let old = app.run_with(body).await;
    let id = text(&old["id"]);
    // The module moves on; the retry does not.
    let (status, newest) = app.try_register("fails", crate::app::guest("noop")).await;
    assert_eq!(status, 201);
    assert_ne!(newest["digest"], old["digest"]);

    let new = retried(&app, &id).await;
    for same in ["kind", "module", "digest", "entry", "parameters", "name", "tags", "limits", "retries", "timezone"] {
        assert_eq!(new[same], old[same], "{same}");
    }
    assert_eq!((&new["state"], &new["failure"]), (&json!("failed"), &old["failure"]));
    assert_eq!(new["history"][0]["reason"], format!("retry of run `{id}`"));
    assert_eq!((&new["retry_of"], &new["idempotency_key"]), (&json!(id), &Value::Null));
    assert_eq!((&old["retry_of"], &old["retried_by"], &new["retried_by"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(app.show(&id).await["retried_by"], new["id"]);

    let newer = retried(&app, &id).await;
    assert_eq!(app.show(&id).await["retried_by"], newer["id"], "the newest");
    let of_new = retried(&app, &text(&new["id"])).await;
    assert_eq!(of_new["retry_of"], new["id"]);
    let page = app.get("/api/runs?root=true").await;
    assert_eq!(page["items"][0]["retry_of"], new["id"], "in lists too");
}

#[tokio::test]
async fn a_flow_is_retried_from_its_beginning_with_children_of_its_own() {
    let app = TestApp::new().start().await;
    app.register("fails").await;
    let old = app.run("fails", "passes_on", json!({})).await;
    let new = retried(&app, &text(&old["id"])).await;
    let children = app.children(&text(&new["id"])).await;
    assert_eq!((children.len(), &children[0]["parent_id"]), (1, &new["id"]));
    assert_eq!(app.children(&text(&old["id"])).await.len(), 1, "the old ones stay");
}

#[tokio::test]
async fn a_child_is_retried_on_its_own_with_what_it_had_from_its_flow() {
    let app = TestApp::new().start().await;
    app.register("context").await;
    app.register("fails").await;
    app.register("by_name").await;
    let parameters = json!({"entry": "fails/give_up"});
    let body = json!({"module": "by_name", "entry": "run", "parameters": parameters, "timezone": "Asia/Kolkata"});
    let flow = text(&app.run_with(body).await["id"]);
    let run = retried(&app, &child_id(&flow, 0)).await;
    assert_eq!((&run["parent_id"], &run["root_id"], &run["seq"]), (&Value::Null, &run["id"], &Value::Null));
    assert_eq!((&run["entry"], &run["timezone"]), (&json!("give_up"), &json!("Asia/Kolkata")));
    assert_eq!(run["trigger"], "api");
}

#[tokio::test]
async fn only_what_is_over_and_did_not_complete_is_retried() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("noop").await;
    let done = text(&app.run("noop", "noop", json!({})).await["id"]);
    assert_eq!(refusal(&app, &done).await, format!("run `{done}` completed; submit it anew to run it again"));

    let later = json!({"module": "noop", "entry": "noop", "scheduled_at": "2026-02-01T00:00:00Z"});
    let waiting = app.submit_with(later).await;
    let expected = format!("run `{waiting}` is scheduled; wait for its end or cancel it first");
    assert_eq!(refusal(&app, &waiting).await, expected);
    app.post(&format!("/api/runs/{waiting}/cancel"), json!({})).await;
    assert_eq!(retried(&app, &waiting).await["state"], "completed", "a cancelled run, and at once");

    assert_eq!(retry(&app, "0198f2a0-1234-7abc-8def-0123456789ab").await.0, 404);
    let (status, _) = app.post(&format!("/api/runs/{waiting}/retry"), json!({"delay_ms": 1})).await;
    assert_eq!(status, 400, "an unknown word");
}

#[tokio::test]
async fn a_child_that_never_could_run_alone_is_not_retried() {
    let app = TestApp::new().start().await;
    app.register("edges").await;
    app.register("by_name").await;
    let flow = text(&app.run("edges", "upstream_failure", json!({})).await["id"]);
    let sum = child_id(&flow, 1);
    let expected =
        format!("run `{sum}` cannot be retried: it takes what other runs return and never got it; retry its flow");
    assert_eq!(refusal(&app, &sum).await, expected);

    let flow = text(&app.run("by_name", "run", json!({"entry": "doubel"})).await["id"]);
    let missing = child_id(&flow, 0);
    let expected = format!("run `{missing}` cannot be retried: module `by_name` has no entry `doubel`");
    assert!(refusal(&app, &missing).await.starts_with(&expected));
}

#[tokio::test]
async fn a_retry_is_granted_only_what_may_be_granted_now() {
    let shared = tempfile::tempdir().expect("a directory");
    let mut app = TestApp::new().allow_dir(shared.path(), DirMode::Ro).start().await;
    app.register("files").await;
    let grants = json!({"dirs": [{"host": shared.path(), "guest": "/data", "mode": "ro"}]});
    let body = json!({
        "module": "files", "entry": "read", "parameters": {"path": "/data/none"}, "grants": grants,
    });
    let old = text(&app.run_with(body).await["id"]);
    assert_eq!(retried(&app, &old).await["grants"]["dirs"], grants["dirs"]);

    app.stop(std::time::Duration::ZERO).await;
    app.without_allowed_dirs();
    app.start_again().await;
    let (status, body) = retry(&app, &old).await;
    assert_eq!((status, &body["error"]["kind"]), (403, &json!("forbidden")), "{body}");
}

#[tokio::test]
async fn who_retries_is_told_by_the_trigger() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("fails").await;
    let body = json!({"module": "fails", "entry": "says_no", "trigger": "cli"});
    let old = app.run_with(body).await;
    assert_eq!(old["trigger"], "cli");
    assert_eq!(retried(&app, &text(&old["id"])).await["trigger"], "api");
    let path = format!("/api/runs/{}/retry", text(&old["id"]));
    let (status, run) = app.post(&path, json!({"trigger": "cli"})).await;
    assert_eq!((status.as_u16(), &run["trigger"]), (201, &json!("cli")));
    app.until_final(&text(&run["id"])).await;
    app.advance(SignedDuration::from_secs(1));
    for refused in ["flow", "schedule", "me"] {
        let body = json!({"module": "fails", "entry": "says_no", "trigger": refused});
        let (status, error) = app.post("/api/runs", body).await;
        assert_eq!(status, 400, "{refused}: {error}");
        assert!(text(&error["error"]["message"]).contains("expected `api` or `cli`"), "{error}");
    }
}
