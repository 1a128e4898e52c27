//! Ranges of limits.

use crate::edit::{fill, items, object, part, text};
use crate::rules::Rules;
use serde_json::{Map, Value};

pub(crate) static RULES: Rules = Rules { default, ..Rules::NONE };

/// For containers: the limit is the maximum, the request is the limit or else the minimum.
fn default(range: &mut Value) {
    let Some(spec) = part(range, "spec") else { return };
    for item in items(spec, "limits").filter(|item| text(item, "type") == "Container") {
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            copy_missing(item, from, to);
        }
    }
}

fn copy_missing(item: &mut Value, from: &str, to: &str) {
    let source: Map<String, Value> = item.get(from).and_then(Value::as_object).cloned().unwrap_or_default();
    if source.is_empty() {
        return;
    }
    if let Some(target) = object(item, to) {
        source.into_iter().for_each(|(name, amount)| fill(target, &name, amount));
    }
}
