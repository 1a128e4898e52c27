//! Persistent volumes.

use crate::edit::text;
use crate::edit::{fill, object, part, set};
use crate::rules::{Label, Rules};
use crate::shown::{self, AGE, NAME, column, or, wide};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) static RULES: Rules = Rules {
    default,
    prepare_create,
    has_status: true,
    columns: COLUMNS,
    cells,
    field_labels: &[Label("name", "metadata.name", "")],
    ..Rules::NONE
};

const COLUMNS: &[Column] = &[
    NAME,
    column("Capacity", "Size of the volume."),
    column("Access Modes", "How it can be mounted."),
    column("Reclaim Policy", "What becomes of it without its claim."),
    column("Status", "Whether it is bound."),
    column("Claim", "Claim that it is bound to."),
    column("StorageClass", "Class of the volume."),
    column("VolumeAttributesClass", "Class of its attributes."),
    column("Reason", "Why it failed."),
    AGE,
    wide("VolumeMode", "Whether it has a file system."),
];

fn default(volume: &mut Value) {
    if let Some(status) = object(volume, "status") {
        fill(status, "phase", "Pending");
    }
    let Some(spec) = object(volume, "spec") else { return };
    fill(spec, "persistentVolumeReclaimPolicy", "Retain");
    fill(spec, "volumeMode", "Filesystem");
    if let Some(source) = part(spec, "hostPath") {
        fill(source, "type", "");
    }
}

fn prepare_create(volume: &mut Value) {
    let now = volume["metadata"]["creationTimestamp"].clone();
    set(volume, "status", json!({"phase": "Pending", "lastPhaseTransitionTime": now}));
}

fn cells(volume: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&volume["spec"], &volume["status"]);
    let claim = part_of_claim(&spec["claimRef"]);
    vec![
        shown::name(volume),
        or(text(&spec["capacity"], "storage"), "0").into(),
        shown::access_modes(&spec["accessModes"]),
        text(spec, "persistentVolumeReclaimPolicy").into(),
        shown::phase(volume),
        claim.into(),
        text(spec, "storageClassName").into(),
        or(text(spec, "volumeAttributesClassName"), "<unset>").into(),
        text(status, "reason").into(),
        shown::age(volume, now),
        or(text(spec, "volumeMode"), "<unset>").into(),
    ]
}

fn part_of_claim(claim: &Value) -> String {
    if claim.is_null() {
        return String::new();
    }
    format!("{}/{}", text(claim, "namespace"), text(claim, "name"))
}
