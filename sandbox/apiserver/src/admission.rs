//! Admission: what a write must satisfy beyond its kind's own rules.
//!
//! As with the real server it has two steps: [`admit`] may still change the object and comes before validation,
//! [`review`] only judges and comes after it.

mod limits;
mod pod_security;
mod pods;
mod quota;
mod service_account;
mod services;
mod storage;

use kinds::Resource;
use serde_json::Value;

use crate::{Api, Status, User, metadata, rbac};
pub(crate) use service_account::settle;

/// What is being done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It is new.
    Create,
    /// It changes.
    Update,
    /// It goes.
    Delete,
}

/// A write that asks to be admitted.
pub struct Attempt<'a> {
    /// Who writes.
    pub by: &'a User,
    /// What is done.
    pub operation: Operation,
    /// To which resource.
    pub resource: &'static Resource,
    /// To which subresource.
    pub subresource: Option<&'a str>,
    /// In which namespace, empty for cluster-scoped ones.
    pub namespace: &'a str,
    /// The object as it is now.
    pub old: Option<&'a Value>,
    /// Nothing is written in the end.
    pub dry_run: bool,
}

impl Attempt<'_> {
    fn forbidden(&self, object: &Value, why: &str) -> Status {
        Status::forbidden(self.resource, metadata::text(object, "name"), why)
    }

    fn creates(&self, resource: &'static Resource) -> bool {
        self.operation == Operation::Create && self.resource == resource && self.subresource.is_none()
    }
}

/// Admits a write, perhaps changing it: defaults that depend on other objects, addresses and ports of services.
///
/// Is called with the store's write lock held: what it reads through `api` cannot change before the write is done. It must
/// only read.
pub fn admit(api: &Api, attempt: &Attempt<'_>, new: &mut Value, _warnings: &mut Vec<String>) -> Result<(), Status> {
    if attempt.subresource.is_some() {
        return Ok(());
    }
    if attempt.resource == kinds::PODS {
        pods::tolerate_short_outages(new);
    }
    if attempt.creates(kinds::PODS) {
        pods::give_priority(attempt, new)?;
        service_account::assign(api, attempt, new)?;
        limits::fill(api, attempt, new)?;
    }
    if attempt.creates(kinds::PERSISTENT_VOLUME_CLAIMS) {
        storage::choose_class(api, new)?;
    }
    if attempt.creates(kinds::SECRETS) {
        service_account::refuse_lasting_token(attempt, new)?;
    }
    if attempt.resource == kinds::SERVICES {
        services::allocate(api, attempt, new)?;
    }
    Ok(())
}

/// Judges a write that is otherwise valid: limits, pod security, quotas, and whether roles are not handed on that the
/// writer does not have. Told warnings go to the client.
///
/// Is called with the store's write lock held, as [`admit`].
pub fn review(api: &Api, attempt: &Attempt<'_>, new: &Value, warnings: &mut Vec<String>) -> Result<(), Status> {
    if attempt.operation == Operation::Delete {
        return refuse_lasting_namespaces(attempt, new);
    }
    limits::check(api, attempt, new)?;
    pod_security::check(api, attempt, new, warnings)?;
    storage::check_source(api, attempt, new)?;
    if attempt.subresource.is_none() {
        rbac::check_escalation(api, attempt, new)?;
        quota::check(api, attempt, new)?;
    }
    Ok(())
}

/// Some namespaces are there for good.
fn refuse_lasting_namespaces(attempt: &Attempt<'_>, namespace: &Value) -> Result<(), Status> {
    let lasting = ["default", "kube-system", "kube-public"].contains(&metadata::text(namespace, "name"));
    if attempt.resource != kinds::NAMESPACES || !lasting {
        return Ok(());
    }
    Err(attempt.forbidden(namespace, "this namespace may not be deleted"))
}

/// The items of a list, none when there is no list.
fn items<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    object.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// The init containers and containers of a pod's spec.
fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    items(spec, "initContainers").chain(items(spec, "containers"))
}

#[cfg(test)]
mod tests;
