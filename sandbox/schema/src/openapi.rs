//! The little that kubectl wants to know of the API before it writes.

use serde_json::{Value, json};

use crate::load;

const CLUSTER_WIDE: [&str; 6] =
    ["Namespace", "Node", "PersistentVolume", "StorageClass", "ClusterRole", "ClusterRoleBinding"];
/// The parameters of a patch that kubectl looks for: it asks the server to validate fields and to try without writing.
const PARAMETERS: [&str; 4] = ["dryRun", "fieldManager", "fieldValidation", "force"];

/// The `OpenAPI` v3 document of a group version such as `v1` or `apps/v1`; `None` if it has no kinds.
///
/// It tells which parameters a patch of each kind takes, so that kubectl leaves validation and dry runs to the server, and
/// leaves out the schemas: kubectl computes its patches from the types that it has built in.
pub fn openapi_v3(group_version: &str) -> Option<Value> {
    let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
    let mut paths = serde_json::Map::new();
    for root in load::ROOTS.iter().filter(|root| root.group == group && root.version == version) {
        let prefix = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let scope = if CLUSTER_WIDE.contains(&root.kind) { "" } else { "/namespaces/{namespace}" };
        let path = format!("{prefix}{scope}/{}/{{name}}", plural(root.kind));
        paths.insert(path, json!({ "patch": patch(group, version, root.kind) }));
    }
    if paths.is_empty() {
        return None;
    }
    Some(
        json!({ "openapi": "3.0.0", "info": { "title": "Kubernetes", "version": "v1.34" }, "paths": paths, "components": {} }),
    )
}

fn patch(group: &str, version: &str, kind: &str) -> Value {
    let parameters: Vec<Value> =
        PARAMETERS.iter().map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } })).collect();
    json!({
        "operationId": format!("patch{kind}"),
        "parameters": parameters,
        "responses": { "200": { "description": "OK" } },
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": { "group": group, "version": version, "kind": kind },
    })
}

fn plural(kind: &str) -> String {
    let ending = if kind.ends_with('s') { "es" } else { "s" };
    format!("{}{ending}", kind.to_lowercase())
}
