//! What a server does beside its work: it forgets what is older than it is to be kept.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::Retention;

/// What is too old is gone this much later, at the latest. A look that finds nothing takes a millisecond.
const INTERVAL: SignedDuration = SignedDuration::from_mins(10);

/// Works until it is stopped, or dropped.
pub struct Maintenance {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl Maintenance {
    pub fn start(app: Arc<App>, retention: Retention) -> Maintenance {
        let stopping = CancellationToken::new();
        let stopped = stopping.clone();
        let task = tokio::spawn(async move {
            loop {
                prune(&app, retention, &stopped).await;
                tokio::select! {
                    () = app.clock.sleep_until(app.clock.now() + INTERVAL) => {}
                    () = stopped.cancelled() => return,
                }
            }
        });
        Maintenance { stopping, task }
    }

    /// Returns once nothing is deleted any more.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        // It panicked, which is told elsewhere.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

async fn prune(app: &Arc<App>, retention: Retention, stopped: &CancellationToken) {
    let (pruning, stopping) = (app.clone(), stopped.clone());
    let pruned = tokio::task::spawn_blocking(move || pruning.prune(retention, || !stopping.is_cancelled())).await;
    match pruned {
        Ok(Ok(pruned)) if pruned.runs + pruned.log_lines > 0 => {
            tracing::info!("pruned {} runs and {} lines of logs", pruned.runs, pruned.log_lines);
        }
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::error!("cannot prune what is old, trying again in 10 minutes: {error}"),
        // It panicked, or the runtime ends.
        Err(error) => tracing::error!("pruning failed: {error}"),
    }
}
