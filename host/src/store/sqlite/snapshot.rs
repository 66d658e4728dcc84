//! A copy of the database as it is at one moment, while others read and write.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{Result, Store, connect, lock};
use crate::domain::Digest;
use crate::store::StoreError;

impl Store {
    /// Copies all that was appended until now into a database of its own, which has no name and is gone once it is
    /// closed. One at a time, and takes long where there is much.
    ///
    /// # Errors
    ///
    /// `Full` where there is no room for it beside the database.
    pub fn snapshot(&self) -> Result<File> {
        self.commit_all()?;
        let path = path(&self.inner.path);
        remove(&path)?;
        let connection = connect(&self.inner.path)?;
        // Who writes does not wait for who reads; but a checkpoint would wait for us, and have writers wait for it.
        let no_checkpoint = lock(&self.inner.checkpoints);
        let copied = connection.execute("VACUUM INTO ?", [path.to_string_lossy()]);
        drop(no_checkpoint);
        let opened = copied.map_err(StoreError::from).and_then(|_| Ok(File::open(&path)?));
        remove(&path)?;
        opened
    }

    /// The digests of all versions of all modules.
    pub fn digests(&self) -> Result<Vec<Digest>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT DISTINCT digest FROM versions ORDER BY digest")?;
            let digests = statement.query_map([], |row| row.get(0).map(Digest))?;
            Ok(digests.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Removes what a process left that ended while it copied.
pub(super) fn remove_left_over(database: &Path) -> Result<()> {
    remove(&path(database))
}

fn path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-snapshot");
    path.into()
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
