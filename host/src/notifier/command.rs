//! Programs of the operator's, which are told on their standard input.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::domain::notify::Told;
use crate::domain::run::printable;
use crate::store::DueNotification;

/// What is kept of each of its two outputs, in bytes.
const MAX_OUTPUT: usize = 8 << 10;
/// What is told of its output where it fails, in characters.
const MAX_WHY: usize = 200;
/// Where it finds other programs, where the server itself does not know.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// How long its output is waited for once it is gone: what left its process group may hold it open.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(500);

/// Kills a command and all that it started and that has not left its process group.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // There may be nobody left.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Runs a program until it ends; dropped, it is killed.
pub(super) async fn run(command: &[String], due: &DueNotification) -> Told {
    let failed = |why: String| Told::Failed { why, after: None };
    let Some((program, arguments)) = command.split_first() else {
        return Told::Refused("its rule has no command".to_owned());
    };
    let started = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into()))
        .env("TAREFA_EVENT", due.event.as_str())
        .env("TAREFA_NOTIFICATION_ID", &due.id)
        .envs(due.run_id.map(|id| ("TAREFA_RUN_ID", id.to_string())))
        .current_dir("/")
        .process_group(0)
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return failed(format!("cannot start `{program}`: {error}")),
    };
    let group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    match talk(&mut child, group, &due.body).await {
        Ok((status, said)) if status.success() => {
            tracing::debug!("`{program}` was notified: {said}");
            Told::Taken
        }
        Ok((status, said)) => {
            tracing::warn!("`{program}` failed with {status}: {said}");
            let first = said.lines().next().unwrap_or_default();
            let said = if first.is_empty() { String::new() } else { format!(": {}", printable(first, MAX_WHY)) };
            failed(format!("it ended with {status}{said}"))
        }
        Err(error) => failed(format!("cannot wait for `{program}`: {error}")),
    }
}

/// How it ended, and what it said: first on stderr, then on stdout.
async fn talk(child: &mut Child, group: Group, body: &str) -> std::io::Result<(ExitStatus, String)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let talk = async {
        let tell = async {
            if let Some(mut stdin) = stdin {
                // It need not listen.
                let _ = stdin.write_all(body.as_bytes()).await;
            }
        };
        let ((), errors, output) = tokio::join!(tell, keep(stderr), keep(stdout));
        errors + &output
    };
    tokio::pin!(talk);
    let mut said = None;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            all = &mut talk, if said.is_none() => said = Some(all),
        }
    };
    drop(group);
    let said = match said {
        Some(said) => said,
        None => tokio::time::timeout(OUTPUT_TIMEOUT, talk).await.unwrap_or_default(),
    };
    Ok((status, said))
}

/// The beginning of what comes; the rest is read and forgotten, so that nobody waits for us.
async fn keep(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let (mut kept, mut piece) = (Vec::new(), vec![0; MAX_OUTPUT]);
    while let Ok(read @ 1..) = stream.read(&mut piece).await {
        kept.extend_from_slice(&piece[..read.min(MAX_OUTPUT - kept.len())]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
