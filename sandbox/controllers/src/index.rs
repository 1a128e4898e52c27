//! What the controllers know of all objects: the objects themselves and who belongs to whom.

use crate::meta;
use kinds::Resource;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// Its resource.
    pub resource: &'static Resource,
    /// Its namespace, empty for cluster-wide objects.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl Id {
    /// The object of this resource, namespace and name.
    pub fn new(resource: &'static Resource, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: namespace.into(), name: name.into() }
    }

    /// The object itself.
    pub fn of(resource: &'static Resource, object: &Value) -> Self {
        Self::new(resource, meta::namespace(object), meta::name(object))
    }
}

/// What happened to one object.
#[derive(Debug, Clone)]
pub struct Change {
    /// Which object.
    pub id: Id,
    /// As it was; nothing when it is new.
    pub old: Option<Arc<Value>>,
    /// As it is; nothing when it is gone.
    pub new: Option<Arc<Value>>,
}

impl Change {
    /// The object as it is, or as it was last.
    pub fn object(&self) -> &Value {
        self.new.as_ref().or(self.old.as_ref()).expect("a change has an object before or after it")
    }

    /// The states before and after it that there are.
    pub fn states(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.old.iter().chain(self.new.iter())
    }
}

type Names = (Arc<str>, Arc<str>);

/// All objects by name, and pods, claims and owned objects by what they refer to.
///
/// Each change costs time for itself only, however many objects there are.
#[derive(Debug, Default)]
pub struct Index {
    objects: HashMap<&'static Resource, BTreeMap<Names, Arc<Value>>>,
    by_uid: HashMap<Box<str>, Id>,
    dependents: HashMap<Box<str>, BTreeSet<Id>>,
    orphans: BTreeSet<Id>,
    claim_users: HashMap<Names, BTreeSet<Id>>,
    volume_claims: HashMap<Box<str>, BTreeSet<Id>>,
}

impl Index {
    /// Takes in the present state of an object; tells what changed, if anything did.
    pub fn take_in(&mut self, id: &Id, new: Option<Arc<Value>>) -> Option<Change> {
        let names = (id.namespace.clone(), id.name.clone());
        let objects = self.objects.entry(id.resource).or_default();
        let old = match &new {
            Some(object) => objects.insert(names, object.clone()),
            None => objects.remove(&names),
        };
        let same = |one: &Value, other: &Value| {
            let version = |object| meta::text(object, "/metadata/resourceVersion");
            meta::uid(one) == meta::uid(other) && version(one) == version(other)
        };
        match (&old, &new) {
            (None, None) => return None,
            (Some(old), Some(new)) if same(old, new) => return None,
            _ => {}
        }
        if let Some(old) = &old {
            self.unlink(id, old);
        }
        if let Some(new) = &new {
            self.link(id, new);
        }
        Some(Change { id: id.clone(), old, new })
    }

    fn link(&mut self, id: &Id, object: &Value) {
        self.by_uid.insert(meta::uid(object).into(), id.clone());
        for owner in meta::owners(object) {
            self.dependents.entry(meta::text(owner, "/uid").into()).or_default().insert(id.clone());
        }
        if is_adoptable(id.resource) && meta::controller_of(object).is_none() {
            self.orphans.insert(id.clone());
        }
        for claim in claims_of(id.resource, object) {
            self.claim_users.entry((id.namespace.clone(), claim.into())).or_default().insert(id.clone());
        }
        if let Some(volume) = volume_of(id.resource, object) {
            self.volume_claims.entry(volume.into()).or_default().insert(id.clone());
        }
    }

    fn unlink(&mut self, id: &Id, object: &Value) {
        self.by_uid.remove(meta::uid(object));
        for owner in meta::owners(object) {
            remove(&mut self.dependents, meta::text(owner, "/uid"), id);
        }
        self.orphans.remove(id);
        for claim in claims_of(id.resource, object) {
            let names = (id.namespace.clone(), Arc::from(claim));
            if let Some(users) = self.claim_users.get_mut(&names) {
                users.remove(id);
                if users.is_empty() {
                    self.claim_users.remove(&names);
                }
            }
        }
        if let Some(volume) = volume_of(id.resource, object) {
            remove(&mut self.volume_claims, volume, id);
        }
    }

    /// The object, if it is there.
    pub fn get(&self, id: &Id) -> Option<&Arc<Value>> {
        self.objects.get(id.resource)?.get(&(id.namespace.clone(), id.name.clone()))
    }

    /// All objects of a resource.
    pub fn all(&self, resource: &'static Resource) -> impl Iterator<Item = &Arc<Value>> {
        self.objects.get(resource).into_iter().flat_map(BTreeMap::values)
    }

    /// All objects of a resource in one namespace.
    pub fn in_namespace(&self, resource: &'static Resource, namespace: &str) -> impl Iterator<Item = &Arc<Value>> {
        let namespace: Arc<str> = namespace.into();
        let from = (namespace.clone(), Arc::from(""));
        let objects = self.objects.get(resource).into_iter().flat_map(move |objects| objects.range(from.clone()..));
        objects.take_while(move |((each, _), _)| *each == namespace).map(|(_, object)| object)
    }

    /// Which objects there are, for a comparison with the server.
    pub fn ids(&self) -> Vec<Id> {
        let id = |resource: &'static Resource, (namespace, name): &Names| Id {
            resource,
            namespace: namespace.clone(),
            name: name.clone(),
        };
        self.objects.iter().flat_map(|(resource, objects)| objects.keys().map(|names| id(resource, names))).collect()
    }

    /// The object with this unique id.
    pub fn by_uid(&self, uid: &str) -> Option<&Id> {
        self.by_uid.get(uid)
    }

    /// The objects that name this one as an owner.
    pub fn dependents(&self, uid: &str) -> impl Iterator<Item = &Id> {
        self.dependents.get(uid).into_iter().flatten()
    }

    /// The objects of a resource that name this one as the owner that controls them.
    pub fn controlled_by(&self, uid: &str, resource: &'static Resource) -> Vec<Arc<Value>> {
        let dependents = self.dependents(uid).filter(|id| id.resource == resource);
        let objects = dependents.filter_map(|id| self.get(id));
        objects.filter(|object| meta::is_controlled_by(object, uid)).cloned().collect()
    }

    /// Pods or replica sets of a namespace that nobody controls.
    pub fn orphans(&self, resource: &'static Resource, namespace: &str) -> Vec<Arc<Value>> {
        let from = Id::new(resource, namespace, "");
        let ids = self.orphans.range(from.clone()..);
        let ids = ids.take_while(|id| id.resource == from.resource && id.namespace == from.namespace);
        ids.filter_map(|id| self.get(id)).cloned().collect()
    }

    /// The pods that use a claim.
    pub fn users_of_claim(&self, namespace: &str, claim: &str) -> Vec<Arc<Value>> {
        let users = self.claim_users.get(&(namespace.into(), claim.into()));
        users.into_iter().flatten().filter_map(|id| self.get(id)).cloned().collect()
    }

    /// The claims that name a volume.
    pub fn claims_on_volume(&self, volume: &str) -> Vec<Id> {
        self.volume_claims.get(volume).into_iter().flatten().cloned().collect()
    }
}

fn remove(sets: &mut HashMap<Box<str>, BTreeSet<Id>>, key: &str, id: &Id) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(id);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

fn is_adoptable(resource: &'static Resource) -> bool {
    resource == kinds::PODS || resource == kinds::REPLICA_SETS
}

/// The names of the claims that a pod uses.
pub fn claims_of<'a>(resource: &'static Resource, object: &'a Value) -> impl Iterator<Item = &'a str> {
    let volumes = if resource == kinds::PODS { meta::list(object, "/spec/volumes") } else { &[] };
    volumes.iter().map(|volume| meta::text(volume, "/persistentVolumeClaim/claimName")).filter(|name| !name.is_empty())
}

fn volume_of<'a>(resource: &'static Resource, object: &'a Value) -> Option<&'a str> {
    let volume = meta::text(object, "/spec/volumeName");
    (resource == kinds::PERSISTENT_VOLUME_CLAIMS && !volume.is_empty()).then_some(volume)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, version: u32, owner: Option<&str>, claim: &str) -> Arc<Value> {
        let owners: Vec<Value> = owner.iter().map(|uid| json!({"uid": uid, "controller": true})).collect();
        Arc::new(json!({
            "metadata": {"namespace": "a", "name": name, "uid": format!("uid-{name}"),
                "resourceVersion": version.to_string(), "ownerReferences": owners},
            "spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]},
        }))
    }

    fn put(index: &mut Index, object: Arc<Value>) -> Option<Change> {
        index.take_in(&Id::of(kinds::PODS, &object), Some(object))
    }

    #[test]
    fn the_same_version_twice_is_no_change() {
        let mut index = Index::default();
        assert!(put(&mut index, pod("p", 1, None, "c")).is_some());
        assert!(put(&mut index, pod("p", 1, None, "c")).is_none());
        assert!(put(&mut index, pod("p", 2, None, "c")).is_some());
    }

    #[test]
    fn owned_objects_are_found_until_they_change_hands() {
        let mut index = Index::default();
        put(&mut index, pod("p", 1, Some("x"), "c"));
        assert_eq!(index.controlled_by("x", kinds::PODS).len(), 1);
        assert!(index.orphans(kinds::PODS, "a").is_empty());
        put(&mut index, pod("p", 2, None, "c"));
        assert!(index.controlled_by("x", kinds::PODS).is_empty());
        assert_eq!(index.orphans(kinds::PODS, "a").len(), 1);
        assert!(index.orphans(kinds::PODS, "b").is_empty());
    }

    #[test]
    fn a_claim_knows_its_pods() {
        let mut index = Index::default();
        put(&mut index, pod("p", 1, None, "c"));
        put(&mut index, pod("q", 1, None, "c"));
        index.take_in(&Id::new(kinds::PODS, "a", "q"), None);
        let users = index.users_of_claim("a", "c");
        assert_eq!(users.iter().map(|pod| meta::name(pod)).collect::<Vec<_>>(), ["p"]);
    }

    #[test]
    fn a_namespace_is_listed_alone() {
        let mut index = Index::default();
        put(&mut index, pod("p", 1, None, "c"));
        let elsewhere = Id::new(kinds::PODS, "b", "p");
        index.take_in(&elsewhere, Some(Arc::new(json!({"metadata": {"namespace": "b", "name": "p", "uid": "other"}}))));
        assert_eq!(index.in_namespace(kinds::PODS, "a").count(), 1);
        assert_eq!(index.all(kinds::PODS).count(), 2);
    }
}
