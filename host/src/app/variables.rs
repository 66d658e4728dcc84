//! Variables: values that people keep for runs to read.

use std::sync::Arc;

use super::App;
use crate::domain::module::check_name;
use crate::domain::{Failure, FailureKind};
use crate::error::{Error, Result};
use crate::store::{SetVariable, StoredVariable};
use crate::wasm::Variables;

/// The largest value, as JSON text in bytes: runs read it whole, and flows keep what they read.
pub const MAX_VARIABLE_BYTES: usize = 64 << 10;
/// How many are kept.
pub const MAX_VARIABLES: usize = 10_000;

impl App {
    /// Sets a variable to a value, JSON text. Returns it, and whether it is new.
    ///
    /// # Errors
    ///
    /// `invalid` for its name, `too_large`, `conflict` where there are as many as are kept.
    pub fn set_variable(&self, name: &str, value: &str) -> Result<(StoredVariable, bool)> {
        check_name("variable", name).map_err(Error::invalid)?;
        let size = value.len();
        if size > MAX_VARIABLE_BYTES {
            return Err(Error::too_large(format!(
                "the value of `{name}` has {size} bytes and the limit is {MAX_VARIABLE_BYTES}; keep large data in files"
            )));
        }
        let now = self.clock.now();
        let set = self.store.set_variable(name, value, MAX_VARIABLES, now)?;
        if set == SetVariable::Full {
            let message =
                format!("there are {MAX_VARIABLES} variables, which is the limit; delete one before `{name}` is set");
            return Err(Error::conflict(message));
        }
        let (name, value) = (name.to_owned(), value.to_owned());
        Ok((StoredVariable { name, value, size_bytes: size as u64, updated_at: now }, set == SetVariable::New))
    }

    /// A variable with its value.
    ///
    /// # Errors
    ///
    /// `invalid` for its name, `not_found`.
    pub fn variable(&self, name: &str) -> Result<StoredVariable> {
        check_name("variable", name).map_err(Error::invalid)?;
        self.store.whole_variable(name)?.ok_or_else(|| unknown(name))
    }

    /// Deletes a variable. What has read it keeps what it read.
    ///
    /// # Errors
    ///
    /// As `variable`.
    pub fn delete_variable(&self, name: &str) -> Result<()> {
        check_name("variable", name).map_err(Error::invalid)?;
        if self.store.delete_variable(name)? { Ok(()) } else { Err(unknown(name)) }
    }
}

fn unknown(name: &str) -> Error {
    Error::not_found(format!("variable `{name}` does not exist"))
}

impl Variables for App {
    fn variable(&self, name: &str) -> Result<Option<Arc<str>>, Failure> {
        self.store.variable(name).map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))
    }
}
