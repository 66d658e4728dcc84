//! The real binary as a process of its own, for what only a process can do: die.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tarefa::api::shapes::{RunShape, SubmitShape};
use tarefa::client::Client;
use tarefa::domain::RunId;

use crate::app::{guest, share_cache};

const PATIENCE: Duration = Duration::from_secs(120);

/// `tarefa serve` on a data directory.
pub struct Process {
    child: Child,
    pub client: Client,
}

/// `tarefa` with arguments, on a data directory.
pub fn tarefa(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tarefa"));
    command.args(arguments).arg("--data-dir").arg(data_dir).stdin(Stdio::null()).env("NO_COLOR", "1");
    // Whoever tests may have a server of their own.
    command.env("XDG_CONFIG_HOME", data_dir);
    command
}

/// What a verb that ends by itself printed.
pub fn output(data_dir: &Path, arguments: &[&str]) -> Output {
    tarefa(data_dir, arguments).output().expect("the binary starts")
}

/// Makes a data directory that compiles nothing anew.
pub fn data_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    share_cache(dir.path());
    dir
}

impl Process {
    /// Starts `tarefa serve` and waits until it answers.
    pub fn serve(data_dir: &Path, arguments: &[&str]) -> Process {
        Process::serve_saying(data_dir, arguments, Stdio::inherit())
    }

    /// As `serve`, with what it says on stderr to somewhere else.
    pub fn serve_saying(data_dir: &Path, arguments: &[&str], stderr: Stdio) -> Process {
        Process::serve_as(data_dir, arguments, |command| {
            command.stderr(stderr);
        })
    }

    /// As `serve`, with a command that was changed.
    pub fn serve_as(data_dir: &Path, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Process {
        let mut all = vec!["serve", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        let mut command = tarefa(data_dir, &all);
        change(&mut command);
        let mut child = command.stdout(Stdio::null()).spawn().expect("the binary starts");
        let started = Instant::now();
        loop {
            // Read, not locked: who tries the lock may be in the way of the server that takes it.
            let lock = std::fs::read(data_dir.join("lock")).unwrap_or_default();
            if let Ok(holder) = serde_json::from_slice::<Value>(&lock)
                && holder["pid"] == child.id()
            {
                let url = holder["url"].as_str().expect("the lock has the URL");
                return Process { client: Client::new(url).expect("it is a URL"), child };
            }
            assert!(child.try_wait().expect("can be asked").is_none(), "the server ended");
            assert!(started.elapsed() < PATIENCE, "the server does not come up");
            std::thread::yield_now();
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is gone");
    }

    /// As `kill`; returns the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("it runs");
        self.child.wait().expect("it ends").code()
    }

    pub async fn metrics(&self) -> String {
        let answer = reqwest::get(format!("{}/metrics", self.client.url())).await.expect("the server answers");
        answer.text().await.expect("the answer arrives whole")
    }

    pub async fn register(&self, name: &str) {
        self.client.register(name, guest(name)).await.expect("registers");
    }

    pub async fn submit(&self, module: &str, entry: &str, parameters: Value) -> RunId {
        let submit = SubmitShape {
            module: module.to_owned(),
            entry: Some(entry.to_owned()),
            parameters: parameters.as_object().cloned(),
            ..SubmitShape::default()
        };
        self.client.submit(&submit, None).await.expect("submits").summary.id
    }

    pub async fn until(&self, id: RunId, condition: impl Fn(&RunShape) -> bool) -> RunShape {
        let started = Instant::now();
        loop {
            let run = self.client.run(id).await.expect("the run is there");
            if condition(&run) {
                return run;
            }
            assert!(started.elapsed() < PATIENCE, "the run did not get there: {run:?}");
        }
    }

    pub async fn until_final(&self, id: RunId) -> RunShape {
        self.until(id, |run| run.summary.state.is_final()).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that fails must not leave it behind; else it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
