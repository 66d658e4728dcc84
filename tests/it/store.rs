//! What the disk does to us: full, and read-only. What was changed behind our back is in `damage`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tarefa::server::{Server, ServerConfig};

use crate::app::{TestApp, text};
use crate::process::output;

/// Pages of 2 KiB: the schema and a module fit, and a few hundred runs.
const PAGES: u32 = 120;
const LARGE: usize = 500_000;
const NEXT_MONTH: &str = "2026-02-01T00:00:00Z";

/// A run that stays scheduled, with a parameter of some size.
fn later(n: usize) -> Value {
    let text = format!("{n:05} {}", "x".repeat(1000));
    json!({"module": "noop", "entry": "echo", "parameters": {"text": text}, "scheduled_at": NEXT_MONTH})
}

#[tokio::test]
async fn a_full_disk_refuses_submits_and_loses_nothing_that_was_acknowledged() {
    fill(TestApp::new()).await;
}

#[tokio::test]
async fn a_full_disk_loses_nothing_where_each_commit_is_synced() {
    fill(TestApp::new().synced()).await;
}

async fn fill(app: TestApp) {
    let mut app = app.manual_clock().max_pages(PAGES).start().await;
    app.register("noop").await;
    app.register("big").await;
    let done = text(&app.run("noop", "sequential", json!({"n": 3})).await["id"]);
    // Its result has no room any more when it is due.
    let due = json!({
        "module": "big", "entry": "output", "parameters": {"bytes": LARGE}, "scheduled_at": "2026-01-02T04:00:00Z",
    });
    let due = app.submit_with(due).await;
    let mut acknowledged = Vec::new();
    let error = loop {
        let (status, body) = app.post("/api/runs", later(acknowledged.len())).await;
        if status != 201 {
            assert_eq!(status, 503, "{body}");
            break body;
        }
        acknowledged.push(text(&body["id"]));
        assert!(acknowledged.len() < 1000, "the disk is not full after 1000 runs of a kilobyte");
    };
    assert!(acknowledged.len() > 10, "there was room for {} runs", acknowledged.len());
    assert_eq!(error["error"]["kind"], "unavailable");
    assert!(text(&error["error"]["message"]).starts_with("the database is full"), "{error}");
    assert_eq!(app.post("/api/runs", later(0)).await.0, 503, "and again");
    assert_eq!(app.get("/api/health").await["unfinished_runs"], acknowledged.len() + 1);
    app.advance(SignedDuration::from_hours(1));
    for _ in 0..20 {
        assert_eq!(app.post("/api/runs", later(0)).await.0, 503, "and again");
        assert!(app.show(&due).await["finished_at"].is_null(), "it is acknowledged without a record");
    }

    // The disk grows: all that was acknowledged is there, and nothing else.
    app.stop(Duration::ZERO).await;
    app.without_max_pages();
    app.start_again().await;
    let run = app.until_final(&due).await;
    assert_eq!((&run["state"], text(&run["result"]).len()), (&json!("completed"), LARGE));
    assert_eq!(app.show(&done).await["result"], 3);
    assert_eq!(app.get("/api/health").await["unfinished_runs"], acknowledged.len());
    for (id, n) in acknowledged.iter().zip(0..) {
        assert_eq!(app.show(id).await["parameters"], later(n)["parameters"]);
    }
    assert_eq!(app.run("noop", "echo", json!({"text": "room"})).await["result"], "room");
    app.advance(SignedDuration::from_hours(31 * 24));
    for id in &acknowledged {
        assert_eq!(app.until_final(id).await["state"], "completed");
    }
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_written_is_refused_with_the_reason() {
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("file");
    fs::write(&file, "").expect("writes a file");
    for path in [file.join("data"), Path::new("/proc/tarefa").to_owned()] {
        let mut config = ServerConfig::new(path.clone());
        config.compiler = Some(env!("CARGO_BIN_EXE_tarefa").into());
        let error = Server::start(config).await.err().expect("there is no directory");
        let expected = format!("cannot make the data directory `{}`: ", path.display());
        assert!(error.message.starts_with(&expected), "{}", error.message);

        let serve = output(&path, &["serve", "--listen", "127.0.0.1:0"]);
        let stderr = String::from_utf8_lossy(&serve.stderr);
        assert!(!serve.status.success());
        assert!(stderr.contains("the data directory `"), "{stderr}");
        assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    }
    // Of /proc/self a file cannot be made, although it is a directory.
    let error = Server::start(ServerConfig::new("/proc/self".into())).await.err().expect("it is read-only");
    assert!(error.message.starts_with("cannot write to the data directory `/proc/"), "{}", error.message);
}
