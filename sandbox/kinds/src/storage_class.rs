//! Storage classes.

use crate::edit::fill;
use crate::edit::text;
use crate::rules::Rules;
use crate::shown::{self, AGE, NAME, column, or};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules { default, columns: COLUMNS, cells, ..Rules::NONE };

const COLUMNS: &[Column] = &[
    NAME,
    column("Provisioner", "Who makes the volumes."),
    column("ReclaimPolicy", "What becomes of a volume without its claim."),
    column("VolumeBindingMode", "When claims are bound."),
    column("AllowVolumeExpansion", "Whether claims can grow."),
    AGE,
];

fn default(class: &mut Value) {
    fill(class, "reclaimPolicy", "Delete");
    fill(class, "volumeBindingMode", "Immediate");
}

fn cells(class: &Value, now: Timestamp) -> Vec<Value> {
    let default = &class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
    let name = text(&class["metadata"], "name");
    vec![
        if default { format!("{name} (default)").into() } else { name.into() },
        text(class, "provisioner").into(),
        or(text(class, "reclaimPolicy"), "Delete").into(),
        or(text(class, "volumeBindingMode"), "Immediate").into(),
        (class["allowVolumeExpansion"] == true).into(),
        shown::age(class, now),
    ]
}
