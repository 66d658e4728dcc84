//! The description of the API: it has every path that the server answers, and no other, and people can read it.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::app::{TestApp, repository, text};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Every path and method of the router, as its source lists them, but for the pages.
fn routes() -> BTreeSet<(String, String)> {
    let source = std::fs::read_to_string(repository().join("host/src/api.rs")).expect("reads");
    let source: String = source.split_whitespace().collect();
    let mut routes = BTreeSet::new();
    for route in source.split(".route(\"").skip(1) {
        let (path, handlers) = route.split_once('"').expect("a path ends");
        let handlers =
            handlers.split(".route(").next().unwrap_or_default().split(".fallback(").next().unwrap_or_default();
        if handlers.contains("crate::pages::") {
            continue;
        }
        for method in METHODS {
            if [",", "."].iter().any(|before| handlers.contains(&format!("{before}{method}("))) {
                routes.insert((path.to_owned(), method.to_owned()));
            }
        }
    }
    routes
}

fn described(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().expect("a document has paths");
    let operations = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("a path has methods").keys();
        methods.map(|method| (path.clone(), method.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(operations).collect()
}

#[tokio::test]
async fn every_route_is_described_and_nothing_else() {
    let app = TestApp::new().start().await;
    let routes = routes();
    assert!(routes.contains(&("/api/runs".to_owned(), "post".to_owned())), "{routes:?}");
    assert_eq!(described(&app.get("/api/openapi.json").await), routes);
}

#[tokio::test]
async fn every_operation_has_an_id_a_title_and_the_shape_of_its_errors() {
    let app = TestApp::new().start().await;
    let document = app.get("/api/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut ids = BTreeSet::new();
    for (path, method) in described(&document) {
        let operation = &document["paths"][&path][&method];
        assert!(ids.insert(text(&operation["operationId"])), "{method} {path}: its id is another's too");
        assert!(!text(&operation["summary"]).is_empty(), "{method} {path} has no title");
        let replies = operation["responses"].as_object().expect("an operation has replies");
        assert!(replies.keys().any(|status| status.starts_with('2')), "{method} {path} never succeeds");
        for (status, reply) in replies.iter().filter(|(status, _)| !status.starts_with('2')) {
            let shape = &reply["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(shape, "#/components/schemas/ErrorShape", "{method} {path} {status}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{method} {path}: nothing is said of {parameter}");
        }
    }
}

#[tokio::test]
async fn every_shape_that_is_referred_to_is_described() {
    let app = TestApp::new().start().await;
    let document = app.get("/api/openapi.json").await;
    let whole = document.to_string();
    let referred: BTreeSet<_> =
        whole.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let schemas = document["components"]["schemas"].as_object().expect("it has shapes");
    let described: BTreeSet<_> = schemas.keys().map(String::as_str).collect();
    assert_eq!(referred, described);
}

#[tokio::test]
async fn the_page_shows_every_call_with_an_example_and_fetches_nothing() {
    let app = TestApp::new().start().await;
    let document = app.get("/api/openapi.json").await;
    let response = app.raw(Method::GET, "/api/docs").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let html = response.text().await.unwrap();
    for (path, method) in described(&document) {
        let heading = format!("<h2><code>{} {}</code></h2>", method.to_uppercase(), path.replace('/', "&#x2f;"));
        assert!(html.contains(&heading), "{heading} is missing");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(html.contains(&format!("<section id=\"{name}\">")), "{name} is missing");
    }
    let links: BTreeSet<_> = html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for link in links {
        assert!(html.contains(&format!("id=\"{link}\"")), "`#{link}` leads nowhere");
    }
    for forbidden in ["<script", "src=", "<link", "@import", "url("] {
        assert!(!html.contains(forbidden), "the page has `{forbidden}`");
    }
}
