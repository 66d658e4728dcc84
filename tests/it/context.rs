//! What a run is told about itself.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::app::{Running, TestApp, child_id, text};
use crate::deployments;

async fn context() -> Running {
    let app = TestApp::new().manual_clock().start().await;
    app.register("context").await;
    app
}

#[tokio::test]
async fn a_flow_and_its_task_know_who_they_are() {
    let app = context().await;
    let body = json!({"module": "context", "entry": "of_flow", "timezone": "America/Sao_Paulo"});
    let run = app.run_with(body).await;
    let id = text(&run["id"]);
    let common = json!({
        "root_id": id, "module": "context", "digest": run["digest"], "attempt": 1, "max_attempts": 1,
        "deployment": null, "occurrence_at": null,
        "timezone": "America/Sao_Paulo", "local_time": "2026-01-02T00:04:05.000000-03:00",
        "utc_offset_seconds": -10_800,
    });
    let with = |own: Value| {
        let mut all = common.clone();
        all.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        all
    };
    let flow = with(
        json!({"run_id": id, "idempotency_key": id, "parent_id": null, "entry": "of_flow", "kind": "flow", "name": "of_flow"}),
    );
    let task = json!({
        "run_id": child_id(&id, 0), "idempotency_key": child_id(&id, 0), "parent_id": id, "entry": "of_task", "kind": "task", "name": "the task",
    });
    assert_eq!(run["result"], json!([flow, with(task)]));
    assert_eq!(run["timezone"], "America/Sao_Paulo");
}

#[tokio::test]
async fn a_run_of_a_schedule_knows_the_occurrence_that_it_stands_for() {
    let app = context().await;
    let body = json!({"module": "context", "entry": "of_task", "schedules": [{"cron": "0 * * * *"}]});
    deployments::deploy(&app, "hourly", body).await;
    deployments::step(&app, SignedDuration::from_mins(56)).await;
    deployments::finished(&app, "hourly").await;
    let runs = deployments::runs_of(&app, "hourly").await;
    let run = app.show(&text(&runs[0]["id"])).await;
    assert_eq!(run["result"]["deployment"], "hourly");
    assert_eq!(run["result"]["occurrence_at"], "2026-01-02T04:00:00Z");
}

#[tokio::test]
async fn local_time_is_that_of_the_runs_zone_and_moves_with_the_clock() {
    let app = context().await;
    let clock = async |zone: &str| {
        app.run_with(json!({"module": "context", "entry": "clock", "timezone": zone})).await["result"].clone()
    };
    assert_eq!(clock("UTC").await, json!(["2026-01-02", 3]));
    assert_eq!(clock("America/Sao_Paulo").await, json!(["2026-01-02", 0]));
    assert_eq!(clock("Asia/Tokyo").await, json!(["2026-01-02", 12]));
    app.advance(SignedDuration::from_hours(22));
    assert_eq!(clock("Europe/Lisbon").await, json!(["2026-01-03", 1]));

    let body = json!({"module": "context", "entry": "clock", "timezone": "Brasil/Recife"});
    let (status, error) = app.post("/api/runs", body).await;
    assert_eq!((status.as_u16(), &error["error"]["message"]), (400, &json!("unknown time zone `Brasil/Recife`")));
}

#[tokio::test]
async fn an_attempt_knows_its_number_and_how_many_there_can_be() {
    let app = context().await;
    app.register("flaky").await;
    let id = app.submit("flaky", "fixed", json!({"succeeds_at": 3})).await;
    let run = app.advance_until_final(&id, SignedDuration::from_secs(2)).await;
    assert_eq!(run["result"], 3, "the guest returns the number of its attempt");
    let body = json!({"module": "context", "entry": "of_task", "retries": {"max": 4}});
    assert_eq!(app.run_with(body).await["result"]["max_attempts"], 5);
}

#[tokio::test]
async fn runs_draw_random_numbers_of_their_own() {
    let app = context().await;
    let draws = async || app.run("context", "draws", json!({"n": 4})).await["result"].clone();
    let (first, second) = (draws().await, draws().await);
    assert_eq!(first.as_array().unwrap().len(), 4);
    assert_ne!(first, second);
}
