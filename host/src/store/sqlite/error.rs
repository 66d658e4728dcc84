//! What the store could not do.

use rusqlite::ErrorCode;

use crate::domain::RunId;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is not one that we can use; says which it is and what to do.
    #[error("{0}")]
    Refused(String),
    #[error("the database is full: {0}")]
    Full(String),
    #[error("corrupt record: the {column} of run `{run_id}` does not match its checksum")]
    Corrupt { run_id: RunId, column: &'static str },
    #[error("database: {0}")]
    Sqlite(rusqlite::Error),
    #[error("database: {0}")]
    Migration(#[from] rusqlite_migration::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("database: {what} holds what cannot be read: {why}")]
    Unreadable { what: &'static str, why: String },
}

impl StoreError {
    /// Whether one record is damaged, which says nothing of the others.
    pub fn is_about_the_record(&self) -> bool {
        match self {
            StoreError::Corrupt { .. } | StoreError::Unreadable { .. } => true,
            StoreError::Sqlite(error) => !matches!(error, rusqlite::Error::SqliteFailure(..)),
            _ => false,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match &error {
            rusqlite::Error::SqliteFailure(failure, _) if failure.code == ErrorCode::DiskFull => {
                StoreError::Full(error.to_string())
            }
            _ => StoreError::Sqlite(error),
        }
    }
}
