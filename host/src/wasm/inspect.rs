//! What a registration asks of a component, and how a refusal reads.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;

use super::host::{Level, LogSink};
use super::{Component, Job, Secret, Wasm};
use crate::clock::Clock;
use crate::domain::limits::LimitCaps;
use crate::domain::module::check_name;
use crate::domain::parameters::Schema;
use crate::domain::{Description, Digest, Failure, FailureKind, Kind, Limits, Metering, Retries, Run, RunId, Settings};
use crate::error::{Error, Result};

/// What `describe` may use: it only states facts.
const DESCRIBE_FUEL: u64 = 100_000_000;
const DESCRIBE_MEMORY_BYTES: u64 = 64 << 20;
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(2);
const DESCRIBE_BYTES: u64 = 4 << 20;
/// Entries of one module.
pub(super) const MAX_ENTRIES: usize = 1000;

/// The first bytes of a component and of a core module.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

impl Wasm {
    /// Checks that `wasm` is a component that we can run, keeps it by its digest, and says what it offers.
    ///
    /// # Errors
    ///
    /// `invalid`, with the reason, for all that is not.
    pub async fn inspect(&self, wasm: Vec<u8>, caps: &LimitCaps) -> Result<(Digest, Description)> {
        check_preamble(&wasm)?;
        let digest = Digest::of(&wasm);
        let described = self.describe(&digest, &wasm, caps).await;
        match &described {
            Ok(_) => self.keep(&digest, &wasm)?,
            Err(_) => self.forget_unregistered(&digest),
        }
        Ok((digest, described?))
    }

    /// As `inspect`, but keeps nothing of it: once the component was called, `forget_unregistered` lets go its code.
    ///
    /// # Errors
    ///
    /// As `inspect`.
    pub async fn try_out(
        &self,
        wasm: &[u8],
        caps: &LimitCaps,
        metering: Metering,
    ) -> Result<(Arc<Component>, Description)> {
        check_preamble(wasm)?;
        let digest = Digest::of(wasm);
        let tried = async {
            let description = self.describe(&digest, wasm, caps).await?;
            Ok((self.load_with(&digest, metering, || Ok(wasm.to_owned())).await?, description))
        };
        let tried = tried.await;
        if tried.is_err() {
            self.forget_unregistered(&digest);
        }
        tried
    }

    async fn describe(&self, digest: &Digest, wasm: &[u8], caps: &LimitCaps) -> Result<Description> {
        let component = self.load_with(digest, Metering::Fuel, || Ok(wasm.to_owned())).await?;
        if let Some(description) = component.description()? {
            return check_description(&description, caps)
                .map(|()| description)
                .map_err(|why| Error::invalid(format!("the component {why}")));
        }
        let timeout = async {
            tokio::time::sleep(DESCRIBE_TIMEOUT).await;
            Failure::new(FailureKind::TimedOut, format!("no answer after {} s", DESCRIBE_TIMEOUT.as_secs()))
        };
        let json = component
            .describe(Arc::new(describe_job(digest)), Box::pin(timeout))
            .await
            .map_err(|failure| Error::invalid(format!("`describe` failed: {}", failure.message)))?;
        parse_description(&json, caps).map_err(|why| Error::invalid(format!("`describe` {why}")))
    }
}

fn check_preamble(wasm: &[u8]) -> Result<()> {
    if wasm.starts_with(COMPONENT) {
        Ok(())
    } else if wasm.starts_with(CORE_MODULE) {
        Err(Error::invalid(
            "this is a core WebAssembly module, not a component: build it with `cargo build --target wasm32-wasip2`, `cargo component build` or `tarefa build`",
        ))
    } else if wasm.is_empty() {
        Err(Error::invalid("the body is empty; it takes the bytes of a WebAssembly component"))
    } else {
        Err(Error::invalid("this is not WebAssembly: a component starts with the bytes `\\0asm`"))
    }
}

/// How the engine's refusal to link a component reads.
pub(super) fn refusal(error: &wasmtime::Error) -> String {
    let chain = format!("{error:#}");
    let contract = "the contract is `tarefa:guest@0.1.0` with what WASI 0.2 offers";
    if chain.contains("component imports") || chain.contains("was not found in the linker") {
        let import = chain.split('`').nth(1).unwrap_or("?");
        format!("the component imports `{import}`, which this server does not offer; {contract}")
    } else {
        error.root_cause().to_string()
    }
}

fn parse_description(json: &str, caps: &LimitCaps) -> std::result::Result<Description, String> {
    let description: Description =
        serde_json::from_str(json).map_err(|error| format!("returned what is no description: {error}"))?;
    check_description(&description, caps)?;
    Ok(description)
}

fn check_description(description: &Description, caps: &LimitCaps) -> std::result::Result<(), String> {
    let entries = &description.entries;
    if entries.is_empty() || entries.len() > MAX_ENTRIES {
        return Err(format!("named {} entries; a module has 1 to {MAX_ENTRIES}", entries.len()));
    }
    for (n, entry) in entries.iter().enumerate() {
        check_name("entry", &entry.name)?;
        let of_entry = |why: String| format!("named an entry `{}` that cannot be: {why}", entry.name);
        if entries[..n].iter().any(|other| other.name == entry.name) {
            return Err(of_entry("there are two of that name".to_owned()));
        }
        entry.retries.check().map_err(of_entry)?;
        entry.limits.check(caps).map_err(of_entry)?;
        if let Some(schema) = &entry.input {
            Schema::compile(schema).map_err(of_entry)?;
        }
        if let Some(rule) = &entry.cache {
            rule.check(entry.kind, entry.input.as_ref()).map_err(of_entry)?;
        }
    }
    Ok(())
}

/// `describe` runs in the name of nobody.
fn describe_job(digest: &Digest) -> Job {
    let nil = RunId(uuid::Uuid::nil());
    let at = Timestamp::UNIX_EPOCH;
    let run = Run::new(nil, Kind::Task, "".into(), digest.clone(), 0, "describe".into(), at);
    let settings = Settings {
        limits: Limits {
            fuel: DESCRIBE_FUEL,
            memory_bytes: DESCRIBE_MEMORY_BYTES,
            output_bytes: DESCRIBE_BYTES,
            ..Limits::default_for(Kind::Task)
        },
        retries: Retries::default(),
        metering: Metering::Fuel,
        tags: Vec::new(),
        timezone: "UTC".to_owned(),
        dirs: Vec::new(),
        http: Vec::new(),
    };
    Job {
        run: Arc::new(run),
        title: "describe".into(),
        settings: Arc::new(settings),
        clock: Clock::System,
        sink: Arc::new(NoLog),
        flow: None,
        outbox: None,
        variables: None,
        seed: Secret::new([0; 32]).of(nil, 0),
        durable: false,
        logged_bytes: AtomicU64::new(0),
    }
}

/// Drops what `describe` logs.
struct NoLog;

impl LogSink for NoLog {
    fn write(&self, _level: Level, _message: String) {}
}
