//! Submits what schedules bring, at its time. Any number of them may work on one store: each occurrence is run once.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;

/// How often the store is asked for what is due when nothing wakes us: events may be lost, and clocks set.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Works until it is dropped.
pub struct Scheduler {
    stopping: CancellationToken,
}

impl Scheduler {
    pub fn start(app: Arc<App>) -> Scheduler {
        let stopping = CancellationToken::new();
        let stopped = stopping.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = work(&app) => {}
            }
        });
        Scheduler { stopping }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

async fn work(app: &Arc<App>) {
    loop {
        let changed = app.events.schedules_changed.notified();
        let firing = app.clone();
        let fired = tokio::task::spawn_blocking(move || firing.fire_due()).await;
        match &fired {
            Ok(Ok(true)) => continue,
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::error!("cannot submit what is due: {error}"),
            // It panicked, or the runtime ends.
            Err(error) => tracing::error!("the scheduler failed: {error}"),
        }
        let failed = !matches!(fired, Ok(Ok(_)));
        tokio::select! {
            () = changed => {}
            // What could not be done now is not tried at once.
            () = until_next(app), if !failed => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}

async fn until_next(app: &App) {
    match app.store.next_occurrence() {
        Ok(Some(at)) => app.clock.sleep_until(at).await,
        _ => std::future::pending().await,
    }
}
