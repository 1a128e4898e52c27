//! Claims of persistent volumes.

use crate::edit::{fill, object, set};
use crate::rules::Rules;
use serde_json::{Value, json};

pub(crate) static RULES: Rules = Rules {
    default,
    prepare_create: |claim| set(claim, "status", json!({"phase": "Pending"})),
    has_status: true,
    ..Rules::NONE
};

fn default(claim: &mut Value) {
    if let Some(status) = object(claim, "status") {
        fill(status, "phase", "Pending");
    }
    if let Some(spec) = object(claim, "spec") {
        fill(spec, "volumeMode", "Filesystem");
    }
}
