//! Taking over objects that fit a controller's selector, and letting go of those that no longer do.

use crate::hub::{Hub, NOW};
use crate::index::{Change, Id, Index};
use crate::meta::{self, add_finalizer, controller_reference, is_deleting, labels, remove_finalizer, text, uid};
use apiserver::{Selector, Status};
use kinds::Resource;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What an owner is to do about one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is the owner's.
    Owned,
    /// It is nobody's and fits.
    Adopt,
    /// It is the owner's and does not fit.
    Release,
    /// It is none of the owner's business.
    Foreign,
}

/// The selector of an owner: a whole one, or the plain map of a replication controller.
pub fn selector(resource: &'static Resource, owner: &Value) -> Selector {
    let selector = owner.pointer("/spec/selector").cloned().unwrap_or_default();
    if resource == kinds::REPLICATION_CONTROLLERS && !selector.is_null() {
        return Selector::of_selector(&json!({"matchLabels": selector}));
    }
    Selector::of_selector(&selector)
}

/// Decides about one object.
pub fn decide(owner: &Value, selector: &Selector, object: &Value) -> Claim {
    let fits = selector.matches(&object["metadata"]["labels"]);
    match meta::controller_of(object) {
        Some(controller) if text(controller, "/uid") != uid(owner) => Claim::Foreign,
        Some(_) if fits => Claim::Owned,
        Some(_) if is_deleting(owner) => Claim::Foreign,
        Some(_) => Claim::Release,
        None if fits && !is_deleting(owner) && !is_deleting(object) => Claim::Adopt,
        None => Claim::Foreign,
    }
}

/// Adopts and releases until what the owner controls is what fits.
pub async fn claim(
    hub: &Hub,
    resource: &'static Resource,
    owner: &Value,
    of: &'static Resource,
    finalizer: Option<&str>,
) -> Result<(), Status> {
    let selector = selector(resource, owner);
    let candidates = hub.look(|index| {
        let mut candidates = index.controlled_by(uid(owner), of);
        if !selector.is_everything() {
            candidates.extend(index.orphans(of, meta::namespace(owner)));
        }
        candidates
    });
    for object in candidates {
        let id = Id::of(of, &object);
        let written = match decide(owner, &selector, &object) {
            Claim::Adopt => adopt(hub, resource, owner, &id, finalizer).await,
            Claim::Release => release(hub, owner, &id, finalizer).await,
            Claim::Owned | Claim::Foreign => continue,
        };
        match written {
            Err(status) if !status.is_not_found() => return Err(status),
            _ => {}
        }
    }
    Ok(())
}

async fn adopt(
    hub: &Hub,
    resource: &'static Resource,
    owner: &Value,
    id: &Id,
    finalizer: Option<&str>,
) -> Result<Arc<Value>, Status> {
    let reference = controller_reference(resource, owner);
    hub.modify(&hub.writers.manager, id, None, |object| {
        if meta::controller_of(object).is_some() {
            return false;
        }
        match &mut object["metadata"]["ownerReferences"] {
            Value::Array(owners) => owners.push(reference.clone()),
            other => *other = json!([reference.clone()]),
        }
        if let Some(finalizer) = finalizer {
            add_finalizer(object, finalizer);
        }
        true
    })
    .await
}

async fn release(hub: &Hub, owner: &Value, id: &Id, finalizer: Option<&str>) -> Result<Arc<Value>, Status> {
    hub.modify(&hub.writers.manager, id, None, |object| {
        if let Some(finalizer) = finalizer {
            remove_finalizer(object, finalizer);
        }
        disown(object, |reference| text(reference, "/uid") == uid(owner))
    })
    .await
}

/// Takes references to owners away; tells whether there were any.
pub fn disown(object: &mut Value, gone: impl Fn(&Value) -> bool) -> bool {
    let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) else {
        return false;
    };
    let before = owners.len();
    owners.retain(|owner| !gone(owner));
    let changed = owners.len() != before;
    if owners.is_empty() {
        meta::drop_field(object, "/metadata", "ownerReferences");
    }
    changed
}

/// Wakes the owners of this resource that an object has or had, or that might adopt it.
pub fn wake_owners(index: &Index, change: &Change, resource: &'static Resource, wake: &mut dyn FnMut(Id, Duration)) {
    for object in change.states() {
        match meta::controller_of(object) {
            Some(owner) => {
                if let Some(id) = index.by_uid(text(owner, "/uid")).filter(|id| id.resource == resource) {
                    wake(id.clone(), NOW);
                }
            }
            None if labels(object).is_some_and(|labels| !labels.is_empty()) => {
                for owner in index.in_namespace(resource, &change.id.namespace) {
                    let selector = selector(resource, owner);
                    if !selector.is_everything() && selector.matches(&object["metadata"]["labels"]) {
                        wake(Id::of(resource, owner), NOW);
                    }
                }
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(owner: Option<&str>, label: &str, deleting: bool) -> Value {
        let mut object = json!({"metadata": {"labels": {"app": label}}});
        if let Some(owner) = owner {
            object["metadata"]["ownerReferences"] = json!([{"uid": owner, "controller": true}]);
        }
        if deleting {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        object
    }

    fn owner(deleting: bool) -> Value {
        let mut owner = object(None, "", deleting);
        owner["metadata"]["uid"] = json!("me");
        owner["spec"] = json!({"selector": {"matchLabels": {"app": "web"}}});
        owner
    }

    #[test]
    fn an_owner_takes_what_fits_and_is_nobodys() {
        let decide = |owner: Value, object: Value| decide(&owner, &selector(kinds::REPLICA_SETS, &owner), &object);
        assert_eq!(decide(owner(false), object(Some("me"), "web", false)), Claim::Owned);
        assert_eq!(decide(owner(false), object(Some("me"), "other", false)), Claim::Release);
        assert_eq!(decide(owner(false), object(Some("she"), "web", false)), Claim::Foreign);
        assert_eq!(decide(owner(false), object(None, "web", false)), Claim::Adopt);
        assert_eq!(decide(owner(false), object(None, "other", false)), Claim::Foreign);
        assert_eq!(decide(owner(false), object(None, "web", true)), Claim::Foreign);
        assert_eq!(decide(owner(true), object(None, "web", false)), Claim::Foreign);
        assert_eq!(decide(owner(true), object(Some("me"), "other", false)), Claim::Foreign);
    }

    #[test]
    fn the_last_owner_takes_the_field_with_it() {
        let mut pod = object(Some("me"), "web", false);
        assert!(!disown(&mut pod, |owner| text(owner, "/uid") == "she"));
        assert!(disown(&mut pod, |owner| text(owner, "/uid") == "me"));
        assert_eq!(pod["metadata"].get("ownerReferences"), None);
    }
}
