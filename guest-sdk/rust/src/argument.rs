//! Arguments of a submitted run: values, or the outputs of other runs.

use serde::Serialize;

use crate::backend::Handle;
use crate::{Run, TaskError};

/// One argument, ready to be submitted.
pub struct Argument(pub(crate) Source);

pub(crate) enum Source {
    Json(String),
    Output(Handle),
}

/// What can be passed where a task takes a `T`: a `T`, a `&T`, or a `&Run<T>`, whose result is the argument when it
/// is there; if that run fails, the task fails as `upstream_failed` without an attempt.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be passed as an argument of type `{T}`",
    label = "expected a `{T}`, a reference to one, or a `&Run<{T}>`",
    note = "arguments pass between sandboxes as JSON: `#[data]` on a type of your own derives all that this needs"
)]
pub trait IntoArgument<T> {
    /// The value as JSON, or the run.
    fn into_argument(self) -> Argument;
}

impl<T: Serialize> IntoArgument<T> for T {
    fn into_argument(self) -> Argument {
        json(&self)
    }
}

impl<T: Serialize> IntoArgument<T> for &T {
    fn into_argument(self) -> Argument {
        json(self)
    }
}

impl IntoArgument<String> for &str {
    fn into_argument(self) -> Argument {
        json(self)
    }
}

impl<T: Serialize> IntoArgument<Vec<T>> for &[T] {
    fn into_argument(self) -> Argument {
        json(self)
    }
}

impl<T> IntoArgument<T> for &Run<T> {
    fn into_argument(self) -> Argument {
        Argument(Source::Output(self.handle()))
    }
}

pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> Argument {
    // Only a map with keys that are not text, or a `Serialize` that refuses, can fail: an author's mistake, which
    // has no other place to show.
    let json = serde_json::to_string(value).unwrap_or_else(|error| panic!("an argument cannot be JSON: {error}"));
    Argument(Source::Json(json))
}

/// An error of our own while values cross the border between sandboxes.
pub(crate) fn unreadable(what: &str, error: &serde_json::Error) -> TaskError {
    TaskError::of_kind("invalid_input", format!("{what} is not what the type says: {error}"))
}
