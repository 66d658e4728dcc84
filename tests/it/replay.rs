//! A run that is over is called again against its record, and comes out the same; where it does not, the report says at
//! what call.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tarefa::domain::DirMode;

use crate::app::{Running, TestApp, answer, guest, repository, text};
use crate::chance::{draws, seed};
use crate::process::{data_dir, output};
use crate::programs::Program;

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

async fn replay(app: &Running, run: &Value) -> Value {
    replay_of(app, &text(&run["id"]), "").await
}

async fn replay_of(app: &Running, id: &str, query: &str) -> Value {
    let (status, replay) = app.post(&format!("/api/runs/{id}/replay{query}"), json!({})).await;
    assert_eq!(status, 200, "{replay}");
    replay
}

async fn replay_with(app: &Running, run: &Value, wasm: Vec<u8>) -> (StatusCode, Value) {
    let path = format!("/api/runs/{}/replay", text(&run["id"]));
    answer(app.raw(Method::POST, &path).header("content-type", "application/wasm").body(wasm)).await
}

async fn refusal(app: &Running, id: &str, query: &str) -> (u16, String) {
    let (status, body) = app.post(&format!("/api/runs/{id}/replay{query}"), json!({})).await;
    (status.as_u16(), text(&body["error"]["message"]))
}

/// What was found to be the same: the calls, the outcome, the log, the fuel, and all in all.
fn same(replay: &Value) -> [bool; 5] {
    let all = [
        &json!(replay["difference"].is_null()),
        &replay["same_outcome"],
        &replay["log"]["same"],
        &replay["fuel"]["same"],
        &replay["same"],
    ];
    all.map(|same| same.as_bool().expect("yes or no"))
}

#[tokio::test]
async fn a_flow_comes_out_the_same_to_the_unit_of_fuel_however_often_it_was_interrupted() {
    let mut app = TestApp::new().manual_clock().start().await;
    app.register("observes").await;
    let id = app.submit("observes", "observe", json!({"rounds": 4, "nap_ms": 1000})).await;
    for _ in 0..2 {
        app.advance_to_next_wake(MINUTE).await;
        app.advance_to_next_wake(MINUTE).await;
        app.restart(Duration::ZERO).await;
    }
    let run = app.advance_until_final(&id, MINUTE).await;
    app.advance(SignedDuration::from_hours(1));
    let replay = replay(&app, &run).await;
    assert_eq!(same(&replay), [true; 5], "{replay:#}");
    assert_eq!(replay["replayed"]["result"], run["result"]);
    assert_eq!((&replay["log"]["replayed_lines"], &replay["live"]), (&json!(8), &json!([])), "{replay:#}");
    assert_eq!(replay["fuel"]["replayed"], run["usage"]["fuel"]);
    assert_eq!(app.show(&id).await, run, "nothing of it was written");
    assert_eq!(app.logs(&id).await.len(), 8);
}

#[tokio::test]
async fn random_programs_come_out_the_same() {
    let seed = seed();
    let app = TestApp::new().start().await;
    app.register("program").await;
    for number in 0..20 {
        let program = Program::draw(&mut draws(seed, number), &[]);
        println!("program {number}: {program:?}");
        let id = program.begin(&app).await;
        let run = app.until_final(&id).await;
        let replay = replay(&app, &run).await;
        assert_eq!(same(&replay), [true; 5], "{replay:#}");
        for child in app.children(&text(&run["id"])).await {
            // What takes the output of a failed one never began.
            if child["n_attempts"] != 0 {
                let replay = replay_of(&app, &text(&child["id"]), "").await;
                assert_eq!(same(&replay), [true; 5], "{replay:#}");
            }
        }
    }
}

#[tokio::test]
async fn a_flow_that_failed_fails_the_same_way() {
    let shared = tempfile::tempdir().unwrap();
    let app = TestApp::new().allow_dir(shared.path(), DirMode::Rw).start().await;
    app.register("needs").await;
    let grants = json!({"dirs": [{"host": shared.path(), "guest": "/data", "mode": "rw"}]});
    let body =
        json!({"module": "needs", "entry": "copes", "parameters": {"first": "a", "second": "b"}, "grants": grants});
    let run = app.run_with(body).await;
    assert_eq!(run["state"], "failed");
    let replay = replay(&app, &run).await;
    assert_eq!(same(&replay), [true; 5], "{replay:#}");
    assert_eq!(replay["replayed"]["failure"], run["failure"]);
    let effects = std::fs::read_to_string(shared.path().join("effects")).unwrap();
    assert_eq!(effects.lines().count(), 5, "its tasks did not run again: {effects}");
}

#[tokio::test]
async fn each_attempt_of_a_flow_is_replayed_with_what_it_had() {
    let shared = tempfile::tempdir().unwrap();
    let app = TestApp::new().allow_dir(shared.path(), DirMode::Rw).manual_clock().start().await;
    app.register("needs").await;
    let grants = json!({"dirs": [{"host": shared.path(), "guest": "/data", "mode": "rw"}]});
    let body = json!({"module": "needs", "entry": "pipeline", "parameters": {"name": "a"}, "grants": grants});
    let id = app.submit_with(body).await;
    let failed = app.advance_until_final(&id, MINUTE).await;
    std::fs::write(shared.path().join("a"), "found").unwrap();
    app.advance(MINUTE);
    app.post(&format!("/api/runs/{id}/retry"), json!({})).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!((&run["state"], &run["n_attempts"]), (&json!("completed"), &json!(2)), "{run}");
    for (attempt, outcome) in [(1, json!(null)), (2, json!("found"))] {
        let replay = replay_of(&app, &id, &format!("?attempt={attempt}")).await;
        assert_eq!(same(&replay), [true; 5], "{replay:#}");
        assert_eq!((&replay["attempt"], &replay["replayed"]["result"]), (&json!(attempt), &outcome));
    }
    let first = replay_of(&app, &id, "?attempt=1").await;
    assert_eq!(first["replayed"]["failure"], failed["failure"]);
    let reused = text(&app.children(&id).await[0]["id"]);
    let (status, message) = refusal(&app, &reused, "").await;
    assert_eq!(status, 409);
    assert!(message.contains("it has the result of run"), "{message}");
}

#[tokio::test]
async fn a_flow_that_was_ended_from_outside_is_followed_as_far_as_its_record_goes() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("sleeper").await;
    let body = json!({"module": "sleeper", "entry": "flow_sleeps", "parameters": {"ms": 60_000}});
    let id = app.submit_with(body).await;
    app.until_asleep(1, MINUTE).await;
    app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
    let run = app.until_final(&id).await;
    assert_eq!(run["state"], "cancelled");
    let replay = replay(&app, &run).await;
    assert_eq!((same(&replay), &replay["cut_off"]), ([true; 5], &json!(true)), "{replay:#}");

    let body = json!({"module": "sleeper", "entry": "naps", "parameters": {"n": 2, "ms": 60_000},
        "limits": {"timeout_ms": 1000}});
    let id = app.submit_with(body).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!(run["failure"]["kind"], "timed_out");
    let replay = replay_of(&app, &id, "").await;
    assert_eq!((same(&replay), &replay["cut_off"]), ([true; 5], &json!(true)), "{replay:#}");
}

#[tokio::test]
async fn changed_code_that_makes_the_same_calls_would_go_on_from_the_record() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("story").await;
    let id = app.submit("story", "tell", json!({})).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    let (status, replay) = replay_with(&app, &run, guest("story_changed")).await;
    assert_eq!(status, 200, "{replay}");
    assert_eq!((&replay["same"], &replay["difference"]), (&json!(true), &json!(null)), "{replay:#}");
    assert_eq!(replay["recorded"]["result"], "once upon");
    assert_eq!(replay["replayed"]["result"], "ONCE, UPON");
    let log = &replay["log"];
    assert_eq!(
        (&log["differing_line"], &log["recorded"], &log["replayed"]),
        (&json!(1), &json!("begun"), &json!("it has begun"))
    );
    assert_eq!(app.get("/api/modules").await["items"].as_array().unwrap().len(), 1, "it is not registered");
    let kept = std::fs::read_dir(app.data_dir().join("modules")).unwrap().count();
    assert_eq!(kept, 1, "nor kept");
}

#[tokio::test]
async fn changed_code_that_makes_other_calls_is_told_the_first_of_them() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("story").await;
    let differences = [
        (
            "tell_otherwise",
            "nondeterministic: submit 2 differs from the record of this run: recorded was `word` with {\"text\":\"upon\"}, \
             now came `word` with {\"text\":\"in\"}; do in tasks what may turn out differently",
        ),
        ("tell_more", "nondeterministic: it goes beyond the record of this run at submit 2 (`word`)"),
        (
            "tell_less",
            "nondeterministic: submit 2 differs from the record of this run: recorded was `word`, now came the end of the \
             flow; do in tasks what may turn out differently",
        ),
        (
            "tell_slower",
            "nondeterministic: wait 1 differs from the record of this run: recorded was a sleep of 1s, now came a sleep of 2s; \
             do in tasks what may turn out differently",
        ),
        (
            "tell_of",
            "nondeterministic: wait 1 differs from the record of this run: recorded was a reading of the variable `word`, \
             now came a reading of the variable `words`; do in tasks what may turn out differently",
        ),
    ];
    for (entry, difference) in differences {
        let id = app.submit("story", entry, json!({})).await;
        let run = app.advance_until_final(&id, MINUTE).await;
        let (_, replay) = replay_with(&app, &run, guest("story_changed")).await;
        assert_eq!((&replay["same"], &replay["difference"]), (&json!(false), &json!(difference)), "{entry}");
        let unchanged = self::replay(&app, &run).await;
        assert_eq!(same(&unchanged), [true; 5], "{unchanged:#}");
    }
}

#[tokio::test]
async fn a_component_that_cannot_be_called_so_is_refused() {
    let app = TestApp::new().start().await;
    app.register("story").await;
    let run = app.run("story", "draws", json!({"n": 1})).await;
    let message = async |wasm| {
        let (status, body) = replay_with(&app, &run, wasm).await;
        assert_eq!(status, 400, "{body}");
        text(&body["error"]["message"])
    };
    assert_eq!(message(guest("story_changed")).await, "the module has no task `draws`");
    assert!(message(b"no component".to_vec()).await.starts_with("this is not WebAssembly"));
    let kept = std::fs::read_dir(app.data_dir().join("modules")).unwrap().count();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn a_task_draws_the_same_numbers_and_what_was_live_is_named_first() {
    let shared = tempfile::tempdir().unwrap();
    let app = TestApp::new().allow_dir(shared.path(), DirMode::Rw).start().await;
    app.register("story").await;
    app.register("files").await;
    let run = app.run("story", "draws", json!({"n": 5})).await;
    let replayed = replay(&app, &run).await;
    assert_eq!(same(&replayed), [true; 5], "{replayed:#}");
    assert_eq!(replayed["replayed"]["result"], run["result"]);
    let clocks = "the clocks; in the replay they stand at the attempt's start, and move by its sleeps";
    assert_eq!(replayed["live"], json!([clocks]));

    let grants = json!({"dirs": [{"host": shared.path(), "guest": "/data", "mode": "rw"}]});
    let write = json!({"path": "/data/new", "text": "here"});
    let body = json!({"module": "files", "entry": "write", "parameters": write, "grants": grants});
    let run = app.run_with(body).await;
    std::fs::remove_file(shared.path().join("new")).unwrap();
    let replayed = replay(&app, &run).await;
    assert_eq!(replayed["live"], json!([clocks, "the directory `/data`; not in the replay"]));
    assert_eq!((&replayed["same"], &replayed["replayed"]["failure"]["kind"]), (&json!(false), &json!("task_error")));
    assert!(!shared.path().join("new").exists(), "it has no grants");
}

#[tokio::test]
async fn each_attempt_of_a_task_is_replayed() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("flaky").await;
    let id = app.submit("flaky", "listed", json!({"succeeds_at": 3})).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!(run["n_attempts"], 3);
    for attempt in 1..=3 {
        let replay = replay_of(&app, &id, &format!("?attempt={attempt}")).await;
        assert_eq!(same(&replay), [true; 5], "{replay:#}");
        assert_eq!(replay["replayed"]["failure"].is_null(), attempt == 3, "{replay:#}");
    }
    let (status, message) = refusal(&app, &id, "?attempt=4").await;
    assert_eq!((status, message), (404, format!("run `{id}` has no attempt 4; the last is 3")));
}

#[tokio::test]
async fn what_is_not_over_or_keeps_no_journal_is_refused() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("sleeper").await;
    app.register("observes").await;
    let id = app.submit("sleeper", "flow_sleeps", json!({"ms": 60_000})).await;
    app.until_asleep(1, MINUTE).await;
    let expected = format!("run `{id}` is running; wait for its end or cancel it first");
    assert_eq!(refusal(&app, &id, "").await, (409, expected));
    app.advance_until_final(&id, MINUTE).await;
    let id = app.submit("observes", "observe_anew", json!({"rounds": 0, "nap_ms": 0})).await;
    app.advance_until_final(&id, MINUTE).await;
    let expected = format!("run `{id}` cannot be replayed: its flow keeps no journal (`durable = false`)");
    assert_eq!(refusal(&app, &id, "").await, (409, expected));
}

#[test]
fn the_command_line_says_what_came_of_it_and_its_exit_code_does_too() {
    let data = data_dir();
    let wasm = |name: &str| {
        repository().join(format!("target/wasm32-wasip2/release/examples/{name}.wasm")).display().to_string()
    };
    let lines = |arguments: &[&str], code: i32| {
        let output = output(data.path(), arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}{}", String::from_utf8_lossy(&output.stderr));
        // The ids differ, and so does the fuel with each compiler.
        let known = |line: &&str| !line.starts_with("replayed") && !line.starts_with("fuel");
        text.lines().filter(known).map(str::to_owned).collect::<Vec<_>>()
    };
    lines(&["run", &wasm("story"), "tell_otherwise", "--quiet"], 0);
    let same = ["calls:    same", "outcome:  same: \"once upon\"", "log:      same: 0 lines", "it came out the same"];
    assert_eq!(lines(&["replay", "latest"], 0), same);
    let changed = lines(&["replay", "latest", "--module", &wasm("story_changed")], 1);
    assert!(changed[0].starts_with("calls:    nondeterministic: submit 2 differs from the record"), "{changed:?}");
    assert_eq!(changed.last().unwrap(), "that module would not go on from this record");
    lines(&["run", &wasm("story"), "draws", "--quiet", "--param", "n=2"], 0);
    let task = lines(&["replay", "latest"], 0);
    assert!(task[0].starts_with("live:     the clocks; "), "{task:?}");
    let json = output(data.path(), &["replay", "latest", "--json", "--attempt", "1"]);
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout).unwrap()["same"], true);
}

#[tokio::test]
async fn signals_are_told_as_they_came_and_not_sent_again() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("signals").await;
    let told = app.submit("signals", "collects", json!({"name": "item", "n": 3})).await;
    let sender = app.submit("signals", "tells_twice", json!({"run_id": told, "name": "item"})).await;
    let sent = app.advance_until_final(&sender, MINUTE).await;
    let task = json!({"run_id": told, "name": "item", "payload": "by a task"});
    let by_task = app.run("signals", "tells", task).await;
    let run = app.until_final(&told).await;
    assert_eq!(run["result"], json!([1, 2, "by a task"]));
    for run in [&run, &sent, &by_task] {
        let replay = replay(&app, run).await;
        assert_eq!(same(&replay), [true; 5], "{replay:#}");
    }
    let cancelled = app.submit("signals", "waits", json!({"name": "never"})).await;
    app.until(&cancelled, |run| run["waiting_for"] == "signal").await;
    app.post(&format!("/api/runs/{cancelled}/cancel"), json!({})).await;
    let run = app.until_final(&cancelled).await;
    let replay = replay(&app, &run).await;
    assert_eq!((same(&replay), &replay["cut_off"]), ([true; 5], &json!(true)), "{replay:#}");
}
