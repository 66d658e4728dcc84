//! What the server counts, as Prometheus reads it. Every figure of the hot path is an atomic addition to a handle that
//! was made at the start.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};

use crate::domain::{Kind, Run, State, Transition, Trigger, Usage};

pub use prometheus_client::metrics::gauge::Gauge;

/// All names begin so.
const PREFIX: &str = "tarefa";
const KINDS: [Kind; 2] = [Kind::Flow, Kind::Task];
const OUTCOMES: [&str; 4] = ["completed", "retried", "failed", "cancelled"];
const FINAL_STATES: [State; 4] = [State::Completed, State::Failed, State::Crashed, State::Cancelled];
/// Upper bounds of the durations that are told apart, in microseconds: from a no-op to a day's flow.
const DURATIONS_US: [u64; 14] = [
    100,
    1_000,
    5_000,
    10_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    60_000_000,
    600_000_000,
    3_600_000_000,
    86_400_000_000,
];

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The handles.
pub struct Metrics {
    registry: Registry,
    submitted: [Counter; Trigger::ALL.len()],
    of_kind: [OfKind; KINDS.len()],
    fuel_used: Counter,
    runs_pruned: Counter,
    log_lines_pruned: Counter,
    /// Task sandboxes that may be open at once, and that are.
    pub slots: Gauge,
    pub slots_in_use: Gauge,
    /// Flows that may be in memory at once, and that are.
    pub flow_places: Gauge,
    pub flows_in_memory: Gauge,
}

/// The handles for one kind of runs.
struct OfKind {
    finished: [Counter; FINAL_STATES.len()],
    attempts: [Counter; OUTCOMES.len()],
    duration: Durations,
}

/// What others count, at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub unfinished_runs: u64,
    pub modules: u64,
    pub commits: u64,
    pub writes: u64,
    pub sandboxes_pooled: u64,
    pub sandboxes_on_demand: u64,
    pub event_streams: usize,
}

impl Metrics {
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix(PREFIX);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of this server", build);
        let submitted = Family::<Labels<1>, Counter>::default();
        registry.register("runs_submitted", "Runs that were submitted since the server started", submitted.clone());
        let finished = Family::<Labels<2>, Counter>::default();
        registry.register("runs_finished", "Runs that ended since the server started", finished.clone());
        let attempts = Family::<Labels<2>, Counter>::default();
        registry.register("attempts", "Attempts that ended since the server started", attempts.clone());
        let durations = Family::<Labels<1>, Durations>::default();
        let help = "Time from the start of a run's last attempt to the run's end";
        registry.register_with_unit("run_duration", help, Unit::Seconds, durations.clone());
        let of_kind = KINDS.map(|kind| OfKind {
            finished: FINAL_STATES
                .map(|state| finished.get_or_create_owned(&[("kind", kind.as_str()), ("state", state.as_str())])),
            attempts: OUTCOMES
                .map(|outcome| attempts.get_or_create_owned(&[("kind", kind.as_str()), ("outcome", outcome)])),
            duration: durations.get_or_create_owned(&[("kind", kind.as_str())]),
        });
        let fuel_used = Counter::default();
        let help = "Fuel that attempts used since the server started, about one unit an instruction";
        registry.register("fuel_used", help, fuel_used.clone());
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let help = "Runs that were deleted since the server started, as they were older than they are kept";
        let runs_pruned = counter("runs_pruned", help);
        let help = "Lines of logs that were deleted since the server started, as they were older than they are kept";
        let log_lines_pruned = counter("log_lines_pruned", help);
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        Metrics {
            slots: gauge("slots", "Task sandboxes that may be open at once"),
            slots_in_use: gauge("slots_in_use", "Task sandboxes that are open"),
            flow_places: gauge("flow_places", "Flows that may be in memory at once"),
            flows_in_memory: gauge("flows_in_memory", "Flows that are in memory"),
            submitted: Trigger::ALL.map(|trigger| submitted.get_or_create_owned(&[("trigger", trigger.as_str())])),
            of_kind,
            fuel_used,
            runs_pruned,
            log_lines_pruned,
            registry,
        }
    }

    /// A run was submitted.
    pub fn submitted(&self, trigger: Trigger) {
        self.submitted[index(&Trigger::ALL, trigger)].inc();
    }

    /// A run became final.
    pub fn finished(&self, run: &Run) {
        let of_kind = &self.of_kind[index(&KINDS, run.kind)];
        of_kind.finished[index(&FINAL_STATES, run.state)].inc();
        if let (Some(from), Some(to), None) = (run.started_at, run.finished_at, run.cached_from) {
            of_kind.duration.observe_us((to.as_microsecond() - from.as_microsecond()).max(0) as u64);
        }
    }

    /// So much was older than it is kept, and was deleted.
    pub fn pruned(&self, runs: u64, log_lines: u64) {
        self.runs_pruned.inc_by(runs);
        self.log_lines_pruned.inc_by(log_lines);
    }

    /// An attempt ended, with what is to become of its run.
    pub fn attempt_ended(&self, kind: Kind, usage: &Usage, transition: &Transition) {
        let outcome = match transition {
            Transition::Retry { .. } => "retried",
            Transition::Final(State::Completed) => "completed",
            Transition::Final(State::Cancelled) => "cancelled",
            Transition::Final(_) => "failed",
        };
        self.of_kind[index(&KINDS, kind)].attempts[index(&OUTCOMES, outcome)].inc();
        self.fuel_used.inc_by(usage.fuel);
    }

    /// All of it as text.
    pub fn text(&self, figures: Figures) -> String {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, &figures.registry()))
            .and_then(|()| encode_eof(&mut text))
            .expect("writing to a string does not fail");
        text
    }
}

impl Figures {
    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix(PREFIX);
        let gauge = |value: u64| ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register("runs_unfinished", "Runs on record that are not final", gauge(self.unfinished_runs));
        registry.register("modules", "Registered modules", gauge(self.modules));
        registry.register("event_streams", "Event streams that are open", gauge(self.event_streams as u64));
        registry.register("store_commits", "Transactions since the server started", ConstCounter::new(self.commits));
        let help = "Writes that were committed since the server started";
        registry.register("store_writes", help, ConstCounter::new(self.writes));
        let help = "Sandboxes that were opened since the server started";
        let opened = Family::<Labels<1>, Counter>::default();
        for (place, count) in [("pool", self.sandboxes_pooled), ("on_demand", self.sandboxes_on_demand)] {
            opened.get_or_create_owned(&[("place", place)]).inc_by(count);
        }
        registry.register("sandboxes_opened", help, opened);
        registry
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

fn index<T: PartialEq>(all: &[T], one: T) -> usize {
    all.iter().position(|each| *each == one).expect("the table has them all")
}

/// A histogram of durations. The library's own takes a lock for each.
#[derive(Clone, Debug, Default)]
struct Durations {
    inner: Arc<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    /// The last has what is longer than the longest bound.
    counts: [AtomicU64; DURATIONS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Durations {
    fn observe_us(&self, us: u64) {
        let bucket = DURATIONS_US.partition_point(|bound| *bound < us);
        self.inner.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.inner.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let seconds = |us: u64| us as f64 / 1e6;
        let bounds = DURATIONS_US.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
        let counts = self.inner.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = seconds(self.inner.sum_us.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}
