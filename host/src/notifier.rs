//! Tells those who want to know what became of runs. What is to be told stands in the store, and is tried until somebody
//! takes it or it is given up; who is told twice can tell by its id.

mod command;
mod message;
mod webhook;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::notify::{MAX_TRIES, Told, next_try};
use crate::domain::state::LATE_AFTER;
use crate::domain::{NotifyEvent, NotifyRule, RunId};
use crate::error::Result;
use crate::store::{About, DueNotification, NewNotification, Occasion};
use webhook::Webhooks;

/// Notifications that are being delivered at a time, and of one rule, so that one slow receiver leaves the others some.
const MAX_UNDER_WAY: usize = 8;
const MAX_OF_RULE: usize = 2;
/// How long a webhook may take to answer.
const WEBHOOK_TIMEOUT: SignedDuration = SignedDuration::from_secs(10);
/// How long a command may run.
const COMMAND_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);
/// How often the store is asked for what is late, and for what nobody woke us for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is asked for all that is late, not only for what has become so since.
const POLLS_TO_ALL: u32 = 60;
/// How long no run that finishes is listened to after one did, so that a thousand are looked at together.
const GATHER_INTERVAL: Duration = Duration::from_millis(50);
/// What is written out in one transaction.
const BATCH: usize = 100;
/// Of runs and schedules that are late, as many at a time.
const LATE_BATCH: usize = 1000;
/// How long what is under way is waited for when the server stops; what is not over by then is tried again.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a result waits that the store does not take, such as while the disk is full.
const RECORD_INTERVAL: Duration = Duration::from_secs(1);

/// Works until it is closed or dropped.
pub struct Notifier {
    closing: CancellationToken,
    working: JoinHandle<()>,
}

impl Notifier {
    /// Tells as `rules`, the server's own, and those of deployments say, of a server that answers at `url`.
    pub fn start(app: &Arc<App>, rules: Vec<NotifyRule>, url: String) -> Notifier {
        let shared = Shared { webhooks: Webhooks::new(app.config.allowed_http.clone()), app: app.clone(), rules, url };
        let now = app.clock.now();
        let work = Work {
            shared: Arc::new(shared),
            under_way: JoinSet::new(),
            notifications: HashMap::new(),
            started_at: now,
            late_until: now,
            polls: 0,
            polled: Instant::now(),
        };
        let closing = CancellationToken::new();
        let working = tokio::spawn(work.on(app.events.finished(), closing.clone()));
        Notifier { closing, working }
    }

    /// Begins nothing any more, and waits a little for what is under way.
    pub async fn close(mut self) {
        self.closing.cancel();
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, &mut self.working).await;
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.working.abort();
    }
}

/// What each delivery has at hand.
struct Shared {
    app: Arc<App>,
    rules: Vec<NotifyRule>,
    /// Where the server answers.
    url: String,
    webhooks: Webhooks,
}

struct Work {
    shared: Arc<Shared>,
    under_way: JoinSet<()>,
    /// What is under way: the number of each notification, and its rule.
    notifications: HashMap<Id, (i64, String)>,
    started_at: Timestamp,
    /// What was late by then was told of.
    late_until: Timestamp,
    polls: u32,
    polled: Instant,
}

impl Work {
    async fn on(mut self, mut finished: Receiver<RunId>, closing: CancellationToken) {
        let mut quiet_until = tokio::time::Instant::now();
        loop {
            let next = self.look().unwrap_or_else(|error| {
                tracing::error!("cannot see who is to be notified: {error}");
                None
            });
            let clock = self.shared.app.clock.clone();
            let due = async move {
                match next {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let news = async {
                tokio::time::sleep_until(quiet_until).await;
                // Nothing is lost where it is: the store has it.
                let _ = finished.recv().await;
            };
            tokio::select! {
                () = closing.cancelled() => break,
                Some(over) = self.under_way.join_next_with_id() => self.over(over),
                () = news => {
                    while !matches!(finished.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
                    quiet_until = tokio::time::Instant::now() + GATHER_INTERVAL;
                }
                () = due => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
        while self.under_way.join_next().await.is_some() {}
    }

    /// Writes out what there is, and begins what is due. Returns when the next is.
    fn look(&mut self) -> Result<Option<Timestamp>> {
        let app = self.shared.app.clone();
        loop {
            let occasions = app.store.occasions(BATCH)?;
            self.shared.write_out(&occasions)?;
            if occasions.len() < BATCH {
                break;
            }
        }
        if self.polled.elapsed() >= POLL_INTERVAL {
            self.polled = Instant::now();
            self.look_for_late()?;
        }
        self.begin_due()?;
        Ok(app.store.next_notification(app.clock.now())?)
    }

    fn look_for_late(&mut self) -> Result<()> {
        let store = &self.shared.app.store;
        let until = self.shared.app.clock.now().saturating_sub(LATE_AFTER).unwrap_or(Timestamp::MIN);
        // Some become late all at once: those whose time was over when they were submitted.
        let from = if self.polls.is_multiple_of(POLLS_TO_ALL) { Timestamp::MIN } else { self.late_until };
        let mut late = store.late_runs(from, until, LATE_BATCH)?;
        self.polls = self.polls.wrapping_add(1);
        self.late_until = until;
        if self.started_at <= until {
            // Before, the scheduler may be busy with what was missed while no server ran.
            late.extend(store.overdue_schedules(until, LATE_BATCH)?);
        }
        late.chunks(BATCH).try_for_each(|late| self.shared.write_out(late))
    }

    fn begin_due(&mut self) -> Result<()> {
        let shared = &self.shared;
        loop {
            let free = MAX_UNDER_WAY - self.under_way.len();
            let numbers: Vec<i64> = self.notifications.values().map(|(no, _)| *no).collect();
            let of = |rule: &str| self.notifications.values().filter(|(_, other)| other == rule).count();
            let busy: BTreeSet<&str> = self.notifications.values().map(|(_, rule)| rule.as_str()).collect();
            let busy: Vec<&str> = busy.into_iter().filter(|rule| of(rule) >= MAX_OF_RULE).collect();
            let due = shared.app.store.due_notifications(shared.app.clock.now(), &busy, &numbers, free)?;
            if due.is_empty() {
                return Ok(());
            }
            for due in due {
                if self.notifications.values().filter(|(_, rule)| *rule == due.rule).count() < MAX_OF_RULE {
                    let under_way = (due.no, due.rule.clone());
                    let task = self.under_way.spawn(shared.clone().deliver(due));
                    self.notifications.insert(task.id(), under_way);
                }
            }
        }
    }

    fn over(&mut self, over: Result<(Id, ()), tokio::task::JoinError>) {
        let id = over.as_ref().map_or_else(tokio::task::JoinError::id, |(id, ())| *id);
        let Some((no, _)) = self.notifications.remove(&id) else { return };
        if let Err(error) = over {
            // It would only fail again.
            tracing::error!("a notification failed: {error}");
            let app = &self.shared.app;
            let _ = app.store.record_try(no, app.clock.now(), Some("an error of the server; see its log"), None);
        }
    }
}

impl Shared {
    /// Puts on record whom to tell.
    fn write_out(&self, occasions: &[Occasion]) -> Result<()> {
        if occasions.is_empty() {
            return Ok(());
        }
        let mut new = Vec::new();
        for occasion in occasions {
            match self.notifications(occasion) {
                Ok(notifications) => new.extend(notifications),
                // It must not keep others from being told.
                Err(error) => tracing::error!("cannot notify of what {}: {error}", occasion.event.as_str()),
            }
        }
        let done: Vec<i64> = occasions.iter().filter_map(|occasion| occasion.no).collect();
        if new.is_empty() && done.is_empty() {
            return Ok(());
        }
        Ok(self.app.store.write_out(&done, &new, self.app.clock.now())?)
    }

    /// All notifications that an occasion brings about.
    fn notifications(&self, occasion: &Occasion) -> Result<Vec<NewNotification>> {
        let Some(about) = &occasion.about else { return Ok(Vec::new()) };
        let (run_id, schedule_id, subject) = match about {
            // Without its input and its result, which may be what cannot be read.
            About::Run(id) => match self.app.store.runs_below(*id, *id, &[*id])?.pop() {
                Some(run) => (Some(*id), None, message::Subject::Run(Box::new(crate::api::summary(&self.app, &run)?))),
                None => return Ok(Vec::new()),
            },
            About::Missed(missed) => (None, Some(missed.schedule_id.clone()), message::Subject::Missed(missed)),
        };
        let deployment = subject.deployment().map(str::to_owned);
        let own = deployment.as_deref().map(|name| self.app.store.deployment_rules(name)).transpose();
        let own = own.unwrap_or_else(|error| {
            // The server's own are followed all the same.
            tracing::error!(
                "cannot read whom deployment `{}` notifies: {error}",
                deployment.as_deref().unwrap_or_default()
            );
            None
        });
        let servers = self.rules.iter().map(|rule| ("", rule));
        let rules = servers.chain(own.iter().flatten().map(|rule| (deployment.as_deref().unwrap_or_default(), rule)));
        let wanted = rules.filter(|(_, rule)| rule.on.contains(&occasion.event));
        let notification = |(scope, rule): (&str, &NotifyRule)| {
            let id = uuid::Uuid::now_v7().to_string();
            NewNotification {
                body: message::body(&id, occasion, &subject, rule.format, &self.url),
                id,
                rule: format!("{scope}/{}", rule.id()),
                target: rule.target(),
                event: occasion.event,
                at: occasion.at,
                run_id,
                deployment: deployment.clone(),
                schedule_id: schedule_id.clone(),
            }
        };
        Ok(wanted.map(notification).collect())
    }

    async fn deliver(self: Arc<Self>, due: DueNotification) {
        let told = self.tell(&due).await;
        let tries = due.tries + 1;
        let now = self.app.clock.now();
        let next = next_try(&told, tries, now, rand::random());
        let why = match &told {
            Told::Taken => None,
            Told::Refused(why) | Told::Failed { why, .. } => Some(why.as_str()),
        };
        if let (Some(why), None) = (why, next) {
            tracing::warn!("notification `{}` is given up after try {tries} of {MAX_TRIES}: {why}", due.id);
        }
        // Else it would be sent again and again.
        while let Err(error) = self.app.store.record_try(due.no, now, why, next) {
            tracing::error!("cannot put on record that notification `{}` was sent: {error}", due.id);
            tokio::time::sleep(RECORD_INTERVAL).await;
        }
    }

    async fn tell(&self, due: &DueNotification) -> Told {
        let (scope, id) = due.rule.split_once('/').unwrap_or_default();
        let is_meant = |rule: &&NotifyRule| rule.id() == id;
        // What deployments say came over the API.
        let (rule, guarded) = if scope.is_empty() {
            (self.rules.iter().find(is_meant).cloned(), false)
        } else {
            match self.app.store.deployment_rules(scope) {
                Ok(rules) => (rules.iter().find(is_meant).cloned(), true),
                Err(error) => return Told::Failed { why: error.to_string(), after: None },
            }
        };
        let Some(rule) = rule else { return Told::Refused("its rule is gone".to_owned()) };
        match &rule.command {
            Some(command) if !guarded => {
                self.within(COMMAND_TIMEOUT, "it did not end", command::run(command, due)).await
            }
            _ => {
                let sent = self.webhooks.send(&rule, guarded, due, self.app.clock.now());
                self.within(WEBHOOK_TIMEOUT, "it did not answer", sent).await
            }
        }
    }

    async fn within(&self, time: SignedDuration, else_why: &str, telling: impl Future<Output = Told>) -> Told {
        let up = self.app.clock.now().saturating_add(time).unwrap_or(Timestamp::MAX);
        tokio::select! {
            told = telling => told,
            () = self.app.clock.sleep_until(up) => {
                Told::Failed { why: format!("{else_why} within {} s", time.as_secs()), after: None }
            }
        }
    }
}

/// The events that rules tell of.
pub fn events(rules: &[NotifyRule]) -> BTreeSet<NotifyEvent> {
    rules.iter().flat_map(|rule| rule.on.iter().copied()).collect()
}
