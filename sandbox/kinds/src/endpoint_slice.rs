//! Slices of a service's endpoints.

use crate::edit::{fill, items};
use crate::rules::Rules;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules { default, has_generation: true, is_new_generation, ..Rules::NONE };

fn default(slice: &mut Value) {
    for port in items(slice, "ports") {
        fill(port, "name", "");
        fill(port, "protocol", "TCP");
    }
}

fn is_new_generation(old: &Value, new: &Value) -> bool {
    let changed = |field: &str| old.get(field) != new.get(field);
    changed("endpoints") || changed("ports") || old["metadata"].get("labels") != new["metadata"].get("labels")
}
