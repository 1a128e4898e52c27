//! Refusals, as the wire tells them.

use std::borrow::Cow;

use kinds::{Cause, Resource};
use serde_json::{Map, Value, json};

/// Why a request was refused: Kubernetes' `metav1.Status`.
///
/// `Display` is the message that a user of `kubectl` reads after `Error from server (Reason): `.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The HTTP status code.
    pub code: u16,
    /// The machine's word for the refusal, such as `NotFound`.
    pub reason: Cow<'static, str>,
    /// The sentence for people.
    pub message: String,
    /// What exactly was refused.
    pub details: Option<Box<Details>>,
}

/// What a refusal is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    /// Name of the object.
    pub name: String,
    /// Group of its kind, empty for the core group.
    pub group: String,
    /// Kind, or for most refusals the resource's plural, as the real server does.
    pub kind: String,
    /// The object's uid.
    pub uid: String,
    /// Every single cause.
    pub causes: Vec<Cause>,
    /// After how many seconds to try again; 0 for no advice.
    pub retry_after_seconds: u64,
}

impl Status {
    /// A refusal with a code, a reason and a sentence.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason: Cow::Borrowed(reason), message: message.into(), details: None }
    }

    /// The same refusal, about this object.
    #[must_use]
    pub fn about(mut self, resource: &Resource, name: &str) -> Self {
        let details = self.details.get_or_insert_default();
        name.clone_into(&mut details.name);
        resource.group.clone_into(&mut details.group);
        resource.plural.clone_into(&mut details.kind);
        self
    }

    /// There is no such object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} {} not found", resource.qualified_plural(), quoted(name)))
            .about(resource, name)
    }

    /// An object of that name is there.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {} already exists", resource.qualified_plural(), quoted(name));
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    /// The object is not what the writer took it for.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {}: {why}", resource.qualified_plural(), quoted(name));
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// The writer had read an older version of the object.
    pub fn outdated(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// The object breaks the rules of its kind.
    pub fn invalid(resource: &Resource, name: &str, causes: Vec<Cause>) -> Self {
        let told = kinds::summary(&causes);
        let kind = match resource.group {
            "" => resource.kind.to_owned(),
            group => format!("{}.{group}", resource.kind),
        };
        let mut status = Self::new(422, "Invalid", format!("{kind} {} is invalid: {told}", quoted(name)));
        status.details = Some(Box::new(Details {
            name: name.to_owned(),
            group: resource.group.to_owned(),
            kind: resource.kind.to_owned(),
            causes,
            ..Details::default()
        }));
        status
    }

    /// The writer may not do that to this object.
    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = match name {
            "" => format!("{} is forbidden: {why}", resource.qualified_plural()),
            name => format!("{} {} is forbidden: {why}", resource.qualified_plural(), quoted(name)),
        };
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// The request itself makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// The object is of a form that cannot be read.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    /// The caller is not known.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// The history does not reach back that far.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// The verb is not there for this resource.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// The path leads nowhere.
    pub fn no_such_path() -> Self {
        let mut status = Self::new(404, "NotFound", "the server could not find the requested resource");
        status.details = Some(Box::default());
        status
    }

    /// Something broke here.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    /// Whether the object was not there.
    pub fn is_not_found(&self) -> bool {
        self.reason == "NotFound"
    }

    /// Whether somebody else was faster.
    pub fn is_conflict(&self) -> bool {
        self.reason == "Conflict"
    }

    /// Whether the object was there before.
    pub fn is_already_exists(&self) -> bool {
        self.reason == "AlreadyExists"
    }

    /// The refusal as it goes over the wire.
    pub fn to_value(&self) -> Value {
        let mut wire = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message,
        });
        if !self.reason.is_empty() {
            wire["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            wire["details"] = details.to_value();
        }
        wire["code"] = json!(self.code);
        wire
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut wire = Map::new();
        let texts = [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)];
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            wire.insert(key.to_owned(), json!(text));
        }
        if !self.causes.is_empty() {
            let causes = self.causes.iter();
            let causes = causes.map(|it| json!({"reason": it.reason, "message": it.message, "field": it.field}));
            wire.insert("causes".to_owned(), causes.collect());
        }
        if self.retry_after_seconds > 0 {
            wire.insert("retryAfterSeconds".to_owned(), json!(self.retry_after_seconds));
        }
        Value::Object(wire)
    }
}

/// A name in quotation marks.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}
