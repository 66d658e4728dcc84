//! Receivers that misbehave, and what may not be reached.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::app::{Running, TestApp, text, time};
use crate::notifications::{body, database, receiver, told, until_recorded};
use crate::service::{Answer, Received, Service};

const HOUR: SignedDuration = SignedDuration::from_hours(2);

/// A server that tells a receiver of runs that complete, and a run that did.
async fn telling(webhook: &str) -> Running {
    let rule = json!({"on": ["completed"], "webhook": webhook});
    let app = TestApp::new().manual_clock().notify(rule).start().await;
    app.register("noop").await;
    app.run("noop", "noop", json!({})).await;
    app
}

/// The one notification, once it was tried so often.
async fn tried(app: &Running, tries: u32) -> Value {
    let items = until_recorded(app, |items| items.first().is_some_and(|item| item["tries"] == tries)).await;
    assert_eq!(items.len(), 1, "{items:?}");
    items[0].clone()
}

async fn answering(status: &'static str, headers: &'static str) -> Service {
    Service::start(move |_| Answer::Whole(status, headers, String::new())).await
}

fn waits(item: &Value, from: Timestamp) -> f64 {
    time(&item["next_at"]).duration_since(from).as_secs_f64()
}

#[tokio::test]
async fn a_receiver_that_fails_is_tried_again_after_longer_and_longer_times_and_given_up() {
    let receiver = answering("503 Service Unavailable", "").await;
    let app = telling(&receiver.url("/hook?token=hidden")).await;
    let run = text(&app.get("/api/runs").await["items"][0]["id"]);
    for (tries, wait) in (1..).zip([1.0, 5.0, 30.0, 120.0, 600.0, 3600.0]) {
        let item = tried(&app, tries).await;
        assert_eq!(
            (&item["state"], &item["error"]),
            (&json!("pending"), &json!("it answered 503 Service Unavailable"))
        );
        let waits = waits(&item, time(&item["tried_at"]));
        assert!((wait..=wait * 1.2 + 0.001).contains(&waits), "after try {tries} it waits for {waits} s");
        let history = app.show(&run).await["history"].to_string();
        let notice = format!("could not notify {} of completed", receiver.host());
        let notice = format!("{notice}: it answered 503 Service Unavailable (try {tries} of 7)");
        assert!(history.contains(&notice) && !history.contains("hidden"), "{history}");
        app.advance_to_next_wake(HOUR).await;
    }
    let item = tried(&app, 7).await;
    assert_eq!((&item["state"], &item["next_at"]), (&json!("given_up"), &Value::Null));
    let history = app.show(&run).await["history"].to_string();
    assert!(history.contains("(given up after try 7)"), "{history}");
    let received = receiver.received();
    let ids: Vec<_> = received.iter().map(|received| body(received)["id"].clone()).collect();
    assert_eq!(ids, vec![ids[0].clone(); 7], "the same delivery each time");
    let listed = format!("/api/notifications?run={run}&state=");
    let given_up = app.get(&format!("{listed}given_up")).await;
    let pending = app.get(&format!("{listed}pending")).await;
    assert_eq!((&given_up["items"][0]["id"], &pending["items"]), (&ids[0], &json!([])));
}

#[tokio::test]
async fn what_was_not_delivered_is_delivered_after_a_restart_under_the_same_id() {
    let fails = std::sync::atomic::AtomicBool::new(true);
    let receiver = Service::start(move |_| match fails.swap(false, std::sync::atomic::Ordering::SeqCst) {
        true => Answer::Raw("nonsense".to_owned()),
        false => Answer::Whole("200 OK", "", String::new()),
    });
    let receiver = receiver.await;
    let mut app = telling(&receiver.url("/")).await;
    let item = tried(&app, 1).await;
    assert_eq!(item["state"], "pending", "{item}");
    app.stop(Duration::ZERO).await;
    app.set_clock("2026-01-02T04:00:00Z".parse().expect("a time"));
    app.start_again().await;
    let told = told(&receiver, 2).await;
    assert_eq!((&told[0], &told[0]["id"]), (&told[1], &item["id"]));
    assert_eq!(tried(&app, 2).await["state"], "delivered");
}

#[tokio::test]
async fn what_ended_while_nobody_told_is_told_after_the_restart() {
    let receiver = receiver().await;
    let rule = json!({"on": ["crashed"], "webhook": receiver.url("/")});
    let mut app = TestApp::new().manual_clock().notify(rule).start().await;
    app.register("noop").await;
    let later = json!({"module": "noop", "entry": "noop", "scheduled_at": "2027-01-01T00:00:00Z"});
    let id = app.submit_with(later).await;
    // As if its worker had died with it again and again.
    let sql =
        "UPDATE runs SET state = 'running', worker_id = 1, attempt = 1, started_at = 1, rescues = 2, kind = 'task'";
    database(&app).execute(sql, []).expect("updates");
    app.server = None;
    app.start_again().await;
    let told = told(&receiver, 1).await;
    assert_eq!((&told[0]["event"], &told[0]["run"]["id"]), (&json!("crashed"), &json!(id)));
}

#[tokio::test]
async fn a_receiver_says_by_its_status_whether_to_come_again() {
    for (status, headers, error) in [
        ("410 Gone", "", "it answered 410 Gone"),
        ("404 Not Found", "retry-after: 5\r\n", "it answered 404 Not Found"),
        ("302 Found", "location: http://127.0.0.1:9/\r\n", "it answered 302 Found, and no redirect is followed"),
    ] {
        let receiver = answering(status, headers).await;
        let app = telling(&receiver.url("/")).await;
        let item = tried(&app, 1).await;
        assert_eq!((&item["state"], &item["error"]), (&json!("given_up"), &json!(error)));
    }
    for (headers, wait) in [
        ("retry-after: 77\r\n", 77.0),
        ("retry-after: Fri, 02 Jan 2026 03:05:05 GMT\r\n", 60.0),
        ("retry-after: 999999\r\n", 3600.0),
        ("retry-after: never\r\n", 1.0),
    ] {
        let receiver = answering("429 Too Many Requests", headers).await;
        let app = telling(&receiver.url("/")).await;
        let item = tried(&app, 1).await;
        let waits = waits(&item, time(&item["tried_at"]));
        assert!((wait..wait + 1.0).contains(&waits), "{headers}: {waits}");
    }
}

#[tokio::test]
async fn one_that_hangs_holds_up_no_other_and_one_that_sends_without_end_is_not_read() {
    let silent = Service::start(|_| Answer::Nothing).await;
    let endless = Service::start(|_| Answer::Endless).await;
    let quick = receiver().await;
    let rule = |service: &Service| json!({"on": ["completed"], "webhook": service.url("/")});
    let app = TestApp::new().manual_clock().notify(rule(&silent)).notify(rule(&endless)).notify(rule(&quick));
    let app = app.start().await;
    app.register("noop").await;
    for _ in 0..20 {
        app.run("noop", "noop", json!({})).await;
    }
    told(&quick, 20).await;
    endless.until(|counts| counts.left == 20).await;
    assert_eq!(silent.received().len(), 2, "two of one rule at a time");
    app.advance(SignedDuration::from_secs(11));
    let failed = |items: &[Value]| items.iter().filter(|item| item["error"] == "it did not answer within 10 s").count();
    until_recorded(&app, |items| failed(items) == 2).await;
    silent.until(|counts| counts.left == 2).await;
}

#[tokio::test]
async fn nobody_there_is_a_reason_without_the_url() {
    let nobody = crate::service::nobody().await;
    let app = telling(&format!("http://{nobody}/secret-path")).await;
    let item = tried(&app, 1).await;
    assert_eq!((&item["state"], &item["error"]), (&json!("pending"), &json!("connection refused")));
    let app = telling("http://no-such-host.invalid/secret-path").await;
    let item = tried(&app, 1).await;
    assert_eq!(item["state"], "pending");
    assert!(!item.to_string().contains("secret-path"), "{item}");
}

/// Puts a deployment on record, and has a run of it end.
async fn ends_with(app: &Running, notify: Value) -> String {
    let spec = json!({"module": "noop", "notify": notify}).to_string();
    let insert = "INSERT OR REPLACE INTO deployments (name, module, spec, created_at, updated_at) VALUES ('daily', 'noop', ?, 0, 0)";
    let later = json!({"module": "noop", "entry": "noop", "scheduled_at": "2027-01-01T00:00:00Z"});
    let id = app.submit_with(later).await;
    let database = database(app);
    database.execute(insert, [spec]).expect("inserts");
    database.execute("UPDATE runs SET deployment = 'daily' WHERE finished_at IS NULL", []).expect("updates");
    app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
    id
}

fn last_state(app: &Running) -> impl Future<Output = Vec<Value>> {
    until_recorded(app, |items| items.first().is_some_and(|item| item["state"] != "pending"))
}

#[tokio::test]
async fn a_deployment_has_rules_of_its_own_which_reach_no_private_address_that_is_not_allowed() {
    let (allowed, private) = (receiver().await, receiver().await);
    let app = TestApp::new().manual_clock().allow_http(&allowed.host()).start().await;
    app.register("noop").await;
    let rule = |url: &str| json!([{"on": ["cancelled"], "webhook": url, "secret": "0123456789abcdef"}]);
    let id = ends_with(&app, rule(&allowed.url("/"))).await;
    let seen = told(&allowed, 1).await;
    assert_eq!((&seen[0]["run"]["id"], &seen[0]["deployment"]), (&json!(id), &json!("daily")));
    assert_eq!(seen[0]["text"], "daily was cancelled");
    let Received { headers, .. } = &allowed.received()[0];
    assert!(headers.contains("webhook-signature: v1,"), "{headers}");
    assert_eq!(last_state(&app).await.len(), 1);

    let port = private.address.port();
    for (n, host) in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"].into_iter().enumerate() {
        ends_with(&app, rule(&format!("http://{host}:{port}/"))).await;
        let items = until_recorded(&app, |items| items.len() == n + 2 && items[0]["state"] != "pending").await;
        let error = "its address is not public: name it with `--allow-http HOST:PORT` when the server starts";
        assert_eq!((&items[0]["state"], &items[0]["error"]), (&json!("given_up"), &json!(error)), "{host}");
    }
    // A command that got there all the same is not run, and what is no list keeps no run from ending.
    let dir = tempfile::tempdir().expect("a directory");
    ends_with(&app, json!([{"on": ["cancelled"], "command": ["/bin/touch", dir.path().join("it-ran")]}])).await;
    let items = until_recorded(&app, |items| items.len() == 6 && items[0]["state"] != "pending").await;
    assert_eq!((&items[0]["error"], dir.path().join("it-ran").exists()), (&json!("its rule has no webhook"), false));
    let id = ends_with(&app, json!("nonsense")).await;
    assert_eq!(app.show(&id).await["state"], "cancelled");
    assert!(private.received().is_empty());
}

#[tokio::test]
async fn a_rule_that_is_gone_is_not_followed() {
    let receiver = answering("500 Internal Server Error", "").await;
    let app = TestApp::new().manual_clock().allow_http(&receiver.host()).start().await;
    app.register("noop").await;
    ends_with(&app, json!([{"on": ["cancelled"], "webhook": receiver.url("/")}])).await;
    tried(&app, 1).await;
    database(&app).execute("DELETE FROM deployments", []).expect("deletes");
    app.advance_to_next_wake(HOUR).await;
    let item = tried(&app, 2).await;
    assert_eq!((&item["state"], &item["error"]), (&json!("given_up"), &json!("its rule is gone")));
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn what_comes_over_the_api_names_no_command_and_no_private_address() {
    let app = TestApp::new().allow_http("127.0.0.1:8080").start().await;
    let refusal = |rule: Value| {
        let rule = serde_json::from_value(rule).expect("a rule");
        app.server().app.allowed_rules(vec![rule], &[]).map_err(|error| error.to_string())
    };
    let webhook = |url: &str| refusal(json!({"on": ["failed"], "webhook": url}));
    assert!(webhook("http://127.0.0.1:8080/hook").is_ok() && webhook("https://example.com/hook").is_ok());
    for host in ["127.0.0.1:8081", "localhost:8080", "169.254.169.254:80", "[fd00::1]:80"] {
        let expected = format!("`{host}` may not be notified: start the server with `--allow-http {host}`");
        assert_eq!(webhook(&format!("http://{host}/secret-path")).expect_err(host), expected);
    }
    let command = refusal(json!({"on": ["failed"], "command": ["/bin/true"]})).expect_err("a command");
    assert!(command.starts_with("`notify.command` may stand in the server's config file alone"), "{command}");
    let kept = json!({"on": ["failed"], "webhook": "https://example.com", "secret": "********"});
    assert!(refusal(kept).expect_err("there is none").contains("`example.com` has none"));
}
