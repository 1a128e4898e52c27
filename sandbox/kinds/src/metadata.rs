//! Checks of `metadata`, the same for all kinds.

use crate::cause::Causes;
use crate::checks::{self, immutable, labels, named};
use crate::names;
use crate::node::Node;
use crate::resource::Resource;
use serde_json::Value;

const ANNOTATIONS_BYTES: usize = 256 * 1024;
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// What is wrong with the metadata of an object, new or changed.
pub(crate) fn validate(resource: &Resource, object: &Node, causes: &mut Causes) {
    let metadata = object.get("metadata");
    let (name, generate_name, namespace) =
        (metadata.get("name"), metadata.get("generateName"), metadata.get("namespace"));
    if !generate_name.is_empty() {
        let masked = masked(generate_name.text());
        for wrong in (resource.rules.name)(&masked) {
            causes.invalid(&generate_name, &wrong);
        }
    }
    if name.is_empty() {
        causes.required(&name, "name or generateName is required");
    } else {
        named(&name, resource.rules.name, causes);
    }
    match (resource.namespaced, namespace.is_empty()) {
        (true, true) => causes.required(&namespace, ""),
        (true, false) => named(&namespace, names::dns_label, causes),
        (false, false) => causes.forbidden(&namespace, "not allowed on this type"),
        (false, true) => {}
    }
    checks::not_negative(&metadata.get("generation"), causes);
    labels(&metadata.get("labels"), causes);
    annotations(&metadata.get("annotations"), causes);
    owner_references(&metadata.get("ownerReferences"), causes);
    finalizers(&metadata.get("finalizers"), causes);
}

/// A prefix may end where a name may not: what follows it is not known yet.
fn masked(prefix: &str) -> String {
    match prefix.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => format!("{}a", &rest[..rest.len() - 1]),
        _ => prefix.to_owned(),
    }
}

/// Annotations: names, and the size of all.
pub(crate) fn annotations(at: &Node, causes: &mut Causes) {
    let mut bytes = 0;
    for (key, value) in at.entries() {
        for wrong in names::qualified(&key.to_lowercase()) {
            causes.invalid_value(at, key, &wrong);
        }
        bytes += key.len() + value.text().len();
    }
    if bytes > ANNOTATIONS_BYTES {
        causes.too_long(at, ANNOTATIONS_BYTES);
    }
}

fn owner_references(at: &Node, causes: &mut Causes) {
    let mut controller: Option<String> = None;
    for reference in at.items() {
        let version = reference.get("apiVersion");
        if version.text().is_empty() {
            causes.invalid_value(&at.get("apiVersion"), "", "version must not be empty");
        }
        for field in ["kind", "name", "uid"] {
            if reference.get(field).text().is_empty() {
                causes.invalid_value(&at.get(field), "", "must not be empty");
            }
        }
        if version.text() == "v1" && reference.get("kind").text() == "Event" {
            let wrong = "/v1, Kind=Event is disallowed from being an owner";
            causes.invalid_value(at, reference.value.clone(), wrong);
        }
        if reference.get("controller").truth() {
            let name = format!("{}/{}", reference.get("kind").text(), reference.get("name").text());
            match &controller {
                Some(first) => causes.invalid_value(
                    at,
                    owners_shown(at),
                    &format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and \
                         {name}"
                    ),
                ),
                None => controller = Some(name),
            }
        }
    }
}

/// The references with their fields in the real server's order.
fn owners_shown(at: &Node) -> Value {
    const FIELDS: [&str; 6] = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let in_order = |reference: Node| -> Value {
        let fields = FIELDS.iter().filter_map(|field| Some(((*field).to_owned(), reference.value.get(field)?.clone())));
        Value::Object(fields.collect())
    };
    at.items().map(in_order).collect()
}

fn finalizers(at: &Node, causes: &mut Causes) {
    for each in at.items() {
        for wrong in names::qualified(each.text()) {
            causes.invalid_value(at, each.text(), &wrong);
        }
    }
    let has = |name: &str| at.items().any(|each| each.text() == name);
    if has("orphan") && has("foregroundDeletion") {
        causes.invalid(at, "finalizer orphan and foregroundDeletion cannot be both set");
    }
    for each in at.items() {
        if !each.text().contains('/') && !STANDARD_FINALIZERS.contains(&each.text()) {
            causes.invalid(&each, "name is neither a standard finalizer name nor is it fully qualified");
        }
    }
}

/// What the server alone may set.
const FIXED: [&str; 6] =
    ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// What may not change in metadata.
pub(crate) fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    let (old, new) = (old.get("metadata"), new.get("metadata"));
    if old.get("deletionTimestamp").is_set() {
        no_new_finalizers(&old.get("finalizers"), &new.get("finalizers"), causes);
    }
    let generation = |at: &Node| at.get("generation").integer().unwrap_or_default();
    if generation(&new) < generation(&old) {
        causes.invalid_value(&new.get("generation"), generation(&new), "must not be decremented");
    }
    for field in FIXED {
        immutable(&old.get(field), &new.get(field), causes);
    }
}

fn no_new_finalizers(old: &Node, new: &Node, causes: &mut Causes) {
    let known = |name: &Value| old.value.as_array().is_some_and(|old| old.contains(name));
    let mut added: Vec<String> =
        new.items().filter(|each| !known(each.value)).map(|each| format!("{:?}", each.text())).collect();
    added.sort();
    if !added.is_empty() {
        let added = added.join(", ");
        causes.forbidden(
            new,
            &format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{added}}}"
            ),
        );
    }
}
