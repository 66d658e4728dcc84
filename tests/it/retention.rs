//! What is older than it is to be kept goes, whole and by itself, and holds up nobody; all else stays.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::Method;
use rusqlite::{Connection, OpenFlags, params};
use serde_json::{Value, json};
use tarefa::domain::DirMode;

use crate::app::{Running, TestApp, answer, child_id, text};
use crate::process::{data_dir, output};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How long what is too old may stay.
const INTERVAL: SignedDuration = SignedDuration::from_mins(10);
/// Far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Tables that tell of runs.
const TABLES: [&str; 9] =
    ["runs", "attempts", "history", "logs", "idempotency_keys", "cache", "journal", "signals", "remains"];

/// Moves the clock, and returns once all that is too old then is gone. Nothing else may wait for a time.
async fn pass(app: &Running, by: SignedDuration) {
    app.until_asleep(1, INTERVAL).await;
    app.advance(by);
    app.until_asleep(1, INTERVAL).await;
}

fn database(app: &Running) -> Connection {
    let path = app.data_dir().join("tarefa.db");
    Connection::open_with_flags_and_vfs(path, OpenFlags::SQLITE_OPEN_READ_WRITE, c"unix-excl").unwrap()
}

fn count(app: &Running, table: &str) -> i64 {
    database(app).query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

fn rows(app: &Running) -> [i64; 9] {
    TABLES.map(|table| count(app, table))
}

async fn status(app: &Running, id: &str) -> u16 {
    app.try_get(&format!("/api/runs/{id}")).await.0.as_u16()
}

#[tokio::test]
async fn runs_go_30_days_after_their_end_with_all_below_them_and_logs_after_14() {
    let folder = tempfile::tempdir().unwrap();
    let app = TestApp::new().manual_clock().retention("30d", "14d").allow_dir(folder.path(), DirMode::Rw).start().await;
    for module in ["cached", "flaky", "logs", "nested", "signals", "sleeper"] {
        app.register(module).await;
    }
    let flow = text(&app.run("nested", "wide", json!({"n": 3, "m": 40})).await["id"]);
    let logging = text(&app.run("logs", "flow_logs", json!({})).await["id"]);
    let many = text(&app.run("logs", "many", json!({"n": 640})).await["id"]);
    let keyed = json!({"module": "logs", "entry": "several_lines", "idempotency_key": "k"});
    let keyed = text(&app.run_with(keyed).await["id"]);
    let cached = json!({"module": "cached", "entry": "price", "parameters": {"item": "tea"},
        "grants": {"dirs": [{"host": folder.path(), "guest": "/data", "mode": "rw"}]}});
    let cached = text(&app.run_with(cached).await["id"]);
    let flaky = app.submit("flaky", "third_time", json!({})).await;
    let signalled = app.submit("signals", "collects", json!({"name": "step", "n": 2})).await;
    app.until(&signalled, |run| run["waiting_for"] == "signal").await;
    for verb in ["pause", "resume"] {
        app.post(&format!("/api/runs/{signalled}/{verb}"), json!({})).await;
    }
    for n in 0..2 {
        let (status, _) = app.post(&format!("/api/runs/{signalled}/signals/step"), json!(n)).await;
        assert!(status.is_success());
    }
    app.until_final(&signalled).await;
    app.advance_until_final(&flaky, MINUTE).await;
    let all = [&flow, &logging, &many, &keyed, &cached, &flaky, &signalled];
    let ended = app.show(&flaky).await["finished_at"].clone();

    pass(&app, DAY * 14 - MINUTE).await;
    assert_eq!(app.logs(&many).await.len(), 640);
    let shown = app.show(&logging).await;
    assert_eq!(shown["logs_pruned_at"], Value::Null);
    pass(&app, INTERVAL).await;
    assert_eq!(count(&app, "logs"), 0);
    for id in all {
        assert_eq!(app.logs(id).await, Vec::<Value>::new());
        assert!(app.show(id).await["logs_pruned_at"].is_string());
    }
    let mut without = app.show(&logging).await;
    assert_eq!(app.show(&child_id(&logging, 0)).await["logs_pruned_at"], without["logs_pruned_at"].take());
    let mut shown = shown;
    shown["logs_pruned_at"].take();
    assert_eq!(without, shown, "nothing else is gone");
    let replay = app.post(&format!("/api/runs/{logging}/replay"), json!({})).await.1;
    assert_eq!((&replay["same"], &replay["log"]["removed"]), (&json!(true), &json!(true)), "{replay}");
    let page = app.raw(Method::GET, &format!("/runs/{logging}")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("What it had logged was removed on 2026-01-16"), "{page}");

    pass(&app, DAY * 16 - MINUTE * 20).await;
    assert_eq!(app.show(&flaky).await["finished_at"], ended);
    let full = rows(&app);
    let is_empty = TABLES.map(|table| ["logs", "remains"].contains(&table));
    assert_eq!(full.map(|count| count == 0), is_empty, "there is something of each: {full:?}");
    pass(&app, MINUTE * 20).await;
    for id in all {
        assert_eq!(status(&app, id).await, 404);
    }
    assert_eq!(status(&app, &child_id(&flow, 1)).await, 404);
    assert_eq!(rows(&app), [0; 9]);
}

#[tokio::test]
async fn what_is_not_over_stays_however_old_it_is() {
    let app = TestApp::new().manual_clock().retention("1m", "1m").start().await;
    app.register("noop").await;
    app.register("signals").await;
    let later = json!({"module": "noop", "entry": "noop", "scheduled_at": "2027-01-01T00:00:00Z"});
    let later = app.submit_with(later).await;
    let waits = app.submit("signals", "waits", json!({"name": "go"})).await;
    app.until(&waits, |run| run["waiting_for"] == "signal").await;
    let over = text(&app.run("noop", "submitted", json!({"n": 3})).await["id"]);
    pass(&app, DAY * 90).await;
    assert_eq!(status(&app, &over).await, 404);
    assert_eq!(app.show(&later).await["state"], "scheduled");
    app.post(&format!("/api/runs/{waits}/signals/go"), json!(1)).await;
    assert_eq!(app.until_final(&waits).await["state"], "completed");
    app.post(&format!("/api/runs/{later}/cancel"), json!({})).await;
    pass(&app, INTERVAL).await;
    assert_eq!(rows(&app), [0; 9]);
}

#[tokio::test]
async fn a_run_with_an_idempotency_key_is_kept_for_a_day() {
    let app = TestApp::new().manual_clock().retention("1h", "1h").start().await;
    app.register("noop").await;
    let keyed = json!({"module": "noop", "entry": "noop", "idempotency_key": "k"});
    let id = text(&app.run_with(keyed.clone()).await["id"]);
    let other = text(&app.run("noop", "noop", json!({})).await["id"]);
    pass(&app, HOUR * 23).await;
    assert_eq!((status(&app, &id).await, status(&app, &other).await), (200, 404));
    assert_eq!(app.run_with(keyed.clone()).await["id"], id, "it is not carried out again");
    pass(&app, HOUR + INTERVAL).await;
    assert_eq!(status(&app, &id).await, 404);
    assert_ne!(app.run_with(keyed).await["id"], id, "the key is free again");
}

#[tokio::test]
async fn a_deployment_says_how_long_its_own_runs_are_kept() {
    let app = TestApp::new().manual_clock().retention("30d", "14d").start().await;
    app.register("logs").await;
    let deploy = |name: &str, retention: Value| {
        let spec = json!({"module": "logs", "retention": retention}).to_string();
        let sql = "INSERT INTO deployments (name, module, spec, created_at, updated_at) VALUES (?, 'logs', ?, 0, 0)";
        database(&app).execute(sql, params![name, spec]).unwrap();
    };
    deploy("short", json!({"runs": "2d", "logs": "1d"}));
    deploy("long", json!({"runs": "forever"}));
    let mut ids = Vec::new();
    for name in [None, Some("gone"), Some("long"), Some("short")] {
        let id = text(&app.run("logs", "flow_logs", json!({})).await["id"]);
        let run = id.parse::<tarefa::domain::RunId>().unwrap();
        let sql = "UPDATE runs SET deployment = ? WHERE id = ?";
        database(&app).execute(sql, params![name, run.as_bytes()]).unwrap();
        ids.push(id);
    }
    for at in 0..3 {
        for name in ["gone", "long", "short"] {
            let sql = "INSERT INTO skips (deployment, schedule_id, first_at, last_at, n, why, detail, at)
                VALUES (?, '', 0, 0, 1, 'missed', '', ?)";
            let at = app.server().app.clock.now() + DAY * at;
            database(&app).execute(sql, params![name, at.as_microsecond()]).unwrap();
        }
    }
    let there = async || {
        let mut there = Vec::new();
        for id in &ids {
            there.push((
                status(&app, id).await == 200,
                !app.try_get(&format!("/api/runs/{id}/logs")).await.1["items"].as_array().is_none_or(Vec::is_empty),
            ));
        }
        there
    };
    let (both, run, none) = ((true, true), (true, false), (false, false));
    for (days, expected, skips) in [
        (0, [both, both, both, both], 9),
        (1, [both, both, both, run], 9),
        (1, [both, both, both, none], 8),
        (12, [run, run, run, none], 6),
        (16, [none, none, run, none], 5),
        (10, [none, none, run, none], 3),
    ] {
        pass(&app, DAY * days + MINUTE).await;
        assert_eq!(there().await, expected);
        assert_eq!(count(&app, "skips"), skips);
    }
}

#[tokio::test]
async fn a_run_that_is_retried_while_it_is_pruned_is_whole_or_gone() {
    let app = TestApp::new().manual_clock().retention("1d", "forever").start().await;
    app.register("fails").await;
    app.register("noop").await;
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(text(&app.run("fails", "says_no", json!({})).await["id"]));
    }
    // It is being deleted for a while.
    app.run("noop", "submitted", json!({"n": 2000})).await;
    app.until_asleep(1, INTERVAL).await;
    app.advance(DAY + MINUTE);
    let mut retried = 0;
    for id in &ids {
        let (status, body) = app.post(&format!("/api/runs/{id}/retry"), json!({})).await;
        match status.as_u16() {
            200 => {
                retried += 1;
                assert_eq!(app.until_final(id).await["n_attempts"], 2);
            }
            404 | 409 => assert_eq!(self::status(&app, id).await, 404, "{body}"),
            _ => panic!("{status} {body}"),
        }
    }
    app.until_asleep(1, INTERVAL).await;
    assert_eq!(count(&app, "runs"), retried);
    assert_eq!(count(&app, "attempts"), retried);
}

#[tokio::test]
async fn a_deletion_that_was_interrupted_goes_on_at_the_next_start() {
    let mut app = TestApp::new().manual_clock().retention("forever", "forever").start().await;
    app.register("nested").await;
    let id = text(&app.run("nested", "wide", json!({"n": 3, "m": 40})).await["id"]);
    let run = id.parse::<tarefa::domain::RunId>().unwrap();
    let connection = database(&app);
    connection.execute("DELETE FROM runs WHERE id = ?", [run.as_bytes()]).unwrap();
    connection
        .execute("INSERT INTO remains (root_id, run_id, generation) VALUES (?1, ?1, 1)", [run.as_bytes()])
        .unwrap();
    drop(connection);
    assert_eq!(status(&app, &child_id(&id, 0)).await, 404, "its flow is gone");
    app.restart(Duration::ZERO).await;
    app.until_asleep(1, INTERVAL).await;
    assert_eq!(rows(&app), [0; 9]);
}

#[tokio::test]
async fn workers_of_which_no_run_is_left_are_forgotten() {
    let mut app = TestApp::new().manual_clock().retention("2d", "1d").start().await;
    app.register("noop").await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(text(&app.run("noop", "noop", json!({})).await["id"]));
        app.advance(HOUR * 12);
        app.restart(Duration::ZERO).await;
    }
    assert_eq!(count(&app, "workers"), 5);
    pass(&app, HOUR * 13).await;
    assert_eq!(status(&app, &ids[0]).await, 404);
    assert_eq!(status(&app, &ids[1]).await, 404);
    assert!(app.show(&ids[2]).await["attempts"][0]["worker"].is_string());
    assert_eq!(count(&app, "workers"), 3);
}

/// A day of work: flows with children and logs.
async fn day(app: &Running) {
    for _ in 0..3 {
        app.run("noop", "sequential_chatty", json!({"n": 100})).await;
    }
    pass(app, DAY).await;
}

async fn storage(app: &Running) -> Value {
    app.get("/api/system").await["storage"].clone()
}

#[tokio::test]
async fn after_three_times_the_retention_the_database_is_hardly_larger_than_after_one() {
    let app = TestApp::new().manual_clock().retention("10d", "5d").start().await;
    app.register("noop").await;
    let mut sizes = Vec::new();
    for n in 1..=30 {
        day(&app).await;
        if n % 10 == 0 {
            sizes.push(storage(&app).await["database_bytes"].as_u64().unwrap());
        }
    }
    let after = storage(&app).await;
    assert_eq!(after["top_level_runs"], 30);
    assert!(sizes[2] * 10 <= sizes[0] * 11, "{sizes:?}");
    // Once nothing comes any more it becomes small again.
    pass(&app, DAY * 11).await;
    let small = storage(&app).await["database_bytes"].as_u64().unwrap();
    assert!(small * 2 < sizes[2], "{small} of {sizes:?}");
    let file = app.data_dir().join("tarefa.db");
    let written_back = async {
        while std::fs::metadata(&file).unwrap().len() > small {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, written_back).await.expect("the file becomes as small");
}

#[tokio::test]
async fn the_server_says_what_it_keeps_and_what_it_has_pruned() {
    let app = TestApp::new().manual_clock().slots(3).flows(5).retention("30d", "14d").start().await;
    app.register("noop").await;
    app.run("noop", "sequential_chatty", json!({"n": 10})).await;
    let system = app.get("/api/system").await;
    assert_eq!(system["retention"], json!({"runs": "30d", "logs": "14d"}));
    let in_use = ["slots", "slots_in_use", "flow_places", "flows_in_memory"].map(|name| system[name].as_i64().unwrap());
    assert_eq!(in_use, [3, 0, 5, 0]);
    assert_eq!(system["storage"]["top_level_runs"], 1);
    assert!(system["storage"]["database_bytes"].as_u64().unwrap() > 100_000, "{system}");
    pass(&app, DAY * 40).await;
    let metrics = app.raw(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for line in ["tarefa_runs_pruned_total 11", "tarefa_log_lines_pruned_total 30"] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn runs_that_are_older_than_so_much_are_deleted_on_request() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("noop").await;
    let old = text(&app.run("noop", "sequential_chatty", json!({"n": 70})).await["id"]);
    app.advance(DAY);
    let new = text(&app.run("noop", "sequential_chatty", json!({"n": 1})).await["id"]);
    let prune = async |body: Value| answer(app.raw(Method::POST, "/api/prune").json(&body)).await;
    let nothing = json!({"runs": 0, "log_lines": 0});
    for body in [json!({}), json!({"runs": "forever"}), json!({"runs": "2d", "logs": "2d"})] {
        assert_eq!(prune(body).await, (200.try_into().unwrap(), nothing.clone()));
    }
    let (_, pruned) = prune(json!({"logs": "12h"})).await;
    assert_eq!(pruned, json!({"runs": 0, "log_lines": 210}));
    let (_, pruned) = prune(json!({"runs": "12h"})).await;
    assert_eq!(pruned, json!({"runs": 71, "log_lines": 0}));
    assert_eq!((status(&app, &old).await, status(&app, &new).await), (404, 200));
    assert_eq!(app.get("/api/system").await["retention"], Value::Null);
    let (status, body) = prune(json!({"runs": "soon"})).await;
    assert_eq!(status, 400);
    assert!(text(&body["error"]["message"]).contains("`soon` is no time to keep something"), "{body}");
}

#[test]
fn the_command_line_deletes_what_is_older_than_so_much() {
    let data = data_dir();
    let guest = crate::app::repository().join("target/wasm32-wasip2/release/examples/noop.wasm");
    let run = output(data.path(), &["run", guest.to_str().unwrap(), "noop"]);
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
    let clean = output(data.path(), &["clean", "--older-than", "1d"]);
    assert_eq!(String::from_utf8_lossy(&clean.stdout), "deleted 0 runs and 0 lines of their logs\n");
    let clean = output(data.path(), &["clean", "--older-than", "1s"]);
    let stderr = String::from_utf8_lossy(&clean.stderr);
    assert!(stderr.contains("it goes from `1m` to `36500d`, or is `forever`"), "{stderr}");
}
