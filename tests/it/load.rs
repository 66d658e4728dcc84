//! Many flows with many children share few slots: all complete, none starves another, memory stays bounded.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::app::{TestApp, text, time};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

#[tokio::test]
async fn sixty_four_flows_of_sixty_four_children_complete_on_two_slots() {
    let app = TestApp::new().slots(2).start().await;
    app.register("nested").await;
    let run = app.run("nested", "wide", json!({"n": 64, "m": 64})).await;
    assert_eq!(run["result"], 64 * 64, "{run}");
    assert_eq!(run["children"], json!({"completed": 64}));
    for child in app.children(&text(&run["id"])).await {
        assert_eq!(app.show(&text(&child["id"])).await["children"], json!({"completed": 64}));
    }
}

#[tokio::test]
async fn three_thousand_children_submitted_at_once_complete_on_two_slots() {
    let app = TestApp::new().slots(2).start().await;
    app.register("noop").await;
    let run = app.run("noop", "submitted", json!({"n": 3000})).await;
    assert_eq!(run["result"], 3000, "{run}");
    assert_eq!(run["children"], json!({"completed": 3000}));
}

/// The engine's own cap on handles is 100,000.
#[tokio::test]
async fn a_flow_may_hold_on_to_as_many_children_as_its_limit_says() {
    let app = TestApp::new().start().await;
    app.register("noop").await;
    let run = app.run("noop", "submitted", json!({"n": 100_500})).await;
    assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &json!(100_500)), "{run}");
}

#[tokio::test]
async fn a_flow_waits_with_its_next_submit_while_a_thousand_children_are_unfinished() {
    let app = TestApp::new().slots(2).manual_clock().start().await;
    app.register("sleeper").await;
    let id = app.submit("sleeper", "naps", json!({"n": 1500, "ms": 50_000})).await;
    let unfinished = |run: &Value| run["children"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    let run = app.until(&id, |run| unfinished(run) >= 1000).await;
    assert_eq!(unfinished(&run), 1000, "{run}");
    app.until_asleep(2, MINUTE).await;
    app.advance_to_next_wake(MINUTE).await;
    // Who finished makes room for as many, and no more.
    let run = app.until(&id, |run| run["children"]["completed"] == 2 && unfinished(run) >= 1002).await;
    assert_eq!(unfinished(&run), 1002, "{run}");
    app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
    assert_eq!(app.until_final(&id).await["children"], json!({"cancelled": 1000, "completed": 2}));
}

#[tokio::test]
async fn a_due_run_is_not_starved_by_a_flow_of_many_children() {
    const CHILDREN: usize = 40;
    let app = TestApp::new().slots(1).manual_clock().start().await;
    app.register("sleeper").await;
    let flow = app.submit("sleeper", "naps", json!({"n": CHILDREN, "ms": 1000})).await;
    app.until(&flow, |run| run["children"] == json!({"running": 1, "scheduled": CHILDREN - 1})).await;
    let due = app.submit("sleeper", "nap", json!({"ms": 1000})).await;
    let due = app.advance_until_final(&due, MINUTE).await;
    let flow = app.advance_until_final(&flow, MINUTE).await;
    assert_eq!((&due["state"], &flow["state"]), (&json!("completed"), &json!("completed")));
    let took = time(&flow["finished_at"]).duration_since(time(&flow["started_at"]));
    assert_eq!(took.as_secs(), CHILDREN as i64 + 1, "one slot carries out one nap after the other");
    let waited = time(&due["started_at"]).duration_since(time(&due["created_at"]));
    assert!(waited.as_secs() <= CHILDREN as i64 / 2, "the due run waited for {waited:#}");
}

#[tokio::test]
async fn flows_beyond_what_the_server_holds_wait_and_those_that_wait_make_room() {
    let app = TestApp::new().flows(2).start().await;
    app.register("nested").await;
    let ids = futures_util::future::join_all((0..6).map(|_| app.submit("nested", "children", json!({"m": 3})))).await;
    for id in &ids {
        assert_eq!(app.until_final(id).await["state"], "completed");
    }
    // Flows that wait for their children make room for them.
    assert_eq!(app.run("nested", "deep", json!({"depth": 12})).await["result"], 13);
    assert_eq!(app.run("nested", "wide", json!({"n": 10, "m": 3})).await["result"], 30);
}

#[tokio::test]
async fn a_flow_that_cannot_make_room_for_its_children_is_refused_more_than_there_is() {
    let app = TestApp::new().flows(2).start().await;
    app.register("nested").await;
    let run = app.run("nested", "deep_anew", json!({"depth": 2})).await;
    assert_eq!((&run["state"], &run["failure"]["kind"]), (&json!("failed"), &json!("unavailable")), "{run}");
    let message = text(&run["failure"]["message"]);
    assert!(message.contains("raise `--flows`"), "{message}");
    assert_eq!(app.run("nested", "deep_anew", json!({"depth": 1})).await["result"], 2);
}
