//! Who wants to know what becomes of runs is told: by webhook, as Slack has it, or by a command.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::app::{Running, TestApp, text};
use crate::service::{Answer, Received, Service};

const PATIENCE: Duration = Duration::from_secs(120);
const SECRET: &str = "a secret of some length";
const EVERYTHING: [&str; 6] = ["completed", "failed", "crashed", "cancelled", "late", "missed"];

/// Takes what comes.
pub async fn receiver() -> Service {
    Service::start(|_| Answer::Whole("204 No Content", "", String::new())).await
}

/// The notifications that came, once there are `n`.
pub async fn told(receiver: &Service, n: usize) -> Vec<Value> {
    receiver.until(|counts| counts.received >= n).await;
    let received = receiver.received();
    assert_eq!(received.len(), n, "{received:?}");
    received.iter().map(body).collect()
}

pub fn body(received: &Received) -> Value {
    serde_json::from_slice(&received.body).expect("JSON")
}

/// What is on record of notifications, newest first, once it is as `condition` says.
pub async fn until_recorded(app: &Running, condition: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let started = Instant::now();
    loop {
        let page = app.get("/api/notifications?limit=500").await;
        let items = page["items"].as_array().expect("a page has items");
        if condition(items) {
            return items.clone();
        }
        assert!(started.elapsed() < PATIENCE, "it does not come to that: {:?}", items.first());
        tokio::task::yield_now().await;
    }
}

/// The database, as another part of the server sees it.
pub fn database(app: &Running) -> Connection {
    let path = app.data_dir().join("tarefa.db");
    Connection::open_with_flags_and_vfs(path, OpenFlags::SQLITE_OPEN_READ_WRITE, c"unix-excl").expect("opens")
}

fn header<'a>(received: &'a Received, name: &str) -> &'a str {
    let found = received.headers.lines().find_map(|header| header.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("there is no `{name}` in {received:?}"))
}

/// HMAC as its definition has it, by hand.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    assert!(key.len() <= 64);
    let pad = |byte: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).unwrap_or(&0) ^ byte).collect() };
    let inner = Sha256::digest([&pad(0x36), message].concat());
    Sha256::digest([&pad(0x5c), &inner[..]].concat()).to_vec()
}

#[tokio::test]
async fn the_end_of_a_run_is_told_with_all_that_is_known_of_it() {
    let receiver = receiver().await;
    let rule = json!({"on": ["failed", "completed"], "webhook": receiver.url("/hook?token=hidden"), "secret": SECRET});
    let app = TestApp::new().manual_clock().notify(rule).start().await;
    app.register("fails").await;
    let run = app.run("fails", "fail", json!({"message": "no & never"})).await;
    let [told] = &told(&receiver, 1).await[..] else { panic!("one") };

    let id = text(&run["id"]);
    assert_eq!(
        (&told["event"], &told["at"], &told["deployment"]),
        (&json!("failed"), &run["finished_at"], &Value::Null)
    );
    assert_eq!(told["url"], format!("{}/runs/{id}", app.url));
    assert_eq!(told["text"], "fail failed: no & never");
    let summary = app.get("/api/runs").await["items"][0].clone();
    assert_eq!(told["run"], summary, "as lists have it");

    let received = &receiver.received()[0];
    assert_eq!(received.line, "POST /hook?token=hidden HTTP/1.1");
    assert_eq!(header(received, "content-type"), "application/json");
    assert_eq!(header(received, "user-agent"), concat!("tarefa/", env!("CARGO_PKG_VERSION")));
    assert_eq!(header(received, "x-tarefa-event"), "failed");
    let (delivery, sent_at) = (header(received, "webhook-id"), header(received, "webhook-timestamp"));
    assert_eq!((told["id"].as_str(), sent_at), (Some(delivery), "1767323045"));
    let signed = [delivery.as_bytes(), b".", sent_at.as_bytes(), b".", &received.body].concat();
    let signature = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, hmac(SECRET.as_bytes(), &signed));
    // The service has all headers in lower case.
    assert_eq!(header(received, "webhook-signature"), format!("v1,{signature}").to_lowercase());
}

#[tokio::test]
async fn each_end_is_told_to_those_who_want_it_and_the_ends_of_children_to_nobody() {
    let receiver = receiver().await;
    let mut app = TestApp::new().manual_clock();
    for event in EVERYTHING {
        app = app.notify(json!({"on": [event], "webhook": receiver.url(&format!("/{event}"))}));
    }
    let app = app.start().await;
    for module in ["fails", "noop", "sleeper"] {
        app.register(module).await;
    }
    app.run("noop", "sequential", json!({"n": 3})).await;
    app.run("fails", "fail", json!({"message": "no"})).await;
    let nap = app.submit("sleeper", "nap", json!({"ms": 60_000})).await;
    app.until(&nap, |run| run["state"] == "running").await;
    app.post(&format!("/api/runs/{nap}/cancel"), json!({})).await;
    app.until_final(&nap).await;
    let later = json!({"module": "noop", "entry": "noop", "scheduled_at": "2027-01-01T00:00:00Z"});
    let later = app.submit_with(later).await;
    app.post(&format!("/api/runs/{later}/cancel"), json!({})).await;

    told(&receiver, 4).await;
    let mut lines: Vec<_> = receiver.received().into_iter().map(|received| received.line).collect();
    lines.sort();
    let expected = ["cancelled", "cancelled", "completed", "failed"].map(|event| format!("POST /{event} HTTP/1.1"));
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_run_that_ends_again_is_told_of_again_and_its_history_says_so() {
    let receiver = receiver().await;
    let rule = json!({"on": ["failed"], "webhook": receiver.url("/hook?token=hidden")});
    let app = TestApp::new().manual_clock().notify(rule).start().await;
    app.register("fails").await;
    let run = app.run("fails", "fail", json!({"message": "no"})).await;
    let id = text(&run["id"]);
    until_recorded(&app, |items| items.len() == 1 && items[0]["state"] == "delivered").await;
    app.advance(SignedDuration::from_secs(5));
    app.post(&format!("/api/runs/{id}/retry"), json!({})).await;
    app.until_final(&id).await;
    let recorded = until_recorded(&app, |items| items.len() == 2 && items[0]["state"] == "delivered").await;
    assert_ne!(recorded[0]["id"], recorded[1]["id"]);
    assert_eq!((&recorded[0]["target"], &recorded[0]["run_id"]), (&json!(receiver.host()), &json!(id)));

    let history = app.show(&id).await["history"].clone();
    let notice = format!("notified {} of failed", receiver.host());
    let reasons: Vec<_> = history.as_array().expect("a list").iter().map(|item| item["reason"].clone()).collect();
    assert_eq!(reasons.iter().filter(|reason| **reason == *notice).count(), 2, "{reasons:?}");
    assert!(reasons.contains(&json!("no")), "the end itself is there, too: {reasons:?}");
    assert!(!history.to_string().contains("hidden") && !recorded[0].to_string().contains("hidden"));
    let deleted = app.raw(reqwest::Method::DELETE, &format!("/api/runs/{id}")).send().await.expect("answers");
    assert!(deleted.status().is_success());
    until_recorded(&app, <[Value]>::is_empty).await;
}

#[tokio::test]
async fn slack_gets_one_line() {
    let receiver = receiver().await;
    let rule = json!({"on": ["failed"], "webhook": receiver.url("/services/T/B/X"), "format": "slack"});
    let app = TestApp::new().manual_clock().notify(rule).start().await;
    app.register("fails").await;
    let run = app.run("fails", "fail", json!({"message": "a < b & c > d\nthen more"})).await;
    let told = told(&receiver, 1).await;
    let link = format!("<{}/runs/{}|open>", app.url, text(&run["id"]));
    assert_eq!(told, [json!({"text": format!("fail failed: a &lt; b &amp; c &gt; d then more {link}")})]);
}

#[tokio::test]
async fn a_run_that_does_not_start_is_told_of_once() {
    let receiver = receiver().await;
    let rule = json!({"on": ["late"], "webhook": receiver.url("/")});
    let app = TestApp::new().manual_clock().slots(1).notify(rule).start().await;
    app.register("sleeper").await;
    let nap = app.submit("sleeper", "nap", json!({"ms": 3_600_000})).await;
    app.until(&nap, |run| run["state"] == "running").await;
    let waits = app.submit("sleeper", "nap", json!({"ms": 1})).await;
    let later =
        json!({"module": "sleeper", "entry": "nap", "parameters": {"ms": 1}, "scheduled_at": "2026-01-02T03:05:00Z"});
    let later = app.submit_with(later).await;
    app.advance(SignedDuration::from_secs(11));
    let first = told(&receiver, 1).await;
    assert_eq!((&first[0]["event"], &first[0]["run"]["id"]), (&json!("late"), &json!(waits)));
    assert_eq!(first[0]["at"], "2026-01-02T03:04:15Z", "ten seconds after it was due");
    assert_eq!(first[0]["text"], "nap(1 ms) is late: it was to start at 2026-01-02T03:04:05Z and has not");
    app.advance(SignedDuration::from_secs(60));
    let second = told(&receiver, 2).await;
    assert_eq!(second[1]["run"]["id"], json!(later));
    for id in [waits, later, nap] {
        app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
        app.until_final(&id).await;
    }
}

#[tokio::test]
async fn occurrences_that_were_missed_are_told_of() {
    let receiver = receiver().await;
    let rule = json!({"on": ["missed"], "webhook": receiver.url("/")});
    let mut app = TestApp::new().manual_clock().notify(rule).start().await;
    app.server.as_mut().expect("it runs").stop_scheduler();
    let at = |second: i64| (1_767_323_045 + second) * 1_000_000;
    let sql = "INSERT INTO skips (deployment, schedule_id, first_at, last_at, n, why, detail, at) VALUES
        ('daily', 'a', ?1, ?2, 7, 'missed', 'no server ran', ?2), ('daily', 'a', ?1, ?2, 1, 'conflict', 'one runs', ?2)";
    database(&app).execute(sql, [at(-100), at(-10)]).expect("inserts");
    let skipped = &told(&receiver, 1).await[0];
    assert_eq!(
        (&skipped["deployment"], &skipped["run"], &skipped["url"]),
        (&json!("daily"), &Value::Null, &Value::Null)
    );
    let missed = json!({"schedule_id": "a", "schedule": "a", "first_at": "2026-01-02T03:02:25Z",
        "last_at": "2026-01-02T03:03:55Z", "n": 7, "why": "no server ran"});
    assert_eq!((&skipped["missed"], &skipped["at"]), (&missed, &missed["first_at"]));
    let text = "daily missed 7 runs from 2026-01-02T03:02:25Z to 2026-01-02T03:03:55Z (a): no server ran";
    assert_eq!(skipped["text"], text);

    // One that nobody runs, and one that is paused.
    let sql = "INSERT INTO schedules (deployment, id, place, spec, created_at, next_at, due_at) VALUES
        ('hourly', 'b', 0, '{\"interval_ms\":30000,\"timezone\":\"UTC\"}', ?1, ?1, ?1), ('hourly', 'c', 1, '{}', ?1, ?1, NULL)";
    database(&app).execute(sql, [at(0)]).expect("inserts");
    app.advance(SignedDuration::from_secs(11));
    let overdue = &told(&receiver, 2).await[1];
    assert_eq!((&overdue["deployment"], &overdue["missed"]["schedule_id"]), (&json!("hourly"), &json!("b")));
    let text =
        "hourly missed its run of 2026-01-02T03:04:05Z (every 30 seconds (UTC)): it is due, and nobody has run it";
    assert_eq!(overdue["text"], text);
    let recorded = app.get("/api/notifications?deployment=hourly").await;
    assert_eq!(recorded["items"].as_array().map(Vec::len), Some(1), "{recorded}");
}

/// Writes a program into a directory.
fn program(dir: &Path, text: &str) -> String {
    let path = dir.join("notify");
    std::fs::write(&path, text).expect("writes");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("makes it a program");
    path.to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn a_command_is_told_on_its_standard_input_and_gets_no_environment_of_ours() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = "#!/bin/sh\ncat > \"$1/body\"\nenv > \"$1/env\"\npwd >> \"$1/env\"\n";
    let command = json!([program(dir.path(), script), dir.path()]);
    let app = TestApp::new().manual_clock().notify(json!({"on": ["completed"], "command": command})).start().await;
    app.register("noop").await;
    let run = app.run("noop", "noop", json!({})).await;
    let recorded = until_recorded(&app, |items| items.first().is_some_and(|item| item["state"] == "delivered")).await;
    assert_eq!(recorded[0]["target"], command[0]);
    let told: Value = serde_json::from_slice(&std::fs::read(dir.path().join("body")).expect("reads")).expect("JSON");
    assert_eq!((&told["event"], &told["run"]["id"]), (&json!("completed"), &run["id"]));
    let environment = std::fs::read_to_string(dir.path().join("env")).expect("reads");
    let own =
        ["PATH=", "TAREFA_EVENT=completed", "TAREFA_NOTIFICATION_ID=", "TAREFA_RUN_ID=", "PWD=/", "SHLVL=", "_=", "/"];
    for line in environment.lines() {
        assert!(own.iter().any(|own| line.starts_with(own)), "{line}");
    }
    assert!(environment.contains(&format!("TAREFA_RUN_ID={}", text(&run["id"]))) && environment.ends_with("\n/\n"));
}

#[tokio::test]
async fn a_command_that_does_not_end_is_killed_with_all_that_it_started_and_one_that_fails_says_why() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = "#!/bin/sh\nif [ \"$2\" = hang ]; then sleep 3600 & echo $! > \"$1/child\"; wait; fi\n\
        yes x | head -c 1000000\necho 'no such pager' >&2\nexit 3\n";
    let program = program(dir.path(), script);
    let rule = |mode: &str| json!({"on": ["completed"], "command": [program, dir.path(), mode]});
    let app = TestApp::new().manual_clock().notify(rule("fail")).notify(rule("hang")).start().await;
    app.register("noop").await;
    app.run("noop", "noop", json!({})).await;
    let tried = |items: &[Value], n: usize| items.iter().filter(|item| !item["error"].is_null()).count() == n;
    let failed = until_recorded(&app, |items| tried(items, 1)).await;
    let error = "it ended with exit status: 3: no such pager";
    assert!(failed.iter().any(|item| item["error"] == error), "{failed:?}");
    let child = dir.path().join("child");
    while !std::fs::read_to_string(&child).is_ok_and(|pid| pid.ends_with('\n')) {
        tokio::task::yield_now().await;
    }
    let pid = std::fs::read_to_string(&child).expect("reads").trim().parse().expect("a number");
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    app.advance(SignedDuration::from_secs(61));
    let failed = until_recorded(&app, |items| tried(items, 2)).await;
    assert!(failed.iter().any(|item| item["error"] == "it did not end within 60 s"), "{failed:?}");
    // Its parent is gone, too, so that it may be there as long as nobody has asked how it ended.
    let gone = || match std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    };
    while !gone() {
        tokio::task::yield_now().await;
    }
}
