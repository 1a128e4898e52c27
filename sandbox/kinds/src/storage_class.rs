//! Storage classes.

use crate::cause::Causes;
use crate::checks::{choice, immutable, required_text};
use crate::edit::{fill, text};
use crate::names;
use crate::node::Node;
use crate::rules::Rules;
use crate::shown::{self, AGE, NAME, column, or};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules { default, columns: COLUMNS, cells, validate, validate_update, ..Rules::NONE };

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

fn validate(class: &Node, causes: &mut Causes) {
    let provisioner = class.get("provisioner");
    if required_text(&provisioner, causes) {
        for wrong in names::qualified(&provisioner.text().to_lowercase()) {
            causes.invalid_value(&provisioner, provisioner.text().to_lowercase(), &wrong);
        }
    }
    choice(&class.get("reclaimPolicy"), &["Delete", "Retain"], causes);
    choice(&class.get("volumeBindingMode"), &["Immediate", "WaitForFirstConsumer"], causes);
}

fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if old.get(field).value != new.get(field).value {
            causes.forbidden(&new.get(field), &format!("updates to {field} are forbidden."));
        }
    }
    immutable(&old.get("volumeBindingMode"), &new.get("volumeBindingMode"), causes);
}
