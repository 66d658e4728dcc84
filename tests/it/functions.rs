//! Plain functions: a component that knows nothing of Tarefa is a module, and each function that it exports a task.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{Running, TestApp, child_id, guest, text};
use crate::wat::whole_text_guest;

async fn functions() -> Running {
    let app = TestApp::new().start().await;
    app.register("functions").await;
    app
}

fn entry<'a>(module: &'a Value, name: &str) -> &'a Value {
    let entries = module["entries"].as_array().expect("a list");
    entries.iter().find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("no `{name}` in {module}"))
}

#[tokio::test]
async fn each_exported_function_is_a_task_with_the_schema_of_its_types() {
    let app = functions().await;
    let module = app.get("/api/modules/functions").await;
    let add = json!({
        "type": "object", "additionalProperties": false, "required": ["a", "b"],
        "properties": {
            "a": {"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX},
            "b": {"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX},
        },
    });
    assert_eq!(entry(&module, "add")["input"], add);
    assert_eq!(entry(&module, "add")["kind"], "task");
    assert_eq!(entry(&module, "hello-world")["output"], json!({"type": "string"}));
    assert_eq!(entry(&module, "nothing")["output"], json!({"type": "null"}));
    assert_eq!(
        entry(&module, "divide")["output"],
        json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
        "an error is no output"
    );
    let point = json!({
        "type": "object", "additionalProperties": false, "required": ["x", "y"],
        "properties": {
            "x": {"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX},
            "y": {"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX},
            "label": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
    });
    assert_eq!(entry(&module, "corners")["output"], json!({"type": "array", "items": point}));
    assert_eq!(
        entry(&module, "paint")["input"]["properties"]["rights"],
        json!({"type": "array", "items": {"enum": ["read", "write", "run"]}, "uniqueItems": true})
    );
    // Two interfaces have a function of that name.
    assert_eq!(app.run("functions", "shapes-size", json!({"of": "olá"})).await["result"], 4);
    assert_eq!(app.run("functions", "files-size", json!({"of": "olá"})).await["result"], 4000);
}

/// What goes in comes out: each of these functions returns its arguments.
#[tokio::test]
async fn values_of_every_type_go_in_and_come_out_unchanged() {
    let app = functions().await;
    let polygon = json!({"polygon": [{"x": -1, "y": 2, "label": "a"}, {"x": 0, "y": 0, "label": null}]});
    let limits = [
        [json!(0), json!(-128), json!(0), json!(-32768), json!(0), json!(i32::MIN), json!(0), json!(i64::MIN)],
        [
            json!(255),
            json!(127),
            json!(65535),
            json!(32767),
            json!(u32::MAX),
            json!(i32::MAX),
            json!(u64::MAX),
            json!(i64::MAX),
        ],
    ];
    let integers = |values: &[Value; 8]| {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        Value::Object(names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    };
    let cases = [
        ("paint", json!({"shape": "dot", "colour": "dark-blue", "rights": []}), json!(["dot", "dark-blue", []])),
        (
            "paint",
            json!({"shape": {"circle": 1.5}, "colour": "red", "rights": ["run", "read"]}),
            json!([{"circle": 1.5}, "red", ["read", "run"]]),
        ),
        ("paint", json!({"shape": polygon, "colour": "red", "rights": ["write"]}), json!([polygon, "red", ["write"]])),
        ("integers", integers(&limits[0]), json!(limits[0])),
        ("integers", integers(&limits[1]), json!(limits[1])),
        ("floats", json!({"a": 0.1, "b": 0.1}), json!([0.1, 0.1])),
        ("floats", json!({"a": "NaN", "b": "-Infinity"}), json!(["NaN", "-Infinity"])),
        ("floats", json!({"a": 3, "b": 1e300}), json!([3.0, 1e300])),
        ("letter", json!({"letter": "é"}), json!("é")),
        ("letter", json!({"letter": "🦀"}), json!("🦀")),
        ("maybe", json!({}), json!([null, null])),
        ("maybe", json!({"once": 1, "twice": {"some": null}}), json!([1, {"some": null}])),
        ("maybe", json!({"once": null, "twice": {"some": 2}}), json!([null, {"some": 2}])),
        ("either", json!({"outcome": {"ok": 1}, "bare": {"ok": null}}), json!([{"ok": 1}, {"ok": null}])),
        (
            "either",
            json!({"outcome": {"err": "green"}, "bare": {"err": null}}),
            json!([{"err": "green"}, {"err": null}]),
        ),
        (
            "many",
            json!({"points": [{"x": 1, "y": 2}], "names": [[], ["a", "\"\u{0}é"]]}),
            json!([[{"x": 1, "y": 2, "label": null}], [[], ["a", "\"\u{0}é"]]]),
        ),
        ("flags-off", json!({"on": true}), json!(false)),
        ("add", json!({"a": 2.0, "b": 40}), json!(42)),
        ("nothing", json!({}), json!(null)),
        ("hello-world", json!({}), json!("Hello, World!")),
    ];
    for (entry, parameters, result) in cases {
        let run = app.run("functions", entry, parameters.clone()).await;
        assert_eq!(run["state"], "completed", "{entry} {parameters}: {run}");
        // The JSON of a 32-bit number has the digits of one.
        assert_eq!(run["result"], result, "{entry} {parameters}");
    }
}

#[tokio::test]
async fn values_outside_their_type_are_refused_before_a_run_is_made() {
    let app = functions().await;
    let cases = [
        ("add", json!({"a": 1}), "\"b\" is a required property"),
        (
            "add",
            json!({"a": 1, "b": 2_147_483_648_u32}),
            "invalid parameter `b`: 2147483648 is greater than the maximum",
        ),
        ("add", json!({"a": 1.5, "b": 2}), "invalid parameter `a`: 1.5 is not of type \"integer\""),
        ("add", json!({"a": 1, "b": 2, "c": 3}), "unknown parameter `c`"),
        ("letter", json!({"letter": "ab"}), "invalid parameter `letter`"),
        ("letter", json!({"letter": ""}), "invalid parameter `letter`"),
        ("paint", json!({"shape": "square", "colour": "red", "rights": []}), "invalid parameter `shape`"),
        ("paint", json!({"shape": "dot", "colour": "pink", "rights": []}), "invalid parameter `colour`"),
        ("paint", json!({"shape": "dot", "colour": "red", "rights": ["run", "run"]}), "invalid parameter `rights`"),
        ("paint", json!({"shape": {"circle": "x"}, "colour": "red", "rights": []}), "invalid parameter `shape`"),
        ("maybe", json!({"once": 256}), "invalid parameter `once`"),
        ("floats", json!({"a": "nan", "b": 0}), "invalid parameter `a`"),
    ];
    for (entry, parameters, why) in cases {
        let body = json!({"module": "functions", "entry": entry, "parameters": parameters});
        let (status, answer) = app.post("/api/runs", body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{entry} {parameters}: {answer}");
        assert!(text(&answer["error"]["message"]).contains(why), "{entry} {parameters}: {answer}");
    }
    // What a schema cannot say is the run's failure.
    let run = app.run("functions", "floats", json!({"a": 1e300, "b": 0})).await;
    assert_eq!(run["failure"]["message"], "`floats`: parameter `a`: `1e+300` is beyond the range of 32 bits", "{run}");
    assert_eq!(run["failure"]["kind"], "invalid_input");
}

#[tokio::test]
async fn an_error_that_a_function_returns_is_a_failure() {
    let app = functions().await;
    assert_eq!(app.run("functions", "divide", json!({"a": 84, "b": 2})).await["result"], 42);
    let body = json!({
        "module": "functions", "entry": "divide", "parameters": {"a": 1, "b": 0}, "retries": {"max": 2, "delay_ms": 0},
    });
    let run = app.run_with(body).await;
    assert_eq!((&run["state"], &run["n_attempts"]), (&json!("failed"), &json!(3)), "{run}");
    assert_eq!(
        (&run["failure"]["kind"], &run["failure"]["message"]),
        (&json!("task_error"), &json!("division by zero"))
    );
    let lines = app.messages(&text(&run["id"])).await;
    assert_eq!(lines.iter().filter(|line| *line == "dividing 1 by 0").count(), 3, "{lines:?}");

    assert_eq!(app.run("functions", "check", json!({"code": 0})).await["result"], Value::Null);
    let run = app.run("functions", "check", json!({"code": 404})).await;
    let problem = json!({"code": 404, "reasons": ["it is not 0"]});
    assert_eq!(run["failure"]["details"], problem, "{run}");
    assert_eq!(run["failure"]["message"], format!("the function returned the error {problem}"));
}

#[tokio::test]
async fn limits_hold_for_functions_as_for_all_guests() {
    let app = functions().await;
    let body = json!({"module": "functions", "entry": "spin", "limits": {"fuel": 1_000_000}});
    assert_eq!(app.run_with(body).await["failure"]["kind"], "out_of_fuel");
    let body =
        json!({"module": "functions", "entry": "bytes", "parameters": {"n": 1000}, "limits": {"output_bytes": 1999}});
    let run = app.run_with(body).await;
    assert_eq!(run["failure"]["kind"], "output_too_large", "{run}");
    assert!(text(&run["failure"]["message"]).contains("the limit is 1999"), "{run}");
    let body =
        json!({"module": "functions", "entry": "bytes", "parameters": {"n": 1000}, "limits": {"output_bytes": 2001}});
    assert_eq!(app.run_with(body).await["result"].as_array().map(Vec::len), Some(1000));
    // The copy that the host makes of a value is bounded too.
    let body = json!({
        "module": "functions", "entry": "bytes", "parameters": {"n": 100_000_000}, "limits": {"output_bytes": 64 << 20},
    });
    assert_eq!(app.run_with(body).await["state"], "failed");
    let run = app.run("functions", "panics", json!({})).await;
    assert_eq!(run["failure"]["kind"], "trapped");
    assert!(text(&run["failure"]["message"]).ends_with("not like this"), "{run}");
    let run = app.run("functions", "add", json!({"a": 1, "b": 1})).await;
    assert!(run["usage"]["fuel"].as_u64().unwrap() > 0, "{run}");
}

#[tokio::test]
async fn a_flow_of_another_module_runs_functions_by_their_name() {
    let app = functions().await;
    app.register("by_name").await;
    let parameters = json!({"entry": "functions/divide", "parameters": {"a": 9, "b": 3}});
    let run = app.run("by_name", "run", parameters).await;
    assert_eq!(run["result"], 3, "{run}");
    let child = app.show(&child_id(&text(&run["id"]), 0)).await;
    assert_eq!((&child["module"], &child["entry"]), (&json!("functions"), &json!("divide")));
    let run = app.run("by_name", "run", json!({"entry": "functions/divide", "parameters": {"a": 9, "b": 0}})).await;
    assert_eq!(run["failure"]["message"], "division by zero");
    let run = app.run("by_name", "run", json!({"entry": "functions/divide", "parameters": {"a": 9}})).await;
    assert_eq!(run["failure"]["kind"], "invalid_input", "{run}");
}

#[tokio::test]
async fn types_that_cannot_be_json_are_refused_by_name() {
    let app = TestApp::new().start().await;
    let cases = [
        (guest("resources"), "cannot be a task: its", "a resource, which JSON cannot carry"),
        (
            whole_text_guest("endless_types"),
            "the function `take` cannot be a task: its parameter `value`",
            "10000 parts",
        ),
    ];
    for (wasm, what, why) in cases {
        let (status, body) = app.try_register("refused", wasm).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        let message = text(&body["error"]["message"]);
        assert!(message.contains(what) && message.contains(why), "{message}");
    }
}

#[tokio::test]
async fn a_component_of_very_many_functions_is_refused() {
    let app = TestApp::new().start().await;
    let exports: String = (0..1001).map(|n| format!("(export \"f{n}\" (func $f))")).collect();
    let text = format!(
        "(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i \"f\"))) {exports})"
    );
    let (status, body) = app.try_register("many", ::wat::parse_str(text).expect("a component")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert_eq!(body["error"]["message"], "the component exports 1001 functions; a module has 1 to 1000 entries");
}
