//! Files: nothing by default, and what is granted no further than it was granted.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tarefa::domain::DirMode;
use tempfile::TempDir;

use crate::app::{Running, TestApp, text};

/// A directory that may be granted, with a secret beside it.
struct Dirs {
    root: TempDir,
}

impl Dirs {
    fn new() -> Dirs {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("granted")).unwrap();
        fs::write(root.path().join("granted/inside.txt"), "inside").unwrap();
        fs::create_dir(root.path().join("outside")).unwrap();
        fs::write(root.path().join("outside/secret.txt"), "secret").unwrap();
        Dirs { root }
    }

    fn granted(&self) -> PathBuf {
        self.root.path().join("granted")
    }

    fn outside(&self) -> PathBuf {
        self.root.path().join("outside")
    }

    async fn start(&self) -> Running {
        let app = TestApp::new().allow_dir(&self.granted(), DirMode::Rw).start().await;
        app.register("files").await;
        app
    }
}

fn grant(host: &Path, mode: &str) -> Value {
    json!({"dirs": [{"host": host, "guest": "/data", "mode": mode}]})
}

async fn run(app: &Running, entry: &str, parameters: Value, grants: &Value) -> Value {
    app.run_with(json!({"module": "files", "entry": entry, "parameters": parameters, "grants": grants})).await
}

/// The task itself fails, with the word of WASI on that path.
fn assert_cannot(run: &Value, why: &str) {
    assert_eq!(run["state"], "failed", "{run}");
    assert_eq!(run["failure"]["kind"], "task_error", "{run}");
    assert!(text(&run["failure"]["message"]).contains(why), "{run}");
}

#[tokio::test]
async fn a_granted_directory_is_read_and_written_as_it_was_granted() {
    let dirs = Dirs::new();
    let app = dirs.start().await;
    for mode in ["ro", "rw"] {
        let grants = grant(&dirs.granted(), mode);
        assert_eq!(run(&app, "read", json!({"path": "/data/inside.txt"}), &grants).await["result"], "inside");
        assert_eq!(run(&app, "list", json!({"path": "/data"}), &grants).await["result"], json!(["inside.txt"]));
    }
    let write = json!({"path": "/data/new.txt", "text": "new"});
    let refused = run(&app, "write", write.clone(), &grant(&dirs.granted(), "ro")).await;
    assert_cannot(&refused, "/data/new.txt: Operation not permitted");
    assert!(!dirs.granted().join("new.txt").exists());
    let overwrite = json!({"path": "/data/inside.txt", "text": "new"});
    assert_cannot(&run(&app, "write", overwrite, &grant(&dirs.granted(), "ro")).await, "Operation not permitted");
    assert_eq!(fs::read_to_string(dirs.granted().join("inside.txt")).unwrap(), "inside");

    assert_eq!(run(&app, "write", write, &grant(&dirs.granted(), "rw")).await["result"], 3);
    assert_eq!(fs::read_to_string(dirs.granted().join("new.txt")).unwrap(), "new");
}

#[tokio::test]
async fn nothing_leads_out_of_a_granted_directory() {
    let dirs = Dirs::new();
    symlink("../outside/secret.txt", dirs.granted().join("link")).unwrap();
    symlink(dirs.outside(), dirs.granted().join("absolute")).unwrap();
    symlink("../outside", dirs.granted().join("folder")).unwrap();
    let app = dirs.start().await;
    let grants = grant(&dirs.granted(), "rw");
    let secret = dirs.outside().join("secret.txt");
    let ways = [
        "/data/../outside/secret.txt",
        "/data/folder/../../outside/secret.txt",
        "/data/link",
        "/data/folder/secret.txt",
        "/data/absolute/secret.txt",
        secret.to_str().unwrap(),
        "/etc/hostname",
        "secret.txt",
    ];
    for path in ways {
        let read = run(&app, "read", json!({"path": path}), &grants).await;
        assert_cannot(&read, path);
        let write = run(&app, "write", json!({"path": path, "text": "changed"}), &grants).await;
        assert_cannot(&write, path);
    }
    assert_cannot(&run(&app, "list", json!({"path": "/data/folder"}), &grants).await, "/data/folder");
    assert_cannot(&run(&app, "list", json!({"path": "/data/.."}), &grants).await, "/data/..");
    assert_eq!(fs::read_to_string(secret).unwrap(), "secret");
}

#[tokio::test]
async fn without_a_grant_there_are_no_files_and_no_environment() {
    let dirs = Dirs::new();
    let app = dirs.start().await;
    for path in ["/", "/data", ".", dirs.granted().to_str().unwrap()] {
        let listed = app.run("files", "list", json!({"path": path})).await;
        assert_cannot(&listed, path);
    }
    let path = app.run("files", "environment", json!({"name": "PATH"})).await;
    assert_eq!((&path["state"], &path["result"]), (&json!("completed"), &Value::Null), "{path}");
}

#[tokio::test]
async fn files_are_for_tasks_and_not_for_flows() {
    let dirs = Dirs::new();
    let app = dirs.start().await;
    let grants = grant(&dirs.granted(), "rw");
    let read = run(&app, "flow_reads", json!({"path": "/data/inside.txt"}), &grants).await;
    assert_cannot(&read, "/data/inside.txt");
    let copied = run(&app, "copy", json!({"from": "/data/inside.txt", "to": "/data/copy.txt"}), &grants).await;
    assert_eq!(copied["result"], 6, "a flow's tasks have what it was granted: {copied}");
    assert_eq!(fs::read_to_string(dirs.granted().join("copy.txt")).unwrap(), "inside");
}

#[tokio::test]
async fn only_what_the_operator_allows_is_granted() {
    let dirs = Dirs::new();
    let reading = dirs.root.path().join("reading");
    fs::create_dir(&reading).unwrap();
    symlink(dirs.outside(), dirs.granted().join("way_out")).unwrap();
    let app = TestApp::new().allow_dir(&dirs.granted(), DirMode::Rw).allow_dir(&reading, DirMode::Ro).start().await;
    app.register("files").await;
    let data_dir = app.data_dir();
    let outside = dirs.outside();
    let refusals = [
        (grant(&outside, "ro"), "may not be granted: start the server with `--allow-dir"),
        (grant(&dirs.granted().join("way_out"), "ro"), "may not be granted: start the server with `--allow-dir"),
        (grant(&dirs.granted().join("../outside"), "ro"), "may not be granted: start the server with `--allow-dir"),
        (grant(&reading, "rw"), ":rw`"),
        (grant(&data_dir, "ro"), "it holds or is in the data directory"),
        (grant(&data_dir.join("modules"), "ro"), "it holds or is in the data directory"),
        (grant(data_dir.parent().unwrap(), "ro"), "it holds or is in the data directory"),
    ];
    for (grants, why) in refusals {
        let body = json!({"module": "files", "entry": "list", "parameters": {"path": "/data"}, "grants": grants});
        let (status, answer) = app.post("/api/runs", body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{grants}: {answer}");
        assert_eq!(answer["error"]["kind"], "forbidden");
        assert!(text(&answer["error"]["message"]).contains(why), "{grants}: {answer}");
    }
    for (host, why) in [("relative", "must be an absolute path"), ("/no/such/place", "is no directory")] {
        let body = json!({"module": "files", "entry": "list", "parameters": {"path": "/data"}, "grants": grant(Path::new(host), "ro")});
        let (status, answer) = app.post("/api/runs", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(text(&answer["error"]["message"]).contains(why), "{answer}");
    }
}

#[tokio::test]
async fn a_granted_directory_that_became_a_link_is_not_followed() {
    let dirs = Dirs::new();
    let app = TestApp::new().manual_clock().allow_dir(&dirs.granted(), DirMode::Rw).start().await;
    app.register("files").await;
    let body = json!({
        "module": "files", "entry": "read", "parameters": {"path": "/data/secret.txt"},
        "grants": grant(&dirs.granted(), "ro"), "scheduled_at": "2026-01-02T03:05:05Z",
    });
    let id = app.submit_with(body).await;
    fs::rename(dirs.granted(), dirs.root.path().join("moved")).unwrap();
    symlink(dirs.outside(), dirs.granted()).unwrap();
    app.advance_to_next_wake(jiff::SignedDuration::from_mins(1)).await;
    let run = app.until_final(&id).await;
    assert_eq!(run["failure"]["kind"], "denied", "{run}");
    let granted = dirs.granted();
    let message = format!("denied: the granted directory `{}` cannot be opened: Not a directory", granted.display());
    assert!(text(&run["failure"]["message"]).starts_with(&message), "{run}");
}
