//! All objects, in memory and on disk.
//!
//! There is one revision for everything, and it counts every write. A write is in memory, and told to the parts of this
//! process, as soon as it is accepted; whoever answers a client waits for [`Store::durable`] first. So nothing that a
//! client has seen can be lost, and a part of the sandbox that saw more dies together with what it saw.

mod disk;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kinds::Resource;
use serde_json::Value;
use tokio::sync::{broadcast, watch};

pub use disk::DiskError;
use disk::{Disk, Write};
pub(crate) use table::{Change, Table, key};

use crate::Status;

/// How many changes a slow receiver may be behind before it must list again.
const CHANGES: usize = 8192;

/// An object changed: it is new (`previous` is none), different, or gone (`removed`).
#[derive(Debug, Clone)]
pub struct Changed {
    /// Its resource.
    pub resource: &'static Resource,
    /// Its namespace, empty for cluster-scoped ones.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The object after the change; as it was last when it is gone.
    pub object: Arc<Value>,
    /// The object before the change.
    pub previous: Option<Arc<Value>>,
    /// It is gone.
    pub removed: bool,
}

/// Receives every change in order. `RecvError::Lagged` says that some were dropped: list everything again.
pub type Changes = broadcast::Receiver<Changed>;

/// The objects.
pub(crate) struct Store {
    state: RwLock<State>,
    writing: Mutex<()>,
    disk: Disk,
    changes: broadcast::Sender<Changed>,
}

/// What is in memory.
pub(crate) struct State {
    /// The last write's number.
    pub revision: u64,
    tables: Vec<Table>,
    owned: HashMap<String, BTreeSet<(usize, String)>>,
    on_node: HashMap<String, BTreeSet<String>>,
}

impl Store {
    /// Opens the store in this folder, or makes it.
    pub fn open(folder: &Path) -> Result<Self, DiskError> {
        let (disk, objects, revision) = Disk::open(folder)?;
        let tables = kinds::all().iter().map(|_| Table::new(revision)).collect();
        let mut state = State { revision, tables, owned: HashMap::new(), on_node: HashMap::new() };
        for (place, object) in objects {
            state.load(place, Arc::new(object));
        }
        let changes = broadcast::channel(CHANGES).0;
        Ok(Self { state: RwLock::new(state), writing: Mutex::new(()), disk, changes })
    }

    /// The objects as they are now.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a write: until it is dropped nobody else writes.
    pub fn begin(&self) -> Writing<'_> {
        Writing { store: self, _alone: self.writing.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Returns once everything up to this revision is on disk.
    pub async fn durable(&self, revision: u64) -> Result<(), Status> {
        self.disk.durable(revision).await
    }

    /// From now on, every change.
    pub fn changes(&self) -> Changes {
        self.changes.subscribe()
    }

    /// Wakes those who follow a resource.
    pub fn bell(&self, resource: &'static Resource) -> watch::Receiver<u64> {
        self.read().table(resource).bell()
    }

    /// Forgets changes older than this many seconds.
    pub fn forget(&self, older_than_seconds: u64) {
        let mut state = self.write();
        for table in &mut state.tables {
            table.forget(older_than_seconds);
        }
    }
}

/// The right to write.
pub(crate) struct Writing<'a> {
    store: &'a Store,
    _alone: MutexGuard<'a, ()>,
}

impl Writing<'_> {
    /// The object as it is now.
    pub fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.store.read().table(resource).get(namespace, name)
    }

    /// Writes an object under a new revision.
    pub fn put(&self, resource: &'static Resource, namespace: &str, name: &str, object: Value) -> Arc<Value> {
        self.change(resource, namespace, name, object, false)
    }

    /// Removes an object; the answer is its last state under the removal's revision.
    pub fn remove(&self, resource: &'static Resource, namespace: &str, name: &str, last: Value) -> Arc<Value> {
        self.change(resource, namespace, name, last, true)
    }

    fn change(
        &self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        mut object: Value,
        removed: bool,
    ) -> Arc<Value> {
        let mut state = self.store.write();
        let revision = state.revision + 1;
        object["metadata"]["resourceVersion"] = Value::String(revision.to_string());
        let object = Arc::new(object);
        let previous = state.change(resource, namespace, name, &object, removed);
        let place = place(resource);
        let on_disk = if removed { None } else { Some(Arc::clone(&object)) };
        self.store.disk.queue(Write { place, key: key(namespace, name), object: on_disk, revision });
        state.table(resource).ring();
        drop(state);
        // Nobody may be listening.
        let _ = self.store.changes.send(Changed {
            resource,
            namespace: namespace.into(),
            name: name.into(),
            object: Arc::clone(&object),
            previous,
            removed,
        });
        object
    }
}

impl State {
    /// The objects of a resource.
    pub fn table(&self, resource: &'static Resource) -> &Table {
        &self.tables[place(resource)]
    }

    /// The objects that name this uid as an owner.
    pub fn owned_by(&self, uid: &str) -> Vec<(&'static Resource, Arc<Value>)> {
        let places = self.owned.get(uid).into_iter().flatten();
        let found = places.filter_map(|(place, key)| Some((&kinds::all()[*place], self.tables[*place].by_key(key)?)));
        found.collect()
    }

    /// The pods bound to a node.
    pub fn pods_on(&self, node: &str) -> Vec<Arc<Value>> {
        let pods = self.table(kinds::PODS);
        self.on_node.get(node).into_iter().flatten().filter_map(|key| pods.by_key(key)).collect()
    }

    fn load(&mut self, place: usize, object: Arc<Value>) {
        let (namespace, name) = {
            let metadata = &object["metadata"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&metadata["namespace"]), text(&metadata["name"]))
        };
        self.index(place, &key(&namespace, &name), None, Some(&object));
        self.tables[place].load(&namespace, &name, object);
    }

    /// Makes the change and gives the object before it.
    fn change(
        &mut self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
        object: &Arc<Value>,
        removed: bool,
    ) -> Option<Arc<Value>> {
        self.revision += 1;
        let place = place(resource);
        let previous = self.tables[place].change(self.revision, namespace, name, object, removed);
        let now = if removed { None } else { Some(&**object) };
        self.index(place, &key(namespace, name), previous.as_deref(), now);
        previous
    }

    fn index(&mut self, place: usize, key: &str, old: Option<&Value>, new: Option<&Value>) {
        let (before, after) = (owners(old), owners(new));
        if before != after {
            for uid in before {
                remove(&mut self.owned, uid, &(place, key.to_owned()));
            }
            for uid in after {
                self.owned.entry(uid.to_owned()).or_default().insert((place, key.to_owned()));
            }
        }
        if std::ptr::eq(&raw const kinds::all()[place], kinds::PODS) {
            let node = |pod: Option<&'_ Value>| pod.and_then(|pod| pod["spec"]["nodeName"].as_str().map(str::to_owned));
            let (before, after) = (node(old), node(new));
            if before != after {
                if let Some(node) = before {
                    remove(&mut self.on_node, &node, &key.to_owned());
                }
                if let Some(node) = after {
                    self.on_node.entry(node).or_default().insert(key.to_owned());
                }
            }
        }
    }
}

fn owners(object: Option<&Value>) -> Vec<&str> {
    let references = object.and_then(|object| object["metadata"]["ownerReferences"].as_array());
    references.into_iter().flatten().filter_map(|reference| reference["uid"].as_str()).collect()
}

fn remove<T: Ord>(index: &mut HashMap<String, BTreeSet<T>>, under: &str, entry: &T) {
    if let Some(entries) = index.get_mut(under) {
        entries.remove(entry);
        if entries.is_empty() {
            index.remove(under);
        }
    }
}

/// A resource's place in `kinds::all()`.
fn place(resource: &'static Resource) -> usize {
    kinds::all().iter().position(|each| std::ptr::eq(each, resource)).expect("resources come from kinds")
}
