//! The store in SQLite: one connection that writes, a few that read, one that checkpoints. The only user of rusqlite.

mod claims;
mod logs;
mod modules;
mod queue;
mod recovery;
mod rows;
mod runs;
mod writes;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};

use super::{StoreConfig, StoreError};
use queue::Queue;

pub use logs::LogFilter;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Each entry is applied once, in order, and never changed.
const MIGRATIONS: &[M<'_>] = &[M::up(include_str!("../../migrations/sqlite/01-first.sql"))];
/// Readers that are kept for the next who reads.
const MAX_IDLE_READERS: usize = 4;
/// Memory of one connection's page cache, in KiB.
const CACHE_KIB: i64 = 4096;
/// The write-ahead log is written back past this size, in pages of 4 KiB (4 MiB) …
const CHECKPOINT_PAGES: u64 = 1024;
/// … and past this one (64 MiB) writers wait until it is.
const RESTART_PAGES: u64 = 16 * 1024;
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(200);
/// How long a connection waits for another process's lock, such as that of a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

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
}

impl Store {
    /// Opens the database, makes it where there is none, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written, is no database, or was made by a newer version.
    pub fn open(config: &StoreConfig) -> Result<Store> {
        let mut writer = connect(&config.path)?;
        // Set before the first table is made, or never; space that retention frees is given back bit by bit.
        writer.pragma_update(None, "auto_vacuum", "incremental")?;
        writer.pragma_update(None, "journal_mode", "wal")?;
        writer.pragma_update(None, "wal_autocheckpoint", 0)?;
        Migrations::from_slice(MIGRATIONS).to_latest(&mut writer)?;
        if let Some(pages) = config.max_pages {
            writer.pragma_update(None, "max_page_count", pages)?;
        }
        let inner = Inner {
            path: config.path.clone(),
            writer: Mutex::new(writer),
            queue: Queue::default(),
            readers: Mutex::default(),
        };
        let store = Store { inner: Arc::new(inner) };
        store.start_flusher();
        store.start_checkpoints()?;
        Ok(store)
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

    fn start_checkpoints(&self) -> Result<()> {
        let connection = connect(&self.inner.path)?;
        let wal = self.inner.path.with_extension("db-wal");
        let inner = Arc::downgrade(&self.inner);
        std::thread::spawn(move || {
            while inner.strong_count() > 0 {
                std::thread::sleep(CHECKPOINT_INTERVAL);
                checkpoint(&connection, &wal);
            }
        });
        Ok(())
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // A commit is in the hands of the kernel when it returns: it survives the process, not the power.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Writes the write-ahead log back into the database once it is long.
fn checkpoint(connection: &Connection, wal: &Path) {
    let pages = std::fs::metadata(wal).map_or(0, |wal| wal.len() / 4096);
    let mode = match pages {
        0..CHECKPOINT_PAGES => return,
        CHECKPOINT_PAGES..RESTART_PAGES => "passive",
        _ => "truncate",
    };
    let checkpoint = connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
    if let Err(error) = checkpoint {
        tracing::warn!("cannot checkpoint the database: {error}");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking holder left is a queue or a connection, each whole between its calls.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
