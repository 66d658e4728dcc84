//! Limits across runs, in memory: who holds what, and who waits for it. What waits on record is let through by the worker,
//! since it alone may start runs.

mod book;
mod tags;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};

use super::App;
use crate::domain::concurrency::tag_name;
use crate::domain::{Across, Kind, Pace, Run, RunId};
use crate::events::CancelRequest;
use crate::store::Cancelled;
use book::{Book, Child, Holder};

pub use book::{Claimant, Pass};
pub use tags::TagLimitInUse;

/// The books, and what wakes those who work with them.
#[derive(Default)]
pub struct Limits {
    book: Mutex<Book>,
    /// Whether a tag was limited since the start: until then children need not look.
    has_tags: AtomicBool,
    offered: Notify,
    /// Held while a limit of a tag is changed, on record and here.
    changing: Mutex<()>,
}

impl Limits {
    pub fn has_tags(&self) -> bool {
        self.has_tags.load(Ordering::Relaxed)
    }

    /// Has a top-level run hold all that it needs.
    ///
    /// # Errors
    ///
    /// The name of what it cannot have now; then it holds nothing.
    pub fn admit(&self, run: &Run) -> Result<(), String> {
        let mut book = self.lock();
        let wants = book.wants(run.across.as_deref(), tags_of(run));
        book.admit(run.id, &wants).inspect_err(|name| book.row_waits_for(name))
    }

    /// Resolves once a child holds all that its tags ask for.
    pub async fn take(&self, claimant: Claimant) {
        let Some(mut waiting) = self.ask(claimant) else { return };
        // Who would send lives as long as this.
        let _ = (&mut waiting.granted).await;
        waiting.is_over = true;
    }

    fn ask(&self, claimant: Claimant) -> Option<Waiting<'_>> {
        let mut book = self.lock();
        let on = book.ask(&claimant).err()?;
        let id = claimant.id;
        let (grant, granted) = oneshot::channel();
        book.queue(on, Child { claimant, grant });
        self.wake(&book);
        Some(Waiting { limits: self, id, granted, is_over: false })
    }

    /// Whether a child holds all that its tags ask for.
    pub fn has(&self, claimant: &Claimant) -> bool {
        self.lock().has(claimant)
    }

    /// Whether a run holds anything.
    pub fn holds(&self, id: RunId) -> bool {
        self.lock().holder(id).is_some()
    }

    /// The number under which a run at the top was admitted last.
    pub fn admission(&self, id: RunId) -> u64 {
        self.lock().holder(id).map_or(0, |holder| holder.admission)
    }

    /// Has a run let go of all that it holds, unless it was admitted anew.
    pub fn let_go_of_admission(&self, id: RunId, admission: u64) {
        let mut book = self.lock();
        if book.holder(id).is_some_and(|holder| holder.admission == admission) {
            book.let_go(id);
            self.wake(&book);
        }
    }

    /// Has a run let go of all that it holds.
    pub fn let_go(&self, id: RunId) {
        let mut book = self.lock();
        book.let_go(id);
        self.wake(&book);
    }

    /// A run that may have been about to hold what it needs does not take those of which `which` says so.
    pub fn offer(&self, run: &Run, which: impl Fn(&str) -> bool) {
        let mut book = self.lock();
        let tags: Vec<String> = tags_of(run).iter().map(|tag| tag_name(tag)).collect();
        let names = run.across.iter().flat_map(|across| across.names()).chain(tags.iter().map(String::as_str));
        names.filter(|name| which(name)).for_each(|name| book.offer(name));
        self.wake(&book);
    }

    /// Runs wait for a rate, which lets the next one start then.
    pub fn wait_for_pace(&self, pace: &Pace, until: Timestamp) {
        self.lock().paced.insert(pace.name.clone(), (pace.clone(), until));
        self.offered.notify_one();
    }

    /// When a rate lets the next one start.
    pub fn next_pace(&self) -> Option<Timestamp> {
        self.lock().paced.values().map(|(_, until)| *until).min()
    }

    /// The rates that let another start by now.
    pub fn take_paced(&self, now: Timestamp) -> Vec<Pace> {
        let due = |(_, until): &(Pace, Timestamp)| *until <= now;
        let mut held = self.lock();
        held.paced.extract_if(|_, paced| due(paced)).map(|(_, (pace, _))| pace).collect()
    }

    /// Resolves once there are names that may have become free, or another rate to wait for.
    pub async fn offered(&self) {
        self.offered.notified().await;
    }

    /// The names that may have become free.
    pub fn take_offered(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().offered).into_iter().collect()
    }

    /// What there is of a name for those who wait for it. Those that wait on record come first, up to the first child.
    pub fn begin_pass(&self, name: &str) -> Option<Pass> {
        self.lock().begin_pass(name)
    }

    /// Gives children what those on record left, who were so many.
    pub fn end_pass(&self, name: &str, pass: &Pass, unblocked: usize) {
        let mut book = self.lock();
        book.end_pass(name, pass, unblocked);
        self.wake(&book);
    }

    /// Whether it is known that runs wait for a name on record.
    pub fn knows(&self, name: &str) -> bool {
        self.lock().knows(name)
    }

    /// What a child waits for.
    pub fn waits_for(&self, id: RunId) -> Option<String> {
        if self.has_tags() { self.lock().waiting.get(&id).cloned() } else { None }
    }

    fn wake(&self, book: &Book) {
        if !book.offered.is_empty() {
            self.offered.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // What a panicking holder left is whole between its statements.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A child that waits; it no longer does once this is dropped.
struct Waiting<'a> {
    limits: &'a Limits,
    id: RunId,
    granted: oneshot::Receiver<()>,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let mut book = self.limits.lock();
            book.leave(self.id);
            self.limits.wake(&book);
        }
    }
}

/// A top-level run has its tags frozen.
fn tags_of(run: &Run) -> &[String] {
    run.settings.as_ref().and_then(|settings| settings.tags.as_deref()).unwrap_or_default()
}

impl App {
    /// Whether something beside its time may keep a new run from starting.
    pub(super) fn may_have_to_wait(&self, run: &Run) -> bool {
        let limited = |across: &Across| across.is_limited();
        run.across.as_deref().is_some_and(limited) || (self.limits.has_tags() && !tags_of(run).is_empty())
    }

    /// Has the worker end runs that were cancelled on record, and tells of those that are over.
    pub fn tell_cancelled(&self, cancelled: &[(RunId, Cancelled)]) {
        for (id, what) in cancelled {
            let Ok(Some(run)) = self.store.run(*id) else { continue };
            match what {
                Cancelled::AtOnce => self.ended_at_once(&run),
                Cancelled::Asked => {
                    let request = CancelRequest { id: *id, parent: run.parent };
                    if let Err(error) = self.events.cancel.try_send(request) {
                        let cancel = self.events.cancel.clone();
                        // So many are cancelled that the worker is behind, or the server stops.
                        tokio::spawn(async move { cancel.send(error.into_inner()).await });
                    }
                }
                Cancelled::Already(_) | Cancelled::NoSuchRun => {}
            }
        }
    }

    /// A run, and all below it, ended while nobody carried it out.
    pub(super) fn ended_at_once(&self, run: &Run) {
        self.metrics.finished(run);
        self.events.run_finished(run.id);
        // It may have been the child of a flow that waits for it.
        self.events.run_is_due(Kind::Flow);
        self.offer_limits_of(run);
    }

    /// A run neither holds, nor is about to, what it did; nor do those below it that are over.
    pub(super) fn offer_limits_of(&self, run: &Run) {
        if run.across.is_some() || self.limits.has_tags() {
            let in_tree = self.limits.lock().holders_below(run.root_id);
            self.drop_ended(in_tree);
            self.limits.offer(run, |_| true);
        }
    }

    /// Looks again at all that somebody waits for: who lets go of it says so, but nothing depends on that.
    pub fn check_limits(&self) {
        let names: Vec<String> = self.limits.lock().waited_for().map(str::to_owned).collect();
        let holders = self.limits.lock().holders_of(&names);
        self.drop_ended(holders);
        let mut book = self.limits.lock();
        names.iter().for_each(|name| book.offer(name));
        self.limits.wake(&book);
    }

    /// Of these runs those let go that are over.
    fn drop_ended(&self, holders: Vec<Holder>) {
        let is_over = |id: RunId| match self.store.run(id) {
            Ok(Some(run)) => Some(run.state.is_final()),
            Ok(None) => None,
            Err(_) => Some(false),
        };
        for Holder { id, root, admission } in holders {
            // A child that began a moment ago is not on record yet; that of a tree that is over is gone.
            if is_over(id).or_else(|| is_over(root)).unwrap_or(true) {
                self.limits.let_go_of_admission(id, admission);
            }
        }
    }
}
