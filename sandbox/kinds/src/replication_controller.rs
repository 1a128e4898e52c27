//! Replication controllers.

use crate::cause::Causes;
use crate::checks::not_negative;
use crate::edit::{fill, object, part};
use crate::node::Node;
use crate::pod::{always_restarting, default_template};
use crate::rules::{Label, Rules};
use crate::shown::{self, AGE, CONTAINERS, IMAGES, NAME, SELECTOR, number};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules {
    default,
    has_generation: true,
    has_status: true,
    columns: COLUMNS,
    cells,
    field_labels: &[Label("status.replicas", "status.replicas", "0")],
    validate,
    ..Rules::NONE
};

const COLUMNS: &[Column] = &[
    NAME,
    number("Desired", "Pods that are wanted."),
    number("Current", "Pods that are there."),
    number("Ready", "Pods that are ready."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

fn default(controller: &mut Value) {
    let Some(spec) = object(controller, "spec") else { return };
    fill(spec, "replicas", 1);
    let labels = spec["template"]["metadata"].get("labels").cloned();
    if let Some(labels) = labels.filter(Value::is_object) {
        fill(spec, "selector", labels.clone());
        if let Some(metadata) = part(controller, "metadata") {
            fill(metadata, "labels", labels);
        }
    }
    default_template(controller);
}

fn cells(controller: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&controller["spec"], &controller["status"]);
    let count = |value: &Value| Value::from(value.as_i64().unwrap_or_default());
    let [names, images] = shown::containers(controller);
    vec![
        shown::name(controller),
        count(&spec["replicas"]),
        count(&status["replicas"]),
        count(&status["readyReplicas"]),
        shown::age(controller, now),
        names,
        images,
        shown::labels(&spec["selector"]),
    ]
}

fn validate(controller: &Node, causes: &mut Causes) {
    let spec = controller.get("spec");
    not_negative(&spec.get("minReadySeconds"), causes);
    let selector = spec.get("selector");
    if selector.is_empty() {
        causes.required(&selector, "");
    }
    not_negative(&spec.get("replicas"), causes);
    let template = spec.get("template");
    if !template.is_set() {
        causes.required(&template, "");
        return;
    }
    let labels = &template.value["metadata"]["labels"];
    let matches = selector.entries().all(|(key, value)| labels.get(key) == Some(value.value));
    always_restarting(&template, matches, "ReplicationController", causes);
}
