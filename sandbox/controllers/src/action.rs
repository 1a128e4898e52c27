//! What a controller's decision asks for.

use crate::index::Id;
use kinds::Resource;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// One thing to do. Decisions are lists of these; they are done in order, and the first failure ends the list.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Create pods, at first one, then twice as many each time; each is told as an event of their owner.
    CreatePods(Vec<Value>),
    /// Delete pods; each is told as an event of their owner.
    DeletePods(Vec<Arc<Value>>),
    /// Create an object.
    Create(&'static Resource, Value),
    /// Replace an object if nobody has changed it meanwhile.
    Replace(&'static Resource, Value),
    /// Replace an object's status if nobody has changed the object meanwhile.
    Status(&'static Resource, Value),
    /// Delete the object of this unique id.
    Delete(Id, String),
    /// Take this finalizer away from objects.
    Release(Vec<Id>, &'static str),
    /// Tell an event of the object that the decision is about.
    Tell(Note),
    /// Look again after a while.
    Again(Duration),
}

/// An event without the object it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether it is a warning.
    pub warning: bool,
    /// The machine's word.
    pub reason: String,
    /// The sentence for people.
    pub message: String,
}

impl Note {
    /// Something that is fine.
    pub fn normal(reason: &str, message: impl Into<String>) -> Self {
        Self { warning: false, reason: reason.to_owned(), message: message.into() }
    }

    /// Something that is not.
    pub fn warning(reason: &str, message: impl Into<String>) -> Self {
        Self { warning: true, reason: reason.to_owned(), message: message.into() }
    }
}
