//! Deletion: at once, after a grace period, or when the finalizers are gone.

use std::sync::Arc;

use kinds::Resource;
use serde_json::{Value, json};

use crate::store::Writing;
use crate::write::revision_of;
use crate::{
    Api, Attempt, DeleteOptions, Deleted, ListOptions, Operation, Propagation, Status, User, admission, metadata,
};

/// Keeps the owner until what it owns is gone.
const FOREGROUND: &str = "foregroundDeletion";
/// Keeps the owner until what it owns has let go of it.
const ORPHAN: &str = "orphan";

impl Api {
    /// Deletes an object, or marks it when finalizers or its grace period hold it. Resolves once that is durable.
    pub async fn delete(
        &self,
        by: &User,
        resource: &'static Resource,
        (namespace, name): (&str, &str),
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        let deleted = {
            let writing = self.store().begin();
            let old = writing.get(resource, namespace, name).ok_or_else(|| Status::not_found(resource, name))?;
            check(resource, name, &old, options)?;
            let attempt = Attempt {
                by,
                operation: Operation::Delete,
                resource,
                subresource: None,
                namespace,
                old: Some(&old),
                dry_run: options.dry_run,
            };
            admission::review(self, &attempt, &old, &mut Vec::new())?;
            delete(&writing, resource, (namespace, name), old, options)?
        };
        if !options.dry_run {
            self.store().durable(revision_of(&deleted.object)).await?;
        }
        Ok(deleted)
    }

    /// Deletes everything selected, and answers with what there was.
    pub async fn delete_collection(
        &self,
        by: &User,
        resource: &'static Resource,
        namespace: Option<&str>,
        selection: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<Vec<Arc<Value>>, Status> {
        let items = self.list(resource, namespace, selection)?.items;
        let deletions = items.iter().map(|object| {
            let place = (metadata::text(object, "namespace"), metadata::text(object, "name"));
            self.delete(by, resource, place, options)
        });
        for done in futures::future::join_all(deletions).await {
            match done {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => {}
            }
        }
        Ok(items)
    }
}

/// Nothing holds an object that is marked.
pub(crate) fn may_go(resource: &Resource, object: &Value) -> bool {
    let waits = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or_default() > 0;
    let held = object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    metadata::finalizers(object).is_empty() && !waits && !(held && resource == kinds::NAMESPACES)
}

fn check(resource: &Resource, name: &str, old: &Value, options: &DeleteOptions) -> Result<(), Status> {
    let (uid, version) = (metadata::text(old, "uid"), metadata::text(old, "resourceVersion"));
    let refused = |what: &str, wanted: &str, is: &str, end: &str| {
        let why =
            format!("the {what} in the precondition ({wanted}) does not match the {what} in record ({is}). {end}");
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.kind);
        Err(Status::new(409, "Conflict", message).about(resource, name))
    };
    if let Some(wanted) = options.uid.as_deref().filter(|wanted| *wanted != uid) {
        return refused("UID", wanted, uid, "The object might have been deleted and then recreated");
    }
    if let Some(wanted) = options.resource_version.as_deref().filter(|wanted| *wanted != version) {
        return refused("ResourceVersion", wanted, version, "The object might have been modified");
    }
    Ok(())
}

fn delete(
    writing: &Writing<'_>,
    resource: &'static Resource,
    (namespace, name): (&str, &str),
    old: Arc<Value>,
    options: &DeleteOptions,
) -> Result<Deleted, Status> {
    let mut new = (*old).clone();
    set_finalizers(resource, &mut new, options.propagation)?;
    let grace = grace_seconds(resource, &old, options);
    let was_marked = metadata::is_deleted(&old);
    let shorter = was_marked && old["metadata"]["deletionGracePeriodSeconds"].as_i64().is_some_and(|old| grace < old);
    if !was_marked || shorter {
        let generation = new["metadata"]["generation"].as_i64().filter(|generation| !was_marked && *generation > 0);
        let fields = metadata::of(&mut new)?;
        fields.insert("deletionTimestamp".to_owned(), metadata::seconds_from_now(grace).into());
        fields.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
        if let Some(generation) = generation {
            fields.insert("generation".to_owned(), (generation + 1).into());
        }
    }
    if resource == kinds::NAMESPACES {
        new["status"]["phase"] = json!("Terminating");
    }
    if may_go(resource, &new) {
        if options.dry_run {
            return Ok(Deleted { object: old, removed: true });
        }
        // What goes at once never was marked for others to see, but for pods.
        let last = if was_marked || resource == kinds::PODS { new } else { (*old).clone() };
        return Ok(Deleted { object: writing.remove(resource, namespace, name, last), removed: true });
    }
    if new == *old || options.dry_run {
        return Ok(Deleted { object: if options.dry_run { Arc::new(new) } else { old }, removed: false });
    }
    Ok(Deleted { object: writing.put(resource, namespace, name, new), removed: false })
}

/// A pod on a node has time to end; nothing else does.
fn grace_seconds(resource: &Resource, object: &Value, options: &DeleteOptions) -> i64 {
    let phase = object["status"]["phase"].as_str().unwrap_or_default();
    let bound = object["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    if resource != kinds::PODS || !bound || matches!(phase, "Succeeded" | "Failed") {
        return 0;
    }
    let own = object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let seconds = options.grace_period_seconds.unwrap_or(own);
    // A negative period means one second, as for the real server.
    if seconds < 0 { 1 } else { seconds }
}

/// The garbage collector reads from the finalizers what is to become of owned objects.
fn set_finalizers(resource: &Resource, object: &mut Value, propagation: Option<Propagation>) -> Result<(), Status> {
    let mut now: Vec<String> = metadata::finalizers(object).into_iter().map(str::to_owned).collect();
    let had = |name: &str| now.iter().any(|each| each == name);
    let by_default = if had(ORPHAN) {
        Propagation::Orphan
    } else if had(FOREGROUND) {
        Propagation::Foreground
    } else if resource == kinds::JOBS || resource == kinds::REPLICATION_CONTROLLERS {
        // For old clients, as the real server does.
        Propagation::Orphan
    } else {
        Propagation::Background
    };
    let wanted = match propagation.unwrap_or(by_default) {
        Propagation::Orphan => Some(ORPHAN),
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Background => None,
    };
    let before = now.clone();
    now.retain(|name| name != ORPHAN && name != FOREGROUND);
    now.extend(wanted.map(str::to_owned));
    if now != before {
        let fields = metadata::of(object)?;
        if now.is_empty() {
            fields.shift_remove("finalizers");
        } else {
            fields.insert("finalizers".to_owned(), json!(now));
        }
    }
    Ok(())
}
