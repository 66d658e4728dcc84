//! Finished runs as traces, where a collector is named.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Attribute};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use serde_json::{Value, json};
use tarefa::domain::RunId;

use crate::app::{TestApp, child_id, text, time};
use crate::process::{Process, data_dir};
use crate::service::{Answer, Service, nobody};

async fn collector() -> Service {
    Service::start(|request| match request.line.as_str() {
        "POST /v1/traces HTTP/1.1" => Answer::Whole("200 OK", "", String::new()),
        line => panic!("a collector is not asked for `{line}`"),
    })
    .await
}

/// All spans that came, once there are so many.
async fn spans(collector: &Service, n: usize) -> Vec<Span> {
    let mut requests = 0;
    loop {
        collector.until(|counts| counts.received > requests).await;
        let received = collector.received();
        requests = received.len();
        let batches = received.iter().map(|request| {
            assert!(request.headers.contains("content-type: application/x-protobuf"), "{request:?}");
            ExportTraceServiceRequest::decode(request.body.as_slice()).expect("protobuf")
        });
        let resources = batches.flat_map(|batch| batch.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let spans: Vec<_> = scopes.flat_map(|scope| scope.spans).collect();
        if spans.len() >= n {
            return spans;
        }
    }
}

fn attribute(span: &Span, name: &str) -> Value {
    let found = span.attributes.iter().find(|KeyValue { key, .. }| key == name);
    match found.and_then(|attribute| attribute.value.clone()).and_then(|value| value.value) {
        Some(Attribute::StringValue(text)) => json!(text),
        Some(Attribute::IntValue(number)) => json!(number),
        None => Value::Null,
        Some(other) => panic!("{other:?}"),
    }
}

fn status(span: &Span) -> (StatusCode, &str) {
    let status = span.status.as_ref().expect("a status");
    (status.code(), &status.message)
}

fn nanos(time: Timestamp) -> u64 {
    time.as_nanosecond().try_into().expect("after 1970")
}

fn bytes(id: &str) -> [u8; 16] {
    *id.parse::<RunId>().expect("an id").as_bytes()
}

#[tokio::test]
async fn a_flow_is_a_trace_with_a_span_for_each_run() {
    let collector = collector().await;
    let app = TestApp::new().manual_clock().otlp_endpoint(&collector.url("/")).start().await;
    app.register("flaky").await;
    let id = app.submit("flaky", "third_time", json!({})).await;
    let run = app.advance_until_final(&id, SignedDuration::from_mins(1)).await;

    let spans = spans(&collector, 2).await;
    let [root, child] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((root.trace_id.as_slice(), &root.trace_id), (&bytes(&id)[..], &child.trace_id));
    assert!(root.parent_span_id.is_empty(), "{root:?}");
    assert_eq!((&child.parent_span_id, child.span_id.len()), (&root.span_id, 8));
    assert_eq!((root.name.as_str(), child.name.as_str()), ("third_time", "listed-1"));
    assert_eq!(
        (root.start_time_unix_nano, root.end_time_unix_nano),
        (nanos(time(&run["started_at"])), nanos(time(&run["finished_at"])))
    );
    // From the first attempt to the end of the third: 1 s and 5 s of waiting lie between.
    assert_eq!(child.end_time_unix_nano - child.start_time_unix_nano, 6_000_000_000);
    assert_eq!(status(root), (StatusCode::Ok, ""));
    let shown = app.show(&child_id(&id, 0)).await;
    for (name, value) in [
        ("tarefa.run_id", &shown["id"]),
        ("tarefa.kind", &json!("task")),
        ("tarefa.module", &json!("flaky")),
        ("tarefa.entry", &json!("listed")),
        ("tarefa.state", &json!("completed")),
        ("tarefa.attempts", &json!(3)),
        ("tarefa.fuel", &shown["usage"]["fuel"]),
        ("tarefa.memory_peak_bytes", &shown["usage"]["memory_peak_bytes"]),
        ("tarefa.failure.kind", &Value::Null),
    ] {
        assert_eq!(&attribute(child, name), value, "{name}");
    }
}

#[tokio::test]
async fn a_run_that_did_not_complete_is_an_error() {
    let collector = collector().await;
    let app = TestApp::new().otlp_endpoint(&collector.url("")).start().await;
    app.register("fails").await;
    let run = app.run("fails", "says_no", json!({})).await;
    let failed = spans(&collector, 1).await.remove(0);
    assert_eq!(failed.trace_id, bytes(&text(&run["id"])));
    assert_eq!(status(&failed), (StatusCode::Error, "failed: no"));
    assert_eq!(attribute(&failed, "tarefa.failure.kind"), "task_error");
    assert_eq!(attribute(&failed, "tarefa.state"), "failed");
}

#[tokio::test]
async fn a_large_flow_is_sent_in_batches() {
    let collector = collector().await;
    let app = TestApp::new().otlp_endpoint(&collector.url("")).start().await;
    app.register("noop").await;
    let run = app.run("noop", "sequential", json!({"n": 1200})).await;
    assert_eq!(run["state"], "completed", "{run}");
    let spans = spans(&collector, 1201).await;
    assert_eq!(spans.len(), 1201);
    assert!(collector.received().len() >= 3, "{}", collector.received().len());
    let mut ids: Vec<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1201);
}

#[tokio::test]
async fn a_collector_that_is_down_or_silent_stops_no_run() {
    let silent = Service::start(|_| Answer::Nothing).await;
    for endpoint in [format!("http://{}", nobody().await), silent.url("")] {
        let mut app = TestApp::new().otlp_endpoint(&endpoint).start().await;
        app.register("noop").await;
        let run = app.run("noop", "sequential", json!({"n": 600})).await;
        assert_eq!(run["state"], "completed", "{run}");
        app.stop(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_collector_that_is_down_is_reported_once() {
    let dir = data_dir();
    let log = dir.path().join("stderr");
    let said = || std::fs::read_to_string(&log).unwrap();
    let warning = "traces are lost until the collector at";
    let endpoint = format!("http://{}", nobody().await);
    let stderr = std::fs::File::create(&log).unwrap().into();
    let server = Process::serve_saying(dir.path(), &["--otlp-endpoint", &endpoint], stderr);
    server.register("noop").await;
    let first = server.submit("noop", "sequential", json!({"n": 1})).await;
    server.until(first, |run| run.summary.state.is_final() && said().contains(warning)).await;
    let second = server.submit("noop", "sequential", json!({"n": 1000})).await;
    server.until_final(second).await;
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(said().matches(warning).count(), 1, "{}", said());
}
