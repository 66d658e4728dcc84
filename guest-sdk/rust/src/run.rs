//! Submitted runs.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::Result;
use crate::argument::unreadable;
use crate::backend::{self, Handle};
use crate::entry::Output;

/// A submitted run whose result is a `T`. Dropping it does not cancel the run.
pub struct Run<T> {
    handle: Handle,
    result: PhantomData<fn() -> T>,
}

impl<T> Run<T> {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, result: PhantomData }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The run's id, a UUID.
    pub fn id(&self) -> String {
        backend::id(&self.handle)
    }
}

impl<T: DeserializeOwned> Run<T> {
    /// Waits until the run is final.
    ///
    /// # Errors
    /// Why the run did not complete: its own error, or a kind such as `timed_out`, `upstream_failed` or `cancelled`.
    pub fn wait(&self) -> Result<T> {
        let json = backend::wait(&self.handle)?;
        serde_json::from_str(&json).map_err(|error| unreadable("the result of the run", &error))
    }
}

/// Waits for one run.
pub fn wait<T: Output>(run: Run<T>) -> Result<T> {
    run.wait()
}

/// Waits for all runs: their results in order, or the first failure in that order.
pub fn wait_all<T: Output>(runs: Vec<Run<T>>) -> Result<Vec<T>> {
    runs.iter().map(Run::wait).collect()
}

/// Yields the runs in the order in which they finish.
///
/// ```
/// # use tarefa_sdk::prelude::*;
/// # #[task] fn process(id: u32) -> u32 { id }
/// let runs: Vec<_> = (1..=3).map(process::submit).collect();
/// for run in completions(&runs) {
///     info!("finished: {}", run.wait()?);
/// }
/// # Ok::<_, TaskError>(())
/// ```
pub fn completions<T>(runs: &[Run<T>]) -> Completions<'_, T> {
    let handles: Vec<_> = runs.iter().map(|run| &run.handle).collect();
    Completions { runs, events: backend::Completions::new(&handles) }
}

/// See [`completions`].
pub struct Completions<'a, T> {
    runs: &'a [Run<T>],
    events: backend::Completions,
}

impl<'a, T> Completions<'a, T> {
    /// Yields the places of the runs instead of the runs.
    pub fn indexes(self) -> impl Iterator<Item = usize> {
        let mut events = self.events;
        std::iter::from_fn(move || events.next())
    }
}

impl<'a, T> Iterator for Completions<'a, T> {
    type Item = &'a Run<T>;

    fn next(&mut self) -> Option<&'a Run<T>> {
        self.events.next().map(|index| &self.runs[index])
    }
}
