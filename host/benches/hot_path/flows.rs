//! Flows that go on: how fast they are called again, and what ten thousand of them hold while they sleep.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::client::Client;
use super::process::Process;
use super::report::{Report, median};
use super::{CHILDREN, ROUNDS, elapsed_ms};

/// Flows that sleep at the same time.
const SLEEPERS: usize = 10_000;
/// How long each of them sleeps: until after the last was submitted and put away.
const SLEEP_MS: u64 = 30_000;
/// Flows that were under way when their server died.
const UNFINISHED: usize = 1_000;
/// None of them has to make room.
const ROOM: &[&str] = &["--flows", "2000"];
const PATIENCE: Duration = Duration::from_secs(120);

/// Children a second of a flow that is called again against its record.
pub async fn replay(client: &Client, report: &mut Report) {
    let run = client.run(json!({"module": "noop", "entry": "submitted", "parameters": {"n": CHILDREN}})).await;
    let path = format!("/api/runs/{}/replay", run["id"].as_str().unwrap());
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let replayed = client.post(&path, json!({})).await;
        assert_eq!(replayed["same"], true, "{replayed}");
        rates.push(f64::from(CHILDREN) / started.elapsed().as_secs_f64());
    }
    report.add("replay children per s", "(i) a flow of 10,000 children called again", median(&mut rates), 0, "/s");
}

pub async fn measure(scratch: &Path, report: &mut Report) {
    restart(&scratch.join("restarted"), report).await;
    sleepers(&scratch.join("sleepers"), report).await;
}

/// From the start of the process until all flows that the one before left have been called again.
async fn restart(data: &Path, report: &mut Report) {
    let process = Process::start(data, ROOM).await;
    let client = Client::new(process.url.clone());
    client.register("sleeper").await;
    submit(&client, UNFINISHED, 3_600_000).await;
    until_in_memory(&client, UNFINISHED).await;
    process.kill();
    let started = Instant::now();
    let process = Process::start(data, ROOM).await;
    until_in_memory(&Client::new(process.url.clone()), UNFINISHED).await;
    report.add("restart ms", "(i) start to 1,000 unfinished flows running", elapsed_ms(started), 0, "ms");
    process.kill();
}

/// What flows hold that sleep, and how late they wake.
async fn sleepers(data: &Path, report: &mut Report) {
    let process = Process::start(data, &["--evict-after", "1"]).await;
    let client = Client::new(process.url.clone());
    client.register("sleeper").await;
    submit(&client, SLEEPERS, SLEEP_MS).await;
    until_in_memory(&client, 0).await;
    let (asleep, resident_mb) = (count(&client, "state=running").await, process.resident_mb());
    assert_eq!(asleep, SLEEPERS, "some woke before all slept");
    report.add("sleepers MB", "(i) resident memory with 10,000 sleeping flows", resident_mb, 1, "MB");
    let started = Instant::now();
    while count(&client, "state=completed").await < SLEEPERS {
        assert!(started.elapsed() < PATIENCE, "they do not wake");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    report.add("wake late ms", "(i) the latest of them to wake", latest_ms(&client).await, 0, "ms");
    process.kill();
}

async fn submit(client: &Client, flows: usize, ms: u64) {
    let mut submitters = tokio::task::JoinSet::new();
    for n in 0..32 {
        let client = client.clone();
        submitters.spawn(async move {
            for _ in (n..flows).step_by(32) {
                let body = json!({"module": "sleeper", "entry": "flow_sleeps", "parameters": {"ms": ms}});
                client.post("/api/runs", body).await;
            }
        });
    }
    submitters.join_all().await;
}

async fn until_in_memory(client: &Client, flows: usize) {
    let line = format!("tarefa_flows_in_memory {flows}");
    let started = Instant::now();
    while !String::from_utf8(client.get("/metrics").await).unwrap().lines().any(|found| found == line) {
        assert!(started.elapsed() < PATIENCE, "not so many flows in memory: {flows}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn count(client: &Client, filter: &str) -> usize {
    let stats: Value = serde_json::from_slice(&client.get(&format!("/api/stats?by=state&{filter}")).await).unwrap();
    stats["items"].as_array().unwrap().iter().map(|item| item["total"].as_u64().unwrap() as usize).sum()
}

/// By how much the last one was late, of all that slept.
async fn latest_ms(client: &Client) -> f64 {
    let mut latest = 0.0_f64;
    let mut cursor = String::new();
    loop {
        let page: Value = serde_json::from_slice(&client.get(&format!("/api/runs?limit=500{cursor}")).await).unwrap();
        for run in page["items"].as_array().unwrap() {
            let at = |key: &str| run[key].as_str().unwrap().parse::<Timestamp>().unwrap();
            let took = at("finished_at").duration_since(at("started_at")).as_millis() as f64;
            latest = latest.max(took - SLEEP_MS as f64);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return latest,
        }
    }
}
