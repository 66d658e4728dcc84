//! Schedules: how late their runs begin, and what ten thousand of them cost while nothing is due.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::client::Client;
use super::process::Process;
use super::report::{Report, percentile};

/// Deployments that run each second.
const BUSY: usize = 500;
/// How long they do.
const BUSY_FOR: Duration = Duration::from_secs(15);
/// Deployments of which none is due.
const IDLE: usize = 10_000;
/// How long a server is watched that has nothing to do.
const IDLE_FOR: Duration = Duration::from_secs(10);

pub async fn measure(scratch: &Path, report: &mut Report) {
    let mut spread = late_ms(&scratch.join("spread"), false).await;
    let (p50, p99) = (percentile(&mut spread, 0.50), percentile(&mut spread, 0.99));
    report.add("schedule late p50 ms", "(j) occurrence to start, 500 deployments each second, p50", p50, 2, "ms");
    report.add("schedule late p99 ms", "(j) p99", p99, 2, "ms");
    let mut together = late_ms(&scratch.join("together"), true).await;
    let p99 = percentile(&mut together, 0.99);
    report.add("schedule together late p99 ms", "(j) all 500 due at the same instant, p99", p99, 2, "ms");
    idle(&scratch.join("idle"), report).await;
}

/// How long after its occurrence each run began.
async fn late_ms(data: &Path, together: bool) -> Vec<f64> {
    let process = Process::start(data, &[]).await;
    let client = Client::new(process.url.clone());
    client.register("noop").await;
    let mut schedule = json!({"interval_ms": 1000});
    if together {
        schedule["anchor"] = "2026-01-01T00:00:00Z".into();
    }
    deploy(&client, BUSY, &schedule).await;
    // What was due while the deployments were made is no measure.
    let from = Timestamp::now() + Duration::from_secs(1);
    tokio::time::sleep(BUSY_FOR).await;
    let mut late = Vec::new();
    let mut path = "/api/runs?limit=500&state=completed".to_owned();
    loop {
        let page: Value = serde_json::from_slice(&client.get(&path).await).unwrap();
        for run in page["items"].as_array().unwrap() {
            let at: Timestamp = run["occurrence"]["at"].as_str().unwrap().parse().unwrap();
            let started: Timestamp = run["started_at"].as_str().unwrap().parse().unwrap();
            if at >= from {
                late.push(started.duration_since(at).as_secs_f64() * 1e3);
            }
        }
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/api/runs?limit=500&state=completed&cursor={next}"),
            None => break,
        }
    }
    process.kill();
    let expected = BUSY * (BUSY_FOR.as_secs() as usize - 2);
    assert!(late.len() >= expected, "{} of at least {expected} runs", late.len());
    late
}

/// The processor time of a server with many deployments, none of which is due.
async fn idle(data: &Path, report: &mut Report) {
    let process = Process::start(data, &[]).await;
    let client = Client::new(process.url.clone());
    client.register("noop").await;
    deploy(&client, IDLE, &json!({"cron": "0 0 1 1 *"})).await;
    let before = process.cpu_s();
    tokio::time::sleep(IDLE_FOR).await;
    let percent = (process.cpu_s() - before) / IDLE_FOR.as_secs_f64() * 100.0;
    report.add(
        "idle deployments cpu percent",
        "(j) a core, with 10,000 deployments of which none is due",
        percent,
        2,
        "%",
    );
    process.kill();
}

async fn deploy(client: &Client, n: usize, schedule: &Value) {
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..16 {
        let (client, schedule) = (client.clone(), schedule.clone());
        callers.spawn(async move {
            for n in (caller..n).step_by(16) {
                let body = json!({"module": "noop", "entry": "noop", "schedules": [schedule], "overlap": "allow"});
                client.put(&format!("/api/deployments/d{n}"), body).await;
            }
        });
    }
    callers.join_all().await;
}
