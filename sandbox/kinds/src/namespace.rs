//! Namespaces.

use crate::edit::{self, list, object, set, text};
use crate::names;
use crate::rules::{Label, Rules};
use crate::shown::{self, AGE, NAME, column};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) static RULES: Rules = Rules {
    default,
    prepare_create,
    prepare_update,
    has_status: true,
    columns: COLUMNS,
    cells,
    field_labels: &[Label("status.phase", "status.phase", ""), Label("name", "metadata.name", "")],
    name: names::dns_label,
    ..Rules::NONE
};

const COLUMNS: &[Column] = &[NAME, column("Status", "Whether the namespace lives."), AGE];

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

fn cells(namespace: &Value, now: Timestamp) -> Vec<Value> {
    vec![shown::name(namespace), namespace["status"]["phase"].clone(), shown::age(namespace, now)]
}
