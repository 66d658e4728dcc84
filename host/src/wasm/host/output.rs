//! stdout and stderr of a guest: each line becomes a line of the run's log.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use super::log::Level;
use crate::wasm::failure::{Stop, check_output_size};
use crate::wasm::sandbox::Job;

/// A longer line is logged in pieces.
const MAX_LINE: usize = 16 << 10;
/// What is kept of stderr to tell why a guest trapped.
const MAX_TAIL: usize = 4 << 10;
/// Bytes that a guest may write at once.
const PERMIT: usize = 64 << 10;

/// The last bytes of a stream.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let excess = self.0.len().saturating_sub(MAX_TAIL);
        self.0.drain(..excess);
    }
}

/// Both streams of one guest.
pub(super) struct Shared {
    job: Arc<Job>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A command's stdout, which is its result.
    stdout: Option<Vec<u8>>,
    /// Unfinished lines of stdout and stderr.
    lines: [Vec<u8>; 2],
    stderr_tail: Tail,
}

impl Shared {
    /// Logs both streams, or with `keep_stdout` only stderr.
    pub(super) fn new(job: Arc<Job>, keep_stdout: bool) -> Shared {
        let state = State { stdout: keep_stdout.then(Vec::new), ..State::default() };
        Shared { job, state: Mutex::new(state) }
    }

    pub(super) fn take_stdout(&self) -> Vec<u8> {
        self.lock().stdout.take().unwrap_or_default()
    }

    pub(super) fn stderr_tail(&self) -> String {
        String::from_utf8_lossy(&self.lock().stderr_tail.0).into_owned()
    }

    /// Logs unfinished lines. What no longer fits the log's limit is dropped: the attempt is over.
    pub(super) fn flush(&self) {
        let lines = std::mem::take(&mut self.lock().lines);
        for (line, to) in lines.into_iter().zip([To::Stdout, To::Stderr]) {
            if !line.is_empty() {
                let _ = self.log(to, &line);
            }
        }
    }

    fn write(&self, to: To, bytes: &[u8]) -> wasmtime::Result<()> {
        let mut state = self.lock();
        match (to, &mut state.stdout) {
            (To::Stdout, Some(kept)) => return self.keep(kept, bytes),
            (To::Stdout, None) => {}
            (To::Stderr, _) => state.stderr_tail.push(bytes),
        }
        let line = &mut state.lines[to as usize];
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            for part in piece.chunks(MAX_LINE) {
                line.extend_from_slice(part);
                if line.ends_with(b"\n") || line.len() >= MAX_LINE {
                    self.log(to, line)?;
                    line.clear();
                }
            }
        }
        Ok(())
    }

    fn keep(&self, kept: &mut Vec<u8>, bytes: &[u8]) -> wasmtime::Result<()> {
        kept.extend_from_slice(bytes);
        match check_output_size(kept.len(), &self.job.settings.limits) {
            Ok(()) => Ok(()),
            Err(failure) => Err(Stop(failure).into()),
        }
    }

    fn log(&self, to: To, line: &[u8]) -> wasmtime::Result<()> {
        let text = String::from_utf8_lossy(line);
        let level = if to == To::Stdout { Level::Info } else { Level::Warn };
        self.job.log(level, text.trim_end_matches(['\n', '\r']).to_owned())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Stdout,
    Stderr,
}

/// One of the two streams.
#[derive(Clone)]
pub(super) struct Stream {
    shared: Arc<Shared>,
    to: To,
}

impl Stream {
    pub(super) fn stdout(shared: &Arc<Shared>) -> Stream {
        Stream { shared: shared.clone(), to: To::Stdout }
    }

    pub(super) fn stderr(shared: &Arc<Shared>) -> Stream {
        Stream { shared: shared.clone(), to: To::Stderr }
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // WASI 0.2, the only version that we link, takes `p2_stream`.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.shared.write(self.to, &bytes).map_err(StreamError::Trap)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}
