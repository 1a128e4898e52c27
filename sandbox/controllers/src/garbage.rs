//! The garbage collector: what becomes of objects whose owners are gone or go.

use crate::hub::{Controller, Hub, NOW};
use crate::index::{Change, Id, Index};
use crate::meta::{flag, has_finalizer, is_deleting, owners, remove_finalizer, text, uid};
use crate::ownership::disown;
use apiserver::{DeleteOptions, Propagation, Status};
use futures::future::{BoxFuture, FutureExt, join_all};
use kinds::Resource;
use serde_json::Value;
use std::time::Duration;

/// Keeps an owner until those that it owns and that hold it are gone.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Keeps an owner until those that it owns are free.
pub const ORPHAN: &str = "orphan";

/// The garbage collector.
#[derive(Debug)]
pub struct Garbage;

/// What an object's owner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Solid,
    Gone,
    /// It waits for this object to go.
    Waiting,
}

/// What is to be done about an object with owners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Stays,
    /// It stays, but without the owners of these ids.
    LosesOwners(Vec<String>),
    /// It goes.
    Goes(Propagation),
}

fn resource_of(reference: &Value) -> Option<&'static Resource> {
    let version = text(reference, "/apiVersion");
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    kinds::by_kind(group, version, text(reference, "/kind"))
}

fn owner(index: &Index, object_namespace: &str, reference: &Value) -> Owner {
    // What is not served here cannot be looked for: better to keep too much.
    let Some(resource) = resource_of(reference) else { return Owner::Solid };
    if resource.namespaced && object_namespace.is_empty() {
        return Owner::Solid;
    }
    let namespace = if resource.namespaced { object_namespace } else { "" };
    match index.get(&Id::new(resource, namespace, text(reference, "/name"))) {
        Some(owner) if uid(owner) != text(reference, "/uid") => Owner::Gone,
        Some(owner) if is_deleting(owner) && has_finalizer(owner, FOREGROUND) => Owner::Waiting,
        Some(_) => Owner::Solid,
        None => Owner::Gone,
    }
}

/// Decides about an object by its owners.
pub fn fate(index: &Index, id: &Id, object: &Value) -> Fate {
    let owners = owners(object);
    if owners.is_empty() || (is_deleting(object) && !has_finalizer(object, FOREGROUND)) {
        return Fate::Stays;
    }
    let states: Vec<(Owner, &Value)> =
        owners.iter().map(|reference| (owner(index, &id.namespace, reference), reference)).collect();
    let is_any = |wanted: Owner| states.iter().any(|(state, _)| *state == wanted);
    if is_any(Owner::Solid) {
        let lost = states.iter().filter(|(state, _)| *state != Owner::Solid);
        let lost: Vec<String> = lost.map(|(_, reference)| text(reference, "/uid").to_owned()).collect();
        return if lost.is_empty() { Fate::Stays } else { Fate::LosesOwners(lost) };
    }
    if is_deleting(object) {
        return Fate::Stays;
    }
    let has_dependents = index.dependents(uid(object)).next().is_some();
    if is_any(Owner::Waiting) && has_dependents {
        return Fate::Goes(Propagation::Foreground);
    }
    Fate::Goes(if has_finalizer(object, ORPHAN) {
        Propagation::Orphan
    } else if has_finalizer(object, FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    })
}

/// Whether something that it owns still holds an owner that goes.
fn is_held(index: &Index, owner: &Value) -> bool {
    index.dependents(uid(owner)).filter_map(|id| index.get(id)).any(|dependent| {
        owners(dependent)
            .iter()
            .any(|reference| text(reference, "/uid") == uid(owner) && flag(reference, "/blockOwnerDeletion"))
    })
}

impl Garbage {
    async fn collect(hub: &Hub, key: &Id) -> Result<Option<Duration>, Status> {
        let Some(object) = hub.get(key) else { return Ok(None) };
        if is_deleting(&object) && has_finalizer(&object, ORPHAN) {
            Self::free_dependents(hub, &object).await?;
            return Self::release(hub, key, ORPHAN).await;
        }
        if is_deleting(&object) && has_finalizer(&object, FOREGROUND) && !hub.look(|index| is_held(index, &object)) {
            return Self::release(hub, key, FOREGROUND).await;
        }
        match hub.look(|index| fate(index, key, &object)) {
            Fate::Stays => {}
            Fate::LosesOwners(lost) => {
                let drop_lost =
                    |object: &mut Value| disown(object, |owner| lost.iter().any(|lost| lost == text(owner, "/uid")));
                hub.modify(&hub.writers.manager, key, None, drop_lost).await?;
            }
            Fate::Goes(propagation) => {
                let options = DeleteOptions {
                    uid: Some(uid(&object).to_owned()),
                    propagation: Some(propagation),
                    ..DeleteOptions::default()
                };
                hub.delete(key, &options).await?;
            }
        }
        Ok(None)
    }

    async fn free_dependents(hub: &Hub, owner: &Value) -> Result<(), Status> {
        let dependents: Vec<Id> = hub.look(|index| index.dependents(uid(owner)).cloned().collect());
        let free = dependents.iter().map(|id| {
            hub.modify(&hub.writers.manager, id, None, |object| disown(object, |each| text(each, "/uid") == uid(owner)))
        });
        let failed = join_all(free).await.into_iter().filter_map(Result::err).find(|status| !status.is_not_found());
        failed.map_or(Ok(()), Err)
    }

    async fn release(hub: &Hub, key: &Id, finalizer: &str) -> Result<Option<Duration>, Status> {
        hub.modify(&hub.writers.manager, key, None, |object| remove_finalizer(object, finalizer)).await?;
        Ok(None)
    }
}

impl Controller for Garbage {
    fn route(&self, index: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        let object = change.object();
        let Some(new) = &change.new else {
            index.dependents(uid(object)).for_each(|id| wake(id.clone(), NOW));
            // Those that wait for this object may have nothing left to wait for.
            for reference in owners(object) {
                if let Some(owner) = index.by_uid(text(reference, "/uid"))
                    && index.get(owner).is_some_and(|owner| is_deleting(owner))
                {
                    wake(owner.clone(), NOW);
                }
            }
            return;
        };
        if is_deleting(new) && (has_finalizer(new, FOREGROUND) || has_finalizer(new, ORPHAN)) {
            wake(change.id.clone(), NOW);
            if has_finalizer(new, FOREGROUND) {
                index.dependents(uid(new)).for_each(|id| wake(id.clone(), NOW));
            }
        } else if owners(new).iter().any(|reference| owner(index, &change.id.namespace, reference) != Owner::Solid) {
            wake(change.id.clone(), NOW);
        }
        let replaced = change.old.as_ref().filter(|old| uid(old) != uid(new));
        if let Some(old) = replaced {
            index.dependents(uid(old)).for_each(|id| wake(id.clone(), NOW));
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        async move {
            match Self::collect(hub, key).await {
                Err(status) if status.is_not_found() => Ok(None),
                other => other,
            }
        }
        .boxed()
    }

    fn most_at_a_time(&self) -> usize {
        64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn put(index: &mut Index, resource: &'static Resource, object: &Value) -> Id {
        let id = Id::of(resource, object);
        index.take_in(&id, Some(Arc::new(object.clone())));
        id
    }

    fn owner_object(foreground: bool) -> Value {
        let mut object = json!({"metadata": {"namespace": "a", "name": "job", "uid": "o"}});
        if foreground {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            object["metadata"]["finalizers"] = json!([FOREGROUND]);
        }
        object
    }

    fn pod(uids: &[&str]) -> Value {
        let owners: Vec<Value> = uids
            .iter()
            .map(|uid| json!({"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": uid, "blockOwnerDeletion": true}))
            .collect();
        json!({"metadata": {"namespace": "a", "name": "p", "uid": "p", "ownerReferences": owners}})
    }

    #[test]
    fn an_object_goes_when_its_last_owner_is_gone() {
        let mut index = Index::default();
        let object = pod(&["gone"]);
        let id = put(&mut index, kinds::PODS, &object);
        assert_eq!(fate(&index, &id, &object), Fate::Goes(Propagation::Background));
        put(&mut index, kinds::JOBS, &owner_object(false));
        assert_eq!(fate(&index, &id, &object), Fate::Goes(Propagation::Background), "the name is somebody else's now");
        assert_eq!(fate(&index, &id, &pod(&["o"])), Fate::Stays);
        assert_eq!(fate(&index, &id, &pod(&["o", "gone"])), Fate::LosesOwners(vec!["gone".to_owned()]));
    }

    #[test]
    fn owners_of_kinds_that_are_not_here_are_left_alone() {
        let mut object = pod(&["x"]);
        object["metadata"]["ownerReferences"][0]["kind"] = json!("Strange");
        let mut index = Index::default();
        let id = put(&mut index, kinds::PODS, &object);
        assert_eq!(fate(&index, &id, &object), Fate::Stays);
    }

    #[test]
    fn an_owner_in_the_foreground_waits_for_those_that_hold_it() {
        let mut index = Index::default();
        let owner = owner_object(true);
        put(&mut index, kinds::JOBS, &owner);
        assert!(!is_held(&index, &owner));
        let object = pod(&["o"]);
        let id = put(&mut index, kinds::PODS, &object);
        assert!(is_held(&index, &owner));
        assert_eq!(fate(&index, &id, &object), Fate::Goes(Propagation::Background));
    }
}
