//! Bindings of roles, in one namespace and everywhere.

use crate::edit::{fill, fill_empty, items, part, text};
use crate::rules::Rules;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules { default, ..Rules::NONE };
pub(crate) static CLUSTER_RULES: Rules = Rules { default, ..Rules::NONE };

/// The one group of roles, users and groups.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

fn default(binding: &mut Value) {
    for subject in items(binding, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            fill(subject, "apiGroup", GROUP);
        }
    }
    if let Some(role) = part(binding, "roleRef") {
        fill_empty(role, "apiGroup", GROUP);
    }
}
