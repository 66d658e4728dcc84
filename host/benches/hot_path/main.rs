//! What a task costs, against the engine alone, in one run on one machine: `make bench`.
//!
//! Absolute times say more of the machine than of us; the ratios to (a) are what counts.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod bare;
mod client;
mod fib;
mod flows;
mod history;
mod process;
mod report;
mod retention;
mod schedules;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tarefa::server::{Server, ServerConfig};

use client::Client;
use report::{Report, median, percentile};

/// Children of one flow.
const CHILDREN: u32 = 10_000;
/// Each figure is the median of this many, taken in turns, so that a slow moment of the machine meets all.
const ROUNDS: usize = 5;
/// Long enough for the slowest of machines.
const PATIENCE: Duration = Duration::from_secs(300);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let scratch = tempfile::tempdir().unwrap();
    let mut report = Report::default();
    in_process(scratch.path(), &mut report).await;
    processes(scratch.path(), &mut report).await;
    report.print();
}

/// What is measured against a server in this process.
async fn in_process(scratch: &Path, report: &mut Report) {
    let server = Server::start(config(scratch.join("data"))).await.unwrap();
    let client = Client::new(server.url());
    client.register("noop").await;
    client.register("fib").await;

    tasks(&client, scratch, report).await;
    let mut latencies = client.latencies_ms().await;
    let (p50, p99) = (percentile(&mut latencies, 0.50), percentile(&mut latencies, 0.99));
    report.add("http p50 ms", "(e) submit to finish of one task over HTTP, p50", p50, 3, "ms");
    report.add("http p99 ms", "(e) p99", p99, 3, "ms");
    let mut throughputs = Vec::new();
    for _ in 0..ROUNDS {
        throughputs.push(client.runs_per_s().await);
    }
    let throughput = median(&mut throughputs);
    report.add("http runs per s", "(d) 2,000 top-level runs over HTTP, 32 at a time", throughput, 0, "/s");
    fib::measure(&client, report).await;
    flows::replay(&client, report).await;
    history::lists(&client, report).await;
    server.shutdown(Duration::from_secs(1)).await;
}

fn config(data: PathBuf) -> ServerConfig {
    ServerConfig { compiler: Some(env!("CARGO_BIN_EXE_tarefa").into()), ..ServerConfig::new(data) }
}

/// A no-op task, in the engine alone and as the child of a flow.
async fn tasks(client: &Client, scratch: &Path, report: &mut Report) {
    let bare = bare::Bare::new(&wasm("noop"));
    let synced = Server::start(ServerConfig { synced: true, ..config(scratch.join("synced")) }).await.unwrap();
    let synced_client = Client::new(synced.url());
    synced_client.register("noop").await;
    let mut figures: [Vec<f64>; 7] = Default::default();
    for _ in 0..ROUNDS {
        figures[0].push(bare.per_call_us(CHILDREN).await);
        figures[1].push(client.flow_us("sequential", CHILDREN).await);
        figures[2].push(client.flow_us("sequential_chatty", CHILDREN).await);
        figures[3].push(client.flow_us("submitted", CHILDREN).await);
        figures[4].push(client.flow_us("submitted", CHILDREN / 10).await);
        figures[5].push(synced_client.flow_us("sequential", CHILDREN).await);
        figures[6].push(synced_client.flow_us("submitted", CHILDREN).await);
    }
    synced.shutdown(Duration::from_secs(1)).await;
    let [a, b, b1, c, c_small, b_full, c_full] = figures.map(|mut values| median(&mut values));
    let rows = [
        ("bare us", "(a) bare engine, instantiate + call", a),
        ("sequential us", "(b) sequential, each result committed before the next", b),
        ("sequential chatty us", "(b') the same, 1 kB argument and result, three log lines", b1),
        ("submitted us", "(c) submitted at once", c),
        ("submitted a tenth us", "(c) a tenth as many", c_small),
        ("sequential full us", "(b) with `--durability full`", b_full),
        ("submitted full us", "(c) with `--durability full`", c_full),
    ];
    for (name, what, us) in rows {
        report.add(name, what, us, 2, "us");
        report.ratio(us / a);
    }
    report.line("sequential ratio to bare", b / a, 2);
    report.line("sequential chatty ratio to bare", b1 / a, 2);
    report.line("submitted ratio to bare", c / a, 2);
    report.line("submitted ratio of 10000 to 1000", c / c_small, 2);
    report.line("submitted full ratio to bare", c_full / a, 2);
}

/// What is measured of the binary.
async fn processes(scratch: &Path, report: &mut Report) {
    let mb = history::mb_per_1000(&scratch.join("history")).await;
    report.add("database MB per 1000 runs", "(h) database for 1,000 task runs", mb, 3, "MB");
    flows::measure(scratch, report).await;
    schedules::measure(scratch, report).await;
    retention::measure(scratch, report).await;
    let start = process::measure(&scratch.join("started")).await;
    report.add("start ms", "(g) start to healthy", start.healthy_ms, 1, "ms");
    report.add("idle MB", "(g) idle resident memory", start.resident_mb, 1, "MB");
    report.add("binary MB", "(g) binary", start.binary_mb, 1, "MB");
}

/// The bytes of a guest of `tests/guests`.
fn wasm(name: &str) -> Vec<u8> {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
    std::fs::read(repository.join(format!("target/wasm32-wasip2/release/examples/{name}.wasm"))).unwrap()
}

fn elapsed_ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
