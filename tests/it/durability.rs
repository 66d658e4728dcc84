//! `--durability`: what is synced to disk before it is acknowledged, and what is not.

use std::path::Path;

use futures_util::FutureExt;
use jiff::Timestamp;
use serde_json::json;
use tarefa::domain::{RunId, State};
use tarefa::store::{Store, StoreConfig, Write};

use crate::app::TestApp;
use crate::disk::Disk;
use crate::process::{Process, data_dir, output};

/// Requests that are answered while another one waits.
const OTHERS: usize = 50;

fn store(dir: &Path, synced: bool) -> Store {
    Store::open(&StoreConfig { path: dir.join("tarefa.db"), synced, ..StoreConfig::default() }).expect("opens")
}

fn write() -> Write {
    let run_id = RunId(uuid::Uuid::now_v7());
    Write::History { run_id, at: Timestamp::UNIX_EPOCH, state: State::Scheduled, reason: "a test".to_owned() }
}

#[tokio::test]
async fn a_record_is_there_only_once_it_is_synced_and_no_thread_waits_for_that() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = Disk::of(dir.path());
    let store = store(dir.path(), true);
    disk.hold();
    let before = disk.syncs();
    let ticket = store.append([write()]);
    let mut on_record = Box::pin(store.on_record(ticket));
    // A commit on this thread would not come back.
    assert!(on_record.as_mut().now_or_never().is_none(), "it is on record before it is synced");
    disk.until_more_than(before);
    assert!(on_record.as_mut().now_or_never().is_none(), "it is on record while the disk syncs");
    // What comes meanwhile is in the next commit, all of it in one.
    let later: Vec<_> = (0..100).map(|_| store.append([write()])).collect();
    disk.release();
    on_record.await;
    for ticket in later {
        store.on_record(ticket).await;
    }
    assert!(disk.syncs() <= before + 3, "{} commits", disk.syncs() - before);
}

#[tokio::test]
async fn what_nobody_asks_for_is_synced_soon() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = Disk::of(dir.path());
    let store = store(dir.path(), true);
    let before = disk.syncs();
    store.append([write()]);
    disk.until_more_than(before);
}

#[tokio::test]
async fn without_full_durability_no_commit_waits_for_the_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = Disk::of(dir.path());
    let store = store(dir.path(), false);
    let before = disk.syncs();
    disk.hold();
    let ticket = store.append([write()]);
    store.on_record(ticket).await;
    assert_eq!(disk.syncs(), before);
    disk.release();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_submit_is_answered_only_once_the_run_is_synced() {
    let app = TestApp::new().synced();
    let disk = Disk::of(app.data_dir());
    let app = app.start().await;
    app.register("noop").await;
    let http = tarefa::tls::plain_client().build().expect("a client");
    let next_month = Timestamp::now() + jiff::SignedDuration::from_hours(31 * 24);
    let body = json!({"module": "noop", "entry": "noop", "scheduled_at": next_month});
    let before = disk.syncs();
    disk.hold();
    let submitting = tokio::spawn(http.post(format!("{}/api/runs", app.url)).json(&body).send());
    disk.until_more_than(before);
    for _ in 0..OTHERS {
        app.get("/api/health").await;
        assert!(!submitting.is_finished(), "it was answered while the disk syncs");
    }
    disk.release();
    assert_eq!(submitting.await.expect("ends").expect("answers").status().as_u16(), 201);
}

#[tokio::test]
async fn a_flow_goes_on_after_each_child_only_once_it_is_synced() {
    const CHILDREN: usize = 20;
    let app = TestApp::new().synced();
    let disk = Disk::of(app.data_dir());
    let app = app.start().await;
    app.register("noop").await;
    let before = disk.syncs();
    let run = app.run("noop", "sequential", json!({"n": CHILDREN})).await;
    assert_eq!(run["result"], CHILDREN);
    assert!(disk.syncs() - before >= CHILDREN, "{} syncs", disk.syncs() - before);
}

#[tokio::test]
async fn serve_takes_full_durability_and_what_it_acknowledged_survives_a_kill() {
    let data = data_dir();
    let refused = output(data.path(), &["serve", "--durability", "some"]);
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
    let server = Process::serve(data.path(), &["--durability", "full"]);
    server.register("noop").await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(server.submit("noop", "sequential", json!({"n": 50})).await);
    }
    server.kill();
    let server = Process::serve(data.path(), &["--durability", "full"]);
    for id in ids {
        let run = server.until_final(id).await;
        assert_eq!((run.summary.state, run.result.as_ref().map(|result| result.get())), (State::Completed, Some("50")));
    }
}
