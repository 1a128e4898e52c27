//! Replica sets.

use crate::cause::Causes;
use crate::checks::{all_not_negative, immutable};
use crate::edit::{fill, object};
use crate::node::Node;
use crate::pod::{default_template, required_selector, restarting_template};
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
    validate_update,
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

fn default(set: &mut Value) {
    if let Some(spec) = object(set, "spec") {
        fill(spec, "replicas", 1);
    }
    default_template(set);
}

fn cells(set: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&set["spec"], &set["status"]);
    let count = |value: &Value| Value::from(value.as_i64().unwrap_or_default());
    let [names, images] = shown::containers(set);
    vec![
        shown::name(set),
        count(&spec["replicas"]),
        count(&status["replicas"]),
        count(&status["readyReplicas"]),
        shown::age(set, now),
        names,
        images,
        shown::selector(&spec["selector"]),
    ]
}

fn validate(set: &Node, causes: &mut Causes) {
    let spec = set.get("spec");
    all_not_negative(&spec, &["replicas", "minReadySeconds"], causes);
    required_selector(&spec.get("selector"), "empty selector is invalid for deployment", causes);
    restarting_template(&spec, causes);
}

fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    immutable(&old.get("spec").get("selector"), &new.get("spec").get("selector"), causes);
}
