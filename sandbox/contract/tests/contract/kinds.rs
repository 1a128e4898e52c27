//! Where the objects of a kind lie.

use serde_json::Value;

/// Group and version, plural, whether it lies in a namespace.
fn place(kind: &str) -> (&'static str, &'static str, bool) {
    match kind {
        "Namespace" => ("v1", "namespaces", false),
        "Node" => ("v1", "nodes", false),
        "Pod" => ("v1", "pods", true),
        "Service" => ("v1", "services", true),
        "Endpoints" => ("v1", "endpoints", true),
        "ConfigMap" => ("v1", "configmaps", true),
        "Secret" => ("v1", "secrets", true),
        "ServiceAccount" => ("v1", "serviceaccounts", true),
        "PersistentVolume" => ("v1", "persistentvolumes", false),
        "PersistentVolumeClaim" => ("v1", "persistentvolumeclaims", true),
        "ReplicationController" => ("v1", "replicationcontrollers", true),
        "ResourceQuota" => ("v1", "resourcequotas", true),
        "LimitRange" => ("v1", "limitranges", true),
        "Event" => ("v1", "events", true),
        "Deployment" => ("apps/v1", "deployments", true),
        "ReplicaSet" => ("apps/v1", "replicasets", true),
        "StatefulSet" => ("apps/v1", "statefulsets", true),
        "Job" => ("batch/v1", "jobs", true),
        "CronJob" => ("batch/v1", "cronjobs", true),
        "EndpointSlice" => ("discovery.k8s.io/v1", "endpointslices", true),
        "StorageClass" => ("storage.k8s.io/v1", "storageclasses", false),
        "Role" => ("rbac.authorization.k8s.io/v1", "roles", true),
        "RoleBinding" => ("rbac.authorization.k8s.io/v1", "rolebindings", true),
        "ClusterRole" => ("rbac.authorization.k8s.io/v1", "clusterroles", false),
        "ClusterRoleBinding" => ("rbac.authorization.k8s.io/v1", "clusterrolebindings", false),
        "SelfSubjectAccessReview" => ("authorization.k8s.io/v1", "selfsubjectaccessreviews", false),
        _ => panic!("{kind} has no place in kinds.rs"),
    }
}

/// The version that objects of a kind name.
pub fn version(kind: &str) -> &'static str {
    place(kind).0
}

/// Whether objects of a kind lie in a namespace.
pub fn is_namespaced(kind: &str) -> bool {
    place(kind).2
}

/// The path of all objects of a kind in a namespace.
pub fn path(kind: &str, namespace: &str) -> String {
    let (version, plural, namespaced) = place(kind);
    let root = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
    if namespaced { format!("{root}/namespaces/{namespace}/{plural}") } else { format!("{root}/{plural}") }
}

/// The kind that an object says it is.
pub fn of(object: &Value) -> &str {
    object["kind"].as_str().expect("an object has a kind")
}
