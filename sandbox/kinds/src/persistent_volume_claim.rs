//! Claims of persistent volumes.

use crate::cause::Causes;
use crate::checks::{self, choice, named_if_set, positive_amount};
use crate::difference::difference;
use crate::edit::{fill, object, set, text};
use crate::node::Node;
use crate::rules::{Label, Rules};
use crate::shown::{self, AGE, NAME, column, or, wide};
use crate::table_columns::Column;
use crate::{names, quantity};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) static RULES: Rules = Rules {
    default,
    prepare_create: |claim| set(claim, "status", json!({"phase": "Pending"})),
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

fn validate(claim: &Node, causes: &mut Causes) {
    let spec = claim.get("spec");
    let modes = spec.get("accessModes");
    if modes.is_empty() {
        causes.required(&modes, "at least 1 access mode is required");
    }
    if spec.get("selector").is_set() {
        checks::selector(&spec.get("selector"), causes);
    }
    access_modes(&modes, causes);
    let resources = spec.get("resources");
    let (requests, at) = (resources.get("requests"), resources.key("storage"));
    let storage = requests.get("storage");
    if storage.is_set() {
        positive_amount(&at.with(storage.value), causes);
    } else {
        causes.required(&at, "");
    }
    named_if_set(&spec.get("storageClassName"), names::subdomain, causes);
    choice(&spec.get("volumeMode"), VOLUME_MODES, causes);
    for (field, instead) in ABSENT {
        if spec.get(field).is_set() {
            causes.forbidden(&spec.get(field), instead);
        }
    }
}

/// What the sandbox's claims do not have.
const ABSENT: [(&str, &str); 3] = [
    ("dataSource", "the sandbox copies no volumes; fill the claim by a Job"),
    ("dataSourceRef", "the sandbox copies no volumes; fill the claim by a Job"),
    ("volumeAttributesClassName", "the sandbox's volumes have no attributes; leave it out"),
];

/// How a volume can be used.
pub(crate) const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];
const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Access modes are known, and one pod alone is not many.
pub(crate) fn access_modes(at: &Node, causes: &mut Causes) {
    for mode in at.items() {
        if !ACCESS_MODES.contains(&mode.text()) {
            causes.unsupported_value(at, mode.text(), ACCESS_MODES);
        }
    }
    let alone = |mode: &Node| mode.text() == "ReadWriteOncePod";
    if at.items().any(|mode| alone(&mode))
        && at.items().any(|mode| !alone(&mode) && ACCESS_MODES.contains(&mode.text()))
    {
        causes.forbidden(at, "may not use ReadWriteOncePod with other access modes");
    }
}

/// Only a bound claim can change, and only by growing; a volume and a class can be filled in.
fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    let (before, after) = (old.get("spec"), new.get("spec"));
    let mut expected = before.value.clone();
    if before.get("volumeName").is_empty() && after.get("volumeName").is_set() {
        set(&mut expected, "volumeName", after.get("volumeName").value.clone());
    }
    if !before.get("storageClassName").is_set() && after.get("storageClassName").is_set() {
        set(&mut expected, "storageClassName", after.get("storageClassName").value.clone());
    }
    let size = |spec: &Node| quantity::from_value(&spec.value["resources"]["requests"]["storage"]).unwrap_or_default();
    let bound = new.get("status").get("phase").text() == "Bound";
    if bound && after.value["resources"]["requests"]["storage"].is_string() {
        expected["resources"]["requests"]["storage"] = after.value["resources"]["requests"]["storage"].clone();
    }
    if expected != *after.value {
        let text =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        causes.forbidden(&after, &format!("{text}\n{}", difference(&expected, after.value)));
    }
    let (status, resources) = (new.get("status"), after.get("resources"));
    let capacity = quantity::from_value(&status.value["capacity"]["storage"]).unwrap_or_default();
    if size(&after) < size(&before) && size(&after) <= capacity {
        causes.forbidden(&resources.get("requests").get("storage"), "field can not be less than status.capacity");
    }
    let modes = [before.get("volumeMode").value, after.get("volumeMode").value];
    if modes[0] != modes[1] {
        causes.invalid_value(&new.get("volumeMode"), modes[1].clone(), checks::IMMUTABLE);
    }
}
