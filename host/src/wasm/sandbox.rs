//! One attempt in one fresh sandbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::BoxFuture;
use wasmtime::{CallHook, CallHookHandler, Store, StoreContextMut};

use super::Component;
use super::failure::{Stop, check_output_size, classify};
use super::host::{FlowHost, HostState, LogSink, Outbox, Variables};
use super::interface::{Guest, Linkage};
use super::random::Seed;
use crate::clock::Clock;
use crate::domain::limits::DEFAULT_MEMORY_BYTES;
use crate::domain::run::default_name;
use crate::domain::{Failure, FailureKind, Kind, Limits, Metering, Outcome, Run, Settings, Usage};

/// A guest gives the thread back after this much fuel, well under a millisecond, so that time-outs, cancellations and
/// its neighbours get their turn.
const FUEL_YIELD_INTERVAL: u64 = 1_000_000;
/// A guest that calls the host gives the thread back this often, in microseconds.
const TURN_US: u64 = 2_000;
/// Bytes that one call between guest and host may copy.
const HOSTCALL_BYTES: usize = 72 << 20;

/// Handles that a flow may hold beside those of all its children: what it passes to us for the time of a call, and WASI's.
const SPARE_HANDLES: usize = 100_000;

/// All that one attempt needs.
pub struct Job {
    pub run: Arc<Run>,
    /// What people see of the entry.
    pub title: Arc<str>,
    pub settings: Arc<Settings>,
    pub clock: Clock,
    pub sink: Arc<dyn LogSink>,
    /// What takes its signals; `describe` has none.
    pub outbox: Option<Arc<dyn Outbox>>,
    /// What a task reads variables of; `describe` reads none.
    pub variables: Option<Arc<dyn Variables>>,
    /// What its random numbers follow from.
    pub seed: Seed,
    /// Whether times and sleeps are those of the flow, so that its guest can be called again.
    pub durable: bool,
    /// What a flow runs its children with; none for tasks.
    pub flow: Option<Arc<dyn FlowHost>>,
    pub logged_bytes: AtomicU64,
}

impl Component {
    /// Calls the entry of `job` in a fresh sandbox and drops it. `interrupted` ends the attempt early, with the failure
    /// that it resolves to; it is not polled before the guest first waits or yields.
    pub async fn call(&self, job: Arc<Job>, interrupted: BoxFuture<'_, Failure>) -> Outcome {
        let started = Instant::now();
        let mut attempt = match self.open(&job).await {
            Ok(attempt) => attempt,
            Err(failure) => return Outcome::failed(failure),
        };
        let result = tokio::select! {
            biased;
            result = attempt.guest.call(&mut attempt.store, &job) => Some(result),
            failure = interrupted => {
                attempt.interrupted = Some(failure);
                None
            }
        };
        attempt.close(&job, result, started)
    }

    /// What the module says of itself, called in a sandbox like any attempt's.
    pub async fn describe(&self, job: Arc<Job>, interrupted: BoxFuture<'_, Failure>) -> Result<String, Failure> {
        let mut attempt = self.open(&job).await?;
        tokio::select! {
            biased;
            result = attempt.guest.describe(&mut attempt.store, &job) => result,
            failure = interrupted => Err(failure),
        }
    }

    async fn open(&self, job: &Arc<Job>) -> Result<Open, Failure> {
        let pooled = match &self.pooled {
            // The pool's places have the memory of the default limit, no more.
            Some(pooled) if job.settings.limits.memory_bytes <= DEFAULT_MEMORY_BYTES => {
                Some(self.open_in(pooled, job).await)
            }
            _ => None,
        };
        let opened = match pooled {
            // A full pool is our shortage, never the guest's failure.
            Some(Err(error)) if error.is::<wasmtime::PoolConcurrencyLimitError>() => None,
            opened => opened,
        };
        let count = &self.shared.opened;
        let (opened, count) = match opened {
            Some(opened) => (opened, &count.in_pool),
            None => (self.open_in(&self.on_demand()?, job).await, &count.on_demand),
        };
        if opened.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
        opened.map_err(|error| classify(&error, &job.settings.limits, ""))
    }

    async fn open_in(&self, pre: &Linkage, job: &Arc<Job>) -> wasmtime::Result<Open> {
        let stdio = pre.stdio(job).map_err(Stop)?;
        let state = HostState::new(job.clone(), stdio).map_err(Stop)?;
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.call_hook_async(Turns::starting_now());
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        if job.run.kind == Kind::Flow {
            store.set_max_component_handles(job.settings.limits.children as usize + SPARE_HANDLES);
        }
        match self.metering {
            Metering::Fuel => {
                store.set_fuel(job.settings.limits.fuel)?;
                store.fuel_async_yield_interval(Some(FUEL_YIELD_INTERVAL))?;
            }
            Metering::Time => {
                store.set_epoch_deadline(1);
                store.epoch_deadline_async_yield_and_update(1);
            }
        }
        let guest = pre.instantiate(&mut store).await?;
        Ok(Open { store, guest, metering: self.metering, interrupted: None })
    }
}

/// Looks in after each host call. It gives the thread back after calls that took long together: they cost no fuel, so
/// that a guest that does nothing else would keep it. And it ends an attempt that was denied something.
struct Turns {
    start: Instant,
    /// Microseconds from `start` to the last turn's end.
    last_us: AtomicU64,
}

impl Turns {
    fn starting_now() -> Turns {
        Turns { start: Instant::now(), last_us: AtomicU64::new(0) }
    }
}

#[wasmtime_wasi::async_trait]
impl CallHookHandler<HostState> for Turns {
    async fn handle_call_event(
        &self,
        mut store: StoreContextMut<'_, HostState>,
        event: CallHook,
    ) -> wasmtime::Result<()> {
        if !matches!(event, CallHook::ReturningFromHost) {
            return Ok(());
        }
        if let Some(failure) = store.data_mut().take_denied() {
            return Err(Stop(failure).into());
        }
        let now_us = self.start.elapsed().as_micros() as u64;
        if now_us - self.last_us.load(Ordering::Relaxed) > TURN_US {
            tokio::task::yield_now().await;
            self.last_us.store(self.start.elapsed().as_micros() as u64, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// A sandbox in use.
struct Open {
    store: Store<HostState>,
    guest: Guest,
    metering: Metering,
    interrupted: Option<Failure>,
}

type CallResult = wasmtime::Result<Result<String, Failure>>;

impl Open {
    fn close(mut self, job: &Job, result: Option<CallResult>, started: Instant) -> Outcome {
        self.store.data().flush_output();
        let usage = Usage {
            fuel: self.fuel_used(&job.settings.limits),
            memory_peak_bytes: self.store.data().limiter.peak_bytes(),
            duration_ms: started.elapsed().as_micros() as f64 / 1000.0,
        };
        let result = match (result, self.interrupted) {
            (Some(Ok(Ok(json))), _) => check_output(json, &job.settings.limits),
            (Some(Ok(Err(failure))), _) => Err(failure),
            (Some(Err(error)), _) => Err(classify(&error, &job.settings.limits, &self.store.data().stderr_tail())),
            (None, failure) => Err(failure.expect("a call without result was interrupted")),
        };
        let mut result = result;
        if let Err(failure) = &mut result {
            self.store.data().explain(failure);
        }
        let label = self.store.data_mut().take_label().filter(|_| result.is_ok());
        Outcome { result, label, usage, children: None }
    }

    fn fuel_used(&self, limits: &Limits) -> u64 {
        match self.metering {
            Metering::Fuel => limits.fuel - self.store.get_fuel().unwrap_or(0).min(limits.fuel),
            Metering::Time => 0,
        }
    }
}

fn check_output(json: String, limits: &Limits) -> Result<Arc<str>, Failure> {
    check_output_size(json.len(), limits)?;
    match serde_json::from_str::<&serde_json::value::RawValue>(&json) {
        Ok(_) => Ok(json.into()),
        Err(error) => {
            Err(Failure::new(FailureKind::InvalidOutput, format!("the guest returned what is not JSON: {error}")))
        }
    }
}

/// A run's name as people see it.
pub fn display_name(run: &Run, title: &str) -> Arc<str> {
    run.name.clone().unwrap_or_else(|| default_name(title, run.parent.map(|parent| parent.seq)).into())
}
