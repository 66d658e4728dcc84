//! What may be granted at all.

use std::path::Path;

use super::{AllowedDir, App};
use crate::domain::{DirGrant, DirMode, HttpGrant};
use crate::error::{Error, ErrorKind, Result};

/// Directories of one run.
const MAX_DIRS: usize = 16;
/// Hosts of one run: each request looks through them.
const MAX_HOSTS: usize = 64;

impl App {
    /// Resolves granted directories once, links included, and checks each against what the operator allows.
    ///
    /// # Errors
    ///
    /// `forbidden` for what may not be granted, `invalid` for what is no directory.
    pub(super) fn resolve_dirs(&self, dirs: Vec<DirGrant>) -> Result<Vec<DirGrant>> {
        if dirs.len() > MAX_DIRS {
            return Err(Error::invalid(format!("{} directories are granted; the most is {MAX_DIRS}", dirs.len())));
        }
        dirs.into_iter().map(|grant| self.resolve_dir(grant)).collect()
    }

    /// Brings granted hosts into the form that requests are compared with, and checks each against what the operator
    /// allows.
    ///
    /// # Errors
    ///
    /// `forbidden` for what may not be granted, `invalid` for what is no `HOST:PORT` or no method.
    pub(super) fn check_http(&self, grants: Vec<HttpGrant>) -> Result<Vec<HttpGrant>> {
        if grants.len() > MAX_HOSTS {
            return Err(Error::invalid(format!("{} hosts are granted; the most is {MAX_HOSTS}", grants.len())));
        }
        grants.into_iter().map(|grant| self.check_host(grant)).collect()
    }

    fn check_host(&self, grant: HttpGrant) -> Result<HttpGrant> {
        let grant = grant.normalised().map_err(Error::invalid)?;
        if self.config.allowed_http.contains(&grant.host) {
            return Ok(grant);
        }
        let message = format!("`{0}` may not be granted: start the server with `--allow-http {0}`", grant.host);
        Err(Error::new(ErrorKind::Forbidden, message))
    }

    fn resolve_dir(&self, grant: DirGrant) -> Result<DirGrant> {
        if !grant.guest.starts_with('/') || grant.guest.contains("..") {
            let message = format!("the guest's path `{}` must be absolute, such as `/data`", grant.guest);
            return Err(Error::invalid(message));
        }
        if !Path::new(&grant.host).is_absolute() {
            return Err(Error::invalid(format!("the directory `{}` must be an absolute path", grant.host)));
        }
        let host = Path::new(&grant.host)
            .canonicalize()
            .ok()
            .filter(|path| path.is_dir())
            .ok_or_else(|| Error::invalid(format!("`{}` is no directory", grant.host)))?;
        self.check_allowed(&host, grant.mode)?;
        let host = host
            .into_os_string()
            .into_string()
            .map_err(|path| Error::invalid(format!("the path `{}` is not UTF-8", path.display())))?;
        Ok(DirGrant { host, ..grant })
    }

    fn check_allowed(&self, host: &Path, mode: DirMode) -> Result<()> {
        let forbidden = |message: String| Err(Error::new(ErrorKind::Forbidden, message));
        let data_dir = self.config.data_dir.canonicalize().unwrap_or_else(|_| self.config.data_dir.clone());
        if host.starts_with(&data_dir) || data_dir.starts_with(host) {
            return forbidden(format!("`{}` cannot be granted: it holds or is in the data directory", host.display()));
        }
        let within = |allowed: &AllowedDir| {
            let path = allowed.path.canonicalize().unwrap_or_else(|_| allowed.path.clone());
            host.starts_with(path) && (allowed.mode == DirMode::Rw || mode == DirMode::Ro)
        };
        if self.config.allowed_dirs.iter().any(within) {
            return Ok(());
        }
        let mode = if mode == DirMode::Rw { "rw" } else { "ro" };
        forbidden(format!(
            "the directory `{0}` may not be granted: start the server with `--allow-dir {0}:{mode}`",
            host.display()
        ))
    }
}
