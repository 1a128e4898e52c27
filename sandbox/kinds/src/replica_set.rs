//! Replica sets.

use crate::edit::{fill, object};
use crate::pod::default_template;
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
