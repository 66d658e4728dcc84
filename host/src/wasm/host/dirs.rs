//! Granted directories. A grant was resolved when the run was submitted; a link that is on its path now came later, and
//! may lead anywhere.

use std::io::{Error, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, open, openat};

/// A directory that is held open, and a path to it that nobody can change.
pub(super) struct GrantedDir(OwnedFd);

impl GrantedDir {
    /// Opens a directory by its absolute path without following a link in any part of it.
    ///
    /// # Errors
    ///
    /// Where a part does not exist, or is no directory.
    pub(super) fn open(path: &Path) -> Result<GrantedDir> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut dir = open("/", flags, Mode::empty())?;
        for part in path.components() {
            dir = match part {
                Component::RootDir => dir,
                Component::Normal(name) => openat(&dir, name, flags, Mode::empty())?,
                _ => return Err(Error::other("the path is not resolved")),
            };
        }
        Ok(GrantedDir(dir))
    }

    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}
