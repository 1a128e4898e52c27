//! Namespaces that go: first what is in them, then they themselves.

use crate::hub::{Controller, Hub, NOW};
use crate::index::{Change, Id, Index};
use crate::meta::{is_deleting, list, stamp, text, texts, uid};
use crate::pods::count_of;
use apiserver::{DeleteOptions, Status};
use futures::future::{BoxFuture, FutureExt, join_all};
use jiff::Timestamp;
use kinds::Resource;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What keeps a namespace until it is empty.
const FINALIZER: &str = "kubernetes";
/// Conditions, with their reason and message when all is well.
const CONDITIONS: [(&str, &str, &str); 5] = [
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
];

/// The controller that empties namespaces.
#[derive(Debug)]
pub struct Namespaces;

/// The conditions of a namespace with this content left.
pub fn conditions(
    namespace: &Value,
    content: &[(&'static Resource, Arc<Value>)],
    failures: &[String],
    now: Timestamp,
) -> Vec<Value> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<&str, usize> = BTreeMap::new();
    for (resource, object) in content {
        *counts.entry(format!("{}.{}", resource.plural, resource.group)).or_default() += 1;
        for finalizer in texts(object, "/metadata/finalizers") {
            *finalizers.entry(finalizer).or_default() += 1;
        }
    }
    let told = |parts: Vec<String>| parts.join(", ");
    let wrong = |kind: &str| match kind {
        "NamespaceDeletionContentFailure" if !failures.is_empty() => {
            let message =
                format!("Failed to delete all resource types, {} remaining: {}", failures.len(), failures.join(", "));
            Some(("ContentDeletionFailed", message))
        }
        "NamespaceContentRemaining" if !counts.is_empty() => {
            let parts = counts.iter().map(|(resource, count)| format!("{resource} has {count} resource instances"));
            Some(("SomeResourcesRemain", format!("Some resources are remaining: {}", told(parts.collect()))))
        }
        "NamespaceFinalizersRemaining" if !finalizers.is_empty() => {
            let parts =
                finalizers.iter().map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"));
            let message = format!("Some content in the namespace has finalizers remaining: {}", told(parts.collect()));
            Some(("SomeFinalizersRemain", message))
        }
        _ => None,
    };
    let mut conditions = list(namespace, "/status/conditions").to_vec();
    for (kind, fine_reason, fine) in CONDITIONS {
        let (status, reason, message) = match wrong(kind) {
            Some((reason, message)) => ("True", reason, message),
            None => ("False", fine_reason, fine.to_owned()),
        };
        let mut new = json!({"type": kind, "status": status, "lastTransitionTime": stamp(now), "reason": reason,
            "message": message});
        match conditions.iter_mut().find(|each| text(each, "/type") == kind) {
            Some(known) => {
                if known["status"] == new["status"] {
                    new["lastTransitionTime"] = known["lastTransitionTime"].clone();
                }
                *known = new;
            }
            None => conditions.push(new),
        }
    }
    conditions
}

fn content(index: &Index, namespace: &str) -> Vec<(&'static Resource, Arc<Value>)> {
    let resources = kinds::all().iter().filter(|resource| resource.namespaced);
    resources
        .flat_map(|resource| index.in_namespace(resource, namespace).map(move |object| (resource, object.clone())))
        .collect()
}

impl Namespaces {
    async fn empty(hub: &Hub, key: &Id) -> Result<Option<Duration>, Status> {
        let Some(namespace) = hub.get(key).filter(|namespace| is_deleting(namespace)) else { return Ok(None) };
        if !texts(&namespace, "/spec/finalizers").contains(&FINALIZER) {
            return Ok(None);
        }
        let present = hub.look(|index| content(index, &key.name));
        let deletions =
            present.iter().filter(|(_, object)| !is_deleting(object)).map(|(resource, object)| async move {
                // Pods are to end as they wish; the rest goes at once. What it owns is in here, too.
                let options = DeleteOptions {
                    uid: Some(uid(object).to_owned()),
                    propagation: Some(apiserver::Propagation::Background),
                    ..DeleteOptions::default()
                };
                let deleted = hub.delete(&Id::of(resource, object), &options).await;
                deleted.err().filter(|status| !status.is_conflict()).map(|status| status.to_string())
            });
        let failures: Vec<String> = join_all(deletions).await.into_iter().flatten().collect();
        let left = hub.look(|index| content(index, &key.name));
        let status = conditions(&namespace, &left, &failures, hub.now());
        if list(&namespace, "/status/conditions") != status {
            let write = |namespace: &mut Value| {
                namespace["status"]["conditions"] = status.clone().into();
                true
            };
            hub.modify(&hub.writers.manager, key, Some("status"), write).await?;
        }
        if left.is_empty() {
            let release = |namespace: &mut Value| {
                let finalizers = namespace.pointer_mut("/spec/finalizers").and_then(Value::as_array_mut);
                finalizers.is_some_and(|list| {
                    list.retain(|each| each != FINALIZER);
                    true
                })
            };
            hub.modify(&hub.writers.manager, key, Some("finalize"), release).await?;
            return Ok(None);
        }
        // What is left ends by itself and wakes this; the pause is for failures.
        Ok(Some(Duration::from_secs(
            if failures.is_empty() { 5 } else { 1 } + count_of(left.len()).unsigned_abs().min(5),
        )))
    }
}

impl Controller for Namespaces {
    fn route(&self, index: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        if change.id.resource == kinds::NAMESPACES {
            if change.new.as_ref().is_some_and(|namespace| is_deleting(namespace)) {
                wake(change.id.clone(), NOW);
            }
        } else if !change.id.namespace.is_empty() {
            let id = Id::new(kinds::NAMESPACES, "", &change.id.namespace);
            if index.get(&id).is_some_and(|namespace| is_deleting(namespace)) {
                wake(id, Duration::from_millis(20));
            }
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        async move {
            match Self::empty(hub, key).await {
                Err(status) if status.is_not_found() => Ok(None),
                other => other,
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_with_its_finalizers() {
        let pod = Arc::new(json!({"metadata": {"finalizers": ["x/y"]}}));
        let claim = Arc::new(json!({"metadata": {}}));
        let content = [(kinds::PODS, pod), (kinds::PERSISTENT_VOLUME_CLAIMS, claim)];
        let conditions = conditions(&json!({}), &content, &[], Timestamp::UNIX_EPOCH);
        let of = |kind: &str| conditions.iter().find(|each| each["type"] == kind).unwrap();
        assert_eq!(
            of("NamespaceContentRemaining")["message"],
            "Some resources are remaining: persistentvolumeclaims. has 1 resource instances, pods. has 1 resource instances"
        );
        assert_eq!(
            of("NamespaceFinalizersRemaining")["message"],
            "Some content in the namespace has finalizers remaining: x/y in 1 resource instances"
        );
        assert_eq!(of("NamespaceDeletionContentFailure")["status"], "False");
        assert_eq!(conditions.len(), 5);
    }
}
