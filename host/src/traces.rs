//! Finished runs as OpenTelemetry traces, where an operator names a collector. Lossy by contract: a collector that is
//! slow or down costs its own spans, never a run.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::api::shapes::RunSummary;
use crate::api::summary;
use crate::app::App;
use crate::domain::{Kind, Run, RunId, State, Timestamp};
use crate::error::{Error, Result};
use crate::tls;

/// Where collectors take traces, below their endpoint.
const PATH: &str = "v1/traces";
/// Spans that are sent together, and children that are read together.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const BATCH_INTERVAL: Duration = Duration::from_millis(500);
/// What is not taken by then is given up.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends what finishes, until it is closed or dropped.
pub struct Traces {
    closing: CancellationToken,
    sending: JoinHandle<()>,
}

impl Traces {
    /// Sends the runs that finish from now on to the collector at `endpoint`, such as `http://127.0.0.1:4318`.
    ///
    /// # Errors
    ///
    /// `invalid` where `endpoint` is no URL.
    pub fn start(app: &Arc<App>, endpoint: &str) -> Result<Traces> {
        let url = format!("{}/{PATH}", endpoint.trim_end_matches('/'));
        let http = tls::plain_client().timeout(EXPORT_TIMEOUT).build().map_err(anyhow::Error::from)?;
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(http)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|error| Error::invalid(format!("no traces can be sent to `{endpoint}`: {error}")))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        exporter.set_resource(&Resource::builder().with_service_name("tarefa").with_attribute(version).build());
        let sender = Sender {
            app: app.clone(),
            exporter,
            endpoint: endpoint.to_owned(),
            scope: InstrumentationScope::builder("tarefa").with_version(env!("CARGO_PKG_VERSION")).build(),
            batch: Vec::with_capacity(BATCH),
            n_lost: 0,
        };
        let closing = CancellationToken::new();
        let sending = tokio::spawn(sender.send_all(app.events.finished(), closing.clone()));
        Ok(Traces { closing, sending })
    }

    /// Sends what has finished by now, for as long as one batch may take.
    pub async fn close(mut self) {
        self.closing.cancel();
        let _ = tokio::time::timeout(EXPORT_TIMEOUT, &mut self.sending).await;
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

struct Sender {
    app: Arc<App>,
    exporter: SpanExporter,
    endpoint: String,
    scope: InstrumentationScope,
    batch: Vec<SpanData>,
    /// Spans that the collector did not take since it last took any.
    n_lost: usize,
}

impl Sender {
    async fn send_all(mut self, mut finished: Receiver<RunId>, closing: CancellationToken) {
        let mut due = Instant::now();
        loop {
            let next = async {
                match self.batch.is_empty() {
                    true => Some(finished.recv().await),
                    false => timeout_at(due, finished.recv()).await.ok(),
                }
            };
            let next = tokio::select! {
                // First what has finished: it is sent although we close.
                biased;
                next = next => next,
                () = closing.cancelled() => break,
            };
            match next {
                Some(Ok(id)) => {
                    if self.batch.is_empty() {
                        due = Instant::now() + BATCH_INTERVAL;
                    }
                    if let Err(error) = self.add_trace(id).await {
                        tracing::warn!("run `{id}` could not be read for its trace: {error}");
                    }
                }
                Some(Err(RecvError::Lagged(n_runs))) => {
                    self.lose(n_runs as usize, "it takes them slower than runs finish");
                }
                Some(Err(RecvError::Closed)) => break,
                None => self.export().await,
            }
        }
        self.export().await;
    }

    /// The run and all below it; what fills a batch is sent meanwhile.
    async fn add_trace(&mut self, root: RunId) -> Result<()> {
        let run = self.app.run(root)?;
        let mut open = vec![Children::of(&run)];
        self.add(&run).await?;
        while let Some(children) = open.last_mut() {
            let page = self.app.store.children(children.parent, children.generation, children.from, BATCH)?;
            match page.last().and_then(|last| last.parent) {
                Some(place) => children.from = place.seq + 1,
                None => {
                    open.pop();
                }
            }
            for run in &page {
                self.add(run).await?;
            }
            open.extend(page.iter().filter(|run| run.kind == Kind::Flow).map(Children::of));
        }
        Ok(())
    }

    async fn add(&mut self, run: &Run) -> Result<()> {
        let started_at = match run.attempt {
            0 | 1 => run.started_at,
            _ => self.app.store.attempts(run.id)?.first().map(|first| first.started_at).or(run.started_at),
        };
        let span = self.span(run.root_id, started_at, summary(&self.app, run)?);
        self.batch.push(span);
        if self.batch.len() >= BATCH {
            self.export().await;
        }
        Ok(())
    }

    /// `started_at` is when the first attempt was; a run that had none has no length.
    fn span(&self, root: RunId, started_at: Option<Timestamp>, run: RunSummary) -> SpanData {
        let end = run.finished_at.unwrap_or(run.created_at);
        let failure = run.failure.as_ref();
        let status = match (run.state, failure) {
            (State::Completed, _) => Status::Ok,
            (state, Some(failure)) => Status::error(format!("{}: {}", state.as_str(), failure.message)),
            (state, None) => Status::error(state.as_str()),
        };
        let mut attributes = vec![
            KeyValue::new("tarefa.run_id", run.id.to_string()),
            KeyValue::new("tarefa.kind", run.kind.as_str()),
            KeyValue::new("tarefa.module", run.module),
            KeyValue::new("tarefa.entry", run.entry),
            KeyValue::new("tarefa.state", run.state.as_str()),
            KeyValue::new("tarefa.attempts", i64::from(run.n_attempts)),
            KeyValue::new("tarefa.fuel", run.usage.fuel as i64),
            KeyValue::new("tarefa.memory_peak_bytes", run.usage.memory_peak_bytes as i64),
        ];
        attributes.extend(run.label.map(|label| KeyValue::new("tarefa.label", label)));
        attributes.extend(run.cached_from.map(|id| KeyValue::new("tarefa.cached_from", id.to_string())));
        attributes.extend(failure.map(|failure| KeyValue::new("tarefa.failure.kind", failure.kind.name())));
        let trace_id = TraceId::from_bytes(*root.as_bytes());
        let (flags, state) = (TraceFlags::SAMPLED, TraceState::NONE);
        SpanData {
            span_context: SpanContext::new(trace_id, span_id(run.id), flags, false, state),
            parent_span_id: run.parent_id.map_or(SpanId::INVALID, span_id),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: Cow::Owned(run.name),
            start_time: SystemTime::from(started_at.unwrap_or(end)),
            end_time: SystemTime::from(end),
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// Sends what there is.
    async fn export(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let n_spans = self.batch.len();
        match self.exporter.export(std::mem::take(&mut self.batch)).await {
            Ok(()) if self.n_lost > 0 => {
                tracing::info!("the collector takes traces again; {} spans or more were lost", self.n_lost);
                self.n_lost = 0;
            }
            Ok(()) => {}
            Err(error) => self.lose(n_spans, error),
        }
    }

    /// Says so for the first spans that are lost.
    fn lose(&mut self, n_spans: usize, why: impl Display) {
        if self.n_lost == 0 {
            tracing::warn!("traces are lost until the collector at `{}` takes them again: {why}", self.endpoint);
        }
        self.n_lost += n_spans;
    }
}

/// The children of a flow that have no span yet.
struct Children {
    parent: RunId,
    generation: u32,
    from: u32,
}

impl Children {
    fn of(run: &Run) -> Children {
        Children { parent: run.id, generation: run.generation, from: 0 }
    }
}

/// The half of a run's id in which runs of one tree differ.
fn span_id(id: RunId) -> SpanId {
    let [.., a, b, c, d, e, f, g, h] = *id.as_bytes();
    SpanId::from_bytes([a, b, c, d, e, f, g, h])
}
