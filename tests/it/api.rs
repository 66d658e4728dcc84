//! What callers of the HTTP API may do, and how they are told what they did wrong.

use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{Running, TestApp, answer, text};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const UNKNOWN: &str = "0198f2a0-1234-7abc-8def-0123456789ab";

async fn with(modules: &[&str]) -> Running {
    let app = TestApp::new().manual_clock().start().await;
    for module in modules {
        app.register(module).await;
    }
    app
}

fn nap(ms: u64) -> Value {
    json!({"module": "sleeper", "entry": "nap", "parameters": {"ms": ms}})
}

/// Asserts that an answer is an error of that kind with its status, and returns its message.
fn refused((status, body): (StatusCode, Value), expected: u16, kind: &str) -> String {
    assert_eq!(status.as_u16(), expected, "{body}");
    assert_eq!(body["error"]["kind"], kind, "{body}");
    assert_eq!(body.as_object().map(|body| body.len()), Some(1), "an error is all that it says: {body}");
    text(&body["error"]["message"])
}

#[tokio::test]
async fn submit_answers_at_once_or_waits_for_the_end() {
    let app = with(&["sleeper"]).await;
    let (status, at_once) = app.post("/api/runs", nap(50_000)).await;
    assert_eq!(status, 201);
    assert!(at_once["finished_at"].is_null(), "{at_once}");
    let (status, waited) = app.post("/api/runs?wait=0.01", nap(50_000)).await;
    assert_eq!(status, 201);
    assert!(waited["finished_at"].is_null(), "the time was up before the end: {waited}");

    let waiting = app.post("/api/runs?wait=100", nap(40_000));
    let moving = async {
        app.until_asleep(3, MINUTE).await;
        app.advance_to_next_wake(MINUTE).await;
    };
    let ((status, run), ()) = tokio::join!(waiting, moving);
    assert_eq!((status.as_u16(), &run["state"], &run["result"]), (201, &json!("completed"), &json!(40_000)));
    app.advance(SignedDuration::from_secs(10));
    for run in [at_once, waited] {
        assert_eq!(app.until_final(&text(&run["id"])).await["state"], "completed");
    }

    let message = refused(app.post("/api/runs?wait=301", nap(1)).await, 400, "invalid");
    assert_eq!(message, "`wait` is 301; it goes from 0 to 300 seconds");
    for wait in ["-1", "NaN", "soon"] {
        refused(app.post(&format!("/api/runs?wait={wait}"), nap(1)).await, 400, "invalid");
    }
}

#[tokio::test]
async fn an_idempotency_key_makes_a_submit_safe_to_repeat() {
    let app = with(&["noop"]).await;
    let body =
        |text: &str| json!({"module": "noop", "entry": "echo", "parameters": {"text": text}, "idempotency_key": "k 1"});
    let (status, first) = app.post("/api/runs?wait=100", body("a")).await;
    assert_eq!((status.as_u16(), &first["idempotency_key"]), (201, &json!("k 1")));
    let (status, again) = app.post("/api/runs", body("a")).await;
    assert_eq!(status, 200);
    assert_eq!(again, first);

    let message = refused(app.post("/api/runs", body("b")).await, 409, "conflict");
    let id = text(&first["id"]);
    assert_eq!(message, format!("idempotency key `k 1` stands for run `{id}`, which has other parameters"));
    assert_eq!(app.get("/api/runs").await["items"].as_array().unwrap().len(), 1);

    // The key is one of the entry: another entry may use it.
    let other = app.run_with(json!({"module": "noop", "entry": "noop", "idempotency_key": "k 1"})).await;
    assert_ne!(other["id"], first["id"]);
    for key in [String::new(), "k".repeat(257)] {
        let body = json!({"module": "noop", "entry": "noop", "idempotency_key": key});
        refused(app.post("/api/runs", body).await, 400, "invalid");
    }
}

#[tokio::test]
async fn one_key_submitted_by_many_at_once_makes_one_run() {
    let app = with(&["noop"]).await;
    let body = json!({"module": "noop", "entry": "echo", "parameters": {"text": "x"}, "idempotency_key": "k"});
    let submits = (0..20).map(|_| app.post("/api/runs?wait=100", body.clone()));
    let answers = futures_util::future::join_all(submits).await;
    let new = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(new, 1);
    assert!(answers.iter().all(|(_, run)| run["id"] == answers[0].1["id"] && run["result"] == "x"));
}

#[tokio::test]
async fn defaults_are_applied_and_shown() {
    let app = with(&["params"]).await;
    let run = app.run("params", "defaults", json!({"note": "hi"})).await;
    let expected = json!({"n": 5, "text": "olá", "list": [1, 2], "priority": "low", "note": "hi"});
    assert_eq!(run["parameters"], expected, "{run}");
    assert_eq!(run["result"], expected);
    assert_eq!(run["name"], "defaults(5, olá)");
}

#[tokio::test]
async fn what_does_not_match_the_schema_is_refused_before_there_is_a_run() {
    let app = with(&["params"]).await;
    let table = [
        (
            "defaults",
            json!({"txt": "x"}),
            "unknown parameter `txt`; did you mean `text`? (known: `list`, `n`, `note`, `priority`, `text`)",
        ),
        ("defaults", json!({"n": -1}), "invalid parameter `n`: -1 is less than the minimum of 0"),
        ("small", json!({}), "invalid parameters: \"byte\" is a required property"),
        (
            "small",
            json!({"byte": 256, "signed": 0, "float": 0, "flag": true}),
            "invalid parameter `byte`: 256 is greater than the maximum of 255",
        ),
    ];
    for (entry, parameters, expected) in table {
        let body = json!({"module": "params", "entry": entry, "parameters": parameters});
        let message = refused(app.post("/api/runs", body).await, 400, "invalid");
        assert_eq!(message, expected);
    }
    assert_eq!(app.get("/api/runs").await, json!({"items": [], "next_cursor": null}));
}

#[tokio::test]
async fn unknown_modules_and_entries_are_told_with_the_nearest_name() {
    let app = with(&["noop", "sleeper"]).await;
    let submit = async |module: &str, entry: &str| {
        refused(app.post("/api/runs", json!({"module": module, "entry": entry})).await, 404, "not_found")
    };
    assert_eq!(submit("nop", "noop").await, "module `nop` does not exist; did you mean `noop`?");
    assert_eq!(submit("zzz", "noop").await, "module `zzz` does not exist");
    assert_eq!(submit("noop", "ecko").await, "module `noop` has no entry `ecko`; did you mean `echo`?");
    let message = refused(app.try_get("/api/modules/slepper").await, 404, "not_found");
    assert_eq!(message, "module `slepper` does not exist; did you mean `sleeper`?");
    let digest = "0".repeat(64);
    let body = json!({"module": "noop", "entry": "noop", "digest": digest});
    let message = refused(app.post("/api/runs", body).await, 404, "not_found");
    assert_eq!(message, format!("module `noop` has no version `{digest}`"));
}

#[tokio::test]
async fn the_entry_may_be_left_out_where_only_one_can_be_meant() {
    let app = with(&["flaky", "noop"]).await;
    let id = app.submit_with(json!({"module": "flaky"})).await;
    assert_eq!(app.show(&id).await["entry"], "third_time");
    app.advance_until_final(&id, MINUTE).await;
    let message = refused(app.post("/api/runs", json!({"module": "noop"})).await, 400, "invalid");
    assert!(message.starts_with("module `noop` has several entries: name one of `sequential`, "), "{message}");
}

#[tokio::test]
async fn bodies_that_are_not_what_a_call_takes_are_refused() {
    let app = with(&["noop"]).await;
    let send = async |content_type: &str, body: &str| {
        let request = app.raw(Method::POST, "/api/runs").header("content-type", content_type.to_owned());
        answer(request.body(body.to_owned())).await
    };
    let body = r#"{"module": "noop", "entry": "noop", "paramters": {}}"#;
    let message = refused(send("application/json", body).await, 400, "invalid");
    assert!(message.contains("unknown field `paramters`"), "{message}");
    let message = refused(send("application/json", r#"{"module": "#).await, 400, "invalid");
    assert!(message.starts_with("the body is not what this call takes: EOF"), "{message}");
    for body in ["[]", "null", "", r#"{"entry": "noop"}"#, r#"{"module": "noop", "entry": "noop", "parameters": []}"#] {
        refused(send("application/json", body).await, 400, "invalid");
    }
    // What could be read as the members of an object in their order.
    for body in [r#" ["noop", "noop"]"#, r#"{"module": "noop", "entry": "noop", "retries": [3]}"#] {
        refused(send("application/json", body).await, 400, "invalid");
    }
    let good = r#"{"module": "noop", "entry": "noop"}"#;
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
        let message = refused(send(content_type, good).await, 415, "unsupported_media_type");
        assert_eq!(message, format!("the content type is `{content_type}`; this call takes `application/json`"));
    }
    let modules = app.raw(Method::POST, "/api/modules?name=x").header("content-type", "application/json").body("{}");
    refused(answer(modules).await, 415, "unsupported_media_type");
    assert_eq!(app.get("/api/runs").await["items"], json!([]));

    let (status, run) = send("application/json; charset=utf-8", good).await;
    assert_eq!(status, 201, "{run}");
    app.until_final(&text(&run["id"])).await;
}

#[tokio::test]
async fn pages_of_other_sites_may_not_call() {
    let app = with(&["noop"]).await;
    let own = app.url.clone();
    let foreign = [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("host", "evil.example"),
        ("host", "127.0.0.1.evil.example:80"),
    ];
    for (name, value) in foreign {
        for (method, path) in [(Method::POST, "/api/runs"), (Method::GET, "/api/runs"), (Method::GET, "/")] {
            let request = app.raw(method, path).header(name, value);
            let body = json!({"module": "noop", "entry": "noop"});
            let message = refused(answer(request.json(&body)).await, 403, "forbidden");
            assert!(message.starts_with("forbidden: "), "{message}");
        }
    }
    let request = app.raw(Method::GET, "/api/runs").header("origin", &own).header("sec-fetch-site", "same-origin");
    let (status, runs) = answer(request).await;
    assert_eq!((status.as_u16(), &runs["items"]), (200, &json!([])));
}

#[tokio::test]
async fn unknown_paths_methods_and_ids_are_errors_in_json() {
    let app = with(&[]).await;
    let message = refused(app.try_get("/api/nothing").await, 404, "not_found");
    assert_eq!(message, "path `/api/nothing` does not exist");
    let message = refused(answer(app.raw(Method::DELETE, "/api/runs")).await, 405, "method_not_allowed");
    assert_eq!(message, "`/api/runs` does not take DELETE");
    for path in ["", "/children", "/logs"] {
        let message = refused(app.try_get(&format!("/api/runs/{UNKNOWN}{path}")).await, 404, "not_found");
        assert_eq!(message, format!("run `{UNKNOWN}` does not exist"));
        for id in ["latest", "1", "%00", "a'b"] {
            let message = refused(app.try_get(&format!("/api/runs/{id}{path}")).await, 400, "invalid");
            assert!(message.ends_with("is not a run id"), "{message}");
        }
    }
}

#[tokio::test]
async fn health_says_what_the_server_has() {
    let app = with(&["noop", "sleeper"]).await;
    let id = app.submit_with(nap(50_000)).await;
    let health = app.get("/api/health").await;
    assert_eq!(health["status"], "ok");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&health["modules"], &health["unfinished_runs"]), (&json!(2), &json!(1)));
    assert_eq!(text(&health["data_dir"]), app.data_dir().canonicalize().unwrap().display().to_string());
    app.until_asleep(1, MINUTE).await;
    app.advance(MINUTE);
    app.until_final(&id).await;
    assert_eq!(app.get("/api/health").await["unfinished_runs"], 0);
}

#[tokio::test]
async fn the_first_page_shows_the_newest_runs_and_escapes_their_names() {
    let app = with(&["noop"]).await;
    let page = async || {
        let response = app.raw(Method::GET, "/").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
        response.text().await.unwrap()
    };
    assert!(page().await.contains("There are no runs yet"));
    let name = "<script>alert('x')</script> & \"co\"";
    let run = app.run_with(json!({"module": "noop", "entry": "noop", "name": name})).await;
    assert_eq!(run["name"], name);
    let html = page().await;
    assert!(html.contains("&lt;script&gt;alert("), "{html}");
    assert!(!html.contains("<script>alert"), "{html}");
    assert!(html.contains("completed") && html.contains("noop/noop") && html.contains(&text(&run["id"])), "{html}");
}

#[tokio::test]
async fn a_line_can_be_read_while_its_attempt_still_runs() {
    let app = with(&["logs"]).await;
    let id = app.submit("logs", "slow", json!({"ms": 50_000})).await;
    app.until_asleep(1, MINUTE).await;
    // On record within moments, although nothing else happens.
    while app.messages(&id).await != ["still running"] {}
    assert_eq!(app.show(&id).await["state"], "running");
    app.advance(MINUTE);
    app.until_final(&id).await;
    assert_eq!(app.messages(&id).await, ["still running"]);
}

#[tokio::test]
async fn a_label_is_the_word_of_a_completed_run_alone() {
    let app = with(&["labels"]).await;
    let run = app.run("labels", "labelled", json!({"label": "pulado"})).await;
    assert_eq!((&run["label"], &run["result"]), (&json!("pulado"), &json!(1)));
    assert_eq!(app.run("labels", "twice", json!({})).await["label"], "pulado");
    let failed = app.run("labels", "label_and_failure", json!({})).await;
    assert_eq!((&failed["state"], &failed["label"]), (&json!("failed"), &Value::Null));
    let long = app.run("labels", "labelled", json!({"label": "é".repeat(100)})).await;
    assert_eq!(long["label"], "é".repeat(64));
}
