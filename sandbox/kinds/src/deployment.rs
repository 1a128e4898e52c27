//! Deployments.

use crate::cause::Causes;
use crate::checks::{all_not_negative, immutable, named, not_negative};
use crate::edit::{fill, object, text};
use crate::names;
use crate::node::Node;
use crate::pod::{default_template, required_selector, restarting_template};
use crate::rules::Rules;
use crate::shown::{self, AGE, CONTAINERS, IMAGES, NAME, SELECTOR, column};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

pub(crate) static RULES: Rules = Rules {
    default,
    has_generation: true,
    is_new_generation,
    has_status: true,
    columns: COLUMNS,
    cells,
    validate,
    validate_update,
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

fn validate(deployment: &Node, causes: &mut Causes) {
    let spec = deployment.get("spec");
    not_negative(&spec.get("replicas"), causes);
    required_selector(&spec.get("selector"), "empty selector is invalid for deployment", causes);
    restarting_template(&spec, causes);
    strategy(&spec.get("strategy"), causes);
    all_not_negative(&spec, &["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"], causes);
    let deadline = spec.get("progressDeadlineSeconds");
    let ready = spec.get("minReadySeconds").integer().unwrap_or_default();
    if deadline.integer().is_some_and(|deadline| deadline <= ready) {
        causes.invalid(&deadline, "must be greater than minReadySeconds");
    }
}

fn strategy(at: &Node, causes: &mut Causes) {
    let update = at.get("rollingUpdate");
    match at.get("type").text() {
        "Recreate" if update.is_set() => {
            causes.forbidden(&update, "may not be specified when strategy `type` is 'Recreate'");
        }
        "Recreate" => {}
        "RollingUpdate" => rolling_update(&update, causes),
        other => {
            let shown = json!({"Type": other, "RollingUpdate": update.value});
            causes.unsupported_value(at, shown, &["Recreate", "RollingUpdate"]);
        }
    }
}

fn rolling_update(at: &Node, causes: &mut Causes) {
    let (unavailable, surge) = (at.get("maxUnavailable"), at.get("maxSurge"));
    for each in [&unavailable, &surge] {
        if each.value.is_string() { named(each, names::percent, causes) } else { not_negative(each, causes) }
    }
    let number = |at: &Node| at.integer().or_else(|| at.text().trim_end_matches('%').parse().ok()).unwrap_or_default();
    if number(&unavailable) == 0 && number(&surge) == 0 {
        causes.invalid(&unavailable, "may not be 0 when `maxSurge` is 0");
    }
    if unavailable.value.is_string() && number(&unavailable) > 100 {
        causes.invalid(&unavailable, "must not be greater than 100%");
    }
}

fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    immutable(&old.get("spec").get("selector"), &new.get("spec").get("selector"), causes);
}
