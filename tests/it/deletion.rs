//! What is deleted is gone, with all that hangs on it, and nothing else.

use std::fs;

use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{Running, TestApp, answer, child_id, guest, text};
use crate::wat::TextGuest;

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

async fn delete(app: &Running, path: &str) -> (u16, Value) {
    let (status, body) = answer(app.raw(Method::DELETE, path)).await;
    (status.as_u16(), body)
}

async fn delete_run(app: &Running, id: &str) {
    assert_eq!(delete(app, &format!("/api/runs/{id}")).await, (204, Value::Null));
}

async fn refusal(app: &Running, path: &str) -> String {
    let (status, body) = delete(app, path).await;
    assert_eq!((status, &body["error"]["kind"]), (409, &json!("conflict")), "{body}");
    text(&body["error"]["message"])
}

/// How many rows of each table tell of runs.
fn rows(app: &Running) -> Vec<i64> {
    let path = app.data_dir().join("tarefa.db");
    let database =
        rusqlite::Connection::open_with_flags_and_vfs(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY, c"unix-excl");
    let database = database.expect("opens the database");
    let count = |table: &str| {
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("counts the rows")
    };
    ["runs", "attempts", "history", "logs", "idempotency_keys"].map(count).to_vec()
}

/// A component of its own, whose compiled code no other test shares.
fn own(title: &str) -> Vec<u8> {
    TextGuest::new("honest").entry(json!({"title": title})).build()
}

#[tokio::test]
async fn a_run_is_deleted_with_all_below_it() {
    let app = TestApp::new().manual_clock().start().await;
    for module in ["by_name", "flaky", "logs", "nested", "sleeper"] {
        app.register(module).await;
    }
    let kept = app.run("nested", "wide", json!({"n": 2, "m": 2})).await;
    let before = rows(&app);

    let body = json!({"module": "nested", "entry": "wide", "parameters": {"n": 3, "m": 400}, "idempotency_key": "k"});
    let nested = text(&app.run_with(body.clone()).await["id"]);
    let logs = text(&app.run("by_name", "run", json!({"entry": "logs/many", "parameters": {"n": 700}})).await["id"]);
    let flaky = app.submit("flaky", "third_time", json!({})).await;
    app.advance_until_final(&flaky, MINUTE).await;
    let cancelled = app.submit("sleeper", "naps", json!({"n": 2, "ms": 50_000})).await;
    app.until_asleep(2, MINUTE).await;
    app.post(&format!("/api/runs/{cancelled}/cancel"), json!({})).await;
    app.until_final(&cancelled).await;
    let full = rows(&app);
    assert!(full.iter().zip(&before).all(|(full, before)| full > before), "there is something of each: {full:?}");

    let leaf = child_id(&nested, 0);
    for id in [&nested, &logs, &flaky, &cancelled] {
        delete_run(&app, id).await;
        assert_eq!(app.try_get(&format!("/api/runs/{id}")).await.0, 404);
    }
    assert_eq!(app.try_get(&format!("/api/runs/{leaf}")).await.0, 404);
    assert_eq!(rows(&app), before);
    assert_eq!(app.show(&text(&kept["id"])).await, kept);
    assert_ne!(app.run_with(body).await["id"], nested, "its key is free again");
    assert_eq!(delete(&app, &format!("/api/runs/{nested}")).await.0, 404, "there is no second time");
}

#[tokio::test]
async fn what_is_not_over_or_not_at_the_top_is_not_deleted() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("noop").await;
    app.register("sleeper").await;
    let body = json!({"module": "noop", "entry": "noop", "scheduled_at": "2026-02-01T00:00:00Z"});
    let waiting = app.submit_with(body).await;
    let expected = format!("run `{waiting}` is scheduled; cancel it first");
    assert_eq!(refusal(&app, &format!("/api/runs/{waiting}")).await, expected);

    let flow = app.submit("sleeper", "naps", json!({"n": 1, "ms": 50_000})).await;
    app.until_asleep(1, MINUTE).await;
    assert_eq!(refusal(&app, &format!("/api/runs/{flow}")).await, format!("run `{flow}` is running; cancel it first"));
    app.advance_until_final(&flow, MINUTE).await;
    let child = child_id(&flow, 0);
    let expected = format!("run `{child}` is a part of run `{flow}`; delete that one");
    assert_eq!(refusal(&app, &format!("/api/runs/{child}")).await, expected);
    assert_eq!(app.show(&child).await["state"], "completed");
    delete_run(&app, &flow).await;
}

#[tokio::test]
async fn a_module_without_runs_is_deleted_with_its_code() {
    let app = TestApp::new().start().await;
    let (_, first) = app.try_register("brief", own("brief, first")).await;
    let (_, second) = app.try_register("brief", own("brief, second")).await;
    app.try_register("other", own("brief, second")).await;
    let [first, second] = [first, second].map(|module| text(&module["digest"]));
    assert_eq!(app.run("other", "run", json!({})).await["state"], "completed");
    let files = |digest: &str| {
        let own = |folder: &str| {
            let entries = fs::read_dir(app.data_dir().join(folder)).expect("reads the folder");
            entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(digest)).count()
        };
        (own("modules"), own("cache"))
    };
    assert_eq!((files(&first), files(&second)), ((1, 1), (1, 1)));

    assert_eq!(delete(&app, "/api/modules/brief").await, (204, Value::Null));
    assert_eq!(app.try_get("/api/modules/brief").await.0, 404);
    assert_eq!(app.post("/api/runs", json!({"module": "brief"})).await.0, 404);
    assert_eq!((files(&first), files(&second)), ((0, 0), (1, 1)), "what another module has stays");
    assert_eq!(app.run("other", "run", json!({})).await["state"], "completed");
    assert_eq!(delete(&app, "/api/modules/brief").await.0, 404, "there is no second time");

    // It can come again.
    assert_eq!(app.try_register("brief", own("brief, first")).await.0, 201);
    let run = app.run("brief", "run", json!({})).await;
    assert_eq!(run["state"], "completed");
    delete_run(&app, &text(&run["id"])).await;
    assert_eq!(delete(&app, "/api/modules/brief").await, (204, Value::Null));
}

#[tokio::test]
async fn a_module_with_runs_on_record_is_not_deleted() {
    let app = TestApp::new().start().await;
    app.register("by_name").await;
    app.try_register("used", own("used")).await;
    let flow = app.run("by_name", "run", json!({"entry": "used/run"})).await;
    let expected = "1 run on record is of module `used`; delete it first, or the flow that it is a part of";
    assert_eq!(refusal(&app, "/api/modules/used").await, expected);
    let top = app.run("used", "run", json!({})).await;
    let expected = "2 runs on record are of module `used`; delete them first, or the flows that they are parts of";
    assert_eq!(refusal(&app, "/api/modules/used").await, expected);
    // Its older versions hold it too.
    app.try_register("used", guest("noop")).await;
    assert_eq!(refusal(&app, "/api/modules/used").await, expected);

    for run in [&flow, &top] {
        delete_run(&app, &text(&run["id"])).await;
    }
    // Of this one the compiled code is shared with other tests: only its name goes.
    app.try_register("keeps", guest("noop")).await;
    assert_eq!(delete(&app, "/api/modules/used").await, (204, Value::Null));
}

#[tokio::test]
async fn deletions_of_what_is_written_to_meanwhile_leave_nothing_behind() {
    let app = TestApp::new().start().await;
    app.register("noop").await;
    let id = text(&app.run("noop", "submitted", json!({"n": 2000})).await["id"]);
    let busy = app.submit("noop", "submitted", json!({"n": 500})).await;
    let path = format!("/api/runs/{id}");
    let (first, second) = tokio::join!(delete(&app, &path), delete(&app, &path));
    assert!([first.0, second.0].contains(&204), "{first:?} {second:?}");
    app.until_final(&busy).await;
    delete_run(&app, &busy).await;
    assert_eq!(rows(&app), [0; 5]);
}
