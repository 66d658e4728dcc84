//! Commands: any component that exports `wasi:cli/run` is a module with one task.

use serde_json::{Value, json};

use crate::app::{Running, TestApp, child_id, text};
use crate::wat::whole_text_guest;

async fn command() -> Running {
    let app = TestApp::new().start().await;
    app.register("command").await;
    app
}

async fn run(app: &Running, args: &[&str], more: Value) -> Value {
    let mut parameters = json!({"args": args});
    parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    app.run("command", "run", parameters).await
}

#[tokio::test]
async fn a_command_takes_arguments_environment_and_stdin_and_returns_its_stdout() {
    let app = command().await;
    let entries = app.get("/api/modules/command").await["entries"].clone();
    assert_eq!((entries.as_array().map(Vec::len), &entries[0]["name"]), (Some(1), &json!("run")), "{entries}");
    assert_eq!(entries[0]["output"], json!({"type": "string"}));

    assert_eq!(run(&app, &["args", "a", "", "é b"], json!({})).await["result"], "a||é b");
    let env = json!({"env": {"B": "2", "A": "1 = um"}});
    assert_eq!(run(&app, &["env"], env).await["result"], "A=1 = um;B=2;");
    assert_eq!(run(&app, &["env"], json!({})).await["result"], "", "nothing of ours");
    assert_eq!(run(&app, &["upper"], json!({"stdin": "olá\nmundo"})).await["result"], "OLÁ\nMUNDO");
    assert_eq!(run(&app, &["exit"], json!({})).await["result"], "done", "to exit with 0 is to complete");
    let finished = app.run("command", "run", json!({})).await;
    assert_eq!((&finished["result"], &finished["name"]), (&json!(""), &json!("run")), "all parameters have defaults");
}

#[tokio::test]
async fn a_command_that_exits_with_an_error_fails_with_its_code_and_its_last_word() {
    let app = command().await;
    let failed = run(&app, &["fail"], json!({})).await;
    assert_eq!(failed["state"], "failed");
    // Rust's standard library can say only that it was no success.
    let expected = json!({
        "kind": "task_error", "message": "the command ended with exit code 1: no such table",
        "details": {"exit_code": 1},
    });
    assert_eq!(failed["failure"], expected);
    let lines = app.logs(&text(&failed["id"])).await;
    let lines: Vec<_> = lines.iter().map(|line| (text(&line["level"]), text(&line["message"]))).collect();
    assert_eq!(lines, [("warn".to_owned(), "warming up".to_owned()), ("warn".to_owned(), "no such table".to_owned())]);

    let (status, body) = app.try_register("exit_code", whole_text_guest("exit_code")).await;
    assert_eq!(status, 201, "{body}");
    let failed = app.run("exit_code", "run", json!({})).await;
    assert_eq!(failed["failure"]["details"], json!({"exit_code": 7}), "{failed}");
    assert_eq!(failed["failure"]["message"], "the command ended with exit code 7");
}

#[tokio::test]
async fn a_commands_limits_and_retries_are_those_of_all_tasks() {
    let app = command().await;
    let body = |args: &[&str], more: Value| {
        let mut body = json!({"module": "command", "parameters": {"args": args}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let flood = app.run_with(body(&["flood"], json!({"limits": {"output_bytes": 10_000}}))).await;
    assert_eq!(flood["failure"]["kind"], "output_too_large", "{flood}");
    let spin = app.run_with(body(&["spin"], json!({"limits": {"fuel": 1_000_000}}))).await;
    assert_eq!(spin["failure"]["kind"], "out_of_fuel", "{spin}");
    let panic = app.run_with(body(&["panic"], json!({}))).await;
    assert_eq!(panic["failure"]["kind"], "trapped");
    assert!(text(&panic["failure"]["message"]).ends_with("out of paper"), "{panic}");
    let bytes = app.run_with(body(&["bytes"], json!({}))).await;
    assert_eq!(bytes["failure"]["message"], "the standard output is not UTF-8 at byte 3");
    let retried = app.run_with(body(&["fail"], json!({"retries": {"max": 1}}))).await;
    assert_eq!(retried["n_attempts"], 2, "{retried}");
}

#[tokio::test]
async fn a_commands_parameters_are_checked() {
    let app = command().await;
    for parameters in [json!({"args": [1]}), json!({"env": {"A=B": "x"}}), json!({"stdin": 1}), json!({"cwd": "/"})] {
        let (status, body) = app.post("/api/runs", json!({"module": "command", "parameters": parameters})).await;
        assert_eq!(status, 400, "{parameters}: {body}");
    }
}

#[tokio::test]
async fn a_flow_of_another_module_runs_a_command() {
    let app = command().await;
    app.register("by_name").await;
    let parameters = json!({"entry": "command/run", "parameters": {"args": ["upper"], "stdin": "abc"}});
    let flow = app.run("by_name", "run", parameters).await;
    assert_eq!(flow["result"], "ABC", "{flow}");
    assert_eq!(app.show(&child_id(&text(&flow["id"]), 0)).await["module"], "command");
}
