//! Event streams: whoever follows a run misses nothing, sees each line once, and learns the end.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::app::{Running, TestApp, answer, child_id, text};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
/// The most streams that the server holds.
const MAX_STREAMS: usize = 256;

/// An open stream.
struct Events {
    response: Response,
    text: String,
}

#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: Option<String>,
    data: Value,
}

impl Events {
    /// The next event; none after the last.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                // A line that begins with a colon says no more than that the stream is alive.
                if event.starts_with(':') {
                    continue;
                }
                return Some(parse(&event));
            }
            let chunk = self.response.chunk().await.expect("the stream ends as it should")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }

    async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if wanted(&event) {
                return event;
            }
        }
    }

    /// All events up to the end of the stream.
    async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn parse(event: &str) -> Event {
    let field = |name: &str| {
        let value = |line: &'_ str| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned);
        event.lines().find_map(value)
    };
    Event {
        name: field("event").expect("an event has a name"),
        id: field("id"),
        data: serde_json::from_str(&field("data").expect("an event has data")).expect("JSON"),
    }
}

async fn follow(app: &Running, id: &str) -> Events {
    resume(app, id, None).await
}

async fn resume(app: &Running, id: &str, last: Option<&str>) -> Events {
    let mut request = app.raw(Method::GET, &format!("/api/runs/{id}/events"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let response = request.send().await.expect("the server answers");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Events { response, text: String::new() }
}

/// Of each event its name and what it is about: a run's id and state, or a message.
fn told(events: &[Event]) -> Vec<String> {
    let about = |event: &Event| match event.name.as_str() {
        "log" => format!("log {}", text(&event.data["message"])),
        name => format!("{name} {} {}", text(&event.data["id"]), text(&event.data["state"])),
    };
    events.iter().map(about).collect()
}

fn lines(events: &[Event]) -> Vec<(String, String)> {
    let lines = events.iter().filter(|event| event.name == "log");
    lines.map(|event| (event.id.clone().expect("a line has an id"), text(&event.data["message"]))).collect()
}

/// A stream may well not end: whoever waits for it in vain is to fail.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), future).await.expect("it comes in time")
}

#[tokio::test]
async fn the_stream_of_a_run_that_is_over_tells_all_and_ends() {
    let app = TestApp::new().start().await;
    app.register("logs").await;
    let id = text(&app.run("logs", "flow_logs", json!({})).await["id"]);
    let events = in_time(follow(&app, &id).await.rest()).await;
    let expected = [
        format!("run {id} completed"),
        format!("run {} completed", child_id(&id, 0)),
        "log before the task".to_owned(),
        "log trace 1".to_owned(),
        "log debug 2".to_owned(),
        "log info 3".to_owned(),
        "log warn 4".to_owned(),
        "log error 5".to_owned(),
        "log after the task".to_owned(),
        format!("end {id} completed"),
    ];
    assert_eq!(told(&events), expected);
    let listed = app.get("/api/runs?root=true").await["items"][0].clone();
    assert_eq!((&events[0].data, &events[9].data), (&listed, &listed), "runs are as lists have them");
    assert_eq!(events[2].data, app.logs(&id).await[0], "and lines as logs have them");
    assert_eq!(events[2].id, Some(events[2].data["no"].to_string()));
}

#[tokio::test]
async fn a_stream_tells_of_each_change_as_it_comes() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("logs").await;
    let body = json!({"module": "logs", "entry": "slow", "parameters": {"ms": 30_000},
        "scheduled_at": "2026-01-02T03:04:35Z"});
    let id = app.submit_with(body).await;
    let mut events = follow(&app, &id).await;
    let state = async |events: &mut Events, state: &str| {
        in_time(events.until(|event| event.name == "run" && event.data["state"] == state)).await;
    };
    state(&mut events, "scheduled").await;
    app.advance(SignedDuration::from_secs(30));
    // States and lines each come in their order, but not in one.
    let (mut running, mut line) = (false, false);
    while !(running && line) {
        let event = in_time(events.next()).await.expect("the stream goes on");
        running |= event.name == "run" && event.data["state"] == "running";
        line |= event.name == "log" && event.data["message"] == "still running";
    }
    app.until_asleep(1, MINUTE).await;
    app.advance(SignedDuration::from_secs(30));
    state(&mut events, "completed").await;
    let rest = in_time(events.rest()).await;
    assert_eq!(told(&rest), [format!("end {id} completed")]);
}

#[tokio::test]
async fn a_client_that_connects_again_misses_no_line_and_sees_none_twice() {
    let app = TestApp::new().start().await;
    app.register("logs").await;
    let id = text(&app.run("logs", "many", json!({"n": 1000})).await["id"]);
    let all: Vec<_> = app.logs(&id).await.iter().map(|line| (line["no"].to_string(), text(&line["message"]))).collect();
    assert_eq!(all.len(), 1000);

    let (mut seen, mut last) = (Vec::new(), None);
    for read in [0, 1, 199, 300] {
        let mut events = resume(&app, &id, last.as_deref()).await;
        for _ in 0..read {
            let line = in_time(events.until(|event| event.name == "log")).await;
            last = line.id.clone();
            seen.extend(lines(&[line]));
        }
    }
    seen.extend(lines(&in_time(resume(&app, &id, last.as_deref()).await.rest()).await));
    assert_eq!(seen, all);

    let after = app.raw(Method::GET, &format!("/api/runs/{id}/events?after={}", all[989].0));
    let tail = Events { response: after.send().await.unwrap(), text: String::new() };
    assert_eq!(lines(&in_time(tail.rest()).await), all[990..]);
}

#[tokio::test]
async fn every_child_of_a_large_flow_is_told_of_in_its_final_state() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("nested").await;
    let body = json!({"module": "nested", "entry": "children", "parameters": {"m": 2500},
        "scheduled_at": "2026-01-02T03:04:06Z"});
    let id = app.submit_with(body).await;
    let mut events = follow(&app, &id).await;
    in_time(events.until(|event| event.data["state"] == "scheduled")).await;
    app.advance(MINUTE);
    let events = in_time(events.rest()).await;
    let mut last = std::collections::BTreeMap::new();
    for event in events.iter().filter(|event| event.name == "run") {
        last.insert(text(&event.data["id"]), text(&event.data["state"]));
    }
    assert_eq!(last.len(), 2501);
    assert!(last.values().all(|state| state == "completed"), "{last:?}");
    assert_eq!(told(&events).last(), Some(&format!("end {id} completed")));

    // Who comes later is shown the first thousand, once each.
    let later = told(&in_time(follow(&app, &id).await.rest()).await);
    let children = (0..1000).map(|seq| format!("run {} completed", child_id(&id, seq)));
    let expected: Vec<_> =
        std::iter::once(format!("run {id} completed")).chain(children).chain([format!("end {id} completed")]).collect();
    assert_eq!(later, expected);
}

#[tokio::test]
async fn the_stream_of_a_flow_in_a_flow_tells_of_what_lies_below_it_alone() {
    let app = TestApp::new().start().await;
    app.register("nested").await;
    let top = text(&app.run("nested", "wide", json!({"n": 2, "m": 2})).await["id"]);
    let (first, second) = (child_id(&top, 0), child_id(&top, 1));
    let below = |id: &str| (0..2).map(|seq| format!("run {} completed", child_id(id, seq))).collect::<Vec<_>>();
    let mut expected = vec![format!("run {second} completed")];
    expected.extend(below(&second));
    expected.push(format!("end {second} completed"));
    assert_eq!(told(&in_time(follow(&app, &second).await.rest()).await), expected);

    let mut expected: Vec<_> = [&top, &first, &second].iter().map(|id| format!("run {id} completed")).collect();
    expected.extend(below(&first));
    expected.extend(below(&second));
    expected.push(format!("end {top} completed"));
    assert_eq!(told(&in_time(follow(&app, &top).await.rest()).await), expected);
}

#[tokio::test]
async fn a_cancelled_run_ends_its_stream() {
    let app = TestApp::new().manual_clock().start().await;
    app.register("sleeper").await;
    let later = json!({"module": "sleeper", "entry": "nap", "parameters": {"ms": 1},
        "scheduled_at": "2026-02-01T00:00:00Z"});
    let naps = json!({"module": "sleeper", "entry": "naps", "parameters": {"n": 2, "ms": 50_000}});
    for (body, asleep) in [(later, 0), (naps, 2)] {
        let id = app.submit_with(body).await;
        app.until_asleep(asleep, MINUTE).await;
        let mut events = follow(&app, &id).await;
        in_time(events.next()).await.expect("the run itself");
        app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
        let told = told(&in_time(events.rest()).await);
        assert_eq!(told.last(), Some(&format!("end {id} cancelled")));
        for seq in 0..asleep as u32 {
            assert!(told.contains(&format!("run {} cancelled", child_id(&id, seq))), "{told:?}");
        }
    }
}

#[tokio::test]
async fn streams_are_bounded_and_end_when_the_server_stops() {
    let mut app = TestApp::new().manual_clock().start().await;
    app.register("noop").await;
    let body = json!({"module": "noop", "entry": "noop", "scheduled_at": "2026-02-01T00:00:00Z"});
    let id = app.submit_with(body).await;
    let mut open = Vec::new();
    for _ in 0..MAX_STREAMS {
        open.push(follow(&app, &id).await);
    }
    let path = format!("/api/runs/{id}/events");
    let (status, error) = app.try_get(&path).await;
    assert_eq!((status, &error["error"]["kind"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    let message = "256 event streams are open, which is the most; close one or ask later";
    assert_eq!(error["error"]["message"], message);

    // The place of one that went away is free, once the server has seen it.
    open.pop();
    in_time(async { while app.raw(Method::GET, &path).send().await.unwrap().status() != 200 {} }).await;

    app.stop(Duration::ZERO).await;
    for events in open {
        assert_eq!(told(&in_time(events.rest()).await), [format!("run {id} scheduled")]);
    }
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused() {
    let app = TestApp::new().start().await;
    app.register("noop").await;
    let id = text(&app.run("noop", "noop", json!({})).await["id"]);
    let unknown = "0198f2a0-1234-7abc-8def-0123456789ab";
    assert_eq!(app.try_get(&format!("/api/runs/{unknown}/events")).await.0, 404);
    assert_eq!(app.try_get("/api/runs/latest/events").await.0, 400);
    assert_eq!(app.try_get(&format!("/api/runs/{id}/events?after=x")).await.0, 400);
    let request = app.raw(Method::GET, &format!("/api/runs/{id}/events")).header("last-event-id", "x");
    let (status, error) = answer(request).await;
    assert_eq!(
        (status.as_u16(), text(&error["error"]["message"])),
        (400, "`Last-Event-ID` is no number of a line".to_owned())
    );
}
