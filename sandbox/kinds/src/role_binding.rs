//! Bindings of roles, in one namespace and everywhere.

use crate::edit::list;
use crate::edit::{fill, fill_empty, items, part, text};
use crate::rules::Rules;
use crate::shown::{self, AGE, NAME, column, wide};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules { default, columns: COLUMNS, cells, ..Rules::NONE };

const COLUMNS: &[Column] = &[
    NAME,
    column("Role", "Role that is bound."),
    AGE,
    wide("Users", "Users who get it."),
    wide("Groups", "Groups that get it."),
    wide("ServiceAccounts", "Service accounts that get it."),
];
pub(crate) static CLUSTER_RULES: Rules = Rules { default, columns: COLUMNS, cells, ..Rules::NONE };

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

fn cells(binding: &Value, now: Timestamp) -> Vec<Value> {
    let role = &binding["roleRef"];
    let named = |kind: &str| {
        let subjects = list(binding, "subjects").iter().filter(|subject| text(subject, "kind") == kind);
        let names = subjects.map(|subject| match (kind, text(subject, "namespace")) {
            ("ServiceAccount", namespace) if !namespace.is_empty() => format!("{namespace}/{}", text(subject, "name")),
            _ => text(subject, "name").to_owned(),
        });
        Value::from(names.collect::<Vec<_>>().join(", "))
    };
    vec![
        shown::name(binding),
        format!("{}/{}", text(role, "kind"), text(role, "name")).into(),
        shown::age(binding, now),
        named("User"),
        named("Group"),
        named("ServiceAccount"),
    ]
}
