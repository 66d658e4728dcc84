//! Flows run tasks and other flows: in sequence, at once, nested, by name, and under load.

use jiff::SignedDuration;
use serde_json::{Value, json};
use tarefa::domain::RunId;

use crate::app::{Running, TestApp, child_id, text, time};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

async fn with(modules: &[&str]) -> Running {
    let app = TestApp::new().start().await;
    for module in modules {
        app.register(module).await;
    }
    app
}

fn all<'a>(runs: &'a [Value], field: &str) -> Vec<&'a Value> {
    runs.iter().map(|run| &run[field]).collect()
}

#[tokio::test]
async fn a_flow_runs_its_tasks_in_order_each_in_its_own_run() {
    let app = with(&["noop"]).await;
    let run = app.run("noop", "sequential", json!({"n": 5})).await;
    assert_eq!(run["state"], "completed", "{run}");
    let children = app.children(&text(&run["id"])).await;
    assert_eq!(all(&children, "seq"), [0, 1, 2, 3, 4]);
    for child in &children {
        assert_eq!(child["state"], "completed");
        assert_eq!(child["parent_id"], run["id"]);
        assert!(child["usage"]["fuel"].as_u64().unwrap() > 0);
    }
    for pair in children.windows(2) {
        assert!(time(&pair[0]["finished_at"]) <= time(&pair[1]["started_at"]), "{pair:?}");
    }
}

#[tokio::test]
async fn children_submitted_at_once_all_complete() {
    let app = TestApp::new().slots(2).start().await;
    app.register("noop").await;
    let run = app.run("noop", "submitted", json!({"n": 500})).await;
    assert_eq!(run["state"], "completed", "{run}");
    assert_eq!(run["children"], json!({"completed": 500}));
}

#[tokio::test]
async fn map_runs_a_task_for_each_value() {
    let app = with(&["nested"]).await;
    let run = app.run("nested", "children", json!({"m": 5})).await;
    assert_eq!(run["result"], 5, "{run}");
    let children = app.children(&text(&run["id"])).await;
    assert_eq!(children.len(), 5);
    for (child, n) in children.iter().zip(0..) {
        let child = app.show(&text(&child["id"])).await;
        assert_eq!((&child["parameters"], &child["result"]), (&json!({"n": n}), &json!(n)));
    }
}

#[tokio::test]
async fn a_childs_id_follows_from_its_flow_and_its_place_alone() {
    let app = with(&["by_name"]).await;
    let run = app.run("by_name", "ids", json!({"n": 3})).await;
    let id: RunId = text(&run["id"]).parse().unwrap();
    let expected: Vec<_> = (0..3).map(|seq| json!(RunId::child(id, 1, seq))).collect();
    assert_eq!(run["result"], json!(expected), "{run}");
    assert_eq!(all(&app.children(&id.to_string()).await, "id"), expected.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn completions_come_in_the_order_of_finishing() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("edges").await;
    let id = app.submit("edges", "completion_order", json!({"naps": [30, 10, 20]})).await;
    app.until_asleep(3, SECOND).await;
    app.until(&id, |run| run["children"] == json!({"running": 3})).await;
    for seq in [1, 2, 0] {
        app.advance_to_next_wake(SECOND).await;
        app.until_final(&child_id(&id, seq)).await;
    }
    assert_eq!(app.until_final(&id).await["result"], json!([10, 20, 30]));
    // The order is on record: a flow that goes on after a crash is to be told the same.
    let store = &app.server().app.store;
    let children = store.children(id.parse().expect("an id"), 1, 0, 10).expect("reads");
    assert_eq!(children.iter().map(|child| child.event_no).collect::<Vec<_>>(), [Some(3), Some(1), Some(2)]);
}

#[tokio::test]
async fn a_run_can_be_an_argument_of_another() {
    let app = with(&["edges", "by_name"]).await;
    let run = app.run("edges", "diamond", json!({})).await;
    assert_eq!(run["result"], 44, "{run}");
    let id = text(&run["id"]);
    let last = app.show(&child_id(&id, 3)).await;
    assert_eq!(last["parameters"], json!({"a": 3, "b": 41}));
    assert_eq!(last["upstream"], json!({"data": [1, 2]}));
    let children = app.children(&id).await;
    for earlier in &children[1..3] {
        assert!(time(&earlier["finished_at"]) <= time(&last["started_at"]));
    }

    let run = app.run("by_name", "chain", json!({"entry": "edges/value"})).await;
    assert_eq!(run["result"], 4, "{run}");
    let second = app.show(&child_id(&text(&run["id"]), 1)).await;
    assert_eq!((&second["name"], &second["parameters"]), (&json!("chained"), &json!({"n": 4})));
}

#[tokio::test]
async fn what_depends_on_a_failure_fails_without_an_attempt() {
    let app = with(&["edges"]).await;
    let run = app.run("edges", "upstream_failure", json!({})).await;
    assert_eq!(run["result"], json!(["task_error", "upstream_failed", "upstream_failed", "upstream_failed"]));
    let id = text(&run["id"]);
    let children = app.children(&id).await;
    assert_eq!(all(&children, "n_attempts"), [1, 0, 0, 0]);
    assert_eq!(all(&children, "state"), ["failed"; 4]);
    let sum = app.show(&child_id(&id, 1)).await;
    let message = format!("upstream failed: run `{}` ended with task_error: no value", child_id(&id, 0));
    assert_eq!(sum["failure"]["message"], message);
    assert_eq!(sum["attempts"], json!([]));
}

#[tokio::test]
async fn a_run_that_waits_for_others_starts_when_they_have_completed() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("edges").await;
    let id = app.submit("edges", "waits_for", json!({})).await;
    app.until_asleep(3, SECOND).await;
    let run = app.advance_until_final(&id, SECOND).await;
    assert_eq!(run["state"], "completed", "{run}");
    let children = app.children(&id).await;
    let last_end = children[..3].iter().map(|child| time(&child["finished_at"])).max().unwrap();
    assert_eq!(last_end.duration_since(time(&run["started_at"])).as_millis(), 50);
    assert_eq!(time(&children[3]["started_at"]), last_end);
    assert_eq!(children[3]["name"], "after the others");
    assert_eq!(app.show(&child_id(&id, 3)).await["upstream"], json!({"order": [0, 1, 2]}));
}

#[tokio::test]
async fn flows_nest_up_to_thirty_two_deep() {
    let app = with(&["nested"]).await;
    let run = app.run("nested", "deep", json!({"depth": 31})).await;
    assert_eq!(run["result"], 32, "{run}");
    let run = app.run("nested", "deep", json!({"depth": 32})).await;
    assert_eq!(run["state"], "failed");
    assert_eq!(run["failure"]["kind"], "denied");
    assert_eq!(run["failure"]["message"], "denied: flows nest at most 32 deep");
}

#[tokio::test]
async fn an_entry_of_another_module_is_called_by_name() {
    let app = with(&["by_name", "noop"]).await;
    let run = app.run("by_name", "run", json!({"entry": "noop/echo", "parameters": {"text": "olá"}})).await;
    assert_eq!(run["result"], "olá", "{run}");
    let child = app.show(&child_id(&text(&run["id"]), 0)).await;
    assert_eq!((&child["module"], &child["entry"]), (&json!("noop"), &json!("echo")));
    let run = app.run("by_name", "run", json!({"entry": "double", "parameters": {"n": 21}})).await;
    assert_eq!(run["result"], 42, "{run}");
}

#[tokio::test]
async fn a_submit_that_cannot_be_is_the_failure_of_the_child_and_says_what_was_meant() {
    let app = with(&["by_name", "noop"]).await;
    let table = [
        ("noop/ecko", json!({}), "missing_entry", "module `noop` has no entry `ecko`; did you mean `echo`?"),
        ("nop/echo", json!({}), "missing_entry", "module `nop` does not exist; did you mean `noop`?"),
        (
            "zzz",
            json!({}),
            "missing_entry",
            "module `by_name` has no entry `zzz` (it has `run`, `chain`, `ids`, `double`)",
        ),
        (
            "noop/echo",
            json!({"texto": "x"}),
            "invalid_input",
            "`echo`: unknown parameter `texto`; did you mean `text`? (known: `text`)",
        ),
    ];
    for (entry, parameters, kind, message) in table {
        let run = app.run("by_name", "run", json!({"entry": entry, "parameters": parameters})).await;
        assert_eq!(run["state"], "failed");
        assert_eq!((&run["failure"]["kind"], &run["failure"]["message"]), (&json!(kind), &json!(message)));
        let child = app.show(&child_id(&text(&run["id"]), 0)).await;
        assert_eq!((&child["n_attempts"], &child["failure"]["kind"]), (&json!(0), &json!(kind)), "{child}");
    }
}

#[tokio::test]
async fn a_flow_that_fails_cancels_its_children() {
    let app = TestApp::new().slots(2).manual_clock().start().await;
    app.register("fails").await;
    let run = app.run("fails", "while_children_run", json!({"n": 3})).await;
    assert_eq!((&run["state"], &run["failure"]["message"]), (&json!("failed"), &json!("the flow fails first")));
    assert_eq!(run["children"], json!({"cancelled": 3}));
}

#[tokio::test]
async fn a_flow_that_succeeds_waits_for_its_children() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("fails").await;
    let id = app.submit("fails", "without_waiting", json!({"n": 3, "ms": 100})).await;
    app.until_asleep(3, SECOND).await;
    let running = app.until(&id, |run| run["children"] == json!({"running": 3})).await;
    assert_eq!(running["state"], "running");
    let run = app.advance_until_final(&id, SECOND).await;
    assert_eq!(run["children"], json!({"completed": 3}));
    assert_eq!(time(&run["finished_at"]).duration_since(time(&run["started_at"])).as_millis(), 100);
}

#[tokio::test]
async fn a_result_larger_than_what_is_kept_in_memory_comes_back_whole() {
    let app = with(&["big", "by_name"]).await;
    // As an argument of another task, and as what the flow waits for: just under and over the 16 KiB that are kept.
    for bytes in [16_000, 17_000, 1_000_000] {
        let run = app.run("big", "pass", json!({"bytes": bytes})).await;
        assert_eq!(run["result"], bytes, "{run}");
        let run = app.run("by_name", "run", json!({"entry": "big/output", "parameters": {"bytes": bytes}})).await;
        assert_eq!(run["result"], "x".repeat(bytes));
    }
}
