//! Statistics count what the same filters of a list show.

use jiff::SignedDuration;
use serde_json::{Value, json};
use tarefa::store::{GroupBy, RunFilter};

use crate::app::{Running, TestApp, text};
use crate::wat::TextGuest;

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

async fn stats(app: &Running, query: &str) -> Value {
    app.get(&format!("/api/stats?{query}")).await["items"].take()
}

/// Key and total of each item.
async fn totals(app: &Running, query: &str) -> Vec<(String, u64)> {
    let items = stats(app, query).await;
    let items = items.as_array().expect("a list").iter();
    items.map(|item| (text(&item["key"]), item["total"].as_u64().expect("a number"))).collect()
}

fn named(totals: &[(&str, u64)]) -> Vec<(String, u64)> {
    totals.iter().map(|(key, total)| ((*key).to_owned(), *total)).collect()
}

/// A server with 3 completed and a scheduled run at 03:04:05, and a failed one two minutes later.
async fn with_runs() -> Running {
    let app = TestApp::new().manual_clock().start().await;
    app.register("labels").await;
    app.register("fails").await;
    let tagged = TextGuest::new("honest").entry(json!({"tags": ["nightly", "small"]})).build();
    assert_eq!(app.try_register("tagged", tagged).await.0, 201);
    app.run("labels", "labelled", json!({"label": "pulado"})).await;
    app.run("labels", "labelled", json!({"label": "pulado"})).await;
    app.run("labels", "twice", json!({})).await;
    app.run("tagged", "run", json!({})).await;
    app.run_with(json!({"module": "tagged", "entry": "run", "tags": ["small"]})).await;
    app.advance(2 * MINUTE);
    app.run_with(json!({"module": "fails", "entry": "passes_on", "tags": ["small"]})).await;
    app.submit_with(json!({"module": "tagged", "entry": "run", "scheduled_at": "2026-02-01T00:00:00Z"})).await;
    app
}

#[tokio::test]
async fn runs_are_counted_by_what_they_have_in_common() {
    let app = with_runs().await;
    let expected = json!([
        {"key": "completed", "total": 5, "states": {"completed": 5}},
        {"key": "failed", "total": 2, "states": {"failed": 2}},
        {"key": "scheduled", "total": 1, "states": {"scheduled": 1}},
    ]);
    assert_eq!(stats(&app, "").await, expected, "by state where nothing is named");
    assert_eq!(stats(&app, "by=state").await, expected);
    let expected = json!([
        {"key": "tagged/run", "total": 3, "states": {"completed": 2, "scheduled": 1}},
        {"key": "labels/labelled", "total": 2, "states": {"completed": 2}},
        {"key": "fails/give_up", "total": 1, "states": {"failed": 1}},
        {"key": "fails/passes_on", "total": 1, "states": {"failed": 1}},
        {"key": "labels/twice", "total": 1, "states": {"completed": 1}},
    ]);
    assert_eq!(stats(&app, "by=entry").await, expected, "the largest first, equals by name");
    assert_eq!(totals(&app, "by=label").await, named(&[("pulado", 3)]), "those without one are in none");
    assert_eq!(totals(&app, "by=tag").await, named(&[("small", 4), ("nightly", 2)]));
    assert_eq!(totals(&app, "by=deployment").await, named(&[]));
    let expected = json!([
        {"key": "2026-01-02T03:04:00Z", "total": 5, "states": {"completed": 5}},
        {"key": "2026-01-02T03:06:00Z", "total": 3, "states": {"scheduled": 1, "failed": 2}},
    ]);
    assert_eq!(stats(&app, "bucket_ms=60000").await, expected, "empty spans are left out");
    assert_eq!(stats(&app, "by=time&bucket_ms=60000").await, expected);
    assert_eq!(totals(&app, "bucket_ms=3600000").await, named(&[("2026-01-02T03:00:00Z", 8)]));
}

#[tokio::test]
async fn filters_of_lists_are_filters_of_statistics() {
    let app = with_runs().await;
    for filter in [
        "root=true",
        "root=false",
        "state=failed",
        "state=failed,scheduled",
        "state=late",
        "kind=flow",
        "module=labels",
        "entry=run",
        "label=pulado",
        "tag=small",
        "tag=nightly",
        "trigger=flow",
        "deployment=none",
        "since=2026-01-02T03:05:00Z",
        "until=2026-01-02T03:05:00Z",
        "q=TAGGED",
    ] {
        let listed = app.get(&format!("/api/runs?{filter}")).await["items"].as_array().unwrap().len() as u64;
        for by in ["by=state", "by=entry", "bucket_ms=1000"] {
            let counted: u64 = totals(&app, &format!("{by}&{filter}")).await.iter().map(|(_, total)| total).sum();
            assert_eq!(counted, listed, "{by}&{filter}");
        }
    }
    assert_eq!(totals(&app, "by=tag&root=true&tag=nightly").await, named(&[("nightly", 2), ("small", 2)]));
}

#[tokio::test]
async fn statistics_that_cannot_be_are_refused() {
    let app = TestApp::new().start().await;
    let table = [
        ("by=time", "`by=time` takes `bucket_ms`, such as 60000"),
        ("by=state&bucket_ms=5", "`bucket_ms` goes with `by=time` alone"),
        ("bucket_ms=0", "`bucket_ms` is 0; it goes from 1 to 315360000000"),
        ("bucket_ms=315360000001", "`bucket_ms` is 315360000001; it goes from 1 to 315360000000"),
        ("bucket_ms=soon", "invalid query: "),
        ("by=colour", "invalid query: "),
        ("limit=5", "invalid query: "),
        ("root=yes", "invalid query: "),
        ("state=done", "unknown state `done`; states are "),
    ];
    for (query, expected) in table {
        let (status, error) = app.try_get(&format!("/api/stats?{query}")).await;
        assert_eq!(status, 400, "{query}: {error}");
        assert!(text(&error["error"]["message"]).starts_with(expected), "{query}: {error}");
    }
}

#[tokio::test]
async fn no_more_runs_are_counted_than_were_asked_for() {
    let app = with_runs().await;
    let store = &app.server().app.store;
    let counted = |max_runs| store.count_by(&RunFilter::default(), GroupBy::Entry, 2, max_runs).expect("counts");
    assert_eq!((counted(5).n_runs, counted(100).n_runs), (5, 8));
    assert_eq!((counted(100).groups.len(), counted(100).n_groups), (2, 5));
}

#[tokio::test]
async fn more_spans_than_the_limit_are_refused_and_more_words_are_cut() {
    let app = TestApp::new().manual_clock().start().await;
    let guest = TextGuest::new("honest").build();
    app.try_register("one", guest).await;
    // Each tag names a group of its own, and each run is in a span of its own.
    for n in 0..1001 {
        let body = json!({
            "module": "one", "entry": "run", "tags": [format!("{n}"), "all"], "scheduled_at": "2026-02-01T00:00:00Z",
        });
        app.submit_with(body).await;
        app.advance(SignedDuration::from_millis(1));
    }
    let (status, error) = app.try_get("/api/stats?bucket_ms=1").await;
    let expected = "the runs are in 1001 spans and the limit is 1000; raise `bucket_ms`, or name fewer runs with `since` and `until`";
    assert_eq!((status.as_u16(), &error["error"]["message"]), (400, &json!(expected)));
    let half = totals(&app, "bucket_ms=1&since=2026-01-02T03:04:05.5Z").await;
    assert_eq!((half.len(), &half[0].0[..]), (501, "2026-01-02T03:04:05.5Z"));
    let tags = totals(&app, "by=tag").await;
    assert_eq!((tags.len(), &tags[0]), (1000, &("all".to_owned(), 1001)));
}
