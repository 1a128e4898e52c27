//! Claims of persistent volumes.

use crate::edit::text;
use crate::edit::{fill, object, set};
use crate::rules::{Label, Rules};
use crate::shown::{self, AGE, NAME, column, or, wide};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) static RULES: Rules = Rules {
    default,
    prepare_create: |claim| set(claim, "status", json!({"phase": "Pending"})),
    has_status: true,
    columns: COLUMNS,
    cells,
    field_labels: &[Label("name", "metadata.name", "")],
    ..Rules::NONE
};

const COLUMNS: &[Column] = &[
    NAME,
    column("Status", "Whether it is bound."),
    column("Volume", "Volume that it is bound to."),
    column("Capacity", "Size of that volume."),
    column("Access Modes", "How it can be mounted."),
    column("StorageClass", "Class of the volume."),
    column("VolumeAttributesClass", "Class of its attributes."),
    AGE,
    wide("VolumeMode", "Whether it has a file system."),
];

fn default(claim: &mut Value) {
    if let Some(status) = object(claim, "status") {
        fill(status, "phase", "Pending");
    }
    if let Some(spec) = object(claim, "spec") {
        fill(spec, "volumeMode", "Filesystem");
    }
}

fn cells(claim: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&claim["spec"], &claim["status"]);
    let volume = text(spec, "volumeName");
    let bound = !volume.is_empty();
    vec![
        shown::name(claim),
        shown::phase(claim),
        volume.into(),
        if bound { or(text(&status["capacity"], "storage"), "0").into() } else { "".into() },
        if bound { shown::access_modes(&status["accessModes"]) } else { "".into() },
        text(spec, "storageClassName").into(),
        or(text(spec, "volumeAttributesClassName"), "<unset>").into(),
        shown::age(claim, now),
        or(text(spec, "volumeMode"), "<unset>").into(),
    ]
}
