//! Namespaces.

use crate::edit::{self, list, object, set, text};
use crate::rules::Rules;
use serde_json::{Value, json};

pub(crate) static RULES: Rules = Rules { default, prepare_create, prepare_update, has_status: true, ..Rules::NONE };

fn default(namespace: &mut Value) {
    label(namespace);
    if let Some(status) = object(namespace, "status") {
        edit::fill(status, "phase", "Active");
    }
}

/// Every namespace can be selected by its name.
fn label(namespace: &mut Value) {
    let name = text(&namespace["metadata"], "name").to_owned();
    if let Some(labels) =
        edit::part(namespace, "metadata").filter(|_| !name.is_empty()).and_then(|it| object(it, "labels"))
    {
        set(labels, "kubernetes.io/metadata.name", name);
    }
}

fn prepare_create(namespace: &mut Value) {
    label(namespace);
    let mut finalizers = list(&namespace["spec"], "finalizers").to_vec();
    if !finalizers.iter().any(|each| each == "kubernetes") {
        finalizers.push("kubernetes".into());
    }
    set(namespace, "spec", json!({"finalizers": finalizers}));
    set(namespace, "status", json!({"phase": "Active"}));
}

/// Finalizers of the specification change by the subresource `finalize` alone.
fn prepare_update(old: &Value, new: &mut Value) {
    set(new, "spec", old.get("spec").cloned().unwrap_or_else(|| json!({})));
}
