//! Deployments.

use crate::edit::{fill, object, text};
use crate::pod::default_template;
use crate::rules::Rules;
use serde_json::Value;

pub(crate) static RULES: Rules =
    Rules { default, has_generation: true, is_new_generation, has_status: true, ..Rules::NONE };

fn default(deployment: &mut Value) {
    let Some(spec) = object(deployment, "spec") else { return };
    fill(spec, "replicas", 1);
    if let Some(strategy) = object(spec, "strategy") {
        fill(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate" {
            if let Some(update) = object(strategy, "rollingUpdate") {
                fill(update, "maxUnavailable", "25%");
                fill(update, "maxSurge", "25%");
            }
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
