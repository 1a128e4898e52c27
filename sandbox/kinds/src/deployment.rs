//! Deployments.

use crate::edit::{fill, object, text};
use crate::pod::default_template;
use crate::rules::Rules;
use crate::shown::{self, AGE, CONTAINERS, IMAGES, NAME, SELECTOR, column};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules {
    default,
    has_generation: true,
    is_new_generation,
    has_status: true,
    columns: COLUMNS,
    cells,
    ..Rules::NONE
};

const COLUMNS: &[Column] = &[
    NAME,
    column("Ready", "Pods that are ready, of those wanted."),
    column("Up-to-date", "Pods made from the newest template."),
    column("Available", "Pods that have been ready long enough."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

fn default(deployment: &mut Value) {
    let Some(spec) = object(deployment, "spec") else { return };
    fill(spec, "replicas", 1);
    if let Some(strategy) = object(spec, "strategy") {
        fill(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate"
            && let Some(update) = object(strategy, "rollingUpdate")
        {
            fill(update, "maxUnavailable", "25%");
            fill(update, "maxSurge", "25%");
        }
    }
    fill(spec, "revisionHistoryLimit", 10);
    fill(spec, "progressDeadlineSeconds", 600);
    default_template(deployment);
}

/// Annotations count, too: the controller copies them.
fn is_new_generation(old: &Value, new: &Value) -> bool {
    old.get("spec") != new.get("spec") || old["metadata"].get("annotations") != new["metadata"].get("annotations")
}

fn cells(deployment: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    let wanted = spec["replicas"].as_i64().unwrap_or_default();
    let [names, images] = shown::containers(deployment);
    vec![
        shown::name(deployment),
        format!("{}/{wanted}", count("readyReplicas")).into(),
        count("updatedReplicas").into(),
        count("availableReplicas").into(),
        shown::age(deployment, now),
        names,
        images,
        shown::selector_text(&spec["selector"]).into(),
    ]
}
