//! What a task costs, against the engine alone, in one run on one machine: `make bench`.
//!
//! Absolute times say more of the machine than of us; the ratios to (a) are what counts.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod bare;
mod process;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tarefa::server::{Server, ServerConfig};

/// Children of one flow.
const CHILDREN: u32 = 10_000;
/// Each figure is the median of this many, taken in turns, so that a slow moment of the machine meets all.
const ROUNDS: usize = 5;
const REQUESTS: usize = 2_000;
/// Long enough for the slowest of machines.
const PATIENCE_S: u32 = 300;

struct Bench {
    url: String,
    http: reqwest::Client,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let data = tempfile::tempdir().unwrap();
    let mut config = ServerConfig::new(data.path().join("data"));
    config.compiler = Some(env!("CARGO_BIN_EXE_tarefa").into());
    let server = Server::start(config).await.unwrap();
    let bench = Bench { url: server.url(), http: reqwest::Client::new() };
    let wasm = std::fs::read(guest("noop")).unwrap();
    bench.register(&wasm).await;

    let bare = bare::Bare::new(&wasm);
    let mut figures: [Vec<f64>; 5] = Default::default();
    for _ in 0..ROUNDS {
        figures[0].push(bare.per_call_us(CHILDREN).await);
        figures[1].push(bench.flow_us("sequential", CHILDREN).await);
        figures[2].push(bench.flow_us("sequential_chatty", CHILDREN).await);
        figures[3].push(bench.flow_us("submitted", CHILDREN).await);
        figures[4].push(bench.flow_us("submitted", CHILDREN / 10).await);
    }
    let [a, b, b1, c, c_small] = figures.map(|mut values| median(&mut values));
    let mut table = Table::default();
    table.row("(a) bare engine, instantiate + call", format!("{a:.2} us"), "1.0".to_owned());
    let ratio = |value: f64| format!("{:.2}", value / a);
    table.row("(b) sequential, each result committed before the next", format!("{b:.2} us"), ratio(b));
    table.row("(b') the same, 1 kB argument and result, three log lines", format!("{b1:.2} us"), ratio(b1));
    table.row("(c) submitted at once", format!("{c:.2} us"), ratio(c));
    table.row("(c) a tenth as many", format!("{c_small:.2} us"), ratio(c_small));
    let mut latencies = bench.latencies_ms().await;
    let p50 = percentile(&mut latencies, 0.50);
    let p99 = percentile(&mut latencies, 0.99);
    table.row("(e) submit to finish of one task over HTTP, p50", format!("{p50:.3} ms"), String::new());
    table.row("(e) p99", format!("{p99:.3} ms"), String::new());
    server.shutdown(Duration::from_secs(1)).await;
    let start = process::measure(data.path()).await;
    table.row("(g) start to healthy", format!("{:.1} ms", start.healthy_ms), String::new());
    table.row("(g) idle resident memory", format!("{:.1} MB", start.resident_mb), String::new());
    table.row("(g) binary", format!("{:.1} MB", start.binary_mb), String::new());

    println!("bare us: {a:.2}\nsequential us: {b:.2}\nsequential chatty us: {b1:.2}\nsubmitted us: {c:.2}");
    println!("sequential ratio to bare: {:.2}", b / a);
    println!("sequential chatty ratio to bare: {:.2}", b1 / a);
    println!("submitted ratio to bare: {:.2}", c / a);
    println!("submitted ratio of 10000 to 1000: {:.2}", c / c_small);
    println!("http p50 ms: {p50:.3}\nhttp p99 ms: {p99:.3}");
    println!(
        "start ms: {:.1}\nidle MB: {:.1}\nbinary MB: {:.1}\n",
        start.healthy_ms, start.resident_mb, start.binary_mb
    );
    table.print();
}

impl Bench {
    async fn register(&self, wasm: &[u8]) {
        let request = self.http.post(format!("{}/api/modules?name=noop", self.url));
        let answer = request.header("content-type", "application/wasm").body(wasm.to_owned()).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    async fn submit(&self, entry: &str, parameters: Value) -> Value {
        let url = format!("{}/api/runs?wait={PATIENCE_S}", self.url);
        let body = json!({"module": "noop", "entry": entry, "parameters": parameters});
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        let run: Value = answer.json().await.unwrap();
        assert_eq!(run["state"], "completed", "{run}");
        run
    }

    /// Microseconds for each child of a flow of `children`, from submit to finish. The children are read back after it.
    async fn flow_us(&self, entry: &str, children: u32) -> f64 {
        let started = Instant::now();
        let run = self.submit(entry, json!({"n": children})).await;
        let us = started.elapsed().as_secs_f64() * 1e6 / f64::from(children);
        self.read_back(run["id"].as_str().unwrap(), children).await;
        us
    }

    async fn read_back(&self, id: &str, children: u32) {
        let mut seen = 0;
        let mut cursor = Some("0".to_owned());
        while let Some(from) = cursor {
            let url = format!("{}/api/runs/{id}/children?limit=1000&cursor={from}", self.url);
            let page: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
            for child in page["items"].as_array().unwrap() {
                assert_eq!(child["seq"], seen);
                assert_eq!(child["state"], "completed");
                seen += 1;
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
        }
        assert_eq!(seen, children, "all children are on record");
    }

    async fn latencies_ms(&self) -> Vec<f64> {
        let mut latencies = Vec::with_capacity(REQUESTS);
        for _ in 0..REQUESTS {
            let started = Instant::now();
            self.submit("noop", json!({})).await;
            latencies.push(started.elapsed().as_secs_f64() * 1e3);
        }
        latencies
    }
}

#[derive(Default)]
struct Table {
    rows: Vec<[String; 3]>,
}

impl Table {
    fn row(&mut self, what: &str, value: String, ratio: String) {
        self.rows.push([what.to_owned(), value, ratio]);
    }

    fn print(&self) {
        println!("{:<60} {:>12} {:>10}", "per task, unless said otherwise", "median", "x (a)");
        for [what, value, ratio] in &self.rows {
            println!("{what:<60} {value:>12} {ratio:>10}");
        }
    }
}

/// A guest of `tests/guests`.
fn guest(name: &str) -> PathBuf {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    repository.join(format!("target/wasm32-wasip2/release/examples/{name}.wasm"))
}

fn median(values: &mut [f64]) -> f64 {
    percentile(values, 0.5)
}

fn percentile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * at) as usize]
}
