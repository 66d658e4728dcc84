//! All that is kept, as one archive: what a server needs to go on elsewhere.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use tokio::sync::OwnedMutexGuard;

use super::App;
use crate::error::{Error, ErrorKind, Result};

/// What one moment left, to be written out. While it lives no other is made, and no module is deleted.
pub struct Backup {
    database: File,
    modules: Vec<PathBuf>,
    _alone: OwnedMutexGuard<()>,
}

impl App {
    /// Copies the database, with all that was acknowledged until now; runs go on meanwhile. May take long.
    ///
    /// # Errors
    ///
    /// `conflict` where another backup is under way, `unavailable` where there is no room for the copy.
    pub fn backup(&self) -> Result<Backup> {
        let alone = {
            // A module that is being deleted is gone after that.
            let _undeleted = self.registering.blocking_read();
            self.backing_up.clone().try_lock_owned().map_err(|_| {
                Error::conflict("another backup of this server is under way; try again when it has ended")
            })?
        };
        let database = self.store.snapshot().map_err(|error| {
            let Error { kind, message, source } = error.into();
            let advice = match kind {
                ErrorKind::Unavailable => "; a backup needs as much room in the data directory as the database has",
                _ => "",
            };
            Error { kind, message: format!("cannot copy the database: {message}{advice}"), source }
        })?;
        // Some may be newer than the copy, which does no harm.
        let modules = self.store.digests()?.iter().map(|digest| self.wasm.module_path(digest)).collect();
        Ok(Backup { database, modules, _alone: alone })
    }
}

impl Backup {
    /// Writes the archive: `tarefa.db` and `modules/*.wasm`. Neither the key nor the compiled code, which are made anew.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read, or `out` takes no more.
    pub fn write_to(mut self, out: impl Write) -> anyhow::Result<()> {
        let mut archive = tar::Builder::new(out);
        append(&mut archive, "tarefa.db", &mut self.database)?;
        for path in &self.modules {
            let name = path.file_name().expect("a module has a file").to_string_lossy();
            let mut file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            append(&mut archive, &format!("modules/{name}"), &mut file)?;
        }
        Ok(archive.into_inner().and_then(|mut out| out.flush())?)
    }
}

fn append(archive: &mut tar::Builder<impl Write>, name: &str, file: &mut File) -> anyhow::Result<()> {
    let about = file.metadata()?;
    let mut header = tar::Header::new_gnu();
    header.set_size(about.len());
    header.set_mode(0o600);
    header.set_mtime(modified_s(&about));
    // More than was announced would be taken for the next file.
    archive.append_data(&mut header, name, Whole { left: about.len(), file })?;
    Ok(())
}

fn modified_s(about: &fs::Metadata) -> u64 {
    let since = about.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

/// As many bytes of a file as were announced, or an error.
struct Whole<'a> {
    left: u64,
    file: &'a mut File,
}

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.take(self.left).read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file became shorter while it was read"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
