//! HTTP: none by default, and to exactly the granted hosts.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{Running, TestApp, repository, text};
use crate::process::{Process, data_dir, output};
use crate::service::{Answer, Service, nobody};

async fn with_hosts(hosts: &[&str]) -> Running {
    let app = hosts.iter().fold(TestApp::new(), |app, host| app.allow_http(host)).start().await;
    app.register("http").await;
    app
}

async fn with_service(service: &Service) -> Running {
    with_hosts(&[&service.host()]).await
}

fn body(host: &str, entry: &str, parameters: Value) -> Value {
    json!({"module": "http", "entry": entry, "parameters": parameters, "grants": {"http": [{"host": host}]}})
}

/// Runs an entry that was granted `host`.
async fn run(app: &Running, host: &str, entry: &str, parameters: Value) -> Value {
    app.run_with(body(host, entry, parameters)).await
}

#[track_caller]
fn assert_failed(run: &Value, kind: &str, message: &str) {
    assert_eq!((&run["state"], &run["failure"]["kind"]), (&json!("failed"), &json!(kind)), "{run}");
    assert_eq!(run["failure"]["message"], message, "{run}");
}

#[tokio::test]
async fn a_granted_host_is_asked_and_answers() {
    let service = Service::start(|request| match request.line.as_str() {
        "GET /hello?who=Ana HTTP/1.1" => Answer::Whole("200 OK", "x-greeting: yes\r\n", "Hello, Ana!".to_owned()),
        "POST /sums HTTP/1.1" => Answer::Whole("200 OK", "", String::from_utf8_lossy(&request.body).into_owned()),
        _ => Answer::Whole("404 Not Found", "", String::new()),
    })
    .await;
    let app = with_service(&service).await;
    let url = service.url("/hello?who=Ana#part");
    let got = run(&app, &service.host(), "fetch", json!({"url": url, "headers": {"x-from": "a test"}})).await;
    assert_eq!((&got["result"]["status"], &got["result"]["body"]), (&json!(200), &json!("Hello, Ana!")), "{got}");
    assert_eq!(got["result"]["headers"]["x-greeting"], "yes");
    assert_eq!(got["grants"]["http"], json!([{"host": service.host()}]));

    let sum = run(&app, &service.host(), "sum", json!({"url": service.url("/sums"), "numbers": [1, 2, 39]})).await;
    assert_eq!(sum["result"], 42, "{sum}");
    let missing = run(&app, &service.host(), "fetch", json!({"url": service.url("")})).await;
    assert_eq!(missing["result"]["status"], 404, "an answer is an answer: {missing}");

    let received = service.received();
    assert!(received[0].headers.contains("x-from: a test"), "{received:?}");
    assert!(received.iter().all(|request| request.headers.contains(&format!("host: {}", service.host()))));
    assert!(received[1].headers.contains("content-type: application/json"), "{received:?}");
    assert_eq!((received[1].body.as_slice(), received[2].line.as_str()), (&b"[1,2,39]"[..], "GET / HTTP/1.1"));
}

#[tokio::test]
async fn a_host_is_found_by_its_granted_name() {
    let service = Service::saying("hello").await;
    let host = format!("localhost:{}", service.address.port());
    let app = with_hosts(&[&host]).await;
    let url = format!("http://LocalHost:{}/", service.address.port());
    let run = run(&app, &host, "fetch", json!({"url": url})).await;
    assert_eq!(run["result"]["body"], "hello", "{run}");
    assert!(service.received()[0].headers.contains(&format!("host: {host}")));
}

#[tokio::test]
async fn what_is_not_granted_is_denied_and_named() {
    let (service, other) = (Service::saying("hello").await, Service::saying("hello").await);
    let app = with_service(&service).await;
    let denied =
        |host: &str| format!("denied: the task `fetch` asked for `http://{host}`; grant it with `--http {host}`");

    let nothing = app.run("http", "fetch", json!({"url": service.url("/")})).await;
    assert_failed(&nothing, "denied", &denied(&service.host()));
    assert_eq!(nothing["n_attempts"], 1, "no retry cures it: {nothing}");
    let elsewhere = run(&app, &service.host(), "fetch", json!({"url": other.url("/")})).await;
    assert_failed(&elsewhere, "denied", &denied(&other.host()));
    // The same machine by another name is another host.
    let localhost = format!("localhost:{}", service.address.port());
    let renamed = run(&app, &service.host(), "fetch", json!({"url": format!("http://{localhost}/")})).await;
    assert_failed(&renamed, "denied", &denied(&localhost));
    let default = run(&app, &service.host(), "fetch", json!({"url": "http://127.0.0.1/"})).await;
    assert_failed(&default, "denied", &denied("127.0.0.1:80"));
    // Who catches errors does not catch this.
    let caught = run(&app, &service.host(), "caught", json!({"url": other.url("/")})).await;
    assert_eq!(caught["failure"]["kind"], "denied", "{caught}");

    let https = format!("https://{}", service.host());
    let secure = run(&app, &service.host(), "fetch", json!({"url": https})).await;
    let message = format!("denied: the task `fetch` asked for `{https}`; only `http` is there, and no `https` yet");
    assert_failed(&secure, "denied", &message);
    assert!(service.received().is_empty() && other.received().is_empty());
}

#[tokio::test]
async fn a_host_is_granted_for_the_named_methods() {
    let service = Service::saying("hello").await;
    let app = with_service(&service).await;
    let grants = json!({"http": [{"host": service.host(), "methods": ["get", "HEAD"]}]});
    let run = |method: &'static str| {
        let parameters = json!({"url": service.url("/"), "method": method});
        app.run_with(json!({"module": "http", "entry": "fetch", "parameters": parameters, "grants": grants}))
    };
    assert_eq!(run("GET").await["result"]["body"], "hello");
    assert_eq!(run("HEAD").await["result"]["status"], 200);
    let message = format!(
        "denied: the task `fetch` asked to `POST` at `http://{}`, which is granted for `GET`, `HEAD` alone",
        service.host()
    );
    assert_failed(&run("POST").await, "denied", &message);
    assert_eq!(service.received().len(), 2);
}

#[tokio::test]
async fn requests_are_for_tasks_and_not_for_flows() {
    let service = Service::saying("hello").await;
    let app = with_service(&service).await;
    let flow = run(&app, &service.host(), "flow_fetches", json!({"url": service.url("/")})).await;
    assert_failed(&flow, "denied", "denied: the flow `flow_fetches` uses HTTP; do it in a task");
    assert!(service.received().is_empty());
    let child = run(&app, &service.host(), "through_a_task", json!({"url": service.url("/")})).await;
    assert_eq!(child["result"], 200, "a flow's tasks have what it was granted: {child}");
}

#[tokio::test]
async fn only_what_the_operator_allows_is_granted() {
    let app = with_hosts(&["127.0.0.1:8080"]).await;
    let submit = |grant: Value| {
        let parameters = json!({"url": "http://127.0.0.1:8080"});
        app.post(
            "/api/runs",
            json!({"module": "http", "entry": "fetch", "parameters": parameters, "grants": {"http": [grant]}}),
        )
    };
    for host in ["127.0.0.1:8081", "localhost:8080", "LocalHost:8080"] {
        let (status, answer) = submit(json!({"host": host})).await;
        let host = host.to_lowercase();
        assert_eq!((status, &answer["error"]["kind"]), (StatusCode::FORBIDDEN, &json!("forbidden")), "{answer}");
        let message = format!("`{host}` may not be granted: start the server with `--allow-http {host}`");
        assert_eq!(answer["error"]["message"], message);
    }
    for (grant, why) in [
        (json!({"host": "127.0.0.1"}), "`127.0.0.1` is no `HOST:PORT`"),
        (json!({"host": "*:8080"}), "`*:8080` is no `HOST:PORT`"),
        (json!({"host": "127.0.0.1:8080", "methods": []}), "0 methods are granted"),
        (json!({"host": "127.0.0.1:8080", "methods": ["G T"]}), "`G T` is no HTTP method"),
    ] {
        let (status, answer) = submit(grant).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(text(&answer["error"]["message"]).contains(why), "{answer}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let secret = Service::saying("secret").await;
    let location = format!("location: {}\r\n", secret.url("/"));
    let location: &'static str = location.leak();
    let service = Service::start(move |_| Answer::Whole("302 Found", location, String::new())).await;
    let app = with_hosts(&[&service.host(), &secret.host()]).await;
    let run = run(&app, &service.host(), "fetch", json!({"url": service.url("/")})).await;
    assert_eq!(run["result"]["status"], 302, "{run}");
    assert_eq!(run["result"]["headers"]["location"], secret.url("/"));
    assert!(secret.received().is_empty());
}

#[tokio::test]
async fn bodies_and_headers_are_bounded() {
    let service = Service::start(|request| match request.line.as_str() {
        "GET /endless HTTP/1.1" => Answer::Endless,
        "GET /headers HTTP/1.1" => Answer::Raw(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(64 << 10))),
        _ => Answer::Whole("200 OK", "", String::new()),
    })
    .await;
    let app = with_service(&service).await;
    let endless = run(&app, &service.host(), "fetch", json!({"url": service.url("/endless")})).await;
    let message =
        format!("cannot GET `{}`: HTTP response body size exceeds limit: 16777216 bytes", service.url("/endless"));
    assert_failed(&endless, "task_error", &message);
    assert!(endless["usage"]["memory_peak_bytes"].as_u64().unwrap() < 128 << 20, "{endless}");
    service.until(|counts| counts.left == 1).await;

    let most = 16 << 20;
    let send =
        |bytes: usize| app.run_with(body(&service.host(), "send", json!({"url": service.url("/"), "bytes": bytes})));
    assert_eq!(send(most).await["result"], 200);
    let message = format!("cannot POST `{}`: the body is over the limit of {most} bytes", service.url("/"));
    assert_failed(&send(most + 1).await, "task_error", &message);

    let headers = run(&app, &service.host(), "fetch", json!({"url": service.url("/headers")})).await;
    assert!(
        text(&headers["failure"]["message"]).contains("the answer's headers are over the limit of 16384 bytes"),
        "{headers}"
    );
}

#[tokio::test]
async fn a_guest_cannot_hold_more_of_the_host_than_it_may() {
    let service = Service::saying("hello").await;
    let app = with_service(&service).await;
    let many = run(&app, &service.host(), "many", json!({"host": service.host(), "count": 100})).await;
    assert_eq!(many["result"], 32, "{many}");
    let unsent = run(&app, &service.host(), "unsent", json!({"count": 1000})).await;
    assert_eq!(unsent["result"], 1000, "{unsent}");
    let unsent = run(&app, &service.host(), "unsent", json!({"count": 10_000})).await;
    assert_eq!(unsent["failure"]["kind"], "trapped", "{unsent}");
}

#[tokio::test]
async fn a_slow_service_does_not_hold_an_attempt_over_its_time() {
    let service = Service::start(|_| Answer::Nothing).await;
    let app = with_service(&service).await;
    let mut submit = body(&service.host(), "fetch", json!({"url": service.url("/")}));
    submit["limits"] = json!({"timeout_ms": 100});
    let late = app.run_with(submit).await;
    assert_eq!((&late["state"], &late["failure"]["kind"]), (&json!("failed"), &json!("timed_out")), "{late}");
    service.until(|counts| counts.left == counts.received).await;

    let impatient = run(&app, &service.host(), "fetch", json!({"url": service.url("/"), "timeout_ms": 50})).await;
    assert_failed(&impatient, "task_error", &format!("cannot GET `{}`: no answer within 50ms", service.url("/")));
}

#[tokio::test]
async fn a_cancelled_attempt_closes_its_connection() {
    let service = Service::start(|_| Answer::Nothing).await;
    let app = with_service(&service).await;
    let id = app.submit_with(body(&service.host(), "fetch", json!({"url": service.url("/")}))).await;
    service.until(|counts| counts.received == 1).await;
    let (status, _) = app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
    assert!(status.is_success());
    service.until(|counts| counts.left == 1).await;
    assert_eq!(app.until_final(&id).await["state"], "cancelled");
}

#[tokio::test]
async fn errors_of_the_network_can_be_handled_and_are_retried() {
    let nobody = nobody().await;
    let app = with_hosts(&[&nobody]).await;
    let url = format!("http://{nobody}/");
    let caught = run(&app, &nobody, "caught", json!({"url": url})).await;
    assert_eq!(caught["result"], format!("cannot GET `{url}`: connection refused"), "{caught}");

    let mut submit = body(&nobody, "fetch", json!({"url": url}));
    submit["retries"] = json!({"max": 2});
    let retried = app.run_with(submit).await;
    assert_eq!((&retried["state"], &retried["n_attempts"]), (&json!("failed"), &json!(3)), "{retried}");

    let broken = ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", "nonsense\r\n\r\n"];
    for answer in broken {
        let service = Service::start(move |_| Answer::Raw(answer.to_owned())).await;
        let app = with_service(&service).await;
        let caught = run(&app, &service.host(), "caught", json!({"url": service.url("/")})).await;
        let message = text(&caught["result"]);
        assert!(message.starts_with(&format!("cannot GET `{}`: ", service.url("/"))), "{answer}: {message}");
    }
}

#[tokio::test]
async fn the_command_line_grants_a_host_where_it_may() {
    let service = Service::saying("hello").await;
    let dir = data_dir();
    let run = || {
        let wasm = repository().join("target/wasm32-wasip2/release/examples/http.wasm");
        let (path, host, url) = (dir.path().to_owned(), service.host(), format!("url={}", service.url("/")));
        let run = move || {
            let target = wasm.to_str().expect("UTF-8");
            output(&path, &["run", target, "fetch", "--param", &url, "--http", &host, "--quiet"])
        };
        tokio::task::spawn_blocking(run)
    };
    let embedded = run().await.unwrap();
    let result: Value = serde_json::from_slice(&embedded.stdout).unwrap_or_else(|_| panic!("{embedded:?}"));
    assert_eq!(result["body"], "hello", "who runs it may reach the host anyway");

    let server = Process::serve(dir.path(), &[]);
    let refused = run().await.unwrap();
    let message = format!("`{0}` may not be granted: start the server with `--allow-http {0}`", service.host());
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains(&message), "{refused:?}");
    server.terminate();
    let _server = Process::serve(dir.path(), &["--allow-http", &service.host()]);
    let granted = run().await.unwrap();
    assert!(granted.status.success(), "{granted:?}");
    assert_eq!(service.received().len(), 2);
}
