//! The data directory: who holds it, and where that process is to be found.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const LOCK_TRIES: u32 = 5;
const LOCK_INTERVAL: Duration = Duration::from_millis(5);

/// The process that holds a data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// Where it answers; empty while it starts.
    pub url: String,
    /// Whether it is `tarefa serve`, not another verb that works embedded.
    pub serves: bool,
}

/// A data directory that is ours for as long as this lives.
pub struct DataDir {
    pub path: PathBuf,
    lock: File,
}

impl DataDir {
    /// Makes the directory where there is none, and takes it.
    ///
    /// # Errors
    ///
    /// `conflict` where another process holds it; otherwise why it cannot be written.
    pub fn take(path: &Path) -> Result<DataDir> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data directory `{}`", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("cannot find `{}`", path.display()))?;
        let lock = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .with_context(|| format!("cannot write to the data directory `{}`", path.display()))?;
        match try_lock(&lock) {
            Ok(()) => Ok(DataDir { path, lock }),
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&lock)?;
                Err(Error::conflict(match holder {
                    Some(Holder { pid, url, .. }) => {
                        format!("the data directory `{}` is held by process {pid}, which serves {url}", path.display())
                    }
                    None => format!("the data directory `{}` is held by a process that is starting", path.display()),
                }))
            }
            Err(TryLockError::Error(error)) => {
                Err(anyhow::Error::new(error).context(format!("cannot lock `{}`", path.display())).into())
            }
        }
    }

    /// Says where we answer.
    pub fn announce(&mut self, holder: &Holder) -> anyhow::Result<()> {
        let json = serde_json::to_vec(holder)?;
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        self.lock.write_all(&json)?;
        Ok(())
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        // The lock goes with the file; who reads it later must not find our address. Where that fails the lock still tells.
        let _ = self.lock.set_len(0);
        // A process that is just being started, such as a compiler, has the file open too until it is.
        let _ = self.lock.unlock();
    }
}

/// Who asks for the holder has the lock for an instant, too: one refusal is not the last word.
fn try_lock(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_INTERVAL),
            taken => return taken,
        }
    }
    lock.try_lock()
}

/// The process that holds the directory, if one does and answers already.
///
/// # Errors
///
/// Where the directory's lock cannot be read.
pub fn find_server(path: &Path) -> Result<Option<Holder>> {
    let lock = match File::open(path.join("lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let context = format!("cannot read the lock of the data directory `{}`", path.display());
            return Err(anyhow::Error::new(error).context(context).into());
        }
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => read_holder(&lock),
        Err(TryLockError::Error(error)) => Err(anyhow::Error::new(error).into()),
    }
}

fn read_holder(mut lock: &File) -> Result<Option<Holder>> {
    let mut json = String::new();
    lock.read_to_string(&mut json).context("cannot read the lock of the data directory")?;
    Ok(serde_json::from_str(&json).ok().filter(|holder: &Holder| !holder.url.is_empty()))
}
