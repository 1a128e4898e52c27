//! The cluster roles and bindings that every cluster has.

use kinds::Resource;
use serde_json::{Value, json};

const DATA: &str = include_str!("defaults.json");
const GROUP: &str = "rbac.authorization.k8s.io";

/// Cluster roles and bindings for a new sandbox, in the order in which they are to be made.
pub fn default_roles() -> Vec<(&'static Resource, Value)> {
    // The data is part of the program, and a test reads it.
    let data: Value = serde_json::from_str(DATA).unwrap_or_default();
    let items = |field: &str| data[field].as_array().cloned().unwrap_or_default();
    let roles = items("roles").into_iter().map(|it| (kinds::CLUSTER_ROLES, role(&it)));
    let bindings = items("bindings").into_iter().map(|it| (kinds::CLUSTER_ROLE_BINDINGS, binding(&it)));
    roles.chain(bindings).collect()
}

fn metadata(name: &Value) -> Value {
    json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    })
}

fn aggregation_label(to: &Value) -> Option<String> {
    Some(format!("{GROUP}/aggregate-to-{}", to.as_str()?))
}

fn role(data: &Value) -> Value {
    let mut role = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRole", "metadata": metadata(&data["name"]),
        "rules": data["rules"].as_array().cloned().unwrap_or_default(),
    });
    if let Some(label) = aggregation_label(&data["aggregated_to"]) {
        role["metadata"]["labels"][label] = json!("true");
    }
    if let Some(label) = aggregation_label(&data["aggregates"]) {
        role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    }
    role
}

fn binding(data: &Value) -> Value {
    let groups = data["groups"].as_array().into_iter().flatten();
    let subjects: Vec<Value> = groups.map(|name| json!({"apiGroup": GROUP, "kind": "Group", "name": name})).collect();
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRoleBinding", "metadata": metadata(&data["role"]),
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": data["role"]}, "subjects": subjects,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_binding_names_a_default_role_and_all_are_valid() {
        let all = default_roles();
        let named = |resource: &'static Resource| -> Vec<Value> {
            let found = all.iter().filter(|(it, _)| *it == resource);
            found.map(|(_, object)| object["metadata"]["name"].clone()).collect()
        };
        assert_eq!((named(kinds::CLUSTER_ROLES).len(), named(kinds::CLUSTER_ROLE_BINDINGS).len()), (11, 4));
        for (resource, object) in &all {
            assert_eq!(kinds::validate_create(resource, object), [], "{}", object["metadata"]["name"]);
            let role = &object["roleRef"]["name"];
            assert!(role.is_null() || named(kinds::CLUSTER_ROLES).contains(role), "{role}");
        }
    }
}
