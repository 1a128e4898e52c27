//! Replica sets.

use crate::edit::{fill, object};
use crate::pod::default_template;
use crate::rules::Rules;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules { default, has_generation: true, has_status: true, ..Rules::NONE };

fn default(set: &mut Value) {
    if let Some(spec) = object(set, "spec") {
        fill(spec, "replicas", 1);
    }
    default_template(set);
}
