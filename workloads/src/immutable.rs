//! Fields that the API server does not let change in place.

use serde_json::{Map, Value};

/// The path of a changed field that forces the object to be deleted and made anew.
pub(crate) fn changed_immutable_field(old: &Value, new: &Value) -> Option<String> {
    let differs = |pointer: &str| old.pointer(pointer) != new.pointer(pointer);
    let first = |pointers: &[&str]| pointers.iter().find(|pointer| differs(pointer)).map(|pointer| dotted(pointer));
    match new["kind"].as_str()? {
        "Job" => first(&[
            "/spec/template",
            "/spec/selector",
            "/spec/completions",
            "/spec/completionMode",
            "/spec/manualSelector",
            "/spec/podFailurePolicy",
        ]),
        "Deployment" | "DaemonSet" | "ReplicaSet" => first(&["/spec/selector"]),
        "StatefulSet" => first_outside(
            old,
            new,
            &[
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
            ],
        ),
        "PersistentVolumeClaim" => claim(old, new),
        "PersistentVolume" => first_outside(
            old,
            new,
            &[
                "capacity",
                "accessModes",
                "mountOptions",
                "persistentVolumeReclaimPolicy",
                "claimRef",
                "storageClassName",
            ],
        ),
        "Pod" => pod(old, new),
        "Service" => {
            // An address that is left out is kept; only one that is asked for can be another one.
            let pointer = "/spec/clusterIP";
            (new.pointer(pointer).is_some() && differs(pointer)).then(|| dotted(pointer))
        }
        "Secret" | "ConfigMap" if old["immutable"] == true => first(&["/immutable", "/data", "/binaryData", "/type"]),
        "Secret" => first(&["/type"]),
        "StorageClass" => first(&["/provisioner", "/parameters", "/reclaimPolicy", "/volumeBindingMode"]),
        "RoleBinding" | "ClusterRoleBinding" => first(&["/roleRef"]),
        "PriorityClass" => first(&["/value", "/preemptionPolicy"]),
        "IngressClass" => first(&["/spec/controller"]),
        "CustomResourceDefinition" => first(&["/spec/group", "/spec/scope", "/spec/names/kind", "/spec/names/plural"]),
        _ => None,
    }
}

fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// The first member of `spec` that differs and is not among those that may.
fn first_outside(old: &Value, new: &Value, mutable: &[&str]) -> Option<String> {
    let empty = Map::new();
    let members = |value: &'_ Value| value["spec"].as_object().cloned().unwrap_or_else(|| empty.clone());
    let (old, new) = (members(old), members(new));
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    let changed = names.into_iter().find(|name| !mutable.contains(&name.as_str()) && old.get(*name) != new.get(*name));
    changed.map(|name| format!("spec.{name}"))
}

/// A claim may only grow.
fn claim(old: &Value, new: &Value) -> Option<String> {
    let request = |claim: &Value| claim.pointer("/spec/resources/requests/storage").and_then(super::quantity::of_value);
    if let (Some(old), Some(new)) = (request(old), request(new))
        && new < old
    {
        return Some("spec.resources.requests.storage".into());
    }
    first_outside(old, new, &["resources", "volumeAttributesClassName"])
}

/// A pod's images may change, hardly anything else.
fn pod(old: &Value, new: &Value) -> Option<String> {
    let without_images = |pod: &Value| {
        let mut pod = pod.clone();
        for container in super::manifest::containers_mut(&mut pod) {
            if let Some(members) = container.as_object_mut() {
                members.shift_remove("image");
            }
        }
        pod
    };
    first_outside(&without_images(old), &without_images(new), &["activeDeadlineSeconds"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn forced(kind: &str, old: Value, new: Value) -> Option<String> {
        let of = |mut value: Value| {
            value["kind"] = kind.into();
            value
        };
        changed_immutable_field(&of(old), &of(new))
    }

    #[allow(clippy::needless_pass_by_value, reason = "the table below reads better without a reference at each value")]
    fn spec(kind: &str, old: Value, new: Value) -> Option<String> {
        forced(kind, json!({ "spec": old }), json!({ "spec": new }))
    }

    #[test]
    fn immutable_fields_are_named() {
        let cases = [
            (spec("Job", json!({"template": {"a": 1}}), json!({"template": {"a": 2}})), "spec.template"),
            (spec("Job", json!({"completions": 1}), json!({})), "spec.completions"),
            (spec("Deployment", json!({"selector": 1}), json!({"selector": 2})), "spec.selector"),
            (spec("StatefulSet", json!({"serviceName": "a"}), json!({"serviceName": "b"})), "spec.serviceName"),
            (spec("StatefulSet", json!({}), json!({"podManagementPolicy": "Parallel"})), "spec.podManagementPolicy"),
            (
                spec("PersistentVolumeClaim", json!({"accessModes": ["a"]}), json!({"accessModes": ["b"]})),
                "spec.accessModes",
            ),
            (spec("Service", json!({}), json!({"clusterIP": "None"})), "spec.clusterIP"),
            (forced("StorageClass", json!({"parameters": {"a": "1"}}), json!({})), "parameters"),
            (forced("RoleBinding", json!({"roleRef": {"name": "a"}}), json!({"roleRef": {"name": "b"}})), "roleRef"),
            (forced("ConfigMap", json!({"immutable": true, "data": {"a": "1"}}), json!({"immutable": true})), "data"),
            (forced("Secret", json!({"type": "Opaque"}), json!({"type": "kubernetes.io/tls"})), "type"),
            (
                spec(
                    "Pod",
                    json!({"containers": [{"image": "a", "args": []}]}),
                    json!({"containers": [{"image": "a"}]}),
                ),
                "spec.containers",
            ),
        ];
        for (found, wanted) in cases {
            assert_eq!(found.as_deref(), Some(wanted));
        }
    }

    #[test]
    fn what_may_change_in_place_forces_nothing() {
        let storage = |size: &str| json!({"resources": {"requests": {"storage": size}}});
        assert_eq!(spec("PersistentVolumeClaim", storage("1Gi"), storage("2Gi")), None);
        assert_eq!(
            spec("PersistentVolumeClaim", storage("1Gi"), storage("512Mi")).as_deref(),
            Some("spec.resources.requests.storage")
        );
        assert_eq!(spec("Job", json!({"backoffLimit": 1}), json!({"backoffLimit": 2})), None);
        assert_eq!(spec("StatefulSet", json!({"replicas": 1}), json!({"replicas": 2, "template": {}})), None);
        assert_eq!(spec("Service", json!({"clusterIP": "10.0.0.1"}), json!({})), None);
        assert_eq!(spec("Pod", json!({"containers": [{"image": "a"}]}), json!({"containers": [{"image": "b"}]})), None);
        assert_eq!(forced("ConfigMap", json!({"data": {"a": "1"}}), json!({"data": {"a": "2"}})), None);
    }
}
