//! Nodes.

use crate::edit::{fill, has, part};
use crate::rules::Rules;
use serde_json::Value;

pub(crate) static RULES: Rules =
    Rules { type_name: "Node", default, has_status: true, has_status_from_start: true, ..Rules::NONE };

fn default(node: &mut Value) {
    let Some(status) = part(node, "status") else { return };
    if has(status, "capacity") {
        let capacity = status["capacity"].clone();
        fill(status, "allocatable", capacity);
    }
}
