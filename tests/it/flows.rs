//! Flows run tasks: in sequence, at once, nested.

use serde_json::json;

use crate::app::{TestApp, text};

#[tokio::test]
async fn a_flow_runs_its_tasks_in_order_each_in_its_own_run() {
    let app = TestApp::new().start().await;
    app.register("noop").await;
    let run = app.run("noop", "sequential", json!({"n": 5})).await;
    assert_eq!(run["state"], "completed", "{run}");
    let children = app.children(&text(&run["id"])).await;
    let seqs: Vec<_> = children.iter().map(|child| child["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [0, 1, 2, 3, 4]);
    for child in &children {
        assert_eq!(child["state"], "completed");
        assert_eq!(child["parent_id"], run["id"]);
        assert!(child["usage"]["fuel"].as_u64().unwrap() > 0);
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
