//! Variables: values that people keep on the server for runs to read.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{Running, TestApp, answer, text};
use crate::process::{data_dir, output};

async fn start(app: TestApp) -> Running {
    let app = app.manual_clock().start().await;
    app.register("reads").await;
    app
}

async fn put(app: &Running, name: &str, value: &Value) -> (u16, Value) {
    let (status, body) = answer(app.raw(Method::PUT, &format!("/api/variables/{name}")).json(value)).await;
    (status.as_u16(), body)
}

async fn set(app: &Running, name: &str, value: Value) {
    let (status, body) = put(app, name, &value).await;
    assert!(status == 200 || status == 201, "{body}");
}

async fn next(app: &Running, id: &str) {
    let (status, body) = app.post(&format!("/api/runs/{id}/signals/next"), json!(null)).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
}

async fn until_it_waits(app: &Running, id: &str) {
    app.until(id, |run| run["waiting_for"] == "signal").await;
}

/// The journal of the only flow with one, as kinds, keys and values.
fn journal(app: &Running) -> Vec<(String, String, Option<String>)> {
    let path = app.data_dir().join("tarefa.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags_and_vfs(path, flags, c"unix-excl").expect("opens");
    let mut statement = database.prepare("SELECT kind, key, value FROM journal ORDER BY no").expect("prepares");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("reads");
    rows.map(|row| row.expect("reads")).collect()
}

#[tokio::test]
async fn a_variable_is_set_shown_listed_and_deleted() {
    let app = start(TestApp::new()).await;
    assert_eq!(app.get("/api/variables").await, json!({"items": [], "next_cursor": null}));
    let shape = |value: Value, size: u64| json!({"name": "rate", "value": value, "size_bytes": size, "updated_at": "2026-01-02T03:04:05Z"});
    assert_eq!(put(&app, "rate", &json!(0.23)).await, (201, shape(json!(0.23), 4)));
    assert_eq!(put(&app, "rate", &json!({"pt": null})).await, (200, shape(json!({"pt": null}), 11)));
    assert_eq!(app.get("/api/variables/rate").await, shape(json!({"pt": null}), 11));
    set(&app, "long", json!("é".repeat(1000))).await;
    set(&app, "a", json!(null)).await;

    let page = app.get("/api/variables?limit=2").await;
    let names =
        |page: &Value| page["items"].as_array().unwrap().iter().map(|item| text(&item["name"])).collect::<Vec<_>>();
    assert_eq!((names(&page), &page["next_cursor"]), (vec!["a".to_owned(), "long".to_owned()], &json!("long")));
    assert_eq!(page["items"][1]["preview"], format!("\"{}", "é".repeat(99)));
    assert_eq!(page["items"][1]["size_bytes"], 2002);
    assert_eq!(names(&app.get("/api/variables?limit=2&cursor=long").await), ["rate"]);

    let gone = async || answer(app.raw(Method::DELETE, "/api/variables/rate")).await;
    assert_eq!(gone().await, (StatusCode::NO_CONTENT, Value::Null));
    let (status, body) = gone().await;
    assert_eq!((status.as_u16(), &body["error"]["message"]), (404, &json!("variable `rate` does not exist")));
    assert_eq!(app.try_get("/api/variables/rate").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn names_sizes_and_numbers_of_variables_are_limited() {
    let app = start(TestApp::new()).await;
    for name in ["A", "1a", "a%2Fb", "a.b", &"a".repeat(65)] {
        assert_eq!(put(&app, name, &json!(1)).await.0, 400, "{name}");
        assert_eq!(app.try_get(&format!("/api/variables/{name}")).await.0, StatusCode::BAD_REQUEST, "{name}");
    }
    let (status, body) = put(&app, "large", &json!("x".repeat(65_535))).await;
    let expected = "the value of `large` has 65537 bytes and the limit is 65536; keep large data in files";
    assert_eq!((status, &body["error"]["message"]), (413, &json!(expected)));
    set(&app, "large", json!("x".repeat(65_534))).await;
    let request = app.raw(Method::PUT, "/api/variables/text").header("content-type", "application/json").body("{");
    assert_eq!(answer(request).await.0, StatusCode::BAD_REQUEST);

    for n in 1..10_000 {
        app.server().app.set_variable(&format!("v{n}"), "1").expect("there is room");
    }
    let (status, body) = put(&app, "more", &json!(1)).await;
    let expected = "there are 10000 variables, which is the limit; delete one before `more` is set";
    assert_eq!((status, &body["error"]["message"]), (409, &json!(expected)));
    set(&app, "v1", json!(2)).await;
}

#[tokio::test]
async fn a_task_reads_a_variable_as_it_is() {
    let app = start(TestApp::new()).await;
    let read = async |name: &str| app.run("reads", "reads", json!({"name": name})).await;
    assert_eq!(read("mode").await["result"], Value::Null);
    set(&app, "mode", json!({"on": [true]})).await;
    assert_eq!(read("mode").await["result"], json!({"on": [true]}));
    let failure = read("Mode").await["failure"].clone();
    assert!(text(&failure["message"]).starts_with("invalid variable name `Mode`: "), "{failure}");
    let failure = app.run("reads", "reads_a_number", json!({"name": "mode"})).await["failure"].clone();
    let expected = "the value of the variable `mode` is not what the type says: ";
    assert!(text(&failure["message"]).starts_with(expected), "{failure}");
}

#[tokio::test]
async fn a_flow_that_is_called_again_reads_what_it_read() {
    for app in [TestApp::new(), TestApp::new().evict_at_once()] {
        let mut app = start(app).await;
        let id = app.submit("reads", "watches", json!({"name": "mode", "n": 3})).await;
        for value in [json!("first"), json!("second"), json!("second")] {
            until_it_waits(&app, &id).await;
            set(&app, "mode", value).await;
            app.restart(Duration::ZERO).await;
            until_it_waits(&app, &id).await;
            let before = journal(&app).len();
            next(&app, &id).await;
            app.until(&id, |run| run["state"] != "running" || journal(&app).len() > before + 1).await;
        }
        let run = app.until_final(&id).await;
        assert_eq!(run["result"], json!([null, "first", "second", "second"]), "{run}");
        let (_, replay) = app.post(&format!("/api/runs/{id}/replay"), json!({})).await;
        assert_eq!((&replay["same"], &replay["live"]), (&json!(true), &json!([])), "{replay}");
    }
}

#[tokio::test]
async fn a_large_value_that_a_flow_reads_often_is_on_record_once() {
    let mut app = start(TestApp::new()).await;
    let value = json!("x".repeat(60_000));
    set(&app, "large", value.clone()).await;
    let id = app.submit("reads", "reads_often", json!({"name": "large", "times": 500})).await;
    until_it_waits(&app, &id).await;
    let recorded = journal(&app);
    let bytes: usize = recorded.iter().filter_map(|(.., value)| value.as_ref()).map(String::len).sum();
    assert_eq!((recorded.len(), bytes), (501, 60_002));
    // Called again, it is told of each.
    set(&app, "large", json!("small")).await;
    app.restart(Duration::ZERO).await;
    next(&app, &id).await;
    assert_eq!(app.until_final(&id).await["result"], 1);
}

#[tokio::test]
async fn a_retried_flow_reads_variables_anew_and_keeps_what_does_not_depend_on_them() {
    let app = start(TestApp::new()).await;
    set(&app, "mode", json!("bad")).await;
    let id = app.submit("reads", "needs_good", json!({"name": "mode"})).await;
    assert_eq!(app.until_final(&id).await["state"], "failed");
    set(&app, "mode", json!("good")).await;
    let (status, body) = app.post(&format!("/api/runs/{id}/retry"), json!({})).await;
    // All that it submitted completed; it is what it reads that has changed.
    assert_eq!(status, StatusCode::OK, "{body}");
    let run = app.until_final(&id).await;
    assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &json!("good")), "{run}");
    let children = app.children(&id).await;
    let reused: Vec<_> = children.iter().map(|child| !child["reused_from"].is_null()).collect();
    assert_eq!(reused, [true, false]);
}

#[tokio::test]
async fn a_replay_of_a_task_names_the_variables_that_it_read() {
    let app = start(TestApp::new()).await;
    set(&app, "mode", json!("before")).await;
    let run = app.run("reads", "reads", json!({"name": "mode"})).await;
    set(&app, "mode", json!("after")).await;
    let (_, replay) = app.post(&format!("/api/runs/{}/replay", text(&run["id"])), json!({})).await;
    assert_eq!(replay["live"][1], "the variable `mode`; in the replay as it is now");
    assert_eq!((&replay["same"], &replay["replayed"]["result"]), (&json!(false), &json!("after")), "{replay}");
}

#[test]
fn the_command_line_sets_shows_lists_and_deletes_variables() {
    let data = data_dir();
    let tarefa = |arguments: &[&str]| {
        let all: Vec<_> = ["variables"].iter().chain(arguments).copied().collect();
        let output = output(data.path(), &all);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert!(tarefa(&[]).2.contains("there are no variables; `tarefa variables set NAME VALUE` sets one"));
    assert_eq!(tarefa(&["set", "rate", "0.23"]).1, "set the variable `rate`, 4 B\n");
    assert_eq!(tarefa(&["set", "who", "Ana Maria"]).1, "set the variable `who`, 11 B\n");
    assert_eq!(tarefa(&["set", "below", "-1"]).1, "set the variable `below`, 2 B\n");
    let value = |name: &str| tarefa(&["get", name]).1;
    assert_eq!([value("rate"), value("who"), value("below")], ["0.23\n", "\"Ana Maria\"\n", "-1\n"]);
    let (_, list, _) = tarefa(&["list"]);
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(lines, [["name", "value"], ["below", "-1"], ["rate", "0.23"], ["who", "\"Ana"]], "{list}");
    assert_eq!(tarefa(&["delete", "rate"]).1, "deleted the variable `rate`\n");
    let (code, _, error) = tarefa(&["get", "rate"]);
    assert!(code == Some(3) && error.contains("error: variable `rate` does not exist"), "{error}");
    assert_eq!(tarefa(&["set", "Rate", "1"]).0, Some(2));
}
