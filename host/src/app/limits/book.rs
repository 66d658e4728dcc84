//! The books of limits across runs. No I/O, no waiting: every call is short and under one lock.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::domain::concurrency::tag_name;
use crate::domain::{Across, Hold, OnConflict, Pace, RunId};

#[derive(Default)]
pub(super) struct Book {
    /// What somebody holds or waits for.
    names: HashMap<String, Name>,
    held: HashMap<RunId, Held>,
    /// How many runs at the top were admitted.
    admissions: u64,
    /// What children wait for.
    pub waiting: HashMap<RunId, String>,
    /// How many may hold the name of a tag.
    pub tags: HashMap<String, u32>,
    /// Names that may have become free for those who wait.
    pub offered: BTreeSet<String>,
    /// Rates that runs on record wait for, and when each lets the next one start.
    pub paced: HashMap<String, (Pace, Timestamp)>,
}

/// What a run holds.
struct Held {
    /// The top of its tree.
    root: RunId,
    /// The number of its admission: it may be admitted anew before what it held the last time is let go of.
    admission: u64,
    names: Vec<String>,
}

/// A run that holds something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub id: RunId,
    pub root: RunId,
    pub admission: u64,
}

#[derive(Default)]
struct Name {
    holders: HashSet<RunId>,
    /// As whoever asked last has it.
    max: u32,
    /// Children that wait, in their order.
    children: BTreeMap<(Timestamp, RunId), Child>,
    /// Whether runs may wait on record.
    has_rows: bool,
    /// How many were turned away.
    turned_away: u64,
}

impl Name {
    fn free(&self) -> usize {
        (self.max as usize).saturating_sub(self.holders.len())
    }

    fn is_waited_for(&self) -> bool {
        self.has_rows || !self.children.is_empty()
    }
}

/// A child that asks for the limits of its tags.
#[derive(Clone, Debug)]
pub struct Claimant {
    pub id: RunId,
    pub root: RunId,
    /// The flows above it: it needs nothing that one of them holds.
    pub above: Arc<[RunId]>,
    pub tags: Vec<String>,
    /// Its place in the order.
    pub order: Timestamp,
}

pub(super) struct Child {
    pub claimant: Claimant,
    pub grant: oneshot::Sender<()>,
}

/// What there is of a name for those who wait for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Pass {
    pub free: usize,
    /// Whether to look for runs that wait on record, and before which place in the order.
    pub rows: bool,
    pub before: Option<Timestamp>,
    /// How many had been turned away by then.
    turned_away: u64,
}

/// A name, and how many may hold it.
pub(super) type Want = (String, u32);

impl Book {
    /// What a run needs to hold.
    pub(super) fn wants(&self, across: Option<&Across>, tags: &[String]) -> Vec<Want> {
        let mut wants: Vec<Want> = Vec::new();
        for Hold { name, max, on_conflict } in across.into_iter().flat_map(|across| &across.holds) {
            let max = if *on_conflict == OnConflict::Allow { u32::MAX } else { *max };
            match wants.iter_mut().find(|(other, _)| other == name) {
                Some((_, least)) => *least = max.min(*least),
                None => wants.push((name.clone(), max)),
            }
        }
        wants.extend(tags.iter().map(|tag| tag_name(tag)).filter_map(|name| {
            let max = *self.tags.get(&name)?;
            Some((name, max))
        }));
        wants
    }

    /// As `take`, for a run at the top that starts.
    pub(super) fn admit(&mut self, id: RunId, wants: &[Want]) -> Result<(), String> {
        self.take((id, id), &[], wants)?;
        self.admissions += 1;
        if let Some(held) = self.held.get_mut(&id) {
            held.admission = self.admissions;
        }
        Ok(())
    }

    /// Has a run hold all that it wants, or nothing more than before and the name of what there is too little of.
    pub(super) fn take(&mut self, (id, root): (RunId, RunId), above: &[RunId], wants: &[Want]) -> Result<(), String> {
        let missing = self.missing(id, above, wants);
        for (name, max) in &missing {
            let known = self.names.entry(name.clone()).or_default();
            if *max != u32::MAX {
                known.max = *max;
            }
            if known.holders.len() >= *max as usize {
                missing.iter().for_each(|(name, _)| self.forget_unused(name));
                return Err(name.clone());
            }
        }
        for (name, _) in missing {
            self.hold(name, id, root);
        }
        Ok(())
    }

    /// What neither a run nor any above it holds.
    fn missing(&self, id: RunId, above: &[RunId], wants: &[Want]) -> Vec<Want> {
        let is_held = |name: &str| {
            let holders = self.names.get(name).map(|name| &name.holders);
            holders.is_some_and(|holders| std::iter::once(&id).chain(above).any(|id| holders.contains(id)))
        };
        wants.iter().filter(|(name, _)| !is_held(name)).cloned().collect()
    }

    pub(super) fn hold(&mut self, name: String, id: RunId, root: RunId) {
        let held = self.held.entry(id).or_insert(Held { root, admission: 0, names: Vec::new() });
        if self.names.entry(name.clone()).or_default().holders.insert(id) {
            held.names.push(name);
        }
    }

    /// Has a child hold what its tags ask for, unless others come first: then the name of what they wait for, too.
    pub(super) fn ask(&mut self, child: &Claimant) -> Result<(), String> {
        let wants = self.wants(None, &child.tags);
        let missing = self.missing(child.id, &child.above, &wants);
        let others_wait = |(name, _): &&Want| self.names.get(name).is_some_and(Name::is_waited_for);
        match missing.iter().find(others_wait) {
            Some((name, _)) => Err(name.clone()),
            None => self.take((child.id, child.root), &child.above, &missing),
        }
    }

    pub(super) fn has(&self, child: &Claimant) -> bool {
        self.missing(child.id, &child.above, &self.wants(None, &child.tags)).is_empty()
    }

    pub(super) fn queue(&mut self, name: String, child: Child) {
        let Claimant { id, order, .. } = child.claimant;
        self.waiting.insert(id, name.clone());
        let known = self.names.entry(name.clone()).or_default();
        known.children.insert((order, id), child);
        if known.free() > 0 {
            self.offered.insert(name);
        }
    }

    /// A child waits no longer; where it was given what it waited for, it lets go of it.
    pub(super) fn leave(&mut self, id: RunId) {
        let Some(name) = self.waiting.remove(&id) else { return self.let_go(id) };
        if let Some(known) = self.names.get_mut(&name) {
            known.children.retain(|(_, child), _| *child != id);
            self.forget_unused(&name);
        }
    }

    pub(super) fn row_waits_for(&mut self, name: &str) {
        let known = self.names.entry(name.to_owned()).or_default();
        known.has_rows = true;
        known.turned_away += 1;
    }

    pub(super) fn let_go(&mut self, id: RunId) {
        for name in self.held.remove(&id).map(|held| held.names).unwrap_or_default() {
            if let Some(known) = self.names.get_mut(&name) {
                known.holders.remove(&id);
            }
            self.offer(&name);
            self.forget_unused(&name);
        }
    }

    /// Somebody looks whether those who wait for a name can have it.
    pub(super) fn offer(&mut self, name: &str) {
        if self.names.get(name).is_some_and(Name::is_waited_for) {
            self.offered.insert(name.to_owned());
        }
        if let Some((_, until)) = self.paced.get_mut(name) {
            *until = Timestamp::MIN;
            self.offered.insert(name.to_owned());
        }
    }

    fn forget_unused(&mut self, name: &str) {
        if self.names.get(name).is_some_and(|known| known.holders.is_empty() && !known.is_waited_for()) {
            self.names.remove(name);
        }
    }

    /// Sets how many may hold the name of a tag, or that all may.
    pub(super) fn set_tag(&mut self, name: &str, max: Option<u32>) {
        match max {
            Some(max) => self.tags.insert(name.to_owned(), max),
            None => self.tags.remove(name),
        };
        if let Some(known) = self.names.get_mut(name) {
            known.max = max.unwrap_or(u32::MAX);
        }
        self.offer(name);
    }

    /// See [`Limits::begin_pass`](super::Limits::begin_pass).
    pub(super) fn begin_pass(&mut self, name: &str) -> Option<Pass> {
        let known = self.names.get(name)?;
        let free = known.free();
        if free == 0 || !known.is_waited_for() {
            return None;
        }
        let before = known.children.keys().next().map(|(order, _)| *order);
        Some(Pass { free, rows: known.has_rows, before, turned_away: known.turned_away })
    }

    /// See [`Limits::end_pass`](super::Limits::end_pass).
    pub(super) fn end_pass(&mut self, name: &str, pass: &Pass, unblocked: usize) {
        let Some(known) = self.names.get_mut(name) else { return };
        // There may be some that come after the child, or were turned away since somebody looked.
        if unblocked < pass.free && pass.before.is_none() && pass.turned_away == known.turned_away {
            known.has_rows = false;
        }
        let mut left = pass.free - unblocked;
        while left > 0
            && let Some(known) = self.names.get_mut(name)
            && let Some((_, child)) = known.children.pop_first()
        {
            let Child { claimant, grant } = child;
            let wants = self.wants(None, &claimant.tags);
            match self.take((claimant.id, claimant.root), &claimant.above, &wants) {
                Ok(()) => {
                    self.waiting.remove(&claimant.id);
                    // It cannot be gone: then it would not be in the books.
                    let _ = grant.send(());
                    left -= 1;
                }
                Err(other) if other == name => {
                    self.queue(other, Child { claimant, grant });
                    break;
                }
                Err(other) => self.queue(other, Child { claimant, grant }),
            }
        }
        if left > 0 && self.names.get(name).is_some_and(|known| known.has_rows) {
            // Those that come after the children.
            self.offered.insert(name.to_owned());
        }
        self.forget_unused(name);
    }

    /// Whether it is known that runs wait for a name on record.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.paced.contains_key(name) || self.names.get(name).is_some_and(|known| known.has_rows)
    }

    pub(super) fn waited_for(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter(|(_, known)| known.is_waited_for()).map(|(name, _)| name.as_str())
    }

    pub(super) fn holder(&self, id: RunId) -> Option<Holder> {
        self.held.get(&id).map(|held| Holder { id, root: held.root, admission: held.admission })
    }

    /// Those in the tree of `root` who hold something.
    pub(super) fn holders_below(&self, root: RunId) -> Vec<Holder> {
        let in_tree = self.held.iter().filter(|(_, held)| held.root == root);
        in_tree.filter_map(|(id, _)| self.holder(*id)).collect()
    }

    pub(super) fn holders_of(&self, names: &[String]) -> Vec<Holder> {
        let holders = names.iter().filter_map(|name| self.names.get(name)).flat_map(|known| &known.holders);
        holders.filter_map(|id| self.holder(*id)).collect()
    }

    /// How many hold a name, and how many children wait for it.
    pub(super) fn count(&self, name: &str) -> (usize, usize) {
        self.names.get(name).map_or((0, 0), |known| (known.holders.len(), known.children.len()))
    }
}

#[cfg(test)]
mod tests;
