//! What runs show of their work beside their results: texts, tables and links.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tarefa::api::shapes::RunShape;
use tarefa::domain::WaitingFor;

use crate::app::{Running, TestApp, answer, child_id, repository, text};
use crate::process::{Process, data_dir, output};

async fn start(app: TestApp) -> Running {
    let app = app.start().await;
    app.register("shows").await;
    app
}

async fn artifacts(app: &Running, id: &str, query: &str) -> Vec<Value> {
    app.get(&format!("/api/runs/{id}/artifacts{query}")).await["items"].as_array().expect("a page").clone()
}

fn keys(artifacts: &[Value]) -> Vec<&str> {
    artifacts.iter().map(|artifact| artifact["key"].as_str().expect("a text")).collect()
}

async fn content(app: &Running, id: &str, key: &str) -> Value {
    app.get(&format!("/api/runs/{id}/artifacts/{key}")).await["content"].clone()
}

async fn signal_next(app: &Running, id: &str) {
    let (status, body) = app.post(&format!("/api/runs/{id}/signals/next"), json!(null)).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
}

/// Waits until the flow `steps` has come to a step and waits there.
async fn until_step(app: &Running, id: &str, step: u64) -> Value {
    let is_there = |run: &Value| run["children"]["completed"] == step && run["progress"]["done"] == step;
    app.until(id, |run| is_there(run) && run["waiting_for"] == "signal").await
}

#[tokio::test]
async fn a_run_shows_texts_tables_and_links_and_what_it_writes_again_is_replaced() {
    let app = start(TestApp::new().manual_clock()).await;
    let id = text(&app.run("shows", "shows", json!({})).await["id"]);
    let shown = artifacts(&app, &id, "").await;
    assert_eq!(keys(&shown), ["sold", "summary", "board"], "in the order in which they were written");
    let expected = json!({
        "run_id": id, "attempt": 1, "key": "summary", "kind": "markdown", "title": "Summary", "description": "Of today",
        "written_at": "2026-01-02T03:04:05Z", "size_bytes": 53,
    });
    assert_eq!(shown[1], expected);
    let mut whole = app.get(&format!("/api/runs/{id}/artifacts/summary")).await;
    assert_eq!(whole["content"].take(), json!({"kind": "markdown", "text": "# Sales\n\n**12** in all"}));
    let table = json!({
        "kind": "table", "columns": ["product", "n", "discount"], "rows": [["tea", 2, null], ["coffee", 10, 0.5]],
    });
    assert_eq!(content(&app, &id, "sold").await, table);
    let link = json!({"kind": "link", "url": "https://example.com/sales?day=1", "text": "all sales"});
    assert_eq!(content(&app, &id, "board").await, link);

    let (status, body) = app.try_get(&format!("/api/runs/{id}/artifacts/other")).await;
    let expected = format!("run `{id}` has written no artifact `other`");
    assert_eq!((status.as_u16(), &body["error"]["message"]), (404, &json!(expected)));
}

#[tokio::test]
async fn artifacts_are_listed_of_a_run_of_all_below_it_and_of_all_runs() {
    let app = start(TestApp::new()).await;
    app.register("by_name").await;
    let alone = text(&app.run("shows", "shows", json!({})).await["id"]);
    let inner = json!({"entry": "shows/shows", "parameters": {}});
    let nested = json!({"entry": "by_name/run", "parameters": inner});
    let flow = text(&app.run("by_name", "run", nested).await["id"]);
    let middle = child_id(&flow, 0);
    let task = child_id(&middle, 0);
    assert_eq!(artifacts(&app, &flow, "").await.len(), 0, "it has written none itself");
    for run in [&flow, &middle] {
        let below = artifacts(&app, run, "?below=true").await;
        assert_eq!(keys(&below), ["sold", "summary", "board"]);
        assert!(below.iter().all(|artifact| artifact["run_id"] == json!(task)));
    }
    assert_eq!(artifacts(&app, &alone, "?below=true").await.len(), 3);

    let page = app.get(&format!("/api/runs/{flow}/artifacts?below=true&limit=2")).await;
    assert_eq!(keys(page["items"].as_array().unwrap()), ["sold", "summary"]);
    let rest = format!("?below=true&limit=2&cursor={}", text(&page["next_cursor"]));
    assert_eq!(keys(&artifacts(&app, &flow, &rest).await), ["board"]);

    let newest = app.get("/api/artifacts?key=sold").await;
    let runs: Vec<_> = newest["items"].as_array().unwrap().iter().map(|artifact| text(&artifact["run_id"])).collect();
    assert_eq!(runs, [task, alone], "newest first");
    let page = app.get("/api/artifacts?limit=4").await;
    assert_eq!(keys(page["items"].as_array().unwrap()), ["board", "summary", "sold", "board"]);
    let rest = app.get(&format!("/api/artifacts?limit=4&cursor={}", text(&page["next_cursor"]))).await;
    assert_eq!(
        (keys(rest["items"].as_array().unwrap()), &rest["next_cursor"]),
        (vec!["summary", "sold"], &Value::Null)
    );
    assert_eq!(app.try_get("/api/artifacts?key=A").await.0, StatusCode::BAD_REQUEST);
}

/// What the published schema takes, and what it does not.
fn table() -> Vec<(Value, bool)> {
    let link = |url: &str| json!({"content": {"kind": "link", "url": url}});
    let table = |columns: Value, rows: Value| json!({"content": {"kind": "table", "columns": columns, "rows": rows}});
    let markdown = json!({"kind": "markdown", "text": ""});
    vec![
        (json!({"content": markdown}), true),
        (json!({"title": "t", "description": null, "content": markdown}), true),
        (table(json!(["a"]), json!([[{"deep": [1]}], [null]])), true),
        (table(json!([]), json!([])), true),
        (link("http://a"), true),
        (json!({"content": {"kind": "link", "url": "https://a", "text": null}}), true),
        (link("javascript:alert(1)"), false),
        (link("data:text/html,x"), false),
        (link("file:///etc/passwd"), false),
        (link("https://"), false),
        (link(&format!("https://a/{}", "x".repeat(2040))), false),
        (table(json!(vec!["c"; 101]), json!([])), false),
        (table(json!([1]), json!([])), false),
        (table(json!(["a"]), json!([1])), false),
        (json!({"content": {"kind": "image", "text": ""}}), false),
        (json!({"content": {"kind": "markdown", "text": 1}}), false),
        (json!({"content": {"kind": "markdown", "text": "", "more": 1}}), false),
        (json!({"titel": "t", "content": markdown}), false),
        (json!({"title": 1, "content": markdown}), false),
        (json!([]), false),
        (json!(null), false),
    ]
}

#[tokio::test]
async fn what_the_schema_does_not_take_is_an_error_that_the_guest_can_handle() {
    let app = start(TestApp::new()).await;
    let schema = std::fs::read_to_string(repository().join("wit/schemas/artifact.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let write = async |key: &str, artifact: &str| {
        let run = app.run("shows", "writes", json!({"key": key, "artifact": artifact})).await;
        assert_eq!(run["state"], "completed", "{run}");
        let written = artifacts(&app, &text(&run["id"]), "").await.len();
        assert_eq!(written, usize::from(run["result"].is_null()), "{run}");
        run["result"].clone()
    };
    for (artifact, valid) in table() {
        assert_eq!(schema.is_valid(&artifact), valid, "{artifact}");
        let error = write("key", &artifact.to_string()).await;
        assert_eq!(error.is_null(), valid, "{artifact}: {error}");
    }
    let rows = r#"{"content": {"kind": "table", "columns": ["a", "b"], "rows": [[1, 2], [1]]}}"#;
    let expected = "invalid_input: the artifact `key` has 1 cells in row 2; by its columns there are 2";
    assert_eq!(write("key", rows).await, expected);
    let deep = format!(
        r#"{{"content": {{"kind": "table", "columns": ["a"], "rows": [[{}{}]]}}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    for (key, artifact) in [("Key", "{}"), ("", "{}"), ("a/b", "{}"), ("key", "{"), ("key", ""), ("key", &deep)] {
        assert!(write(key, artifact).await.is_string(), "`{key}`: {artifact:.50}");
    }
    let hidden = write("key", &json!({"content": {"kind": "link", "url": "https://a@b\u{202e}"}}).to_string()).await;
    assert!(
        text(&hidden).starts_with("invalid_input: the artifact `key` has the address `https://a@b\\u{202e}`; give")
    );
}

#[tokio::test]
async fn artifacts_are_limited_in_size_number_and_all_that_is_written() {
    let app = start(TestApp::new()).await;
    let flood = async |keys: u64, bytes: u64, most: u64| {
        let run = app.run("shows", "floods", json!({"keys": keys, "bytes": bytes, "most": most})).await;
        assert_eq!(run["state"], "completed", "{run}");
        let kept = artifacts(&app, &text(&run["id"]), "?limit=500").await.len() as u64;
        (run["result"][0].as_u64().unwrap(), text(&run["result"][1]), kept)
    };
    let large = "the artifact `a0` has 300073 bytes and the limit is 262144";
    assert_eq!(flood(1, 300_000, 1).await, (0, large.to_owned(), 0));
    let many = "too many artifacts: the limit of an attempt is 100; write `a100` in the place of another";
    assert_eq!(flood(200, 1, 1000).await, (100, many.to_owned(), 100));
    let (written, error, kept) = flood(3, 200_000, 1_000_000).await;
    assert_eq!((written, kept), (83, 3));
    let much = "too much written: with `a2` the attempt would have written 16806132 bytes of artifacts and the limit is 16777216; write smaller ones, or these less often";
    assert_eq!(error, much);
    let (written, ..) = flood(3, 0, 1_000_000).await;
    assert_eq!(written, 16 << 10, "each counts with a kibibyte at least");
}

#[tokio::test]
async fn a_flow_that_is_called_again_shows_each_artifact_once_and_does_not_go_back() {
    let mut app = start(TestApp::new().manual_clock().evict_at_once()).await;
    let id = app.submit("shows", "steps", json!({"n": 3})).await;
    until_step(&app, &id, 1).await;
    let first = artifacts(&app, &id, "").await;
    assert_eq!(keys(&first), ["first", "steps"]);
    for step in 2..=3 {
        app.advance(SignedDuration::from_secs(60));
        signal_next(&app, &id).await;
        let run = until_step(&app, &id, step).await;
        let expected = json!({"done": step, "total": 3, "text": format!("step {step}")});
        assert_eq!(run["progress"], expected);
        app.restart(Duration::ZERO).await;
        assert_eq!(app.show(&id).await["progress"], expected);
        let shown = artifacts(&app, &id, "").await;
        assert_eq!(shown[0], first[0], "it was written when it was first asked for, and not again");
        assert_eq!(content(&app, &id, "steps").await["text"], format!("{step} of 3"));
    }
    signal_next(&app, &id).await;
    let run = app.until_final(&id).await;
    assert_eq!((&run["state"], &run["progress"]["done"]), (&json!("completed"), &json!(3)), "{run}");
    let all = artifacts(&app, &id, "?below=true").await;
    assert_eq!(keys(&all), ["first", "note", "note", "steps", "note"]);
}

#[tokio::test]
async fn a_flow_is_told_of_its_limits_the_same_each_time_that_it_is_called() {
    let mut app = start(TestApp::new()).await;
    let id = app.submit("shows", "too_many", json!({"n": 102})).await;
    app.until(&id, |run| run["waiting_for"] == "signal").await;
    app.restart(Duration::ZERO).await;
    signal_next(&app, &id).await;
    let run = app.until_final(&id).await;
    let expected = "too many artifacts: the limit of an attempt is 100; write `a101` in the place of another";
    assert_eq!(run["result"], expected, "{run}");
    assert_eq!(artifacts(&app, &id, "?limit=500").await.len(), 100);
}

#[test]
fn a_flow_whose_server_is_killed_shows_each_artifact_once_and_sees_the_variable_that_it_saw() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let data = data_dir();
    runtime.block_on(async {
        let waits = |run: &RunShape| run.summary.waiting_for == Some(WaitingFor::Signal);
        let server = Process::serve(data.path(), &[]);
        server.register("shows").await;
        server.register("reads").await;
        server.client.set_variable("mode", &json!("old")).await.expect("sets");
        let steps = server.submit("shows", "steps", json!({"n": 2})).await;
        let watches = server.submit("reads", "watches", json!({"name": "mode", "n": 1})).await;
        for id in [steps, watches] {
            server.until(id, waits).await;
        }
        let before = server.client.artifacts(steps, true, None).await.expect("lists").items;
        server.kill();

        let server = Process::serve(data.path(), &[]);
        server.client.set_variable("mode", &json!("new")).await.expect("sets");
        for id in [steps, watches] {
            server.until(id, waits).await;
        }
        let after = server.client.artifacts(steps, true, None).await.expect("lists").items;
        let seen = |shown: Vec<_>| serde_json::to_value(shown).expect("is JSON");
        assert_eq!(seen(after), seen(before));
        server.client.signal(watches, "next", &json!(null)).await.expect("signals");
        let run = server.until_final(watches).await;
        assert_eq!(run.result.expect("it completed").get(), r#"["old","new"]"#);
        // What it had told of was lost with the server, and is told again.
        let run = server.until(steps, |run| run.summary.progress.is_some()).await;
        let progress = run.summary.progress.expect("it is there");
        assert_eq!((progress.done, progress.text.as_deref()), (Some(1), Some("step 1")));
        server.client.cancel(steps).await.expect("cancels");
        server.until_final(steps).await;
    });
}

#[tokio::test]
async fn another_attempt_begins_anew_and_replaces_what_the_one_before_showed() {
    let app = start(TestApp::new()).await;
    let run = app.run("shows", "second_time", json!({})).await;
    assert_eq!((&run["n_attempts"], &run["progress"]), (&json!(2), &json!({"done": 2, "total": 10, "text": null})));
    let id = text(&run["id"]);
    let shown = artifacts(&app, &id, "").await;
    let attempts: Vec<_> =
        shown.iter().map(|shown| (text(&shown["key"]), shown["attempt"].as_u64().unwrap())).collect();
    assert_eq!(attempts, [("of-1".to_owned(), 1), ("attempt".to_owned(), 2), ("of-2".to_owned(), 2)]);
    assert_eq!(content(&app, &id, "attempt").await["text"], "2");
}

#[tokio::test]
async fn a_replay_shows_nothing() {
    let app = start(TestApp::new().manual_clock()).await;
    let task = text(&app.run("shows", "shows", json!({})).await["id"]);
    let flow = app.submit("shows", "steps", json!({"n": 1})).await;
    until_step(&app, &flow, 1).await;
    signal_next(&app, &flow).await;
    app.until_final(&flow).await;
    app.advance(SignedDuration::from_secs(60));
    let before = app.get("/api/artifacts").await;
    for id in [task, flow] {
        let (status, replay) = app.post(&format!("/api/runs/{id}/replay"), json!({})).await;
        assert_eq!((status.as_u16(), &replay["same"]), (200, &json!(true)), "{replay}");
    }
    assert_eq!(app.get("/api/artifacts").await, before);
}

#[tokio::test]
async fn what_a_run_showed_is_deleted_with_it() {
    let app = start(TestApp::new()).await;
    app.register("by_name").await;
    let kept = text(&app.run("shows", "shows", json!({})).await["id"]);
    let many = json!({"entry": "shows/floods", "parameters": {"keys": 60, "bytes": 1000, "most": 60}});
    let flow = text(&app.run("by_name", "run", many).await["id"]);
    assert_eq!(artifacts(&app, &flow, "?below=true&limit=500").await.len(), 60);
    let (status, _) = answer(app.raw(Method::DELETE, &format!("/api/runs/{flow}"))).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let left = app.get("/api/artifacts?limit=500").await;
    let runs: Vec<_> = left["items"].as_array().unwrap().iter().map(|shown| text(&shown["run_id"])).collect();
    assert_eq!(runs, [kept.clone(), kept.clone(), kept]);
    assert_eq!(app.try_get(&format!("/api/runs/{flow}/artifacts")).await.0, StatusCode::NOT_FOUND);
}

#[test]
fn the_command_line_shows_artifacts_and_progress() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let data = data_dir();
    let server = Process::serve(data.path(), &[]);
    let id = runtime.block_on(async {
        server.register("shows").await;
        let id = server.submit("shows", "steps", json!({"n": 3})).await;
        let waits = |run: &RunShape| run.summary.waiting_for == Some(WaitingFor::Signal);
        server.until(id, |run| waits(run) && run.summary.progress.is_some()).await;
        let shows = server.submit("shows", "shows", json!({})).await;
        server.until_final(shows).await;
        id.to_string()
    });
    let tarefa = |arguments: &[&str]| {
        let output = output(data.path(), arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {error}");
        (String::from_utf8(output.stdout).unwrap(), error)
    };
    let columns = |text: &str, n: usize| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().take(n).map(str::to_owned).collect()).collect()
    };
    let (list, _) = tarefa(&["artifacts", "latest"]);
    let expected = [["key", "kind", "title"], ["sold", "table", "What"], ["summary", "markdown", "Summary"]];
    assert_eq!(columns(&list, 3)[..3], expected, "{list}");
    let (shown, _) = tarefa(&["artifacts", "latest", "sold"]);
    assert_eq!(shown, "What was sold\nproduct   n  discount\ntea       2\ncoffee   10       0.5\n");
    assert_eq!(tarefa(&["artifacts", "latest", "summary"]).0, "Summary\nOf today\n# Sales\n\n**12** in all\n");
    assert_eq!(tarefa(&["artifacts", "latest", "board"]).0, "all sales: https://example.com/sales?day=1\n");
    let json: Value = serde_json::from_str(&tarefa(&["artifacts", "latest", "board", "--json"]).0).unwrap();
    assert_eq!(json["content"]["kind"], "link");
    let (below, _) = tarefa(&["artifacts", &id, "--below"]);
    let found: Vec<_> = columns(&below, 2).into_iter().skip(1).map(|mut line| line.pop().unwrap()).collect();
    assert_eq!(found, ["first", "steps", "note"], "{below}");
    assert_eq!(tarefa(&["artifacts"]).0.lines().count(), 7, "all, under their titles");

    let (run, _) = tarefa(&["runs", "show", &id]);
    assert!(run.contains("progress:   1 of 3 (33 %): step 1\n"), "{run}");
    assert!(run.contains("running 33 %"), "{run}");
    tarefa(&["runs", "cancel", &id]);
    runtime.block_on(server.until_final(id.parse().expect("an id")));
    assert!(!tarefa(&["runs", "show", &id]).0.contains("cancelled 33 %"));
}
