//! Nodes.

use crate::edit::{fill, has, part};
use crate::rules::Rules;
use serde_json::{Value, json};

pub(crate) static RULES: Rules = Rules { default, has_status: true, has_status_from_start: true, ..Rules::NONE };

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
