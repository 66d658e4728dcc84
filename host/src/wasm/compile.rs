//! Compilation, in a child process of our own binary: Cranelift can neither be cancelled nor capped within ours.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::AsyncWriteExt;

use super::engine::{Allocation, engine};
use crate::domain::Metering;
use crate::error::{Error, Result};

/// The verb by which our binary compiles what it reads on stdin.
pub const COMPILE_VERB: &str = "compile-component";
/// Address space of the compiling process; a component of 64 MiB takes less than half of it.
const MEMORY_BYTES: u64 = 8 << 30;
/// Its processor time, over all threads.
const CPU_SECONDS: u64 = 240;
/// Its wall time.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Compiles a component with `compiler`, our binary.
///
/// # Errors
///
/// `invalid` with the compiler's word where the bytes are no component that this engine takes.
pub async fn compile(compiler: &Path, metering: Metering, wasm: &[u8]) -> Result<Vec<u8>> {
    let run = async {
        let mut child = tokio::process::Command::new(compiler)
            .arg(COMPILE_VERB)
            .arg(if metering == Metering::Time { "time" } else { "fuel" })
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start the compiler `{}`", compiler.display()))?;
        let mut stdin = child.stdin.take().context("the compiler has a stdin")?;
        let feed = async move {
            // Where the compiler leaves early, its own word on stderr counts.
            let _ = stdin.write_all(wasm).await;
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        output.context("cannot wait for the compiler")
    };
    let output = tokio::time::timeout(TIMEOUT, run)
        .await
        .map_err(|_| Error::invalid(format!("compiling took more than {} s", TIMEOUT.as_secs())))??;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let message = match said.trim() {
        "" => format!(
            "compiling went over its limits of {} GiB and {CPU_SECONDS} s of processor time",
            MEMORY_BYTES >> 30
        ),
        said => said.chars().take(2000).collect(),
    };
    Err(Error::invalid(message))
}

/// The child's side: reads a component on stdin and writes its compiled form to stdout.
///
/// # Errors
///
/// Says why the bytes are no component that this engine takes.
pub fn compile_stdin(metering: &str) -> anyhow::Result<()> {
    use std::io::{Read, Write};

    // A core file of a compiler that went over its limits would be large, and of no use.
    for (resource, limit) in [(Resource::As, MEMORY_BYTES), (Resource::Cpu, CPU_SECONDS), (Resource::Core, 0)] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    let metering = if metering == "time" { Metering::Time } else { Metering::Fuel };
    let mut wasm = Vec::new();
    std::io::stdin().read_to_end(&mut wasm)?;
    let engine = engine(metering, Allocation::OnDemand)?;
    let compiled = engine.precompile_component(&wasm).map_err(|error| anyhow::anyhow!("{}", error.root_cause()))?;
    ensure!(!compiled.is_empty(), "the compiled component is empty");
    std::io::stdout().write_all(&compiled)?;
    Ok(())
}
