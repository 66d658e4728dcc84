//! The store in SQLite: one connection that writes, a few that read, one that checkpoints. The only user of rusqlite.

mod across;
mod artifacts;
mod cache;
mod claims;
mod deletion;
mod deployments;
mod error;
mod filter;
mod journal;
mod logs;
mod modules;
mod notifications;
mod open;
mod queue;
mod recovery;
mod retention;
mod retry;
mod rows;
mod runs;
mod schedules;
mod signals;
mod snapshot;
mod stats;
mod variables;
mod writes;

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};

use super::StoreConfig;
use super::watch::{Watch, Watches};
use crate::domain::RunId;
use queue::Queue;

pub use error::StoreError;
pub use logs::LogFilter;
pub use retention::{Over, Part, Pruned, Storage};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Each entry is applied once, in order, and never changed.
const MIGRATIONS: &[M<'_>] = &[M::up(include_str!("../../migrations/sqlite/01-first.sql"))];
/// Readers that are kept for the next who reads.
const MAX_IDLE_READERS: usize = 4;
/// A commit writes whole pages, most of which hold what was there before: half of SQLite's usual size makes a short
/// task a sixth cheaper (`make bench`).
const PAGE_BYTES: i64 = 2048;
/// Memory of one connection's page cache, in KiB.
const CACHE_KIB: i64 = 4096;
/// The write-ahead log is written back after this many changes, about 8 MiB of it, and then filled from its beginning
/// again: pages that the kernel holds already are written faster than new ones.
const CHECKPOINT_CHANGES: u64 = 4096;
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(50);
/// How often a store that nobody writes to is looked after.
const IDLE_INTERVAL: Duration = Duration::from_millis(500);
/// What a long transaction made of the log beyond this, in bytes, is given back.
const MAX_WAL_BYTES: i64 = 64 << 20;
/// How long a connection waits for another one's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// SQLite's way to files that one process alone opens, as we do: its connections lock each other out in memory, without
/// a call to the kernel for each lock.
const ONE_PROCESS: &CStr = c"unix-excl";

/// The one place where state is kept. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    writer: Mutex<Connection>,
    queue: Queue,
    readers: Mutex<Vec<Connection>>,
    /// Held by a checkpoint, and by what must not meet one.
    checkpoints: Mutex<()>,
    watches: Arc<Watches>,
}

impl Store {
    /// Opens the database, makes it where there is none, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// `Refused` where the file cannot be written, is no database, or was made by a newer version: it stays as it is.
    pub fn open(config: &StoreConfig) -> Result<Store> {
        Store::open_file(config).map_err(|error| open::explain(error, &config.path))
    }

    fn open_file(config: &StoreConfig) -> Result<Store> {
        let mut writer = open::open(&config.path)?;
        snapshot::remove_left_over(&config.path)?;
        // Set before the first table is made, or never; space that retention frees is given back bit by bit.
        writer.pragma_update(None, "page_size", PAGE_BYTES)?;
        writer.pragma_update(None, "auto_vacuum", "incremental")?;
        writer.pragma_update(None, "journal_mode", "wal")?;
        writer.pragma_update(None, "wal_autocheckpoint", 0)?;
        writer.pragma_update(None, "journal_size_limit", MAX_WAL_BYTES)?;
        Migrations::from_slice(MIGRATIONS).to_latest(&mut writer)?;
        if config.synced {
            // Checkpoints sync what they need either way.
            writer.pragma_update(None, "synchronous", "full")?;
        }
        if let Some(pages) = config.max_pages {
            writer.pragma_update(None, "max_page_count", pages)?;
        }
        let inner = Inner {
            path: config.path.clone(),
            writer: Mutex::new(writer),
            queue: Queue::new(config.synced),
            readers: Mutex::default(),
            checkpoints: Mutex::default(),
            watches: Arc::default(),
        };
        let store = Store { inner: Arc::new(inner) };
        store.start_flusher();
        store.start_checkpoints()?;
        Ok(store)
    }

    /// News of a tree of runs, as they are committed.
    pub fn watch(&self, root: RunId) -> Watch {
        self.inner.watches.follow(root)
    }

    /// Returns once whoever follows a tree was told of all that is on record.
    pub fn settle(&self) {
        // Who commits tells of it before it lets the connection go.
        drop(lock(&self.inner.writer));
    }

    /// Reads with a connection of its own; what was committed before is seen.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = lock(&self.inner.readers).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.inner.path)?,
        };
        let result = read(&connection);
        let mut readers = lock(&self.inner.readers);
        if readers.len() < MAX_IDLE_READERS {
            readers.push(connection);
        }
        result
    }

    /// Writes the write-ahead log back into the database, on a thread and a connection of its own.
    fn start_checkpoints(&self) -> Result<()> {
        let connection = connect(&self.inner.path)?;
        let inner = Arc::downgrade(&self.inner);
        std::thread::spawn(move || {
            let (mut written_back, mut seen) = (0, 0);
            while let Some(inner) = inner.upgrade() {
                let changes = inner.queue.changes();
                let idle = changes == std::mem::replace(&mut seen, changes);
                if changes - written_back >= CHECKPOINT_CHANGES
                    && let Ok(_alone) = inner.checkpoints.try_lock()
                {
                    written_back = changes;
                    if let Err(error) = checkpoint(&connection) {
                        tracing::warn!("cannot checkpoint the database: {error}");
                    }
                }
                drop(inner);
                std::thread::sleep(if idle { IDLE_INTERVAL } else { CHECKPOINT_INTERVAL });
            }
        });
        Ok(())
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = connect_only(path)?;
    configure(&connection)?;
    Ok(connection)
}

/// A connection that has not looked into the file yet.
fn connect_only(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags_and_vfs(path, flags, ONE_PROCESS)?)
}

fn configure(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // A commit is in the hands of the kernel when it returns: it survives the process, not the power.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Most is written back while others write; only for the rest they wait.
fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    for mode in ["passive", "restart"] {
        connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))?;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking holder left is a queue or a connection, each whole between its calls.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How SQLite begins to find what a statement asks for, in a store of its own.
#[cfg(test)]
fn plan(sql: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("tarefa.db");
    let store = Store::open(&StoreConfig { path, ..StoreConfig::default() }).expect("opens");
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let first = |connection: &Connection| {
        let mut statement = connection.prepare(&explain)?;
        Ok(statement.raw_query().next()?.expect("a plan has a step").get::<_, String>(3)?)
    };
    store.read(first).expect("explains")
}
