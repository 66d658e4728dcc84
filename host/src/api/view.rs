//! Runs as they are shown: what is stored, and what follows from it.

use serde_json::value::RawValue;

use super::shapes::{LogShape, RunShape, RunSummary};
use crate::app::App;
use crate::domain::attempt::HistoryItem;
use crate::domain::journal::EntryKind;
use crate::domain::notify::MAX_TRIES;
use crate::domain::run::{default_name, preview};
use crate::domain::{Attempt, Grants, Kind, Run, State, StateCounts, WaitingFor};
use crate::error::Result;
use crate::store::{NotificationFilter, StoredLine, StoredNotification};

/// Notifications that a run's history tells, the newest.
const MAX_NOTICES: usize = 100;

/// A run in the short form of lists.
pub(crate) fn summary(app: &App, run: &Run) -> Result<RunSummary> {
    let version = app.version(run.version)?;
    // What a flow asked for in vain is no entry.
    let entry = version.find(&run.entry).ok().map(|index| &version.module.entries[index]);
    let title = entry.map_or(&*run.entry, |entry| entry.title());
    let tags = run.settings.as_deref().and_then(|settings| settings.tags.as_ref()).or(entry.map(|entry| &entry.tags));
    let seq = run.parent.map(|parent| parent.seq);
    let waiting_on = waiting_on(app, run);
    Ok(RunSummary {
        id: run.id,
        kind: run.kind,
        module: run.module.to_string(),
        digest: run.digest.clone(),
        entry: run.entry.to_string(),
        name: run.name.as_deref().map_or_else(|| default_name(title, seq), str::to_owned),
        title: title.to_owned(),
        occurrence: run.occurrence.clone(),
        deployment: run.deployment.as_deref().map(str::to_owned),
        trigger: run.trigger,
        tags: tags.cloned().unwrap_or_default(),
        parent_id: run.parent.map(|parent| parent.id),
        generation: run.parent.map(|parent| parent.generation),
        seq,
        state: run.state,
        waiting_for: waiting_for(app, run, waiting_on.is_some())?,
        waiting_on,
        label: run.label.as_deref().map(str::to_owned),
        failure: run.failure.as_deref().cloned(),
        result_preview: run.result.as_deref().map(|result| preview(result).to_owned()),
        children: children(app, run)?,
        progress: run.progress.as_deref().map(Into::into),
        retry_of: run.retry_of,
        reused_from: run.reused_from,
        cached_from: run.cached_from,
        retried_at: run.retried_at,
        n_attempts: run.attempt,
        created_at: run.created_at,
        scheduled_at: run.scheduled_at,
        started_at: run.started_at,
        finished_at: run.finished_at,
        usage: run.usage,
    })
}

/// The children of the newest generation by state. A flow that is over has them in its books; they are counted while it
/// runs, and where no worker saw its end.
fn children(app: &App, run: &Run) -> Result<StateCounts> {
    match &run.children {
        _ if run.kind == Kind::Task || run.generation == 0 => Ok(StateCounts::new()),
        Some(counts) if run.state.is_final() => Ok((**counts).clone()),
        _ => Ok(app.store.count_children(run.id, run.generation)?),
    }
}

/// The limit across runs that it waits for: that of one at the top is on record, that of a child in memory.
fn waiting_on(app: &App, run: &Run) -> Option<String> {
    match run.state {
        State::Scheduled if run.parent.is_none() => run.blocked_on.as_deref().map(str::to_owned),
        state if state.is_final() => None,
        _ => run.parent.and_then(|_| app.limits.waits_for(run.id)),
    }
}

fn waiting_for(app: &App, run: &Run, is_limited: bool) -> Result<Option<WaitingFor>> {
    if run.paused_at.is_some() && !run.state.is_final() {
        return Ok(Some(WaitingFor::Resume));
    }
    Ok(match run.state {
        _ if is_limited => Some(WaitingFor::Limit),
        State::Scheduled if run.attempt > 0 => Some(WaitingFor::Retry),
        State::Scheduled => Some(WaitingFor::Slot),
        State::Running if run.kind == Kind::Flow => match app.store.last_entry(run.id, run.generation)? {
            Some((EntryKind::Timer, until)) if until > app.clock.now() => Some(WaitingFor::Timer),
            Some((EntryKind::Wait, _)) => Some(WaitingFor::Signal),
            _ => None,
        },
        _ => None,
    })
}

/// A run with all that is known of it.
pub(crate) fn details(app: &App, run: Run) -> Result<RunShape> {
    let summary = summary(app, &run)?;
    let attempts = attempts(app, &run)?;
    let mut history = history(&run, &attempts, app.store.history(run.id)?);
    history.extend(notices(app, &run)?);
    history.sort_by_key(|item| item.at);
    let settings = match app.plan(&run) {
        Ok(plan) => (*plan.settings).clone(),
        Err(_) => app.default_settings(&run),
    };
    Ok(RunShape {
        root_id: run.root_id,
        parameters: raw(&run.input)?,
        result: run.result.as_deref().map(raw).transpose()?,
        limits: settings.limits,
        retries: settings.retries,
        timezone: settings.timezone,
        grants: Grants { dirs: settings.dirs, http: settings.http },
        holds: run.across.as_ref().map(|across| across.holds.clone()).unwrap_or_default(),
        rate: run.across.as_ref().and_then(|across| across.pace.as_ref()).map(|pace| pace.rate),
        priority: run.across.as_ref().map_or(0, |across| across.priority),
        idempotency_key: run.idempotency_key.as_deref().map(str::to_owned),
        upstream: run.upstream.as_deref().cloned().unwrap_or_default(),
        superseded: match run.parent {
            Some(parent) => app.run(parent.id)?.generation > parent.generation,
            None => false,
        },
        logs_pruned_at: app.store.logs_pruned_at(run.root_id)?,
        attempts,
        history,
        summary,
    })
}

pub(super) fn raw(json: &str) -> Result<Box<RawValue>> {
    Ok(RawValue::from_string(json.to_owned()).map_err(anyhow::Error::from)?)
}

/// All attempts: those on record, and the last, which the run's own row tells.
fn attempts(app: &App, run: &Run) -> Result<Vec<Attempt>> {
    // What came from the cache had no attempt that came to it.
    if run.cached_from.is_some() {
        return Ok(app.store.attempts(run.id)?);
    }
    // The first attempt stands in the run's row while it is the last, too.
    let only_one = run.attempt == 1 && run.started_at.is_some();
    let mut attempts = if only_one { Vec::new() } else { app.store.attempts(run.id)? };
    let recorded = attempts.last().map_or(0, |attempt| attempt.number);
    if let Some(last) = run.last_attempt()
        && run.attempt > recorded
    {
        let worker = run.worker.map(|id| app.store.worker_name(id)).transpose()?.flatten();
        attempts.push(Attempt { worker, ..last });
    }
    Ok(attempts)
}

/// The changes of state in order: from the times of the run and its attempts, with `more` that these do not tell.
fn history(run: &Run, attempts: &[Attempt], more: Vec<HistoryItem>) -> Vec<HistoryItem> {
    let goes_on = run.retry_of.map(|id| format!("goes on for run `{id}`"));
    let reason = run.reused_from.map(|id| format!("has the result of run `{id}`")).or(goes_on);
    let mut items = vec![HistoryItem { at: run.created_at, state: State::Scheduled, reason }];
    let last = attempts.len().saturating_sub(1);
    for (n, attempt) in attempts.iter().enumerate() {
        items.push(HistoryItem { at: attempt.started_at, state: State::Running, reason: None });
        let is_current =
            run.cached_from.is_none() && n == last && attempt.number == run.attempt && run.started_at.is_some();
        if let (Some(at), Some(failure)) = (attempt.finished_at, &attempt.failure)
            && !is_current
            && attempt.state == State::Failed
            && !more.iter().any(|item| item.state.is_final() && item.at == at)
        {
            let reason = Some(format!("attempt {} failed: {}", attempt.number, failure.message));
            items.push(HistoryItem { at, state: State::Scheduled, reason });
        }
    }
    if let Some(at) = run.finished_at
        && !more.iter().any(|item| item.state == run.state && item.at == at)
    {
        let cached = run.cached_from.map(|id| format!("from the cache: run `{id}`"));
        let reason = cached.or(run.failure.as_deref().map(|failure| failure.message.clone()));
        items.push(HistoryItem { at, state: run.state, reason });
    }
    items.extend(more);
    items.sort_by_key(|item| (item.at, item.state.is_final()));
    items
}

/// Whom the run's end was told, and whom in vain.
fn notices(app: &App, run: &Run) -> Result<Vec<HistoryItem>> {
    if run.parent.is_some() {
        return Ok(Vec::new());
    }
    let filter = NotificationFilter { run: Some(run.id), ..NotificationFilter::default() };
    let mut notices = app.store.notifications(&filter, None, MAX_NOTICES)?;
    notices.reverse();
    let notice = |notification: StoredNotification| {
        let at = notification.tried_at?;
        let (target, event, tries) = (&notification.target, notification.event.as_str(), notification.tries);
        let reason = match (&notification.error, notification.next_at) {
            (None, _) => format!("notified {target} of {event}"),
            (Some(why), Some(_)) => {
                format!("could not notify {target} of {event}: {why} (try {tries} of {MAX_TRIES})")
            }
            (Some(why), None) => format!("could not notify {target} of {event}: {why} (given up after try {tries})"),
        };
        Some(HistoryItem { at, state: notification.event.state(), reason: Some(reason) })
    };
    Ok(notices.into_iter().filter_map(notice).collect())
}

pub(crate) fn log_line(line: StoredLine) -> LogShape {
    const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];
    LogShape {
        no: line.no,
        at: line.at,
        run_id: line.run_id,
        attempt: line.attempt,
        level: LEVELS[usize::from(line.level).min(LEVELS.len() - 1)].to_owned(),
        message: line.message,
    }
}
