//! Compiled code on disk, by digest and engine. Its files are ours alone, and a keyed hash is checked before the code
//! is believed, since whoever can change it can do what we can.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::Digest;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 32;

/// The folder of compiled code in a data directory.
pub struct Cache {
    dir: PathBuf,
    key: [u8; KEY_BYTES],
}

impl Cache {
    /// Opens the cache in `data_dir`, with the directory's key, which is made at the first use.
    ///
    /// # Errors
    ///
    /// Where the directory cannot be written.
    pub fn open(data_dir: &Path) -> anyhow::Result<Cache> {
        let dir = data_dir.join("cache");
        fs::create_dir_all(&dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
        let path = data_dir.join("key");
        let key = match fs::read(&path) {
            Ok(key) => key.try_into().map_err(|_| anyhow::anyhow!("`{}` is no key of ours", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key: [u8; KEY_BYTES] = rand::random();
                write_private(&path, &[&key])?;
                key
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        };
        Ok(Cache { dir, key })
    }

    /// The compiled code of `digest` for the engine named `engine`; none where there is none that can be believed.
    pub fn get(&self, engine: &str, digest: &Digest) -> Option<Vec<u8>> {
        let mut bytes = fs::read(self.path(engine, digest)).ok()?;
        let code_len = bytes.len().checked_sub(TAG_BYTES)?;
        self.mac(engine, digest, &bytes[..code_len]).verify_slice(&bytes[code_len..]).ok()?;
        bytes.truncate(code_len);
        Some(bytes)
    }

    /// Keeps compiled code; concurrent writers of one file each write the same.
    pub fn put(&self, engine: &str, digest: &Digest, code: &[u8]) -> anyhow::Result<()> {
        let tag = self.mac(engine, digest, code).finalize().into_bytes();
        write_private(&self.path(engine, digest), &[code, &tag])
    }

    /// Drops the compiled code of `digest` for whatever engine.
    pub fn remove(&self, digest: &Digest) {
        let prefix = format!("{digest}-");
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
                // What is not there any more, or cannot be removed, is at worst some space.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self, engine: &str, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{digest}-{engine}.cwasm"))
    }

    fn mac(&self, engine: &str, digest: &Digest, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.key).expect("a key of any length is taken");
        for part in [engine.as_bytes(), digest.as_str().as_bytes(), code] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_private(path: &Path, parts: &[&[u8]]) -> anyhow::Result<()> {
    let unique: u64 = rand::random();
    let temporary = path.with_extension(format!("{unique:x}.tmp"));
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write()
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_was_changed_is_not_believed() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = Cache::open(dir.path()).expect("opens");
        let digest = Digest::of(b"x");
        cache.put("e1", &digest, b"code").expect("writes");
        assert_eq!(cache.get("e1", &digest).as_deref(), Some(&b"code"[..]));
        assert_eq!(cache.get("e2", &digest), None);

        fs::copy(cache.path("e1", &digest), cache.path("e2", &digest)).expect("copies");
        assert_eq!(cache.get("e2", &digest), None, "code of another engine");
        let mut bytes = fs::read(cache.path("e1", &digest)).expect("reads");
        bytes[0] ^= 1;
        fs::write(cache.path("e1", &digest), bytes).expect("writes");
        assert_eq!(cache.get("e1", &digest), None, "a flipped bit");

        let other = tempfile::tempdir().expect("a directory");
        let other = Cache::open(other.path()).expect("opens");
        cache.put("e1", &digest, b"code").expect("writes");
        fs::copy(cache.path("e1", &digest), other.path("e1", &digest)).expect("copies");
        assert_eq!(other.get("e1", &digest), None, "code of another key");
    }
}
