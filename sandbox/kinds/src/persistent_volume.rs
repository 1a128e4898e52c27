//! Persistent volumes.

use crate::cause::Causes;
use crate::checks::{self, choice, named_if_set, no_backsteps, positive_amount, required_text};
use crate::difference::difference;
use crate::edit::{fill, object, part, set, text};
use crate::names;
use crate::node::Node;
use crate::persistent_volume_claim::{VOLUME_MODES, access_modes};
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
    validate,
    validate_update,
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

/// Sources that are folders of this machine.
const FOLDERS: [&str; 2] = ["hostPath", "local"];
/// Sources outside of the machine that a folder may stand in for, with what each must say. Whether one does is the server's affair.
const STAND_INS: [(&str, [&str; 2]); 2] = [("csi", ["driver", "volumeHandle"]), ("nfs", ["server", "path"])];
/// All other fields that name a source.
const OTHER_SOURCES: [&str; 18] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "iscsi",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];
const POLICIES: &[&str] = &["Delete", "Recycle", "Retain"];

fn validate(volume: &Node, causes: &mut Causes) {
    let spec = volume.get("spec");
    let (modes, capacity) = (spec.get("accessModes"), spec.get("capacity"));
    if modes.is_empty() {
        causes.required(&modes, "");
    }
    access_modes(&modes, causes);
    if capacity.is_empty() {
        causes.required(&capacity, "");
    }
    if !capacity.get("storage").is_set() || capacity.entries().count() > 1 {
        let shown = if capacity.is_set() { checks::shown(capacity.value) } else { json!({}) };
        causes.unsupported_value(&capacity, shown, &["storage"]);
    }
    capacity.entries().for_each(|(_, amount)| positive_amount(&amount, causes));
    choice(&spec.get("persistentVolumeReclaimPolicy"), POLICIES, causes);
    source(&spec, causes);
    named_if_set(&spec.get("storageClassName"), names::subdomain, causes);
    choice(&spec.get("volumeMode"), VOLUME_MODES, causes);
}

fn source(spec: &Node, causes: &mut Causes) {
    let mut sources = 0;
    for field in FOLDERS.iter().filter(|field| spec.get(field).is_set()) {
        let at = spec.get(field);
        sources += 1;
        if sources > 1 {
            causes.forbidden(&at, "may not specify more than 1 volume type");
            continue;
        }
        if required_text(&at.get("path"), causes) {
            no_backsteps(&at.get("path"), causes);
        }
        if *field == "local" && !spec.get("nodeAffinity").is_set() {
            causes.required(&spec.get("nodeAffinity"), "Local volume requires node affinity");
        }
    }
    for (field, needs) in STAND_INS.iter().filter(|(field, _)| spec.get(field).is_set()) {
        let at = spec.get(field);
        sources += 1;
        if sources > 1 {
            causes.forbidden(&at, "may not specify more than 1 volume type");
            continue;
        }
        for need in needs {
            required_text(&at.get(need), causes);
        }
    }
    for field in OTHER_SOURCES.iter().filter(|field| spec.get(field).is_set()) {
        sources += 1;
        let text = format!("the sandbox has no {field} volumes; use hostPath, or a PersistentVolumeClaim alone");
        causes.forbidden(&spec.get(field), &text);
    }
    if sources == 0 {
        causes.required(spec, "must specify a volume type");
    }
}

fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    let (before, after) = (old.get("spec"), new.get("spec"));
    let stand_ins = STAND_INS.iter().map(|(field, _)| field);
    for field in FOLDERS.iter().chain(stand_ins).chain(&OTHER_SOURCES) {
        let (before, after) = (before.get(field), after.get(field));
        if before.value != after.value {
            let lines = difference(before.value, after.value);
            let text = format!("spec.persistentvolumesource is immutable after creation\n{lines}");
            causes.forbidden(&new.get("spec").get("persistentvolumesource"), &text);
        }
    }
    let mode = after.get("volumeMode").value;
    if before.get("volumeMode").value != mode {
        causes.invalid_value(&new.get("volumeMode"), mode.clone(), checks::IMMUTABLE);
    }
    let affinity = after.get("nodeAffinity").value;
    if before.get("nodeAffinity").is_set() && before.get("nodeAffinity").value != affinity {
        causes.invalid_value(&new.get("nodeAffinity"), affinity.clone(), checks::IMMUTABLE);
    }
}
