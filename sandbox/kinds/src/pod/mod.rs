//! Pods: what they get, what they may be, how they are shown.

use crate::edit::{self, list};
use crate::rules::{Label, Rules};
use serde_json::{Value, json};

mod containers;
mod defaults;
mod environment;
mod helpers;
mod probes;
mod table;
mod template;
mod update;
mod validation;
mod volumes;

pub(crate) use defaults::default_template;
pub use helpers::*;
pub(crate) use template::{always_restarting, required_selector, restarting_template, validate_template};

pub(crate) static RULES: Rules = Rules {
    default: defaults::default_pod,
    prepare_create,
    prepare_status,
    has_generation: true,
    has_status: true,
    validate: validation::validate,
    validate_new: validation::validate_new,
    validate_update: update::validate,
    columns: table::COLUMNS,
    cells: table::cells,
    field_labels: &[
        Label("spec.nodeName", "spec.nodeName", ""),
        Label("spec.restartPolicy", "spec.restartPolicy", ""),
        Label("spec.schedulerName", "spec.schedulerName", ""),
        Label("spec.serviceAccountName", "spec.serviceAccountName", ""),
        Label("spec.hostNetwork", "spec.hostNetwork", "false"),
        Label("status.phase", "status.phase", ""),
        Label("status.podIP", "status.podIP", ""),
        Label("status.nominatedNodeName", "status.nominatedNodeName", ""),
    ],
    ..Rules::NONE
};

fn prepare_create(pod: &mut Value) {
    let mut status = json!({"phase": "Pending", "qosClass": qos_class(pod)});
    if !list(&pod["spec"], "schedulingGates").is_empty() {
        edit::set(
            &mut status,
            "conditions",
            json!([{
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": null,
                "lastTransitionTime": pod["metadata"]["creationTimestamp"],
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }]),
        );
    }
    edit::set(pod, "status", status);
}

/// A kubelet's status keeps what only the server decides.
fn prepare_status(old: &Value, new: &mut Value) {
    let owners = old["metadata"].get("ownerReferences").cloned();
    if let Some(metadata) = edit::part(new, "metadata") {
        edit::remove(metadata, "ownerReferences");
        if let Some(owners) = owners {
            edit::set(metadata, "ownerReferences", owners);
        }
    }
    let class = old["status"]["qosClass"].clone();
    if let Some(status) = edit::object(new, "status") {
        edit::fill(status, "qosClass", class);
    }
}
