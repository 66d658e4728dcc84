//! A disk whose syncs a test sees and holds up: SQLite's own way to files, with a gate before `xSync`.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, LazyLock, Mutex, OnceLock};
use std::time::Duration;

use rusqlite::ffi;

const PATIENCE: Duration = Duration::from_secs(120);

/// The write-ahead logs in one directory.
#[derive(Clone, Default)]
pub struct Disk(Arc<Gate>);

#[derive(Default)]
struct Gate {
    syncs: Mutex<Syncs>,
    changed: Condvar,
}

#[derive(Default)]
struct Syncs {
    begun: usize,
    held: bool,
}

type Open =
    unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *const c_char, *mut ffi::sqlite3_file, c_int, *mut c_int) -> c_int;
type Sync = unsafe extern "C" fn(*mut ffi::sqlite3_file, c_int) -> c_int;

static SQLITE_OPEN: OnceLock<Open> = OnceLock::new();
static SQLITE_SYNC: OnceLock<Sync> = OnceLock::new();
static WATCHED: LazyLock<Mutex<HashMap<PathBuf, Disk>>> = LazyLock::new(Mutex::default);
/// By the address of SQLite's file.
static FILES: LazyLock<Mutex<HashMap<usize, Disk>>> = LazyLock::new(Mutex::default);

impl Disk {
    /// For databases that are opened in `dir` from now on.
    #[allow(unsafe_code)]
    pub fn of(dir: &Path) -> Disk {
        SQLITE_OPEN.get_or_init(|| {
            // SAFETY: SQLite's own table of functions lives and may be written to as long as the process; a thread that
            // opens a file meanwhile finds one function or the other there.
            unsafe {
                let vfs = ffi::sqlite3_vfs_find(c"unix-excl".as_ptr());
                (*vfs).xOpen.replace(open).expect("files can be opened")
            }
        });
        std::fs::create_dir_all(dir).expect("makes the directory");
        let dir = dir.canonicalize().expect("it is there");
        let disk = Disk::default();
        WATCHED.lock().unwrap().insert(dir, disk.clone());
        disk
    }

    /// From now on no sync ends.
    pub fn hold(&self) {
        self.0.syncs.lock().unwrap().held = true;
    }

    pub fn release(&self) {
        self.0.syncs.lock().unwrap().held = false;
        self.0.changed.notify_all();
    }

    /// How many were begun.
    pub fn syncs(&self) -> usize {
        self.0.syncs.lock().unwrap().begun
    }

    /// Returns once more than `before` were begun.
    pub fn until_more_than(&self, before: usize) {
        let syncs = self.0.syncs.lock().unwrap();
        let waited = self.0.changed.wait_timeout_while(syncs, PATIENCE, |syncs| syncs.begun <= before).unwrap();
        assert!(!waited.1.timed_out(), "nothing is synced");
    }

    fn begin(&self) {
        let mut syncs = self.0.syncs.lock().unwrap();
        syncs.begun += 1;
        self.0.changed.notify_all();
        drop(self.0.changed.wait_while(syncs, |syncs| syncs.held).unwrap());
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let sqlite = SQLITE_OPEN.get().expect("it was taken before this came in its place");
    // SAFETY: what SQLite gave goes on to SQLite; a name is a string that lives until the file is closed; the table of a
    // file's functions is static, and so is our copy of it.
    unsafe {
        let code = sqlite(vfs, name, file, flags, out);
        if code == ffi::SQLITE_OK && flags & ffi::SQLITE_OPEN_WAL != 0 {
            let path = Path::new(OsStr::from_bytes(CStr::from_ptr(name).to_bytes()));
            let dir = path.parent().expect("a file is in a directory");
            if let Some(disk) = WATCHED.lock().unwrap().get(dir) {
                let mut methods = *(*file).pMethods;
                SQLITE_SYNC.get_or_init(|| methods.xSync.expect("files can be synced"));
                methods.xSync = Some(sync);
                (*file).pMethods = Box::leak(Box::new(methods));
                FILES.lock().unwrap().insert(file as usize, disk.clone());
            }
        }
        code
    }
}

#[allow(unsafe_code)]
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    let disk = FILES.lock().unwrap().get(&(file as usize)).cloned().expect("it was opened by us");
    disk.begin();
    let sqlite = SQLITE_SYNC.get().expect("it was taken before this came in its place");
    // SAFETY: what SQLite gave goes on to SQLite.
    unsafe { sqlite(file, flags) }
}
