//! `wasi:clocks`: the host's clock, which tests move by hand; or, for flows, flow time.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Instant};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

use super::{FlowHost, HostState};
use crate::clock::Clock;
use crate::wasm::sandbox::Job;

/// What a guest's clocks follow.
#[derive(Clone)]
pub(super) enum Time {
    Host(Clock),
    Flow(Arc<dyn FlowHost>),
}

impl Time {
    pub(super) fn of(job: &Job) -> Time {
        match &job.flow {
            Some(flow) if job.durable => Time::Flow(flow.clone()),
            _ => Time::Host(job.clock.clone()),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        match self {
            Time::Host(clock) => clock.now(),
            Time::Flow(flow) => flow.now(),
        }
    }
}

pub(super) struct Wall(pub Time);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        // Before 1970 a wall clock of WASI has no word for the time.
        Duration::from_micros(self.0.now().as_microsecond().try_into().unwrap_or(0))
    }
}

/// Nanoseconds since the sandbox was made; for a flow, which starts at the same time whenever it is called, since its
/// run began.
pub(super) struct Monotonic {
    time: Time,
    start: Start,
}

enum Start {
    System(std::time::Instant),
    At(Timestamp),
}

impl Monotonic {
    pub(super) fn starting_now(time: Time) -> Monotonic {
        let start = match &time {
            Time::Host(Clock::System) => Start::System(std::time::Instant::now()),
            _ => Start::At(time.now()),
        };
        Monotonic { time, start }
    }
}

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        match self.start {
            Start::System(start) => start.elapsed().as_nanos() as u64,
            Start::At(start) => self.time.now().duration_since(start).as_nanos().try_into().unwrap_or(0),
        }
    }
}

/// A sleep of a guest.
struct Sleep {
    time: Time,
    until: Timestamp,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Sleep {
    async fn ready(&mut self) {
        match &self.time {
            Time::Host(clock) => clock.sleep_until(self.until).await,
            Time::Flow(flow) => flow.sleep_until(self.until).await,
        }
    }
}

impl HostState {
    fn sleep(&mut self, nanos: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let time = Time::of(&self.job);
        // To the full microsecond above, so that nobody wakes early; a time beyond all time is never.
        let duration = SignedDuration::from_micros(nanos.div_ceil(1000).min(i64::MAX as u64) as i64);
        let until = time.now().saturating_add(duration).unwrap_or(Timestamp::MAX);
        let sleep = self.table.push(Sleep { time, until })?;
        subscribe(&mut self.table, sleep)
    }
}

impl monotonic_clock::Host for HostState {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        monotonic_clock::Host::now(&mut wasmtime_wasi::clocks::WasiClocksView::clocks(self))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: Instant) -> wasmtime::Result<Resource<DynPollable>> {
        let now = monotonic_clock::Host::now(self)?;
        self.sleep(when.saturating_sub(now))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.sleep(duration)
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    monotonic_clock::add_to_linker::<_, wasmtime::component::HasSelf<_>>(linker, |state| state)
}
