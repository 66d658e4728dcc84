//! The published schemas of `wit/schemas` describe what goes over the border between host and guests.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use jsonschema::Validator;
use serde_json::{Value, json};
use tarefa::clock::Clock;
use tarefa::domain::{Digest, Metering};
use tarefa::wasm::{Job, Level, LogSink};

use crate::app::{Running, TestApp, example, guest, repository, text};

const EXAMPLES: [&str; 4] = ["flow_dependencias", "flow_erros", "flow_paralelo", "penguins"];

fn schema_text(name: &str) -> String {
    fs::read_to_string(repository().join("wit/schemas").join(name)).expect("reads a schema")
}

/// A published schema; what it takes from `describe.json` is put into it.
fn schema(name: &str) -> Validator {
    let text = schema_text(name).replace("describe.json#", "#");
    let mut schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
    let describe: Value = serde_json::from_str(&schema_text("describe.json")).expect("a schema is JSON");
    schema["$defs"] = describe["$defs"].clone();
    jsonschema::options().should_validate_formats(true).build(&schema).expect("it is a schema")
}

fn check(schema: &Validator, what: &str, value: &Value) {
    let errors: Vec<_> = schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:?} in {value:#}");
}

struct NoLog;

impl LogSink for NoLog {
    fn write(&self, _level: Level, _message: String) {}
}

/// What `describe` returns, before the host reads it.
async fn describe(app: &Running, digest: &str) -> Value {
    let app = &app.server().app;
    let job = describe_job(app);
    let component = app.wasm.load(&Digest(digest.into()), Metering::Fuel).await.expect("it is registered");
    let json = component.describe(Arc::new(job), Box::pin(std::future::pending())).await.expect("describes itself");
    serde_json::from_str(&json).expect("it is JSON")
}

/// Any run of any module will do: a job needs one.
fn describe_job(app: &tarefa::app::App) -> Job {
    let runs = app.store.runs(&Default::default(), None, 1).expect("reads the runs");
    let run = runs.into_iter().next().expect("there is a run");
    let plan = app.plan(&run).expect("its entry exists");
    Job {
        seed: app.secret.of(run.id, 1),
        durable: false,
        run: Arc::new(run),
        title: "describe".into(),
        settings: plan.settings.clone(),
        clock: Clock::System,
        sink: Arc::new(NoLog),
        flow: None,
        outbox: None,
        variables: None,
        logged_bytes: AtomicU64::new(0),
    }
}

/// The names of the guests, as their sources have them.
fn guests() -> Vec<String> {
    let folder = fs::read_dir(repository().join("tests/guests/examples")).expect("reads the guests");
    let paths = folder.map(|entry| entry.expect("reads the guests").path());
    paths.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn what_every_module_says_of_itself_is_as_published() {
    let app = TestApp::new().start().await;
    app.register("noop").await;
    app.run("noop", "noop", json!({})).await;
    let describe_schema = schema("describe.json");
    let modules = EXAMPLES.iter().map(|name| ((*name).to_owned(), example(name)));
    for (name, wasm) in modules.chain(guests().into_iter().map(|name| (name.clone(), guest(&name)))) {
        let (status, module) = app.try_register(&name, wasm).await;
        assert!(status.is_success(), "{name}: {module}");
        let described = describe(&app, &text(&module["digest"])).await;
        check(&describe_schema, &name, &described);
        // What the API shows of it is valid too: it is the same, with what is absent put in its place.
        check(&describe_schema, &name, &json!({"entries": module["entries"]}));
        let names =
            |value: &Value| value["entries"].as_array().unwrap().iter().map(|e| e["name"].clone()).collect::<Vec<_>>();
        assert_eq!(names(&described), names(&module));
    }
}

#[tokio::test]
async fn the_context_of_an_attempt_is_as_published() {
    let app = TestApp::new().start().await;
    app.register("context").await;
    let run = app.run_with(json!({"module": "context", "entry": "of_flow", "timezone": "Asia/Kolkata"})).await;
    let contexts = run["result"].as_array().expect("two contexts");
    assert_eq!(contexts.len(), 2);
    for context in contexts {
        check(&schema("context.json"), "context", context);
    }
}

/// A submit over HTTP and one by a flow take the same words, and check them in the same place.
#[tokio::test]
async fn the_host_takes_the_options_that_the_schema_takes_and_no_others() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("noop").await;
    let options = schema("options.json");
    let table = [
        (json!({}), true),
        (json!({"name": "x", "tags": ["a"], "retries": {"max": 2, "delay_ms": [1, 2]}, "limits": {"fuel": 1}}), true),
        (json!({"retries": {"delay_ms": 5, "backoff": "exponential", "max_delay_ms": 9, "jitter": 0.5}}), true),
        (json!({"nam": "x"}), false),
        (json!({"name": ""}), false),
        (json!({"retries": {"max": 1001}}), false),
        (json!({"retries": {"delay_ms": []}}), false),
        (json!({"retries": {"delay_ms": 315_360_000_001_u64}}), false),
        (json!({"retries": {"jitter": 2}}), false),
        (json!({"retries": {"often": true}}), false),
        (json!({"limits": {"fuel": 0}}), false),
        (json!({"limits": {"memory": 1}}), false),
        (json!({"limits": {"children": 1_000_001}}), false),
        (json!({"tags": [""]}), false),
    ];
    for (value, valid) in table {
        assert_eq!(options.is_valid(&value), valid, "{value}");
        let mut body = json!({"module": "noop", "entry": "noop", "scheduled_at": "2026-02-01T00:00:00Z"});
        body.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        let (status, answer) = app.post("/api/runs", body).await;
        assert_eq!(status.as_u16(), if valid { 201 } else { 400 }, "{value}: {answer}");
    }
}
