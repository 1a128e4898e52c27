//! Replication controllers.

use crate::edit::{fill, object, part};
use crate::pod::default_template;
use crate::rules::Rules;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules { default, has_generation: true, has_status: true, ..Rules::NONE };

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
