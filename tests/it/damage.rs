//! What was changed on disk behind our back is noticed, named, and stops nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::{Value, json};
use tarefa::domain::{DirMode, State};

use crate::app::{Running, TestApp, text};
use crate::process::{Process, data_dir, output};

/// Makes another letter of one.
const LETTER: u8 = 1;
/// Makes of it what is no UTF-8.
const NO_TEXT: u8 = 0x80;

/// Changes the first byte of `text` in every place where the database has it. Nobody may hold the database.
fn flip(data_dir: &Path, text: &str, bits: u8) {
    let path = database(data_dir);
    let connection = Connection::open(&path).expect("opens");
    connection.query_row("PRAGMA wal_checkpoint(truncate)", [], |_| Ok(())).expect("writes the log back");
    drop(connection);
    let mut bytes = fs::read(&path).expect("reads the database");
    let places: Vec<_> = bytes.windows(text.len()).enumerate().filter(|(_, at)| *at == text.as_bytes()).collect();
    let places: Vec<_> = places.into_iter().map(|(place, _)| place).collect();
    assert!(!places.is_empty(), "the text is in the database");
    for place in places {
        bytes[place] ^= bits;
    }
    fs::write(&path, bytes).expect("writes the database");
}

fn database(data_dir: &Path) -> PathBuf {
    data_dir.join("tarefa.db")
}

async fn stopped_and_changed(app: &mut Running, text: &str, bits: u8) {
    app.stop(Duration::ZERO).await;
    let started = Instant::now();
    // Who closes the last connection writes the log back and removes it.
    while app.data_dir().join("tarefa.db-wal").exists() {
        assert!(started.elapsed() < Duration::from_secs(60), "the database stays open");
        // What still holds it may need this thread to let go.
        tokio::task::yield_now().await;
    }
    flip(&app.data_dir(), text, bits);
    app.start_again().await;
}

async fn assert_refused(app: &Running, id: &str, column: &str) {
    let (status, body) = app.try_get(&format!("/api/runs/{id}")).await;
    let expected = format!("corrupt record: the {column} of run `{id}` does not match its checksum");
    assert_eq!((status.as_u16(), &body["error"]["message"]), (500, &json!(expected)));
    assert_eq!(body["error"]["kind"], "internal");
}

/// As lists show it, which read neither input nor result.
async fn listed(app: &Running, id: &str) -> Value {
    let list = app.get("/api/runs").await;
    list["items"].as_array().unwrap().iter().find(|run| run["id"] == id).expect("it is listed").clone()
}

async fn assert_crashed(app: &Running, id: &str) {
    let run = listed(app, id).await;
    assert_eq!((&run["state"], &run["failure"]["kind"]), (&json!("crashed"), &json!("corrupt_record")), "{run}");
}

#[tokio::test]
async fn a_result_that_was_changed_on_disk_stands_for_no_other() {
    let shared = tempfile::tempdir().expect("a directory");
    let mut app = TestApp::new().allow_dir(shared.path(), DirMode::Rw).start().await;
    app.register("cached").await;
    let grants = json!({"dirs": [{"host": shared.path(), "guest": "/data", "mode": "rw"}]});
    let quote = json!({"module": "cached", "entry": "quote", "parameters": {"item": "tea"}, "grants": grants});
    app.run_with(quote.clone()).await;
    stopped_and_changed(&mut app, "a fair price for tea", LETTER).await;
    let again = app.run_with(quote.clone()).await;
    assert_eq!((&again["result"], &again["cached_from"]), (&json!("a fair price for tea"), &Value::Null));
    assert_eq!(app.run_with(quote).await["cached_from"], again["id"]);
}

#[tokio::test]
async fn a_result_that_was_changed_on_disk_is_noticed() {
    for bits in [LETTER, NO_TEXT] {
        let mut app = TestApp::new().start().await;
        app.register("big").await;
        let changed = text(&app.run("big", "output", json!({"bytes": 600})).await["id"]);
        let whole = text(&app.run("big", "output", json!({"bytes": 100})).await["id"]);
        stopped_and_changed(&mut app, &"x".repeat(600), bits).await;
        assert_refused(&app, &changed, "result").await;
        assert_eq!(app.show(&whole).await["result"], "x".repeat(100));
        // It was over, and stays so.
        assert_eq!(listed(&app, &changed).await["state"], "completed");
    }
}

#[tokio::test]
async fn a_run_whose_input_was_changed_on_disk_does_not_stop_those_behind_it() {
    for bits in [LETTER, NO_TEXT] {
        let mut app = TestApp::new().manual_clock().start().await;
        app.register("noop").await;
        let body = |text: &str| {
            json!({
                "module": "noop", "entry": "echo", "parameters": {"text": text}, "scheduled_at": "2026-01-02T04:00:00Z",
            })
        };
        let changed = app.submit_with(body("a text of its own")).await;
        let behind = app.submit_with(body("another one")).await;
        stopped_and_changed(&mut app, "a text of its own", bits).await;
        app.advance(SignedDuration::from_hours(1));
        assert_eq!(app.until_final(&behind).await["result"], "another one");
        assert_refused(&app, &changed, "input").await;
        assert_crashed(&app, &changed).await;
        assert_eq!(app.get("/api/health").await["unfinished_runs"], 0);
    }
}

#[tokio::test]
async fn a_run_whose_settings_or_name_cannot_be_read_any_more_does_not_stop_those_behind_it() {
    for (found, bits) in [("\"tags\":[\"one\"]", LETTER), ("a name of its own", NO_TEXT)] {
        let mut app = TestApp::new().manual_clock().start().await;
        app.register("noop").await;
        let changed = json!({
            "module": "noop", "entry": "echo", "parameters": {"text": "changed"}, "name": "a name of its own",
            "tags": ["one"], "scheduled_at": "2026-01-02T04:00:00Z",
        });
        let changed = app.submit_with(changed).await;
        let behind = json!({
            "module": "noop", "entry": "echo", "parameters": {"text": "behind"}, "scheduled_at": "2026-01-02T04:00:00Z",
        });
        let behind = app.submit_with(behind).await;
        stopped_and_changed(&mut app, found, bits).await;
        app.advance(SignedDuration::from_hours(1));
        assert_eq!(app.until_final(&behind).await["result"], "behind");
        let (status, body) = app.try_get(&format!("/api/runs/{changed}")).await;
        assert_eq!(status.as_u16(), 500, "{body}");
        assert_eq!(app.get("/api/health").await["unfinished_runs"], 0, "it is crashed");
    }
}

#[tokio::test]
async fn a_run_that_was_changed_while_its_server_was_dead_does_not_keep_the_next_from_starting() {
    let data = data_dir();
    let server = Process::serve(data.path(), &[]);
    server.register("noop").await;
    server.register("sleeper").await;
    // The number is found nowhere else.
    let changed = server.submit("sleeper", "nap", json!({"ms": 987_654_321})).await;
    let whole = server.submit("sleeper", "nap", json!({"ms": 400_000})).await;
    for id in [changed, whole] {
        server.until(id, |run| run.summary.state == State::Running).await;
    }
    server.kill();
    flip(data.path(), "{\"ms\":987654321}", LETTER);
    let server = Process::serve(data.path(), &[]);
    server.until(whole, |run| run.summary.state == State::Running && run.summary.n_attempts == 2).await;
    let list = server.client.runs(&Default::default()).await.expect("lists").items;
    let run = list.iter().find(|run| run.id == changed).expect("it is listed");
    let kind = run.failure.as_ref().map(|failure| failure.kind.name());
    assert_eq!((run.state, kind.as_deref()), (State::Crashed, Some("corrupt_record")));
    server.client.cancel(whole).await.expect("cancels");
    server.until_final(whole).await;
    let next = server.submit("noop", "echo", json!({"text": "next"})).await;
    assert_eq!(server.until_final(next).await.result.expect("a result").get(), "\"next\"");
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test]
async fn a_flow_that_reads_a_changed_result_is_crashed() {
    // Both results are too large to be kept in memory: what a flow is told of them comes from the record.
    const BYTES: usize = 20_000;
    for entry in ["read_twice", "pass_later"] {
        let mut app = TestApp::new().manual_clock().start().await;
        app.register("big").await;
        let flow = app.submit("big", entry, json!({"bytes": BYTES, "ms": 1000})).await;
        app.until(&flow, |run| run["children"]["completed"] == 1).await;
        app.until_asleep(1, SignedDuration::from_mins(1)).await;
        stopped_and_changed(&mut app, &"x".repeat(600), LETTER).await;
        let run = app.advance_until_final(&flow, SignedDuration::from_mins(1)).await;
        assert_eq!((&run["state"], &run["failure"]["kind"]), (&json!("crashed"), &json!("corrupt_record")), "{run}");
        let child = crate::app::child_id(&flow, 0);
        let message = text(&run["failure"]["message"]);
        assert!(message.contains(&format!("the result of run `{child}` does not match its checksum")), "{message}");
    }
}

/// A data directory with a database, and a log that is not written back yet.
async fn used() -> tempfile::TempDir {
    let data = data_dir();
    let server = Process::serve(data.path(), &[]);
    server.register("noop").await;
    let run = server.submit("noop", "sequential", json!({"n": 1000})).await;
    server.until_final(run).await;
    server.kill();
    data
}

/// What `serve` says of a database that it does not take, which stays as it is.
fn refusal(data: &Path) -> String {
    let files = || ["tarefa.db", "tarefa.db-wal"].map(|name| fs::read(data.join(name)).unwrap_or_default());
    let before = files();
    let ended = output(data, &["serve", "--listen", "127.0.0.1:0"]);
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!((ended.status.code(), ended.stdout.len()), (Some(2), 0), "{stderr}");
    assert!(files() == before, "it was changed");
    let named = format!("error: `{}` ", database(&data.canonicalize().expect("is there")).display());
    let said = stderr.trim_end().strip_prefix(&named).unwrap_or_else(|| panic!("{stderr}")).to_owned();
    assert!(!said.contains('\n') && said.contains("choose another data directory with `--data-dir`"), "{stderr}");
    said
}

#[tokio::test]
async fn what_is_no_whole_database_is_refused_and_stays_as_it_is() {
    let data = data_dir();
    fs::write(database(data.path()), "something else, written by hand\n".repeat(200)).expect("writes");
    assert!(refusal(data.path()).starts_with("is no database, or is damaged: restore a backup into an empty folder"));

    let data = data_dir();
    fs::create_dir(database(data.path())).expect("makes a folder");
    assert!(refusal(data.path()).starts_with("is a folder, not a database"));

    let data = data_dir();
    Connection::open(database(data.path())).expect("opens").execute_batch("CREATE TABLE t (x)").expect("makes a table");
    assert!(refusal(data.path()).starts_with("is a database of another program"));

    let data = used().await;
    fs::write(database(data.path()), "").expect("writes");
    assert!(refusal(data.path()).starts_with("is empty and was not"));

    let data = used().await;
    flip(data.path(), "CREATE TABLE workers", 0);
    let whole = fs::read(database(data.path())).expect("reads");
    fs::write(database(data.path()), &whole[..whole.len() / 2]).expect("writes");
    assert!(refusal(data.path()).starts_with("is damaged: restore a backup into an empty folder"));
    fs::write(database(data.path()), &whole).expect("writes");
    // Whole again, it is taken; and beside a log it is not missed that more is gone than the log can have.
    Process::serve(data.path(), &[]).kill();
    fs::write(database(data.path()), &whole[..whole.len() / 2]).expect("writes");
    assert!(refusal(data.path()).starts_with(&format!("was cut off: it has {} bytes of ", whole.len() / 2)));
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_stays_as_it_is() {
    let data = used().await;
    let connection = Connection::open(database(data.path())).expect("opens");
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("leaves the log");
    connection.pragma_update(None, "user_version", 99).expect("writes");
    drop(connection);
    assert!(!fs::read(data.path().join("tarefa.db-wal")).expect("reads").is_empty());
    let said = refusal(data.path());
    assert!(
        said.starts_with("was made by a newer version of tarefa: its schema has number 99, and version "),
        "{said}"
    );
    assert!(said.contains("use that version"), "{said}");
    // So do the verbs that need no server.
    let listed = output(data.path(), &["runs"]);
    assert_eq!(listed.status.code(), Some(2), "{}", String::from_utf8_lossy(&listed.stderr));
}

#[tokio::test]
async fn a_database_that_may_not_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let data = used().await;
    let path = database(data.path());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("may be changed");
    if fs::OpenOptions::new().write(true).open(&path).is_ok() {
        // Nothing is forbidden to root.
        return;
    }
    assert!(refusal(data.path()).starts_with("cannot be opened to be read and written"));
}
