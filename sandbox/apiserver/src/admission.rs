//! Admission: what a write must satisfy beyond its kind's own rules.

use kinds::Resource;
use serde_json::Value;

use crate::{Api, Status, User};

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
}

/// Admits a write, perhaps changing it; told warnings go to the client.
///
/// Is called with the store's write lock held: what it reads through `api` cannot change before the write is done. It must
/// only read.
pub fn admit(_api: &Api, _attempt: &Attempt<'_>, _new: &mut Value, _warnings: &mut Vec<String>) -> Result<(), Status> {
    Ok(())
}
