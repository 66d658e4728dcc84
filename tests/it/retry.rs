//! A run that did not complete is tried again in its place; a flow keeps what completed.

use std::path::Path;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tarefa::domain::DirMode;

use crate::app::{Running, TestApp, child_id, text};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

async fn retry_with(app: &Running, id: &str, how: Value) -> (u16, Value) {
    let (status, body) = app.post(&format!("/api/runs/{id}/retry"), how).await;
    (status.as_u16(), body)
}

async fn retry(app: &Running, id: &str) -> (u16, Value) {
    retry_with(app, id, json!({})).await
}

/// Retries a run and returns it once it is final.
async fn retried(app: &Running, id: &str) -> Value {
    let (status, run) = retry(app, id).await;
    assert_eq!(status, 200, "{run}");
    app.until_final(&text(&run["id"])).await
}

async fn refusal(app: &Running, id: &str) -> String {
    let (status, body) = retry(app, id).await;
    assert_eq!((status, &body["error"]["kind"]), (409, &json!("conflict")), "{body}");
    text(&body["error"]["message"])
}

/// A server with the module `needs`, and the directory that its tasks are granted.
async fn needs() -> (Running, tempfile::TempDir) {
    let shared = tempfile::tempdir().expect("a directory");
    let app = TestApp::new().allow_dir(shared.path(), DirMode::Rw).manual_clock().start().await;
    app.register("needs").await;
    (app, shared)
}

fn submit(shared: &Path, entry: &str, parameters: Value) -> Value {
    let grants = json!({"dirs": [{"host": shared, "guest": "/data", "mode": "rw"}]});
    json!({"module": "needs", "entry": entry, "parameters": parameters, "grants": grants})
}

/// What ran, in order.
fn effects(shared: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(shared.join("effects")).expect("something ran");
    text.lines().map(str::to_owned).collect()
}

fn put(shared: &Path, name: &str) {
    std::fs::write(shared.join(name), format!("the {name}")).expect("writes");
}

fn states(children: &[Value]) -> Vec<(String, String)> {
    children.iter().map(|child| (text(&child["entry"]), text(&child["state"]))).collect()
}

#[tokio::test]
async fn a_retry_is_the_next_attempt_of_the_same_run() {
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

    app.advance(SignedDuration::from_secs(1));
    let new = retried(&app, &id).await;
    let same = [
        "id",
        "digest",
        "entry",
        "parameters",
        "name",
        "tags",
        "limits",
        "retries",
        "timezone",
        "idempotency_key",
        "failure",
    ];
    for same in same {
        assert_eq!(new[same], old[same], "{same}");
    }
    assert_eq!((&new["state"], &new["n_attempts"]), (&json!("failed"), &json!(2)));
    let attempts = new["attempts"].as_array().unwrap();
    let of = |attempt: &Value| (attempt["number"].clone(), attempt["state"].clone(), attempt["failure"].clone());
    assert_eq!(
        attempts.iter().map(of).collect::<Vec<_>>(),
        [1, 2].map(|n| (json!(n), json!("failed"), old["failure"].clone()))
    );
    let history: Vec<_> = new["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (text(&item["state"]), item["reason"].as_str().map(str::to_owned)))
        .collect();
    let failed = ("failed".to_owned(), old["failure"]["message"].as_str().map(str::to_owned));
    let expected = [
        ("scheduled".to_owned(), None),
        ("running".to_owned(), None),
        failed.clone(),
        ("scheduled".to_owned(), Some("retried by request".to_owned())),
        ("running".to_owned(), None),
        failed,
    ];
    for item in &expected {
        assert!(history.contains(item), "{item:?} in {history:?}");
    }
    assert_eq!(history.len(), expected.len(), "{history:?}");
}

#[tokio::test]
async fn a_retry_by_hand_has_all_its_retries_again() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("flaky").await;
    let body = json!({"module": "flaky", "entry": "at_once", "parameters": {"succeeds_at": 6}});
    let old = app.run_with(body).await;
    assert_eq!((&old["state"], &old["n_attempts"]), (&json!("failed"), &json!(4)));
    let new = retried(&app, &text(&old["id"])).await;
    assert_eq!((&new["state"], &new["n_attempts"], &new["result"]), (&json!("completed"), &json!(6), &json!(6)));
}

#[tokio::test]
async fn a_flow_keeps_what_completed_and_runs_the_rest() {
    let (app, shared) = needs().await;
    let id = app.submit_with(submit(shared.path(), "pipeline", json!({"name": "key"}))).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!((&run["state"], &run["failure"]["message"]), (&json!("failed"), &json!("there is no `key`")));
    let before = app.children(&id).await;
    app.advance(SignedDuration::from_secs(1));
    put(shared.path(), "key");

    // The sleep between the steps is over, too: the clock stands still from here on.
    let run = retried(&app, &id).await;
    assert_eq!(
        (&run["state"], &run["result"], &run["n_attempts"]),
        (&json!("completed"), &json!("the key"), &json!(2)),
        "{run}"
    );
    assert_eq!(effects(shared.path()), ["step 1", "step 2", "need key", "need key", "step 3"]);
    let children = app.children(&id).await;
    let names = |n: &str| (n.to_owned(), "completed".to_owned());
    assert_eq!(states(&children), ["step", "step", "need", "step"].map(names));
    for (place, reused) in [true, true, false, false].into_iter().enumerate() {
        let (old, new) = (before.get(place), &children[place]);
        assert_eq!(new["reused_from"], if reused { old.unwrap()["id"].clone() } else { Value::Null });
        if reused {
            assert_eq!(
                (&new["started_at"], &new["finished_at"]),
                (&old.unwrap()["started_at"], &old.unwrap()["finished_at"])
            );
        }
    }
    assert_eq!(run["children"], json!({"completed": 4}));
    assert_eq!(app.show(&text(&before[2]["id"])).await["superseded"], true);
    let generation = app.get(&format!("/api/runs/{id}/children?generation=1")).await;
    assert_eq!(generation["items"].as_array().unwrap().len(), 3, "the old ones stay");
}

#[tokio::test]
async fn a_flow_retried_from_the_start_runs_all_again() {
    let (app, shared) = needs().await;
    let id = app.submit_with(submit(shared.path(), "insistent", json!({"name": "key"}))).await;
    app.advance_until_final(&id, MINUTE).await;
    put(shared.path(), "key");
    let (status, run) = retry_with(&app, &id, json!({"from_start": true})).await;
    assert_eq!(status, 200, "{run}");
    assert_eq!(app.until_final(&id).await["state"], "completed");
    assert_eq!(effects(shared.path()), ["step 1", "need key", "need key", "step 1", "need key"]);
    // What comes after does not take over from before it.
    assert_eq!(retry(&app, &id).await.0, 409);
}

#[tokio::test]
async fn retries_of_a_flow_are_generations_too() {
    let (app, shared) = needs().await;
    let id = app.submit_with(submit(shared.path(), "insistent", json!({"name": "key"}))).await;
    app.until(&id, |run| run["waiting_for"] == "retry").await;
    put(shared.path(), "key");
    app.advance_to_next_wake(MINUTE).await;
    let run = app.until_final(&id).await;
    assert_eq!((&run["state"], &run["n_attempts"]), (&json!("completed"), &json!(2)), "{run}");
    assert_eq!(effects(shared.path()), ["step 1", "need key", "need key"]);
}

#[tokio::test]
async fn a_caught_failure_that_succeeds_the_second_time_changes_what_comes_after() {
    let (app, shared) = needs().await;
    let parameters = json!({"first": "a", "second": "b"});
    let id = text(&app.run_with(submit(shared.path(), "copes", parameters)).await["id"]);
    put(shared.path(), "a");
    put(shared.path(), "b");
    let run = retried(&app, &id).await;
    assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &json!("the a")), "{run}");
    // The step that was taken since `a` failed has no place any more; the one after it is found in another place.
    assert_eq!(effects(shared.path()), ["step 1", "need a", "step 100", "step 2", "need b", "need a", "need b"]);
    let reused: Vec<bool> = app.children(&id).await.iter().map(|child| !child["reused_from"].is_null()).collect();
    assert_eq!(reused, [true, false, true, false]);
}

#[tokio::test]
async fn the_caught_failure_of_the_tutorial_succeeds_the_second_time() {
    let app = TestApp::new().manual_clock().start().await;
    let (status, _) = app.try_register("flow_erros", crate::app::example("flow_erros")).await;
    assert!(status.is_success());
    // The flow itself copes; one that does not is made of it by a limit.
    let body = json!({"module": "flow_erros", "entry": "pipeline_com_erros", "limits": {"output_bytes": 1}});
    let id = app.submit_with(body).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!((&run["state"], &run["failure"]["kind"]), (&json!("failed"), &json!("output_too_large")), "{run}");
    let before = app.children(&id).await;
    let all_completed = before.iter().all(|child| child["state"] == "completed");
    let (status, body) = retry(&app, &id).await;
    assert_eq!(status == 409, all_completed, "{body}");
    if !all_completed {
        app.advance_until_final(&id, MINUTE).await;
        let after = app.children(&id).await;
        assert!(
            after[0]["n_attempts"].as_u64() >= Some(1) && after[0]["reused_from"].is_null(),
            "it ran again: {after:?}"
        );
    }
}

#[tokio::test]
async fn a_flow_in_a_flow_keeps_what_completed_in_it() {
    let (app, shared) = needs().await;
    let id = text(&app.run_with(submit(shared.path(), "outer", json!({"name": "key"}))).await["id"]);
    put(shared.path(), "key");
    let inner = child_id(&id, 1);
    let run = retried(&app, &id).await;
    assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &json!("the key")), "{run}");
    let mut effects = effects(shared.path());
    effects.sort();
    assert_eq!(effects, ["need key", "need key", "step 1", "step 10", "step 11", "step 12", "step 13"]);
    let children = app.children(&id).await;
    assert_eq!((&children[1]["retry_of"], &children[1]["state"]), (&json!(inner), &json!("completed")));
}

#[tokio::test]
async fn a_retry_of_one_failed_task_retries_its_flow() {
    let (app, shared) = needs().await;
    let id = text(&app.run_with(submit(shared.path(), "outer", json!({"name": "key"}))).await["id"]);
    put(shared.path(), "key");
    let inner = child_id(&id, 1);
    let failed = child_id(&inner, 1);
    let (status, run) = retry(&app, &failed).await;
    assert_eq!((status, &run["id"]), (200, &json!(id)), "{run}");
    assert_eq!(app.until_final(&id).await["state"], "completed");
    let reasons = app.show(&id).await["history"].to_string();
    assert!(reasons.contains(&format!("retried by request for run `{failed}`")), "{reasons}");
    // Its flow completed now: there is nothing to retry.
    let expected = format!("run `{failed}` is a part of run `{id}`, which completed; submit it anew to run it again");
    assert_eq!(refusal(&app, &failed).await, expected);
}

#[tokio::test]
async fn the_mended_code_takes_over_what_completed_under_the_old() {
    let (app, shared) = needs().await;
    let id = app.submit_with(submit(shared.path(), "insistent", json!({"name": "key"}))).await;
    app.advance_until_final(&id, MINUTE).await;
    put(shared.path(), "key");
    let mut mended = crate::app::guest("needs");
    // A custom section of no meaning: another digest of the same code.
    mended.extend([0, 2, 1, b'x']);
    let (status, version) = app.try_register("needs", mended).await;
    assert_eq!(status, 201, "{version}");
    let (status, run) = retry_with(&app, &id, json!({"module": "newest"})).await;
    assert_eq!((status, &run["digest"]), (200, &version["digest"]), "{run}");
    assert_eq!(app.until_final(&id).await["state"], "completed");
    assert_eq!(effects(shared.path()), ["step 1", "need key", "need key", "need key"]);
    let reasons = app.show(&id).await["history"].to_string();
    assert!(reasons.contains(&format!("with version {}", &text(&version["digest"])[..12])), "{reasons}");
}

#[tokio::test]
async fn a_flow_whose_children_all_completed_would_fail_again_and_says_so() {
    let (app, shared) = needs().await;
    let run = app.run_with(submit(shared.path(), "never_content", json!({}))).await;
    let id = text(&run["id"]);
    assert_eq!((&run["state"], &run["n_attempts"]), (&json!("failed"), &json!(1)), "its three retries are in vain");
    let lines = app.messages(&id).await;
    assert_eq!(lines, ["not retried: all that it submitted completed, so that the same code would fail again"]);
    let expected = format!(
        "run `{id}` cannot be retried: every run that it submitted completed, so that the same code would fail again; \
         retry it with `from_start`, or with `module: \"newest\"` once the code is mended"
    );
    assert_eq!(refusal(&app, &id).await, expected);
    let (status, _) = retry_with(&app, &id, json!({"from_start": true})).await;
    assert_eq!(status, 200);
    assert_eq!(app.until_final(&id).await["n_attempts"], 2);
    assert_eq!(effects(shared.path()), ["step 1", "step 1"]);
}

#[tokio::test]
async fn what_a_flow_drew_it_draws_again_when_it_is_retried() {
    let (app, shared) = needs().await;
    let id = text(&app.run_with(submit(shared.path(), "lottery", json!({"name": "key"}))).await["id"]);
    put(shared.path(), "key");
    let run = retried(&app, &id).await;
    let step = format!("step {}", (run["result"].as_f64().unwrap() * 1000.0) as u32);
    assert_eq!(effects(shared.path()), [step.as_str(), "need key", "need key"]);
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
async fn a_trigger_is_only_what_a_caller_may_say() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("fails").await;
    let body = json!({"module": "fails", "entry": "says_no", "trigger": "cli"});
    let old = app.run_with(body).await;
    assert_eq!((&old["trigger"], &retried(&app, &text(&old["id"])).await["trigger"]), (&json!("cli"), &json!("cli")));
    for refused in ["flow", "schedule", "me"] {
        let body = json!({"module": "fails", "entry": "says_no", "trigger": refused});
        let (status, error) = app.post("/api/runs", body).await;
        assert_eq!(status, 400, "{refused}: {error}");
        assert!(text(&error["error"]["message"]).contains("expected `api` or `cli`"), "{error}");
    }
}
