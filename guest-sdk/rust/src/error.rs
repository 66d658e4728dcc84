//! Why a task failed, and how every error becomes that.

use std::any::Any;
use std::fmt::{self, Debug, Display};

use serde::Serialize;
use serde_json::Value;

/// The failure kind of errors that a guest returns.
const OWN_KIND: &str = "task_error";

/// `Result` with [`TaskError`], into which `?` turns every standard error.
pub type Result<T, E = TaskError> = std::result::Result<T, E>;

/// Why a task or a flow did not succeed.
///
/// It deliberately is no [`std::error::Error`], so that `?` can turn all of those into it.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskError(Box<Parts>);

#[derive(Clone, PartialEq, Eq)]
struct Parts {
    kind: String,
    message: String,
    retryable: bool,
    details: Option<Value>,
}

impl TaskError {
    /// An error that a retry may cure.
    pub fn new(message: impl Display) -> Self {
        Self::from_parts(OWN_KIND.to_owned(), message.to_string(), true, None)
    }

    /// An error that no retry can cure: the run fails although retries are left.
    pub fn permanent(message: impl Display) -> Self {
        Self::from_parts(OWN_KIND.to_owned(), message.to_string(), false, None)
    }

    /// Adds anything that helps a reader of the failure. What cannot be JSON is left out.
    #[must_use]
    pub fn with_details(mut self, details: impl Serialize) -> Self {
        self.0.details = serde_json::to_value(details).ok();
        self
    }

    /// The failure kind: `task_error` for a guest's own errors, and others such as `timed_out` or `upstream_failed`
    /// for a child run's.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The message, without the kind.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether trying again could help.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// What [`with_details`](Self::with_details) added.
    pub fn details(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    pub(crate) fn from_parts(kind: String, message: String, retryable: bool, details: Option<Value>) -> Self {
        Self(Box::new(Parts { kind, message, retryable, details }))
    }

    /// A message that no retry cures, of a kind that is not the guest's own.
    pub(crate) fn of_kind(kind: &str, message: String) -> Self {
        Self::from_parts(kind.to_owned(), message, false, None)
    }
}

impl Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind, self.0.message)
    }
}

/// The message is the error's and those of its sources: `cannot read a.csv: no such file`.
impl<E: std::error::Error> From<E> for TaskError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            let text = inner.to_string();
            // Many errors repeat their source in their own message.
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = inner.source();
        }
        Self::new(message)
    }
}

/// What a task may return as an error: anything that can be shown.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a task or a flow",
    label = "this error cannot be shown",
    note = "implement `std::fmt::Display` for it, or return `Result<T>`, into which `?` turns every standard error"
)]
pub trait Failure {
    fn into_task_error(self) -> TaskError;
}

impl<E: Display + 'static> Failure for E {
    fn into_task_error(self) -> TaskError {
        let mut error = Some(self);
        match (&mut error as &mut dyn Any).downcast_mut::<Option<TaskError>>().and_then(Option::take) {
            Some(error) => error,
            // Error types that carry a chain, such as `anyhow::Error`, show all of it this way.
            None => TaskError::new(error.map(|error| format!("{error:#}")).unwrap_or_default()),
        }
    }
}

/// The `Result` that an entry's function returns.
pub trait Outcome {
    type Value;
    fn into_result(self) -> Result<Self::Value>;
}

impl<T, E: Failure> Outcome for Result<T, E> {
    type Value = T;
    fn into_result(self) -> Result<T> {
        self.map_err(Failure::into_task_error)
    }
}

/// Returns with a [`TaskError`] of the formatted message: `bail!("no rows in {path}")`.
#[macro_export]
macro_rules! bail {
    ($($message:tt)+) => {
        return ::core::result::Result::Err($crate::TaskError::new(::core::format_args!($($message)+)).into())
    };
}

/// Returns with a [`TaskError`] unless the condition holds: `ensure!(n > 0, "n is {n}")`.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            $crate::bail!($($message)+);
        }
    };
}
