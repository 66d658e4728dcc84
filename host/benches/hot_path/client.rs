//! Runs over HTTP, as everybody submits them.

use std::time::Instant;

use serde_json::{Value, json};

use super::{PATIENCE, wasm};

const REQUESTS: usize = 2_000;
const REQUESTS_AT_ONCE: usize = 32;

#[derive(Clone)]
pub struct Client {
    url: String,
    http: reqwest::Client,
}

impl Client {
    pub fn new(url: String) -> Client {
        Client { url, http: tarefa::tls::plain_client().build().expect("a client") }
    }

    /// Registers a guest of `tests/guests` under its own name.
    pub async fn register(&self, name: &str) {
        let request = self.http.post(format!("{}/api/modules?name={name}", self.url));
        let answer = request.header("content-type", "application/wasm").body(wasm(name)).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// Submits what `body` says, and gives back the run once it has completed.
    pub async fn run(&self, body: Value) -> Value {
        let url = format!("{}/api/runs?wait={}", self.url, PATIENCE.as_secs());
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        let run: Value = answer.json().await.unwrap();
        assert_eq!(run["state"], "completed", "{run}");
        run
    }

    /// The JSON that a POST is answered with.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.http.post(format!("{}{path}", self.url)).json(&body).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// The whole answer to a GET.
    pub async fn get(&self, path: &str) -> Vec<u8> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        answer.error_for_status().unwrap().bytes().await.unwrap().into()
    }

    /// Microseconds for each child of a flow of `children`, from submit to finish. The children are read back after it.
    pub async fn flow_us(&self, entry: &str, children: u32) -> f64 {
        let started = Instant::now();
        let run = self.run(json!({"module": "noop", "entry": entry, "parameters": {"n": children}})).await;
        let us = started.elapsed().as_secs_f64() * 1e6 / f64::from(children);
        self.read_back(run["id"].as_str().unwrap(), children).await;
        us
    }

    async fn read_back(&self, id: &str, children: u32) {
        let mut seen = 0;
        let mut cursor = Some("0".to_owned());
        while let Some(from) = cursor {
            let path = format!("/api/runs/{id}/children?limit=1000&cursor={from}");
            let page: Value = serde_json::from_slice(&self.get(&path).await).unwrap();
            for child in page["items"].as_array().unwrap() {
                assert_eq!(child["seq"], seen);
                assert_eq!(child["state"], "completed");
                seen += 1;
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
        }
        assert_eq!(seen, children, "all children are on record");
    }

    /// Milliseconds from submit to finish of one no-op after another.
    pub async fn latencies_ms(&self) -> Vec<f64> {
        let mut latencies = Vec::with_capacity(REQUESTS);
        for _ in 0..REQUESTS {
            let started = Instant::now();
            self.noop().await;
            latencies.push(started.elapsed().as_secs_f64() * 1e3);
        }
        latencies
    }

    /// No-ops a second, from submit to finish, 32 of them under way at any time.
    pub async fn runs_per_s(&self) -> f64 {
        let started = Instant::now();
        let mut submitters = tokio::task::JoinSet::new();
        for n in 0..REQUESTS_AT_ONCE {
            let client = self.clone();
            submitters.spawn(async move {
                for _ in (n..REQUESTS).step_by(REQUESTS_AT_ONCE) {
                    client.noop().await;
                }
            });
        }
        submitters.join_all().await;
        REQUESTS as f64 / started.elapsed().as_secs_f64()
    }

    async fn noop(&self) {
        self.run(json!({"module": "noop", "entry": "noop"})).await;
    }
}
