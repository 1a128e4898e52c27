//! Storage classes.

use crate::edit::fill;
use crate::rules::Rules;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules { default, ..Rules::NONE };

fn default(class: &mut Value) {
    fill(class, "reclaimPolicy", "Delete");
    fill(class, "volumeBindingMode", "Immediate");
}
