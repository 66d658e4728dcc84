//! Who follows which tree of runs, and what was committed in it since they looked last. It costs one load a commit while
//! nobody does.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Write;
use crate::domain::{Run, RunId};

/// Changed runs that one follower may be behind; who is further behind looks at the whole tree again.
const MAX_CHANGED: usize = 8192;

/// A run that was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed {
    root_id: RunId,
    /// None where only lines were added to its log.
    id: Option<RunId>,
}

impl Changed {
    pub(super) fn run(run: &Run) -> Changed {
        Changed { root_id: run.root_id, id: Some(run.id) }
    }

    pub(super) fn by(write: &Write) -> Option<Changed> {
        match write {
            Write::Insert(run) | Write::Update(run) => Some(Changed::run(run)),
            Write::Log(line) => Some(Changed { root_id: line.root_id, id: None }),
            Write::Progress { root_id, run_id, .. } => Some(Changed { root_id: *root_id, id: Some(*run_id) }),
            Write::Attempt { .. }
            | Write::History { .. }
            | Write::Journal { .. }
            | Write::Artifact(_)
            | Write::Result { .. }
            | Write::Release { .. }
            | Write::TakeSignal { .. } => None,
        }
    }
}

/// What is new in a tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// None where it is more than is kept, or where nobody looked before.
    pub runs: Option<BTreeSet<RunId>>,
    /// Whether there are new lines in its log.
    pub lines: bool,
}

/// Everybody who follows a tree.
#[derive(Default)]
pub(super) struct Watches {
    following: AtomicUsize,
    trees: Mutex<HashMap<RunId, Vec<Arc<Watched>>>>,
}

/// One who follows a tree, until it is dropped.
pub struct Watch {
    root_id: RunId,
    watched: Arc<Watched>,
    watches: Arc<Watches>,
}

struct Watched {
    news: Mutex<News>,
    changed: Notify,
}

impl Watches {
    pub(super) fn follow(self: &Arc<Watches>, root_id: RunId) -> Watch {
        let news = News { runs: None, lines: true };
        let watched = Arc::new(Watched { news: Mutex::new(news), changed: Notify::new() });
        watched.changed.notify_one();
        lock(&self.trees).entry(root_id).or_default().push(watched.clone());
        self.following.fetch_add(1, Ordering::Relaxed);
        Watch { root_id, watched, watches: self.clone() }
    }

    /// Tells those whom it concerns. Called while nobody else can commit, so that news come in the order of commits.
    pub(super) fn tell(&self, changes: impl IntoIterator<Item = Changed>) {
        if self.following.load(Ordering::Relaxed) == 0 {
            return;
        }
        let trees = lock(&self.trees);
        for Changed { root_id, id } in changes {
            for watched in trees.get(&root_id).into_iter().flatten() {
                watched.add(id);
            }
        }
    }
}

impl Watched {
    fn add(&self, id: Option<RunId>) {
        let mut news = lock(&self.news);
        match (id, &mut news.runs) {
            (None, _) => news.lines = true,
            (Some(id), Some(runs)) if runs.len() < MAX_CHANGED => drop(runs.insert(id)),
            (Some(_), runs) => *runs = None,
        }
        drop(news);
        self.changed.notify_one();
    }
}

impl Watch {
    /// Resolves once there are news.
    pub async fn changed(&self) {
        self.watched.changed.notified().await;
    }

    /// The news since the last call. What they tell of is on record.
    pub fn take(&self) -> News {
        std::mem::replace(&mut *lock(&self.watched.news), News { runs: Some(BTreeSet::new()), lines: false })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watches.following.fetch_sub(1, Ordering::Relaxed);
        let mut trees = lock(&self.watches.trees);
        if let Some(followers) = trees.get_mut(&self.root_id) {
            followers.retain(|watched| !Arc::ptr_eq(watched, &self.watched));
            if followers.is_empty() {
                trees.remove(&self.root_id);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking holder left is whole between its statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> RunId {
        RunId(Uuid::from_u128(n))
    }

    fn changed(root: u128, run: u128) -> Changed {
        Changed { root_id: id(root), id: Some(id(run)) }
    }

    #[test]
    fn a_follower_hears_of_its_own_tree_alone_and_of_each_run_once() {
        let watches = Arc::new(Watches::default());
        watches.tell([changed(1, 1)]);
        let watch = watches.follow(id(1));
        assert_eq!(watch.take(), News { runs: None, lines: true }, "whoever begins knows nothing");
        watches.tell([changed(1, 2), changed(2, 3), changed(1, 2), Changed { root_id: id(2), id: None }]);
        assert_eq!(watch.take(), News { runs: Some([id(2)].into()), lines: false });
        watches.tell([Changed { root_id: id(1), id: None }]);
        assert_eq!(watch.take(), News { runs: Some([].into()), lines: true });
    }

    #[test]
    fn who_is_too_far_behind_looks_at_the_whole_tree() {
        let watches = Arc::new(Watches::default());
        let watch = watches.follow(id(1));
        watch.take();
        let many = |count: usize| (0..count as u128).map(|n| changed(1, n));
        watches.tell(many(MAX_CHANGED));
        assert_eq!(watch.take().runs.map(|runs| runs.len()), Some(MAX_CHANGED));
        watches.tell(many(MAX_CHANGED + 1));
        watches.tell(many(3));
        assert_eq!(watch.take().runs, None);
    }

    #[test]
    fn nothing_is_kept_of_those_who_went_away() {
        let watches = Arc::new(Watches::default());
        let (first, second) = (watches.follow(id(1)), watches.follow(id(1)));
        drop(first);
        watches.tell([changed(1, 1)]);
        assert_eq!(watches.following.load(Ordering::Relaxed), 1);
        drop(second);
        assert!(lock(&watches.trees).is_empty() && watches.following.load(Ordering::Relaxed) == 0);
    }
}
