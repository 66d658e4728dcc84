//! The JSON of the API, held to snapshots: who reads it relies on every field.

use insta::{assert_json_snapshot, with_settings};
use serde_json::{Value, json};

use crate::app::{Running, TestApp, child_id, text};

/// The id of no run.
const NOBODY: &str = "0198f2a0-1234-7abc-8def-0123456789ab";

/// A server with a flow that caught the failure of its task, which was given up after one of its attempts.
async fn with_runs() -> (Running, String) {
    let app = TestApp::new().manual_clock().start().await;
    app.register("fails").await;
    let body = json!({
        "module": "fails", "entry": "catches", "name": "copes", "idempotency_key": "key 1", "tags": ["nightly"],
        "timezone": "America/Sao_Paulo", "limits": {"timeout_ms": 60_000},
    });
    let run = app.run_with(body).await;
    let id = text(&run["id"]);
    (app, id)
}

/// Puts words in the place of what differs from machine to machine and from build to build.
fn redacted(mut value: Value, id: &str) -> Value {
    fn walk(value: &mut Value, names: &[(String, &str)]) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, names)),
            Value::Object(members) => {
                for (name, member) in members {
                    match name.as_str() {
                        "digest" | "fuel" | "memory_peak_bytes" | "duration_ms" | "worker" | "size_bytes" | "no"
                            if !member.is_null() =>
                        {
                            *member = json!(format!("[{name}]"));
                        }
                        _ => walk(member, names),
                    }
                }
            }
            Value::String(text) => {
                for (from, to) in names {
                    *text = text.replace(from, to);
                }
            }
            _ => {}
        }
    }
    walk(&mut value, &[(id.to_owned(), "[flow]"), (child_id(id, 0), "[task]")]);
    value
}

fn assert_shape(name: &str, value: Value) {
    with_settings!({prepend_module_to_snapshot => false}, {
        assert_json_snapshot!(name, value);
    });
}

#[tokio::test]
async fn a_flow_run_in_detail() {
    let (app, id) = with_runs().await;
    assert_shape("flow_run", redacted(app.show(&id).await, &id));
}

#[tokio::test]
async fn a_task_run_in_detail() {
    let (app, id) = with_runs().await;
    let mut run = redacted(app.show(&child_id(&id, 0)).await, &id);
    // The default limits are held elsewhere.
    assert!(run["limits"]["fuel"].is_string(), "{run}");
    run["limits"] = json!("[limits]");
    assert_shape("task_run", run);
}

#[tokio::test]
async fn a_page_of_runs() {
    let (app, id) = with_runs().await;
    let mut page = redacted(app.get("/api/runs?root=true&limit=1").await, &id);
    assert_shape("runs", page.take());
}

#[tokio::test]
async fn a_page_of_children() {
    let (app, id) = with_runs().await;
    assert_shape("children", redacted(app.get(&format!("/api/runs/{id}/children")).await, &id));
}

#[tokio::test]
async fn a_page_of_a_log() {
    let (app, _) = with_runs().await;
    app.register("logs").await;
    let run = app.run("logs", "flow_logs", json!({})).await;
    let id = text(&run["id"]);
    assert_shape("logs", redacted(app.get(&format!("/api/runs/{id}/logs?limit=3")).await, &id));
}

#[tokio::test]
async fn a_module_with_its_versions() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("flaky").await;
    assert_shape("module", redacted(app.get("/api/modules/flaky").await, NOBODY));
}

#[tokio::test]
async fn an_error() {
    let app = TestApp::new().start().await;
    assert_shape("error", app.try_get("/api/modules/none").await.1);
}
