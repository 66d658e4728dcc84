//! What the history costs: bytes of the database, and the time of its lists.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::client::Client;
use super::process::Process;
use super::report::{Report, median};
use super::{CHILDREN, ROUNDS, elapsed_ms};

/// Runs of a list.
const LISTED: usize = 200;
/// Lists, of which the median counts.
const LISTS: usize = 200;
/// What the flows before it left: a list of a short history says nothing.
const _: () = assert!(3 * ROUNDS * CHILDREN as usize > 100_000);

/// Megabytes by which 1,000 no-op tasks of a flow grow the database.
///
/// Between them the server is ended and its write-ahead log written back into the file whole, so that the difference of
/// two sizes of the file is what stays.
pub async fn mb_per_1000(data: &Path) -> f64 {
    let before = size_after(data, 1).await;
    let after = size_after(data, CHILDREN).await;
    (after - before) / f64::from(CHILDREN) * 1_000.0 / 1e6
}

async fn size_after(data: &Path, children: u32) -> f64 {
    let process = Process::start(data, &[]).await;
    let client = Client::new(process.url.clone());
    client.register("noop").await;
    client.flow_us("sequential", children).await;
    process.kill();
    let path = data.join("tarefa.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    let busy: i64 = database.query_row("PRAGMA wal_checkpoint(truncate)", [], |row| row.get(0)).unwrap();
    assert_eq!(busy, 0, "the log is written back whole");
    drop(database);
    std::fs::metadata(path).unwrap().len() as f64
}

/// The newest runs, among more than 100,000.
pub async fn lists(client: &Client, report: &mut Report) {
    let roots = list_ms(client, &format!("/api/runs?limit={LISTED}&root=true")).await;
    report.add("list ms", "(h) list of 200 top-level runs among 100,000 runs", roots, 2, "ms");
    let all = list_ms(client, &format!("/api/runs?limit={LISTED}")).await;
    report.add("list with children ms", "(h) list of 200 runs, children too", all, 2, "ms");
}

async fn list_ms(client: &Client, path: &str) -> f64 {
    let page: Value = serde_json::from_slice(&client.get(path).await).unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), LISTED);
    let mut times = Vec::new();
    for _ in 0..LISTS {
        let started = Instant::now();
        client.get(path).await;
        times.push(elapsed_ms(started));
    }
    median(&mut times)
}
