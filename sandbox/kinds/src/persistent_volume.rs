//! Persistent volumes.

use crate::edit::{fill, object, part, set};
use crate::rules::Rules;
use serde_json::{Value, json};

pub(crate) static RULES: Rules = Rules { default, prepare_create, has_status: true, ..Rules::NONE };

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
