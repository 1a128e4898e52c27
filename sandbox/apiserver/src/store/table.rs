//! The objects of one resource, with what happened to them lately.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

/// How many changes of a resource are remembered for its watches.
const REMEMBERED: usize = 4096;

/// Objects in order of namespace and name, their latest changes, and a bell for those who follow.
pub(crate) struct Table {
    objects: BTreeMap<String, Arc<Value>>,
    changes: VecDeque<Change>,
    /// Changes up to this revision are forgotten.
    forgotten: u64,
    bell: watch::Sender<u64>,
}

/// A change as watches tell it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// Its revision.
    pub revision: u64,
    /// The object's place in order.
    pub key: Arc<str>,
    /// The object after it; its last state when it is gone.
    pub object: Arc<Value>,
    /// The object before it.
    pub previous: Option<Arc<Value>>,
    /// It is gone.
    pub removed: bool,
    at: Instant,
}

/// Where an object stands among those of its resource.
pub(crate) fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl Table {
    pub(super) fn new(revision: u64) -> Self {
        let bell = watch::channel(revision).0;
        Self { objects: BTreeMap::new(), changes: VecDeque::new(), forgotten: revision, bell }
    }

    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.by_key(&key(namespace, name))
    }

    /// The object in this place.
    pub fn by_key(&self, key: &str) -> Option<Arc<Value>> {
        self.objects.get(key).cloned()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Objects in order, of one namespace or of all, after a place.
    pub fn range<'a>(
        &'a self,
        namespace: Option<&str>,
        after: Option<&str>,
    ) -> impl Iterator<Item = (&'a String, &'a Arc<Value>)> + use<'a> {
        let (first, end) = match namespace {
            // '0' is the character after '/'.
            Some(namespace) => (Bound::Included(format!("{namespace}/")), Bound::Excluded(format!("{namespace}0"))),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        let start = after.map_or(first, |after| Bound::Excluded(after.to_owned()));
        self.objects.range((start, end))
    }

    /// All objects as they were at an earlier revision that is not forgotten.
    pub fn at(&self, revision: u64) -> BTreeMap<String, Arc<Value>> {
        let mut objects = self.objects.clone();
        for change in self.changes.iter().rev().take_while(|change| change.revision > revision) {
            match &change.previous {
                Some(previous) => objects.insert(change.key.to_string(), Arc::clone(previous)),
                None => objects.remove(&*change.key),
            };
        }
        objects
    }

    /// Whether something changed after this revision.
    pub fn changed_after(&self, revision: u64) -> bool {
        self.changes.back().is_some_and(|change| change.revision > revision)
    }

    /// The changes after this revision; none when some of them are forgotten.
    pub fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Change>> {
        if revision < self.forgotten {
            return None;
        }
        let first = self.changes.partition_point(|change| change.revision <= revision);
        Some(self.changes.range(first..))
    }

    /// The revision up to which changes are forgotten.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn load(&mut self, namespace: &str, name: &str, object: Arc<Value>) {
        self.objects.insert(key(namespace, name), object);
    }

    pub(super) fn change(
        &mut self,
        revision: u64,
        namespace: &str,
        name: &str,
        object: &Arc<Value>,
        removed: bool,
    ) -> Option<Arc<Value>> {
        let key = key(namespace, name);
        let previous =
            if removed { self.objects.remove(&key) } else { self.objects.insert(key.clone(), Arc::clone(object)) };
        if self.changes.len() == REMEMBERED
            && let Some(oldest) = self.changes.pop_front()
        {
            self.forgotten = oldest.revision;
        }
        self.changes.push_back(Change {
            revision,
            key: key.into(),
            object: Arc::clone(object),
            previous: previous.clone(),
            removed,
            at: Instant::now(),
        });
        previous
    }

    pub(super) fn forget(&mut self, older_than_seconds: u64) {
        let old = Duration::from_secs(older_than_seconds);
        while self.changes.front().is_some_and(|change| change.at.elapsed() > old) {
            if let Some(change) = self.changes.pop_front() {
                self.forgotten = change.revision;
            }
        }
        if self.changes.len() * 4 < self.changes.capacity() {
            self.changes.shrink_to_fit();
        }
    }

    pub(super) fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    pub(super) fn ring(&self) {
        if let Some(change) = self.changes.back() {
            self.bell.send_replace(change.revision);
        }
    }
}
