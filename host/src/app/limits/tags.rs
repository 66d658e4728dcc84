//! Limits of tags, which are set while the server runs.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::Limits;
use crate::app::App;
use crate::domain::concurrency::{MAX_CONCURRENT, tag_name};
use crate::domain::run::MAX_TAG;
use crate::domain::{Run, RunId};
use crate::error::{Error, Result};
use crate::store::{Store, TagLimit};

/// The most tags that are limited: each is in memory.
const MAX_TAG_LIMITS: usize = 10_000;

/// The limit of a tag, and how many runs it concerns now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagLimitInUse {
    pub tag: String,
    pub max: u32,
    pub running: u64,
    pub waiting: u64,
}

impl Limits {
    /// Takes the limits of tags from the record, and who holds what.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    pub(in crate::app) fn load(store: &Store) -> Result<Limits> {
        let limits = Limits::default();
        for run in store.holding_runs()? {
            for hold in run.across.iter().flat_map(|across| &across.holds) {
                limits.lock().hold(hold.name.clone(), run.id, run.root_id);
            }
        }
        for TagLimit { tag, max } in store.tag_limits()? {
            limits.limit_tag(store, &tag, max)?;
        }
        Ok(limits)
    }

    fn set_tag(&self, name: &str, max: Option<u32>) {
        let mut book = self.lock();
        book.set_tag(name, max);
        self.wake(&book);
    }

    /// What runs already with the tag counts, as far as it is on record.
    fn limit_tag(&self, store: &Store, tag: &str, max: u32) -> Result<()> {
        let name = tag_name(tag);
        self.set_tag(&name, Some(max));
        self.has_tags.store(true, Ordering::Relaxed);
        let running = store.running_with_tag(tag)?;
        let ids: HashSet<RunId> = running.iter().map(|run| run.id).collect();
        for run in &running {
            // What runs below another that counts does not.
            if !is_below(store, run, &ids)? {
                self.lock().hold(name.clone(), run.id, run.root_id);
            }
        }
        Ok(())
    }
}

fn is_below(store: &Store, run: &Run, others: &HashSet<RunId>) -> Result<bool> {
    let mut parent = run.parent;
    while let Some(above) = parent {
        if others.contains(&above.id) {
            return Ok(true);
        }
        parent = store.run(above.id)?.and_then(|above| above.parent);
    }
    Ok(false)
}

impl App {
    /// Limits how many runs with a tag may run at a time, from now on; more may run already.
    ///
    /// # Errors
    ///
    /// `invalid` for tag and maximum, `conflict` where too many tags are limited.
    pub fn set_tag_limit(&self, tag: &str, max: u32) -> Result<TagLimitInUse> {
        if tag.is_empty() || tag.len() > MAX_TAG {
            return Err(Error::invalid(format!("a tag has {} bytes; it takes 1 to {MAX_TAG}", tag.len())));
        }
        if !(1..=MAX_CONCURRENT).contains(&max) {
            return Err(Error::invalid(format!("`max` is {max}; it goes from 1 to {MAX_CONCURRENT}")));
        }
        let _alone = self.limits.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.limits.lock().tags.len();
        if count >= MAX_TAG_LIMITS && !self.limits.lock().tags.contains_key(&tag_name(tag)) {
            return Err(Error::conflict(format!("{count} tags have limits, which is the most; remove one first")));
        }
        self.store.set_tag_limit(tag, Some(max), self.clock.now())?;
        self.limits.limit_tag(&self.store, tag, max)?;
        self.tag_limit_in_use(TagLimit { tag: tag.to_owned(), max })
    }

    /// Lets any number of runs with a tag run.
    ///
    /// # Errors
    ///
    /// `not_found` where it has no limit.
    pub fn remove_tag_limit(&self, tag: &str) -> Result<()> {
        let _alone = self.limits.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.store.set_tag_limit(tag, None, self.clock.now())? {
            return Err(no_limit(tag));
        }
        self.limits.set_tag(&tag_name(tag), None);
        Ok(())
    }

    /// # Errors
    ///
    /// `not_found` where it has no limit.
    pub fn tag_limit(&self, tag: &str) -> Result<TagLimitInUse> {
        let found = self.store.tag_limits()?.into_iter().find(|limit| limit.tag == tag);
        self.tag_limit_in_use(found.ok_or_else(|| no_limit(tag))?)
    }

    /// The limits of tags, by tag.
    pub fn tag_limits(&self) -> Result<Vec<TagLimitInUse>> {
        self.store.tag_limits()?.into_iter().map(|limit| self.tag_limit_in_use(limit)).collect()
    }

    fn tag_limit_in_use(&self, limit: TagLimit) -> Result<TagLimitInUse> {
        let name = tag_name(&limit.tag);
        let holders = self.limits.lock().holders_of(std::slice::from_ref(&name));
        self.drop_ended(holders);
        let (running, children) = self.limits.lock().count(&name);
        let waiting = self.store.count_blocked(&name)? + children as u64;
        Ok(TagLimitInUse { tag: limit.tag, max: limit.max, running: running as u64, waiting })
    }
}

fn no_limit(tag: &str) -> Error {
    Error::not_found(format!("tag `{}` has no limit", tag.escape_debug()))
}
