//! Which files are taken for our database. What is refused stays as it is.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use super::{MIGRATIONS, Result, configure, connect_only};
use crate::store::StoreError;

/// What to do about a file that is not ours to use …
const ELSEWHERE: &str = "choose another data directory with `--data-dir`";
/// … and about one that was ours.
const RESTORE: &str = "restore a backup into an empty folder, or choose another data directory with `--data-dir`";

/// Opens the connection that writes, and makes the file where there is none.
///
/// # Errors
///
/// `Refused`, with the file and what to do, where it is no whole database of this version or an older one.
pub(super) fn open(path: &Path) -> Result<Connection> {
    check_file(path)?;
    let opened = connect_only(path).and_then(|connection| {
        // Who is refused must not write back what waits in the log.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        check(&connection, path)?;
        configure(&connection)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(connection)
    });
    opened.map_err(|error| explain(error, path))
}

/// Names the file where an error says that it is damaged.
pub(super) fn explain(error: StoreError, path: &Path) -> StoreError {
    let StoreError::Sqlite(rusqlite::Error::SqliteFailure(failure, _)) = &error else { return error };
    match failure.code {
        ErrorCode::NotADatabase => refuse(path, "is no database, or is damaged", RESTORE),
        ErrorCode::DatabaseCorrupt => refuse(path, "is damaged", RESTORE),
        ErrorCode::ReadOnly | ErrorCode::CannotOpen => refuse(path, "cannot be opened to be written to", ELSEWHERE),
        _ => error,
    }
}

fn refuse(path: &Path, why: &str, what_to_do: &str) -> StoreError {
    StoreError::Refused(format!("`{}` {why}: {what_to_do}", path.display()))
}

/// What SQLite would say less of, or overlook.
fn check_file(path: &Path) -> Result<()> {
    let size = match fs::metadata(path) {
        Ok(about) if about.is_dir() => return Err(refuse(path, "is a folder, not a database", ELSEWHERE)),
        Ok(about) if !about.is_file() => return Err(refuse(path, "is no file, and so no database", ELSEWHERE)),
        Ok(about) => about.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refuse(path, &format!("cannot be looked at ({error})"), ELSEWHERE)),
    };
    // SQLite would go on with a file that it may only read, until the first write.
    if let Err(error) = OpenOptions::new().read(true).write(true).open(path) {
        let why = format!("cannot be opened to be read and written ({error})");
        return Err(refuse(path, &why, &format!("change its permissions, or {ELSEWHERE}")));
    }
    // SQLite would throw the log away.
    if size == 0 && log_bytes(path) > 0 {
        return Err(refuse(path, "is empty and was not", RESTORE));
    }
    Ok(())
}

fn check(connection: &Connection, path: &Path) -> Result<()> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let version = number("PRAGMA user_version")?;
    let known = MIGRATIONS.len() as i64;
    let is_empty = number("SELECT count(*) FROM sqlite_schema")? == 0;
    let is_ours = number("SELECT count(*) FROM sqlite_schema WHERE name = 'runs_due'")? == 1;
    if !is_empty && !is_ours {
        return Err(refuse(path, "is a database of another program", ELSEWHERE));
    }
    if version > known {
        let why = format!(
            "was made by a newer version of tarefa: its schema has number {version}, and version {} knows {known}",
            env!("CARGO_PKG_VERSION")
        );
        return Err(refuse(path, &why, &format!("use that version, or {ELSEWHERE}")));
    }
    // Beside a log, SQLite misses what was cut off only when it is read.
    let size = number("PRAGMA page_count")? * number("PRAGMA page_size")?;
    let found = fs::metadata(path)?.len();
    if !is_empty && ((found + log_bytes(path)) as i64) < size {
        return Err(refuse(path, &format!("was cut off: it has {found} bytes of {size}"), RESTORE));
    }
    Ok(())
}

/// How large the write-ahead log is.
pub(super) fn log_bytes(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).map_or(0, |about| about.len())
}
