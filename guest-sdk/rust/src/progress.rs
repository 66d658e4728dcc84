//! How far a run is, for whoever watches it.

use crate::backend;

/// Tells that `done` of `total` is done; numbers below zero are none. Call it as often as you like: whoever watches the
/// run is shown the newest.
///
/// ```
/// # use tarefa_sdk::{prelude::*, testing};
/// #[task]
/// fn load(files: Vec<String>) {
///     progress_text("loading files");
///     for (n, file) in files.iter().enumerate() {
///         progress(n, files.len());
///         // …
/// #       let _ = file;
///     }
/// }
/// # load(vec!["a".into(), "b".into()]).unwrap();
/// # assert_eq!(testing::progress(), (Some((1, 2)), Some("loading files".to_owned())));
/// ```
pub fn progress(done: impl TryInto<u64>, total: impl TryInto<u64>) {
    backend::set_progress(done.try_into().unwrap_or(0), total.try_into().unwrap_or(0));
}

/// Tells what the run does now, in at most 200 characters; the numbers of [`progress`] stay.
pub fn progress_text(text: impl AsRef<str>) {
    backend::set_progress_text(text.as_ref());
}
