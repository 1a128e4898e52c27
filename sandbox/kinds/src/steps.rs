//! The steps of a request, the same for all kinds; what differs is in each kind's row of rules.

use crate::amounts;
use crate::cause::{Cause, Causes};
use crate::metadata;
use crate::node::Node;
use crate::resource::Resource;
use crate::rules::Label;
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

/// Fills what was left out, as the API server does when it reads an object, and writes amounts in their one form.
///
/// Assumes that the object has gone through [`schema::normalize`]: what is empty is not there.
/// Doing it again changes nothing.
pub fn default(resource: &Resource, object: &mut Value) {
    if let Some(ty) = schema_of(resource) {
        amounts::normalize(ty, object);
    }
    (resource.rules.default)(object);
}

/// Sets what only the server may set on a new object: no status, generation 1, selectors of Jobs and the like.
///
/// Assumes that `metadata` is complete (name, namespace, uid) and that [`default`] has run.
pub fn prepare_create(resource: &Resource, object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    if resource.rules.has_status && !resource.rules.has_status_from_start {
        fields.insert("status".to_owned(), empty_status(resource));
    }
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("generation");
        if resource.rules.has_generation {
            metadata.insert("generation".to_owned(), 1.into());
        }
    }
    (resource.rules.prepare_create)(object);
}

/// Keeps what this request must not change, and counts the generation up when anything but metadata and status changed.
///
/// With the subresource `status` only status (and metadata) may change; without, everything else. `binding` may change
/// both, and `finalize` the finalizers of a namespace, which nothing else may.
pub fn prepare_update(resource: &Resource, old: &Value, new: &mut Value, subresource: Option<&str>) {
    let rules = resource.rules;
    let status_only = subresource == Some("status");
    let Some(fields) = new.as_object_mut() else { return };
    if rules.has_status && !status_only && subresource != Some("binding") {
        keep(old, fields, "status");
    }
    if status_only {
        let others: Vec<String> =
            fields.keys().filter(|key| !matches!(key.as_str(), "status" | "metadata")).cloned().collect();
        for field in others.iter().map(String::as_str).chain(["spec"]) {
            keep(old, fields, field);
        }
        (rules.prepare_status)(old, new);
    } else if subresource != Some("finalize") {
        (rules.prepare_update)(old, new);
    }
    if rules.has_generation && !status_only && subresource != Some("binding") {
        let before = old["metadata"]["generation"].as_i64().unwrap_or_default();
        let changed = (rules.is_new_generation)(old, new);
        if let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("generation".to_owned(), (before + i64::from(changed)).into());
        }
    }
}

fn schema_of(resource: &Resource) -> Option<&'static schema::Type> {
    schema::kind(resource.group, resource.version, resource.kind)
}

/// A status with nothing but what is always shown.
fn empty_status(resource: &Resource) -> Value {
    match schema_of(resource).and_then(|ty| ty.field("status")).map(|field| field.shape) {
        Some(schema::Shape::Object(ty)) => schema::zero(ty),
        _ => Value::Object(serde_json::Map::new()),
    }
}

fn keep(old: &Value, fields: &mut serde_json::Map<String, Value>, field: &str) {
    match old.get(field) {
        Some(value) => {
            fields.insert(field.to_owned(), value.clone());
        }
        None => {
            fields.remove(field);
        }
    }
}

/// What is wrong with a new object.
///
/// Assumes that it went through [`default`] and [`prepare_create`].
pub fn validate_create(resource: &Resource, object: &Value) -> Vec<Cause> {
    let (root, mut causes) = (Node::root(object), Causes::default());
    metadata::validate(resource, &root, &mut causes);
    (resource.rules.validate)(&root, &mut causes);
    (resource.rules.validate_new)(&root, &mut causes);
    causes.0
}

/// What is wrong with a change of an object. The real server finds what is wrong with a change of metadata twice: for every
/// object, and again for its kind.
pub fn validate_update(resource: &Resource, old: &Value, new: &Value) -> Vec<Cause> {
    let (old, new, mut causes) = (Node::root(old), Node::root(new), Causes::default());
    metadata::validate(resource, &new, &mut causes);
    metadata::validate_update(&old, &new, &mut causes);
    metadata::validate_update(&old, &new, &mut causes);
    (resource.rules.validate)(&new, &mut causes);
    (resource.rules.validate_update)(&old, &new, &mut causes);
    causes.0
}

/// The columns of the resource's table.
pub fn columns(resource: &Resource) -> &'static [Column] {
    resource.rules.columns
}

/// An object's cells, one for each column.
pub fn cells(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    (resource.rules.cells)(object, now)
}

/// What a field selector's path reads from an object; none when the resource has no such selector.
pub fn field_label(resource: &Resource, object: &Value, path: &str) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match path {
        "metadata.name" => Some(text(&object["metadata"]["name"])),
        "metadata.namespace" if resource.namespaced => Some(text(&object["metadata"]["namespace"])),
        other => {
            let Label(_, way, empty) = resource.rules.field_labels.iter().find(|label| label.0 == other)?;
            let value = way.split('.').fold(object, |value, field| &value[field]);
            Some(match value {
                Value::Null => (*empty).to_owned(),
                Value::String(text) => text.clone(),
                simple => simple.to_string(),
            })
        }
    }
}
