//! Objects as tables and as metadata only.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use kinds::Resource;
use serde_json::{Value, json};

use super::answer::Form;

/// What of each object is in its table row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    Metadata,
    Object,
    None,
}

impl Include {
    /// Reads the parameter `includeObject`.
    pub fn read(text: Option<&str>) -> Self {
        match text {
            Some("Object") => Self::Object,
            Some("None") => Self::None,
            _ => Self::Metadata,
        }
    }
}

/// One object in the wanted form.
pub(super) fn one<'a>(form: Form, resource: &Resource, object: &'a Value, include: Include) -> Cow<'a, Value> {
    match form {
        Form::Whole => Cow::Borrowed(object),
        Form::Metadata => Cow::Owned(metadata(object)),
        Form::Table => {
            let version = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            Cow::Owned(table(resource, [object], &version, include, true))
        }
    }
}

/// Only an object's metadata.
pub(super) fn metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// Objects as a table.
pub(super) fn table<'a>(
    resource: &Resource,
    objects: impl IntoIterator<Item = &'a Value>,
    list: &Value,
    include: Include,
    with_columns: bool,
) -> Value {
    let now = Timestamp::now();
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| {
            let shown = match include {
                Include::Metadata => metadata(object),
                Include::Object => object.clone(),
                Include::None => Value::Null,
            };
            json!({"cells": kinds::cells(resource, object, now), "object": shown})
        })
        .collect();
    let columns = if with_columns { columns(resource) } else { Value::Null };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": list, "columnDefinitions": columns, "rows": rows,
    })
}

/// The objects of a list as references.
pub(super) fn values(items: &[Arc<Value>]) -> impl Iterator<Item = &Value> {
    items.iter().map(|item| &**item)
}

fn columns(resource: &Resource) -> Value {
    let columns = kinds::columns(resource).iter().map(|column| {
        json!({
            "name": column.name, "type": column.kind, "format": column.format, "description": column.description,
            "priority": column.priority,
        })
    });
    columns.collect()
}
