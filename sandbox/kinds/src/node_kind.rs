//! Nodes.

use crate::cause::Causes;
use crate::checks::{named, required_choice, resource_amount};
use crate::edit::{fill, has, list, part, text};
use crate::names;
use crate::node::Node;
use crate::rules::{Label, Rules};
use crate::shown::{self, AGE, NAME, column, or, wide};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) static RULES: Rules = Rules {
    default,
    has_status: true,
    has_status_from_start: true,
    columns: COLUMNS,
    cells,
    field_labels: &[Label("spec.unschedulable", "spec.unschedulable", "false"), Label("name", "metadata.name", "")],
    validate,
    validate_update,
    ..Rules::NONE
};

const COLUMNS: &[Column] = &[
    NAME,
    column("Status", "Whether it can run pods."),
    column("Roles", "What it is for."),
    AGE,
    column("Version", "Version of its kubelet."),
    wide("Internal-IP", "Address inside the cluster."),
    wide("External-IP", "Address outside of it."),
    wide("OS-Image", "Operating system."),
    wide("Kernel-Version", "Version of the kernel."),
    wide("Container-Runtime", "What runs the containers."),
];

fn default(node: &mut Value) {
    if let Some(spec) = part(node, "spec").filter(|spec| has(spec, "podCIDR")) {
        let network = spec["podCIDR"].clone();
        fill(spec, "podCIDRs", json!([network]));
    }
    let Some(status) = part(node, "status") else { return };
    if has(status, "capacity") {
        let capacity = status["capacity"].clone();
        fill(status, "allocatable", capacity);
    }
}

fn cells(node: &Value, now: Timestamp) -> Vec<Value> {
    let info = &node["status"]["nodeInfo"];
    let known = |field: &str| Value::from(or(text(info, field), "<unknown>"));
    vec![
        shown::name(node),
        state(node).into(),
        roles(node).into(),
        shown::age(node, now),
        text(info, "kubeletVersion").into(),
        address(node, "InternalIP").into(),
        address(node, "ExternalIP").into(),
        known("osImage"),
        known("kernelVersion"),
        known("containerRuntimeVersion"),
    ]
}

fn state(node: &Value) -> String {
    let ready = list(&node["status"], "conditions").iter().find(|condition| condition["type"] == "Ready");
    let state = match ready {
        Some(condition) if condition["status"] == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let closed = if node["spec"]["unschedulable"] == true { ",SchedulingDisabled" } else { "" };
    format!("{state}{closed}")
}

fn roles(node: &Value) -> String {
    let role = |(label, value): (&String, &Value)| match label.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_owned()),
        None if label == "kubernetes.io/role" => value.as_str().map(str::to_owned),
        None => None,
    };
    let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
    let mut roles: Vec<String> = labels.filter_map(role).filter(|role| !role.is_empty()).collect();
    roles.sort();
    roles.dedup();
    or(&roles.join(","), "<none>").to_owned()
}

fn address<'a>(node: &'a Value, kind: &str) -> &'a str {
    let found = list(&node["status"], "addresses").iter().find(|address| address["type"] == kind);
    found.map_or("<none>", |found| text(found, "address"))
}

fn validate(node: &Node, causes: &mut Causes) {
    const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let spec = node.get("spec");
    let taints = spec.get("taints");
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for taint in taints.items() {
        let effect = taint.get("effect");
        named(&taint.get("key"), names::qualified, causes);
        named(&taint.get("value"), names::label_value, causes);
        required_choice(&effect, EFFECTS, causes);
        let pair = (taint.get("key").text(), effect.text());
        if seen.contains(&pair) {
            causes.duplicate(&taint);
        }
        seen.push(pair);
    }
    let status = node.get("status");
    for amounts in [status.get("capacity"), status.get("allocatable")] {
        amounts.entries().for_each(|(name, amount)| {
            resource_amount(name, &amount, causes);
        });
    }
}

fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    let (before, after) = (old.get("spec"), new.get("spec"));
    for field in ["podCIDR", "providerID"] {
        if !before.get(field).is_empty() && before.get(field).value != after.get(field).value {
            let text = format!("node updates may not change {field} except from \"\" to valid");
            causes.forbidden(&after.get(field), &text);
        }
    }
}
