//! What it costs to forget: how long submits take while old runs are deleted, and how large the database stays.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tarefa::clock::{Clock, Manual};
use tarefa::domain::Retention;
use tarefa::server::{Server, ServerConfig};

use super::client::Client;
use super::report::{Report, percentile};
use super::{CHILDREN, PATIENCE, config};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Deletions begin this long after they may, at the latest.
const INTERVAL: SignedDuration = SignedDuration::from_mins(10);
/// Flows that are deleted, each with [`CHILDREN`] children of three lines.
const FLOWS: u32 = 3;
/// The retention of the second figure, what is written in each of its days, and how many of them there are.
const DAYS: usize = 5;
const CHILDREN_A_DAY: u32 = 2_000;

pub async fn measure(scratch: &Path, report: &mut Report) {
    submits(&scratch.join("pruned"), report).await;
    size(&scratch.join("sizes"), report).await;
}

async fn start(data: &Path, runs: &str, logs: &str) -> (Server, Client, Arc<Manual>) {
    let clock = Clock::manual("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
    let Clock::Manual(manual) = clock.clone() else { unreachable!("it was made so") };
    let retention = Retention { runs: runs.parse().unwrap(), logs: logs.parse().unwrap() };
    let config = ServerConfig { clock: Some(clock), retention: Some(retention), ..config(data.to_owned()) };
    let server = Server::start(config).await.unwrap();
    let client = Client::new(server.url());
    client.register("noop").await;
    manual.until_asleep(1, INTERVAL).await;
    (server, client, manual)
}

async fn submits(data: &Path, report: &mut Report) {
    let (server, client, clock) = start(data, "30d", "14d").await;
    for _ in 0..FLOWS {
        client.flow_us("sequential_chatty", CHILDREN).await;
    }
    let mut alone = client.latencies_ms().await;
    clock.advance(DAY * 31);
    let started = Instant::now();
    let mut beside = client.latencies_ms().await;
    let rows = f64::from(FLOWS * CHILDREN) * 4.0;
    let left = count(&server, "runs") + count(&server, "logs");
    assert!(left > 0.1 * rows, "it was done before the submits were");
    tokio::time::timeout(PATIENCE, clock.until_asleep(1, INTERVAL)).await.unwrap();
    let us = started.elapsed().as_secs_f64() * 1e6 / rows;
    report.add(
        "alone p99 ms",
        "(r) submit to finish of one task over HTTP, p99",
        percentile(&mut alone, 0.99),
        3,
        "ms",
    );
    report.add("pruning p99 ms", "(r) the same while old runs are deleted", percentile(&mut beside, 0.99), 3, "ms");
    report.add("pruning p50 ms", "(r) p50", percentile(&mut beside, 0.5), 3, "ms");
    report.add("pruning us a row", "(r) deletion of a run or a line, pauses included", us, 1, "us");
    server.shutdown(Duration::ZERO).await;
}

fn count(server: &Server, table: &str) -> f64 {
    let path = server.app.config.data_dir.join("tarefa.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags_and_vfs(path, flags, c"unix-excl").unwrap();
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

async fn size(data: &Path, report: &mut Report) {
    let (server, client, clock) = start(data, &format!("{DAYS}d"), "2d").await;
    let mut sizes = Vec::new();
    for _ in 0..3 * DAYS {
        let parameters = json!({"n": CHILDREN_A_DAY});
        client.run(json!({"module": "noop", "entry": "sequential_chatty", "parameters": parameters})).await;
        clock.advance(DAY);
        tokio::time::timeout(PATIENCE, clock.until_asleep(1, INTERVAL)).await.unwrap();
        sizes.push(server.app.store.storage().unwrap().database_bytes as f64);
    }
    let growth = sizes[3 * DAYS - 1] / sizes[DAYS - 1];
    report.add("growth", "(r) database after three times the retention, to after one", growth, 2, "x");
    server.shutdown(Duration::ZERO).await;
}
