//! Bindings of roles, in one namespace and everywhere.

use crate::cause::Causes;
use crate::checks::{choice, named_if_set, required_name, required_text};
use crate::edit::{fill, fill_empty, items, list, part, text};
use crate::names;
use crate::node::Node;
use crate::rules::Rules;
use crate::shown::{self, AGE, NAME, column, wide};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

pub(crate) static RULES: Rules =
    Rules { default, columns: COLUMNS, cells, name: names::path_segment, validate, validate_update, ..Rules::NONE };

const COLUMNS: &[Column] = &[
    NAME,
    column("Role", "Role that is bound."),
    AGE,
    wide("Users", "Users who get it."),
    wide("Groups", "Groups that get it."),
    wide("ServiceAccounts", "Service accounts that get it."),
];
pub(crate) static CLUSTER_RULES: Rules = Rules {
    default,
    columns: COLUMNS,
    cells,
    name: names::path_segment,
    validate: validate_everywhere,
    validate_update,
    ..Rules::NONE
};

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
        let names = subjects.map(|subject| match kind {
            "ServiceAccount" => format!("{}/{}", text(subject, "namespace"), text(subject, "name")),
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

fn validate(binding: &Node, causes: &mut Causes) {
    binding_of(binding, &["Role", "ClusterRole"], causes);
}

fn validate_everywhere(binding: &Node, causes: &mut Causes) {
    binding_of(binding, &["ClusterRole"], causes);
}

fn binding_of(binding: &Node, kinds: &[&str], causes: &mut Causes) {
    let role = binding.get("roleRef");
    choice(&role.get("apiGroup"), &[GROUP], causes);
    if !kinds.contains(&role.get("kind").text()) {
        causes.unsupported_value(&role.get("kind"), role.get("kind").text(), kinds);
    }
    required_name(&role.get("name"), names::path_segment, causes);
    let subjects = binding.get("subjects");
    subjects.items().for_each(|each| subject(&each, kinds.len() > 1, causes));
}

fn subject(at: &Node, in_namespace: bool, causes: &mut Causes) {
    const KINDS: &[&str] = &["ServiceAccount", "User", "Group"];
    let (name, group) = (at.get("name"), at.get("apiGroup"));
    required_text(&name, causes);
    match at.get("kind").text() {
        "ServiceAccount" => {
            named_if_set(&name, names::subdomain, causes);
            if !group.is_empty() {
                causes.unsupported(&group, &[""]);
            }
            if !in_namespace {
                required_text(&at.get("namespace"), causes);
            }
        }
        "User" | "Group" => {
            if group.text() != GROUP {
                causes.unsupported_value(&group, group.text(), &[GROUP]);
            }
        }
        other => causes.unsupported_value(&at.get("kind"), other, KINDS),
    }
}

fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    let (before, after) = (old.get("roleRef"), new.get("roleRef"));
    if before.value != after.value {
        let of = |field: &str| after.get(field).value.clone();
        let shown = json!({"APIGroup": of("apiGroup"), "Kind": of("kind"), "Name": of("name")});
        causes.invalid_value(&after, shown, "cannot change roleRef");
    }
}
