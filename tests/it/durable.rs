//! A flow goes on where it was, whatever became of its worker: nothing that was recorded is repeated.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::app::{Running, TestApp, text, time};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const GIVEN_BACK: &str = "given back while the server stopped";

/// The results of a flow's children, which these tests' tasks return as they got them.
async fn noted(app: &Running, id: &str) -> Vec<Value> {
    let mut noted = Vec::new();
    for child in app.children(id).await {
        noted.push(app.show(&text(&child["id"])).await["result"].clone());
    }
    noted
}

#[tokio::test]
async fn a_flow_that_is_called_again_sees_the_same_times_numbers_and_orders() {
    let mut app = TestApp::new().manual_clock().start().await;
    app.register("observes").await;
    let id = app.submit("observes", "observe", json!({"rounds": 6, "nap_ms": 1000})).await;
    for _ in 0..5 {
        app.advance_to_next_wake(MINUTE).await;
        app.advance_to_next_wake(MINUTE).await;
        app.restart(Duration::ZERO).await;
    }
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!(run["state"], "completed", "{run}");
    let moments = run["result"].as_array().unwrap();
    assert_eq!(moments, &noted(&app, &id).await, "what it saw is what its tasks were told");
    let different = |key: &str| {
        let mut seen: Vec<String> = moments.iter().map(|moment| moment[key].to_string()).collect();
        seen.sort();
        seen.dedup();
        seen.len()
    };
    assert_eq!(["wall_us", "elapsed_us", "random", "local"].map(different), [6; 4], "{moments:?}");
    assert_eq!(run["n_attempts"], 1);
    assert_eq!(run["attempts"].as_array().unwrap().len(), 1);
    let took = time(&run["finished_at"]).duration_since(time(&run["started_at"]));
    assert_eq!(run["usage"]["duration_ms"], took.as_millis() as f64, "of the attempt, not of its last call");
}

#[tokio::test]
async fn lines_that_are_said_again_are_logged_once() {
    let mut app = TestApp::new().manual_clock().start().await;
    app.register("observes").await;
    let id = app.submit("observes", "observe", json!({"rounds": 3, "nap_ms": 1000})).await;
    for _ in 0..2 {
        app.advance_to_next_wake(MINUTE).await;
        app.advance_to_next_wake(MINUTE).await;
        app.restart(Duration::ZERO).await;
    }
    app.advance_until_final(&id, MINUTE).await;
    let lines = app.messages(&id).await;
    let said: Vec<_> = lines.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(said, ["round 0", "round 0", "round 1", "round 1", "round 2", "round 2"], "{lines:?}");
}

#[tokio::test]
async fn what_completed_does_not_run_again_and_what_did_not_does() {
    let mut app = TestApp::new().manual_clock().start().await;
    app.register("sleeper").await;
    let id = app.submit("sleeper", "naps_of", json!({"ms": [1000, 5000, 9000]})).await;
    app.until_asleep(3, MINUTE).await;
    app.advance_to_next_wake(MINUTE).await;
    app.until(&id, |run| run["children"]["completed"] == 1).await;
    app.advance(SignedDuration::from_millis(1));
    app.restart(Duration::ZERO).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &json!([1000, 5000, 9000])), "{run}");
    let children = app.children(&id).await;
    let again = time(&children[1]["started_at"]);
    let before: Vec<bool> = children.iter().map(|child| time(&child["finished_at"]) < again).collect();
    assert_eq!(before, [true, false, false], "only the first was over before the others began again");
    assert!(children.iter().all(|child| child["n_attempts"] == 1), "{children:?}");
}

#[tokio::test]
async fn a_sleep_keeps_its_deadline_across_a_restart() {
    let mut app = TestApp::new().manual_clock().start().await;
    app.register("sleeper").await;
    let id = app.submit("sleeper", "flow_sleeps", json!({"ms": 60_000})).await;
    app.until_asleep(1, MINUTE).await;
    app.stop(Duration::ZERO).await;
    app.advance(SignedDuration::from_secs(40));
    app.start_again().await;
    app.until_asleep(1, SignedDuration::from_secs(20)).await;
    app.advance(SignedDuration::from_secs(20));
    let run = app.until_final(&id).await;
    assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &json!(60_000)), "{run}");
}

#[tokio::test]
async fn a_sleep_whose_deadline_passed_while_nobody_ran_ends_at_once() {
    let mut app = TestApp::new().manual_clock().start().await;
    app.register("sleeper").await;
    let id = app.submit("sleeper", "flow_sleeps", json!({"ms": 60_000})).await;
    app.until_asleep(1, MINUTE).await;
    app.stop(Duration::ZERO).await;
    app.advance(SignedDuration::from_hours(2));
    app.start_again().await;
    let run = app.until_final(&id).await;
    assert_eq!(run["result"], 60_000, "flow time is when it was to wake: {run}");
}

#[tokio::test]
async fn a_retry_delay_of_a_task_in_a_flow_keeps_its_deadline_across_a_restart() {
    let mut app = TestApp::new().manual_clock().start().await;
    app.register("flaky").await;
    let id = app.submit("flaky", "third_time", json!({})).await;
    let child = loop {
        if let Some(child) = app.children(&id).await.into_iter().find(|child| child["waiting_for"] == "retry") {
            break child;
        }
    };
    app.restart(Duration::ZERO).await;
    app.until(&id, |run| run["state"] == "running").await;
    let after = app.show(&text(&child["id"])).await;
    assert_eq!((&after["scheduled_at"], &after["n_attempts"]), (&child["scheduled_at"], &json!(1)), "{after}");
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!(run["state"], "completed", "{run}");
    let child = app.show(&text(&child["id"])).await;
    assert_eq!((&child["n_attempts"], child["attempts"].as_array().unwrap().len()), (&json!(3), 3), "{child}");
}

#[tokio::test]
async fn flows_in_flows_go_on_too() {
    let mut app = TestApp::new().manual_clock().start().await;
    app.register("observes").await;
    app.register("by_name").await;
    let nested = json!({"entry": "observes/observe", "parameters": {"rounds": 3, "nap_ms": 1000}});
    let id = app.submit("by_name", "run", nested).await;
    for _ in 0..3 {
        app.advance_to_next_wake(MINUTE).await;
        app.restart(Duration::ZERO).await;
    }
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!(run["state"], "completed", "{run}");
    let child = text(&app.children(&id).await[0]["id"]);
    assert_eq!(run["result"], Value::Array(noted(&app, &child).await));
    let child = app.show(&child).await;
    let reasons: Vec<_> = child["history"].as_array().unwrap().iter().map(|item| &item["reason"]).collect();
    assert_eq!(child["n_attempts"], 1);
    assert_eq!(reasons.iter().filter(|reason| ***reason == GIVEN_BACK).count(), 3, "{child}");
}

#[tokio::test]
async fn flow_time_is_what_the_flow_was_told() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("observes").await;
    let id = app.submit("observes", "times", json!({"ms": 2000})).await;
    app.advance_to_next_wake(MINUTE).await;
    app.advance_to_next_wake(MINUTE).await;
    let run = app.until_final(&id).await;
    assert_eq!(run["result"], json!([0, 0, 2000, 4000]), "{run}");
}

#[tokio::test]
async fn a_flow_that_is_not_durable_starts_anew_with_what_tasks_get() {
    let mut app = TestApp::new().manual_clock().start().await;
    app.register("observes").await;
    let id = app.submit("observes", "observe_anew", json!({"rounds": 2, "nap_ms": 1000})).await;
    app.advance_to_next_wake(MINUTE).await;
    app.until_asleep(1, MINUTE).await;
    let before = noted(&app, &id).await;
    app.restart(Duration::ZERO).await;
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!(run["state"], "completed", "{run}");
    assert_eq!(run["result"].as_array().unwrap().len(), 2);
    assert_ne!(run["result"][0], before[0], "it draws anew");
    assert_eq!(app.children(&id).await.len(), 2, "its children are those of the new execution");
}

#[tokio::test]
async fn files_and_the_network_are_refused_in_flows_with_a_word_on_where_to_use_them() {
    let app = TestApp::new().start().await;
    app.register("observes").await;
    let message = async |entry| text(&app.run("observes", entry, json!({})).await["failure"]["message"]);
    let file = message("reads_a_file").await;
    assert!(file.ends_with("(a flow has no files: use them in a task)"), "{file}");
    for entry in ["connects", "looks_up_a_name"] {
        let message = message(entry).await;
        assert!(message.ends_with("(a flow has no network: use it in a task, over HTTP)"), "{message}");
    }
}
