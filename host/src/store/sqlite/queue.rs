//! Group commit: writes wait in one queue, and whoever needs one of them on record commits them all.
//!
//! Where each commit is synced to disk, the thread that commits what nobody asks for commits for those who ask, too:
//! while the disk syncs, writes gather for the next commit and no guest's thread waits. Measured with 10,000 tasks
//! submitted at once, leaders of their own pay ten times as much for each.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::watch;

use super::{Result, Store, lock};
use crate::store::watch::Changed;
use crate::store::{FLUSH_INTERVAL, MAX_QUEUED_WRITES, StoreError, Ticket, Write};

/// How long a commit that failed waits before it is tried again: a full disk may have room by then.
const RETRY_INTERVAL: std::time::Duration = std::time::Duration::from_millis(200);

/// How long the flusher sleeps while nothing comes, before it sees whether the store is gone.
const LOOK_UP_INTERVAL: std::time::Duration = std::time::Duration::from_millis(500);

#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// How many writes are on record.
    committed: AtomicU64,
    /// Transactions, and the writes in them.
    commits: AtomicU64,
    writes: AtomicU64,
    /// Rows and pages that were changed beside the queue, many in one transaction.
    others: AtomicU64,
    /// Whether the flusher sleeps until it is woken.
    flusher_sleeps: AtomicBool,
    wake: Condvar,
    /// Where commits are synced: tells those who wait for the committing thread how many writes are on record.
    synced: Option<watch::Sender<u64>>,
}

#[derive(Default)]
struct Waiting {
    writes: Vec<Write>,
    /// How many writes were ever appended.
    appended: u64,
    /// How many of them somebody waits for, where commits are synced.
    wanted: u64,
}

impl Queue {
    /// With a thread that commits for all, where commits are `synced`.
    pub(super) fn new(synced: bool) -> Queue {
        Queue { synced: synced.then(|| watch::Sender::new(0)), ..Queue::default() }
    }

    fn has_committed(&self, ticket: Ticket) -> bool {
        self.committed.load(Ordering::Acquire) >= ticket.0
    }

    /// Has the committing thread commit the writes up to `ticket`.
    fn want(&self, ticket: Ticket) {
        let mut waiting = lock(&self.waiting);
        waiting.wanted = waiting.wanted.max(ticket.0);
        drop(waiting);
        self.wake.notify_one();
    }

    /// A measure of what the write-ahead log holds.
    pub(super) fn changes(&self) -> u64 {
        let counted = [&self.commits, &self.writes, &self.others];
        counted.into_iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// A transaction changed so much beside the queue.
    pub(super) fn changed(&self, count: usize) {
        self.others.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl Store {
    /// How many transactions there were since the start, and how many queued writes in them.
    pub fn commits_and_writes(&self) -> (u64, u64) {
        let queue = &self.inner.queue;
        (queue.commits.load(Ordering::Relaxed), queue.writes.load(Ordering::Relaxed))
    }

    /// Queues writes, in their order; they are committed together, after all that was appended before.
    pub fn append(&self, writes: impl IntoIterator<Item = Write>) -> Ticket {
        let queue = &self.inner.queue;
        let (ticket, many) = {
            let mut waiting = lock(&queue.waiting);
            let before = waiting.writes.len();
            waiting.writes.extend(writes);
            waiting.appended += (waiting.writes.len() - before) as u64;
            (Ticket(waiting.appended), waiting.writes.len() > MAX_QUEUED_WRITES)
        };
        // Who wakes it does so once: it looks after everything that comes until it sleeps again.
        if queue.flusher_sleeps.load(Ordering::Relaxed) && queue.flusher_sleeps.swap(false, Ordering::Relaxed) {
            queue.wake.notify_one();
        }
        if many {
            // The store's bound on memory: who fills the queue empties it. A failure is met by who needs the record.
            let _ = self.commit(ticket);
        }
        ticket
    }

    /// Returns once the writes up to `ticket` are on record; commits everything that waits if they are not.
    ///
    /// # Errors
    ///
    /// Where the database does not take them now; they stay queued, and are tried again.
    pub fn commit(&self, ticket: Ticket) -> Result<()> {
        let queue = &self.inner.queue;
        if queue.has_committed(ticket) {
            return Ok(());
        }
        let connection = lock(&self.inner.writer);
        // Another may have committed ours while we waited for the connection.
        if queue.has_committed(ticket) {
            return Ok(());
        }
        self.commit_with(&connection, |_| Ok(()))
    }

    /// As `commit`, but waits as long as the database does not take the writes, such as while the disk is full. Where
    /// commits are synced, no thread waits for the disk but the committing one.
    pub async fn on_record(&self, ticket: Ticket) {
        let queue = &self.inner.queue;
        if let Some(synced) = &queue.synced {
            if !queue.has_committed(ticket) {
                let mut committed = synced.subscribe();
                queue.want(ticket);
                // It cannot be closed: who tells it lives as long as this store.
                let _ = committed.wait_for(|count| *count >= ticket.0).await;
            }
            return;
        }
        while self.commit(ticket).is_err() {
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Runs `work` in one transaction with, and after, everything that waits. If `work` fails only its own writes are
    /// undone.
    pub(super) fn transact<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.transact_on_runs(|transaction, _| work(transaction))
    }

    /// As `transact`, for work that changes runs which are on record: it says which.
    pub(super) fn transact_on_runs<T>(
        &self,
        work: impl FnOnce(&Connection, &mut Vec<Changed>) -> Result<T>,
    ) -> Result<T> {
        let connection = lock(&self.inner.writer);
        let mut changed = Vec::new();
        let mut result = None;
        self.commit_with(&connection, |transaction| {
            transaction.prepare_cached("SAVEPOINT work")?.execute([])?;
            let outcome = work(transaction, &mut changed);
            if transaction.is_autocommit() {
                // SQLite has undone everything by itself, such as when the disk is full: what waits stays queued.
                return outcome.map(drop);
            }
            let end = if outcome.is_ok() { "RELEASE work" } else { "ROLLBACK TO work" };
            transaction.prepare_cached(end)?.execute([])?;
            result = Some(outcome);
            Ok(())
        })?;
        self.inner.watches.tell(changed);
        result.expect("the work was done before the commit")
    }

    fn commit_with(&self, connection: &Connection, work: impl FnOnce(&Connection) -> Result<()>) -> Result<()> {
        let queue = &self.inner.queue;
        let (batch, upto) = {
            let mut waiting = lock(&queue.waiting);
            (std::mem::take(&mut waiting.writes), waiting.appended)
        };
        let applied = apply(connection, &batch, work);
        match applied {
            Ok(()) => {
                queue.committed.store(upto, Ordering::Release);
                if let Some(synced) = &queue.synced {
                    synced.send_replace(upto);
                }
                queue.commits.fetch_add(1, Ordering::Relaxed);
                queue.writes.fetch_add(batch.len() as u64, Ordering::Relaxed);
                self.inner.watches.tell(batch.iter().filter_map(Changed::by));
                // The emptied vector goes back, so that the hot path does not allocate.
                let mut batch = batch;
                batch.clear();
                let mut waiting = lock(&queue.waiting);
                if waiting.writes.is_empty() && waiting.writes.capacity() < batch.capacity() {
                    waiting.writes = batch;
                }
                Ok(())
            }
            Err(error) => {
                let mut waiting = lock(&queue.waiting);
                let later = std::mem::replace(&mut waiting.writes, batch);
                waiting.writes.extend(later);
                Err(error)
            }
        }
    }

    /// Commits what nobody asks for, so that others see it soon; where commits are synced, also what is asked for.
    pub(super) fn start_flusher(&self) {
        let inner = std::sync::Arc::downgrade(&self.inner);
        std::thread::spawn(move || {
            while let Some(inner) = inner.upgrade() {
                let store = Store { inner };
                store.wait_for_writes();
                if let Err(error) = store.commit_all() {
                    tracing::error!("cannot commit, trying again: {error}");
                    std::thread::sleep(RETRY_INTERVAL);
                }
                if store.inner.queue.synced.is_none() {
                    drop(store);
                    std::thread::sleep(FLUSH_INTERVAL);
                }
            }
        });
    }

    /// Sleeps while nothing waits, but not for ever: the store may be gone by then. Where commits are synced, gives what
    /// comes the time to be asked for first, so that who appends and then asks wakes nobody twice.
    fn wait_for_writes(&self) {
        let queue = &self.inner.queue;
        let mut waiting = lock(&queue.waiting);
        if queue.synced.is_some() {
            let unwanted = |waiting: &mut Waiting| queue.has_committed(Ticket(waiting.wanted));
            let waited = queue.wake.wait_timeout_while(waiting, FLUSH_INTERVAL, unwanted);
            let (asked, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if !timeout.timed_out() {
                return;
            }
            waiting = asked;
        }
        if waiting.writes.is_empty() {
            queue.flusher_sleeps.store(true, Ordering::Relaxed);
            drop(queue.wake.wait_timeout(waiting, LOOK_UP_INTERVAL));
            queue.flusher_sleeps.store(false, Ordering::Relaxed);
        }
    }

    /// Commits everything that waits.
    pub(super) fn commit_all(&self) -> Result<()> {
        let last = Ticket(lock(&self.inner.queue.waiting).appended);
        self.commit(last)
    }
}

fn apply(connection: &Connection, batch: &[Write], work: impl FnOnce(&Connection) -> Result<()>) -> Result<()> {
    // Statements are prepared once; rusqlite's own transactions prepare theirs each time.
    let execute = |sql: &str| connection.prepare_cached(sql)?.execute([]).map(drop).map_err(StoreError::from);
    execute("BEGIN IMMEDIATE")?;
    let applied = apply_all(connection, batch).and_then(|()| work(connection)).and_then(|()| execute("COMMIT"));
    if applied.is_err() && !connection.is_autocommit() {
        // Where SQLite has rolled back by itself there is nothing to do.
        let _ = execute("ROLLBACK");
    }
    applied
}

fn apply_all(connection: &Connection, batch: &[Write]) -> Result<()> {
    for write in batch {
        match super::writes::apply(connection, write) {
            Ok(()) => {}
            Err(error) if is_about_the_write(&error) => {
                // It would stop all others for ever. It cannot come from a guest: texts and numbers are checked before.
                tracing::error!("dropped a write that the database refuses: {error}: {write:?}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether the write itself is wrong, not the state of disk and memory.
fn is_about_the_write(error: &rusqlite::Error) -> bool {
    !matches!(error, rusqlite::Error::SqliteFailure(failure, _)
        if failure.code != ErrorCode::ConstraintViolation && failure.code != ErrorCode::TypeMismatch)
}
