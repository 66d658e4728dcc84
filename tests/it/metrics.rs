//! `/metrics`: figures that add up, in the words of Prometheus.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use reqwest::Method;
use serde_json::json;

use crate::app::{Running, TestApp};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

async fn text(app: &Running) -> String {
    let response = app.raw(Method::GET, "/metrics").send().await.expect("the server answers");
    assert_eq!(response.status(), 200);
    let content_type = response.headers()["content-type"].to_str().expect("text").to_owned();
    assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.text().await.expect("it arrives whole")
}

/// Each sample by its name and labels.
async fn samples(app: &Running) -> BTreeMap<String, f64> {
    let text = text(app).await;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

#[tokio::test]
async fn what_ran_is_counted() {
    let app = TestApp::new().slots(3).flows(5).manual_clock().start().await;
    for module in ["nested", "fails", "flaky", "sleeper"] {
        app.register(module).await;
    }
    let flow = app.run("nested", "children", json!({"m": 3})).await;
    app.run("fails", "says_no", json!({})).await;
    let flaky = app.submit_with(json!({"module": "flaky"})).await;
    app.advance_until_final(&flaky, MINUTE).await;
    let napping = app.submit("sleeper", "nap", json!({"ms": 50_000})).await;
    app.until_asleep(1, MINUTE).await;

    let samples = samples(&app).await;
    let expected = [
        ("tarefa_runs_submitted_total{trigger=\"api\"}", 4.0),
        ("tarefa_runs_submitted_total{trigger=\"flow\"}", 4.0),
        ("tarefa_runs_submitted_total{trigger=\"schedule\"}", 0.0),
        ("tarefa_runs_finished_total{kind=\"flow\",state=\"completed\"}", 2.0),
        ("tarefa_runs_finished_total{kind=\"task\",state=\"completed\"}", 4.0),
        ("tarefa_runs_finished_total{kind=\"task\",state=\"failed\"}", 1.0),
        ("tarefa_runs_finished_total{kind=\"task\",state=\"crashed\"}", 0.0),
        ("tarefa_attempts_total{kind=\"task\",outcome=\"completed\"}", 4.0),
        ("tarefa_attempts_total{kind=\"task\",outcome=\"retried\"}", 2.0),
        ("tarefa_attempts_total{kind=\"task\",outcome=\"failed\"}", 1.0),
        ("tarefa_run_duration_seconds_count{kind=\"flow\"}", 2.0),
        ("tarefa_run_duration_seconds_bucket{le=\"+Inf\",kind=\"task\"}", 5.0),
        ("tarefa_runs_unfinished", 1.0),
        ("tarefa_modules", 4.0),
        ("tarefa_slots", 3.0),
        ("tarefa_slots_in_use", 1.0),
        ("tarefa_flow_places", 5.0),
        ("tarefa_flows_in_memory", 0.0),
        ("tarefa_event_streams", 0.0),
        ("tarefa_sandboxes_opened_total{place=\"on_demand\"}", 0.0),
    ];
    for (name, value) in expected {
        assert_eq!(samples.get(name), Some(&value), "{name}: {samples:#?}");
    }
    let at_least = |name: &str, least: f64| assert!(samples[name] >= least, "{name}: {}", samples[name]);
    at_least("tarefa_fuel_used_total", flow["usage"]["fuel"].as_f64().unwrap());
    at_least("tarefa_store_commits_total", 5.0);
    at_least("tarefa_store_writes_total", 8.0);
    at_least("tarefa_sandboxes_opened_total{place=\"pool\"}", 10.0);

    app.advance(MINUTE);
    app.until_final(&napping).await;
}

#[tokio::test]
async fn a_run_that_is_cancelled_before_it_starts_is_counted_too() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("noop").await;
    let body = json!({"module": "noop", "entry": "noop", "scheduled_at": "2026-02-01T00:00:00Z"});
    let id = app.submit_with(body).await;
    app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
    let samples = samples(&app).await;
    assert_eq!(samples["tarefa_runs_finished_total{kind=\"task\",state=\"cancelled\"}"], 1.0);
    assert_eq!(samples["tarefa_run_duration_seconds_count{kind=\"task\"}"], 0.0, "it took no time");
    assert_eq!(samples["tarefa_runs_unfinished"], 0.0);
}

#[tokio::test]
async fn every_figure_says_what_it_is() {
    let app = TestApp::new().start().await;
    let text = text(&app).await;
    assert!(text.ends_with("# EOF\n"), "{text}");
    let of = |kind: &str| -> Vec<&str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(&format!("# {kind} ")));
        lines.map(|line| line.split(' ').next().unwrap_or_default()).collect()
    };
    let names = of("HELP");
    assert_eq!(names, of("TYPE"));
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len(), "a name is described once");
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(names.iter().any(|name| sample.starts_with(name)), "nothing is said of {sample}");
        assert!(sample.starts_with("tarefa_"), "{sample}");
    }
    let unit = "# UNIT tarefa_run_duration_seconds seconds";
    assert!(text.contains(unit), "{text}");
}
