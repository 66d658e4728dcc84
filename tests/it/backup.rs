//! `tarefa backup` and `GET /api/backup`: a copy of all that was acknowledged, taken while runs go on.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tarefa::domain::State;

use crate::app::{Running, TestApp, answer, text};
use crate::process::{Process, data_dir, output};
use crate::service::{Answer, Service};

/// More than a connection and its server hold in memory.
const LARGE: usize = 40;
const LARGE_BYTES: usize = 1_000_000;

/// A data directory of what is in an archive.
fn restored(archive: &Path) -> tempfile::TempDir {
    let data = data_dir();
    unpack(archive, data.path());
    data
}

fn unpack(archive: &Path, into: &Path) {
    tar::Archive::new(fs::File::open(archive).expect("opens")).unpack(into).expect("is a tar archive");
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("is a tar archive");
    entries.map(|entry| entry.expect("reads").path().expect("a path").display().to_string()).collect()
}

#[tokio::test]
async fn a_backup_taken_while_flows_run_has_all_that_was_acknowledged() {
    let (data, scratch) = (data_dir(), tempfile::tempdir().expect("a directory"));
    let server = Process::serve(data.path(), &[]);
    for module in ["noop", "sleeper", "logs"] {
        server.register(module).await;
    }
    let mut finished = Vec::new();
    for n in 0..20 {
        finished.push(server.submit("noop", "sequential", json!({"n": n})).await);
    }
    let logged = server.submit("logs", "flow_logs", json!({})).await;
    for id in finished.iter().chain([&logged]) {
        server.until_final(*id).await;
    }
    let lines = server.client.logs(logged, None, None, 1000).await.expect("a log").items;
    assert!(!lines.is_empty());
    let nap = server.submit("sleeper", "nap", json!({"ms": 500_000})).await;
    server.until(nap, |run| run.summary.state == State::Running).await;
    let mut busy = Vec::new();
    for _ in 0..8 {
        busy.push(server.submit("noop", "sequential", json!({"n": 5000})).await);
    }

    let archive = scratch.path().join("backup.tar");
    let taken = output(data.path(), &["backup", archive.to_str().expect("UTF-8")]);
    let stderr = String::from_utf8_lossy(&taken.stderr);
    assert_eq!(taken.status.code(), Some(0), "{stderr}");
    assert!(taken.stdout.is_empty());
    assert!(stderr.contains("wrote a backup of ") && stderr.contains(&format!("tar -xf {} -C DIR", archive.display())));
    server.kill();

    let copy = restored(&archive);
    let server = Process::serve(copy.path(), &[]);
    let mut modules: Vec<_> = server.client.modules(None).await.expect("lists").items;
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(), ["logs", "noop", "sleeper"]);
    for (id, n) in finished.iter().zip(0..) {
        let run = server.client.run(*id).await.expect("is there");
        assert_eq!((run.summary.state, run.summary.n_attempts), (State::Completed, 1));
        assert_eq!(run.result.expect("a result").get(), n.to_string());
    }
    let restored_lines = server.client.logs(logged, None, None, 1000).await.expect("a log").items;
    assert_eq!(json!(restored_lines), json!(lines));
    // What was not over goes on.
    for id in busy {
        let run = server.until_final(id).await;
        assert_eq!((run.summary.state, run.result.expect("a result").get()), (State::Completed, "5000"));
    }
    server.until(nap, |run| run.summary.state == State::Running && run.summary.n_attempts == 2).await;
    server.client.cancel(nap).await.expect("cancels");
    server.until_final(nap).await;
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test]
async fn a_backup_needs_no_server_and_has_neither_key_nor_cache() {
    let (data, scratch) = (data_dir(), tempfile::tempdir().expect("a directory"));
    let server = Process::serve(data.path(), &[]);
    server.register("noop").await;
    assert_eq!(server.terminate(), Some(0));
    let taken = output(data.path(), &["backup", "-"]);
    let stderr = String::from_utf8_lossy(&taken.stderr);
    assert_eq!(taken.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("to stdout"), "{stderr}");
    let names = names(&taken.stdout);
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(names[0], "tarefa.db");
    assert!(names[1].starts_with("modules/") && names[1].ends_with(".wasm"), "{names:?}");

    // As the documents say, into an empty folder.
    let (file, empty) = (scratch.path().join("b.tar"), scratch.path().join("data"));
    fs::write(&file, &taken.stdout).expect("writes");
    fs::create_dir(&empty).expect("makes a folder");
    unpack(&file, &empty);
    let listed = output(&empty, &["modules", "--json"]);
    let modules: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(modules["items"][0]["name"], "noop");
    let run = output(&empty, &["run", "noop", "echo", "--param", "text=here"]);
    assert_eq!(String::from_utf8_lossy(&run.stdout).trim(), "\"here\"");
}

#[tokio::test]
async fn a_backup_writes_over_no_file_and_leaves_nothing_where_it_fails() {
    let (data, scratch) = (data_dir(), tempfile::tempdir().expect("a directory"));
    let server = Process::serve(data.path(), &[]);
    let file = scratch.path().join("backup.tar");
    let name = file.to_str().expect("UTF-8");
    fs::write(&file, "mine").expect("writes");
    let refused = output(data.path(), &["backup", name]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains(&format!("`{name}` exists")) && stderr.contains("--force"), "{stderr}");
    assert_eq!(fs::read(&file).expect("reads"), b"mine");

    let cut = Service::start(|_| Answer::Raw("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\nbegun".to_owned())).await;
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tarefa"));
    command.args(["backup", name, "--force", "--api-url", &cut.url("")]).env_remove("TAREFA_DATA_DIR");
    let failed = command.output().await.expect("the binary starts");
    let stderr = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("the backup is not whole"), "{stderr}");
    assert_eq!(fs::read(&file).expect("reads"), b"mine");

    let taken = output(data.path(), &["backup", name, "--force", "--json"]);
    let said: Value = serde_json::from_slice(&taken.stdout).expect("JSON");
    assert_eq!(said, json!({"file": name, "bytes": fs::metadata(&file).expect("is there").len()}));
    assert_eq!(fs::read_dir(scratch.path()).expect("reads").count(), 1, "nothing else is left");
    assert_eq!(server.terminate(), Some(0));
}

/// A reply that nobody reads yet.
async fn begun(app: &Running) -> reqwest::Response {
    let response = app.raw(Method::GET, "/api/backup").send().await.expect("answers");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/x-tar");
    response
}

#[tokio::test]
async fn one_backup_at_a_time_and_a_client_that_leaves_ends_its_own() {
    let app = TestApp::new().start().await;
    app.register("big").await;
    app.register("noop").await;
    for _ in 0..LARGE {
        app.run("big", "output", json!({"bytes": LARGE_BYTES})).await;
    }
    let first = begun(&app).await;
    assert!(!app.data_dir().join("tarefa.db-snapshot").exists(), "the copy has no name");
    let (status, body) = app.try_get("/api/backup").await;
    assert_eq!((status, &body["error"]["kind"]), (StatusCode::CONFLICT, &json!("conflict")), "{body}");
    assert!(text(&body["error"]["message"]).starts_with("another backup of this server is under way"), "{body}");
    // Runs go on, and modules stay what the archive needs.
    assert_eq!(app.run("noop", "echo", json!({"text": "meanwhile"})).await["result"], "meanwhile");
    let (status, body) = answer(app.raw(Method::DELETE, "/api/modules/noop")).await;
    assert_eq!(status, StatusCode::CONFLICT, "{body}");
    assert!(text(&body["error"]["message"]).starts_with("a backup is under way"), "{body}");

    drop(first);
    let started = Instant::now();
    let second = loop {
        let response = app.raw(Method::GET, "/api/backup").send().await.expect("answers");
        if response.status() == StatusCode::OK {
            break response;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "the first one does not end");
        tokio::task::yield_now().await;
    };
    let archive = second.bytes().await.expect("arrives whole");
    assert!(archive.len() > LARGE * LARGE_BYTES);
    assert_eq!(names(&archive).len(), 3);
    // Who has the whole of one can ask for the next.
    assert_eq!(begun(&app).await.bytes().await.expect("arrives whole").len(), archive.len());
}

#[tokio::test]
async fn what_a_killed_server_left_of_a_backup_is_removed_at_the_next_start() {
    let data = data_dir();
    let left = data.path().join("tarefa.db-snapshot");
    fs::write(&left, "half").expect("writes");
    let server = Process::serve(data.path(), &[]);
    assert!(!left.exists());
    assert_eq!(server.terminate(), Some(0));
}
