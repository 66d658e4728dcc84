//! Guests that do their worst: each ends in its own failure, and nobody else notices.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{Running, TestApp, text};
use crate::wat::text_guest;

async fn register_text(app: &Running, name: &str) {
    let (status, body) = app.try_register(name, text_guest(name)).await;
    assert!(status.is_success(), "{body}");
}

/// A failed run's failure: kind and message.
fn failure(run: &Value) -> (String, String) {
    assert_eq!(run["state"], "failed", "{run}");
    (text(&run["failure"]["kind"]), text(&run["failure"]["message"]))
}

/// What to submit, and the failure that it ends in.
fn bombs() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"module": "spin", "limits": {"fuel": 50_000_000}}), "out_of_fuel"),
        (json!({"module": "spin", "metering": "time", "limits": {"timeout_ms": 300}}), "timed_out"),
        (json!({"module": "fill", "limits": {"timeout_ms": 300, "fuel": i64::MAX}}), "timed_out"),
        (json!({"module": "memory"}), "out_of_memory"),
        (json!({"module": "table"}), "out_of_memory"),
        (json!({"module": "recurse"}), "stack_overflow"),
        (json!({"module": "unreachable"}), "trapped"),
        (json!({"module": "output"}), "output_too_large"),
        (json!({"module": "not_json"}), "invalid_output"),
        (json!({"module": "out_of_bounds"}), "trapped"),
        (json!({"module": "panics", "entry": "panic", "parameters": {"message": "boom"}}), "trapped"),
        (json!({"module": "panics", "entry": "recurse", "parameters": {"depth": 0}}), "stack_overflow"),
        (json!({"module": "panics", "entry": "allocate", "parameters": {"megabytes": 4000}}), "out_of_memory"),
        (json!({"module": "panics", "entry": "flow_panics"}), "trapped"),
        (json!({"module": "big", "entry": "log", "parameters": {"bytes": 10_000_000}}), "log_too_large"),
        (json!({"module": "big", "entry": "output", "parameters": {"bytes": 10_000_000}}), "output_too_large"),
        (json!({"module": "big", "entry": "children", "parameters": {"n": 100}}), "too_many_children"),
        (json!({"module": "task_submits", "entry": "submits"}), "denied"),
    ]
}

#[tokio::test]
async fn an_honest_flow_completes_among_bombs_of_every_kind() {
    let app = TestApp::new().slots(2).start().await;
    for name in ["spin", "fill", "memory", "table", "recurse", "unreachable", "output", "not_json", "out_of_bounds"] {
        register_text(&app, name).await;
    }
    for name in ["panics", "big", "task_submits", "noop"] {
        app.register(name).await;
    }
    let mut thrown = Vec::new();
    let bombs = bombs();
    let (before, after) = bombs.split_at(bombs.len() / 2);
    for (bomb, kind) in before {
        thrown.push((app.submit_with(bomb.clone()).await, bomb, kind));
    }
    let honest = app.submit("noop", "submitted", json!({"n": 50})).await;
    for (bomb, kind) in after {
        thrown.push((app.submit_with(bomb.clone()).await, bomb, kind));
    }
    let run = loop {
        assert_eq!(app.get("/api/health").await["status"], "ok");
        let run = app.show(&honest).await;
        if !run["finished_at"].is_null() {
            break run;
        }
    };
    assert_eq!(run["state"], "completed", "{run}");
    assert_eq!(run["children"], json!({"completed": 50}));
    for (id, bomb, kind) in thrown {
        let run = app.until_final(&id).await;
        assert_eq!(failure(&run).0, *kind, "{bomb} ended so: {run}");
    }
    assert_eq!(app.get("/api/health").await["unfinished_runs"], 0);
}

#[tokio::test]
async fn a_guest_that_counts_in_a_static_always_answers_1() {
    let app = TestApp::new().slots(2).start().await;
    app.register("counter").await;
    for entry in ["count_often", "count_together"] {
        let run = app.run("counter", entry, json!({"n": 200})).await;
        assert_eq!(run["result"], json!(vec![1; 200]), "{entry}");
    }
    let body = json!({"module": "counter", "entry": "count_often", "parameters": {"n": 200}, "metering": "time"});
    assert_eq!(app.run_with(body).await["result"], json!(vec![1; 200]), "without the pool");
}

#[tokio::test]
async fn a_guest_that_counts_answers_1_right_after_one_that_trapped() {
    let app = TestApp::new().slots(1).start().await;
    for name in ["counter", "panics"] {
        app.register(name).await;
    }
    for _ in 0..20 {
        let trapped = app.run("panics", "panic", json!({"message": "boom"})).await;
        assert_eq!(failure(&trapped).0, "trapped");
        assert_eq!(app.run("counter", "count", json!({})).await["result"], 1);
    }
}

#[tokio::test]
async fn a_guest_finds_nothing_of_what_others_left_in_memory() {
    let app = TestApp::new().slots(1).start().await;
    register_text(&app, "leftovers").await;
    for metering in ["fuel", "time"] {
        for round in 0..40 {
            // Every other one traps over what it wrote, so that nothing tidies up behind it.
            let traps = round % 2 == 0;
            let parameters = if traps { json!({"trap": true}) } else { json!({}) };
            let run =
                app.run_with(json!({"module": "leftovers", "parameters": parameters, "metering": metering})).await;
            match traps {
                true => assert_eq!(failure(&run).0, "trapped"),
                false => assert_eq!(run["result"], 0, "words that are not zero: {run}"),
            }
        }
    }
}

#[tokio::test]
async fn a_panic_is_told_with_its_message_and_place() {
    let app = TestApp::new().start().await;
    app.register("panics").await;
    let place = "panicked at tests/guests/examples/panics.rs";
    let panics = [
        ("panic", json!({"message": "boom: 7"}), format!("{place}:7:5: boom: 7")),
        ("index", json!({"at": 5}), format!("{place}:12:5: index out of bounds: the len is 3 but the index is 5")),
        ("after_a_line", json!({}), format!("{place}:18:5: line one\nline two")),
        ("flow_panics", json!({}), format!("{place}:51:5: the flow itself")),
    ];
    for (entry, parameters, message) in panics {
        let run = app.run("panics", entry, parameters).await;
        assert_eq!(failure(&run), ("trapped".to_owned(), message));
    }
    let caught = app.run("panics", "flow_catches", json!({"message": "of a child"})).await;
    assert_eq!(caught["state"], "completed", "{caught}");
    let message = format!("{place}:7:5: of a child");
    assert_eq!(caught["result"], json!({"kind": "trapped", "message": message}));
}

#[tokio::test]
async fn a_guest_that_exits_does_not_return() {
    let app = TestApp::new().start().await;
    app.register("panics").await;
    for code in [0, 3] {
        let run = app.run("panics", "exit", json!({"code": code})).await;
        // WASI 0.2 knows success and failure only.
        let message = format!("the guest left with exit code {} instead of returning", code.min(1));
        assert_eq!(failure(&run), ("trapped".to_owned(), message));
    }
}

#[tokio::test]
async fn a_task_may_not_submit() {
    let app = TestApp::new().start().await;
    app.register("task_submits").await;
    let body = json!({"module": "task_submits", "entry": "submits", "retries": {"max": 2}});
    let run = app.run_with(body).await;
    let message = "denied: the task `submits` submitted a run; only flows may";
    assert_eq!(failure(&run), ("denied".to_owned(), message.to_owned()));
    assert_eq!(run["n_attempts"], 1, "it would be denied again");
    assert_eq!(app.run("task_submits", "calls", json!({})).await["result"], 1, "a call within a task is a plain call");
}

#[tokio::test]
async fn stdout_and_stderr_are_log_lines_whatever_bytes_they_have() {
    let app = TestApp::new().start().await;
    app.register("logs").await;
    let run = app.run("logs", "streams", json!({})).await;
    let lines = app.logs(&text(&run["id"])).await;
    let lines: Vec<_> = lines.iter().map(|line| (text(&line["level"]), text(&line["message"]))).collect();
    let expected = [("info", "to stdout"), ("warn", "to stderr"), ("info", "in two pieces"), ("info", "no line break")];
    assert_eq!(lines, expected.map(|(level, message)| (level.to_owned(), message.to_owned())));

    let run = app.run("logs", "not_utf8", json!({})).await;
    assert_eq!(run["state"], "completed", "{run}");
    assert_eq!(app.messages(&text(&run["id"])).await, ["ol\u{fffd} \u{fffd}"]);

    app.register("panics").await;
    let run = app.run("panics", "after_a_line", json!({})).await;
    let messages = app.messages(&text(&run["id"])).await;
    assert_eq!(messages.first().map(String::as_str), Some("a line before the panic"));
    assert!(messages.contains(&"line two".to_owned()), "the panic itself is there too: {messages:?}");
}

#[tokio::test]
async fn a_refused_submit_leaves_nothing_behind() {
    let app = TestApp::new().start().await;
    app.register("noop").await;
    let (status, body) =
        app.post("/api/runs", json!({"module": "noop", "entry": "echo", "parameters": {"text": 1}})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert_eq!(app.get("/api/runs").await["items"], json!([]));
}
