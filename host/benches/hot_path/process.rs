//! The binary as a process: how soon it answers, and what it holds when nothing runs.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::elapsed_ms;
use super::report::median;

const BINARY: &str = env!("CARGO_BIN_EXE_tarefa");
/// Starts, of which the median counts.
const STARTS: usize = 5;
/// After a start allocators and threads come to rest.
const REST: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Start {
    pub healthy_ms: f64,
    pub resident_mb: f64,
    pub binary_mb: f64,
}

/// `tarefa serve`.
pub struct Process {
    child: Child,
    pub url: String,
    healthy_ms: f64,
}

pub async fn measure(data: &Path) -> Start {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let process = Process::start(data, &[]).await;
        times.push(process.healthy_ms);
        process.kill();
    }
    let process = Process::start(data, &[]).await;
    tokio::time::sleep(REST).await;
    let resident_mb = process.resident_mb();
    process.kill();
    let binary_mb = std::fs::metadata(BINARY).unwrap().len() as f64 / 1e6;
    Start { healthy_ms: median(&mut times), resident_mb, binary_mb }
}

impl Process {
    /// A server on an existing or fresh directory, once it is healthy.
    #[allow(clippy::zombie_processes, reason = "`kill` waits for it")]
    pub async fn start(data: &Path, arguments: &[&str]) -> Process {
        let started = Instant::now();
        let child = Command::new(BINARY)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data)
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let http = tarefa::tls::plain_client().build().expect("a client");
        loop {
            // A lock of an earlier process is emptied when it ends, so what stands there is this one's.
            if let Ok(Some(holder)) = tarefa::datadir::find_server(data)
                && holder.pid == child.id()
                && http
                    .get(format!("{}/api/health", holder.url))
                    .send()
                    .await
                    .is_ok_and(|answer| answer.status().is_success())
            {
                return Process { child, url: holder.url, healthy_ms: elapsed_ms(started) };
            }
            assert!(started.elapsed() < PATIENCE, "the server is not healthy after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
    }

    pub fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024.0 / 1e6
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
