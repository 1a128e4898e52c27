//! Reading manifests: what is in them, and what they refer to.

use std::collections::{BTreeMap, BTreeSet};

use providers::kubernetes::Identity;
use serde_json::{Value, json};

/// The label that says which deployment an object belongs to.
pub const DEPLOYMENT_LABEL: &str = "infra/deployment";
/// The annotation with the manifest that an object was applied from.
const MANIFEST_ANNOTATION: &str = "infra/manifest";
/// An object's annotations may have 256 KiB together. A longer manifest is left out.
const LONGEST_MANIFEST_BYTES: usize = 128 * 1024;
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Kinds that a deployment waits for.
const WORKLOADS: [&str; 5] = ["Deployment", "StatefulSet", "DaemonSet", "Job", "Pod"];

/// Whether a deployment waits for objects of this kind.
pub(crate) fn is_workload(identity: &Identity) -> bool {
    matches!(identity.kind.group(), "apps" | "batch" | "") && WORKLOADS.contains(&identity.kind.kind.as_str())
}

/// Every object in a document: the items of a `List`, of a list of lists, or the document itself.
pub(crate) fn flatten(document: &Value) -> Vec<Value> {
    let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match document.get("items").and_then(Value::as_array).filter(|_| is_list) {
        Some(items) => items.iter().flat_map(flatten).collect(),
        None => vec![document.clone()],
    }
}

/// Where the pod template of a kind is; an empty pointer for a pod itself.
fn template_pointer(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some(""),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => Some("/spec/template"),
        "CronJob" => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

/// The pod template (or pod) inside a manifest.
pub(crate) fn template(manifest: &Value) -> Option<&Value> {
    manifest.pointer(template_pointer(manifest["kind"].as_str()?)?)
}

fn template_mut(manifest: &mut Value) -> Option<&mut Value> {
    let pointer = template_pointer(manifest["kind"].as_str()?)?;
    manifest.pointer_mut(pointer)
}

/// The deployment that an object's labels name.
pub(crate) fn deployment_of(manifest: &Value) -> Option<&str> {
    manifest.get("metadata")?.get("labels")?.get(DEPLOYMENT_LABEL)?.as_str()
}

/// Puts the deployment's labels on the object and on its pod template.
///
/// The pods get the label so that one selector finds all of them, whatever made them. A workload's own selector is left alone: it
/// is written out in its manifest (or generated for a Job), so that one more label on the pods does not change what it selects.
pub(crate) fn label(manifest: &mut Value, deployment: &str) {
    set_labels(manifest, deployment);
    if let Some(template) = template_mut(manifest) {
        set_labels(template, deployment);
    }
    // Claims that a StatefulSet makes outlive it; the label lets a later delete find them.
    let claims = manifest.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut);
    for claim in claims.into_iter().flatten() {
        set_labels(claim, deployment);
    }
}

/// Writes the manifest, the values of a Secret sealed, on what is applied: from it the object can be found again without a journal.
pub(crate) fn annotate(applied: &mut Value, sealed: &Value) {
    let text = sealed.to_string();
    if text.len() > LONGEST_MANIFEST_BYTES {
        return;
    }
    let annotations = &mut applied["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations[MANIFEST_ANNOTATION] = text.into();
}

/// The manifest that an object with these annotations was applied from.
pub(crate) fn annotated(annotations: &BTreeMap<String, String>) -> Option<Value> {
    serde_json::from_str(annotations.get(MANIFEST_ANNOTATION)?).ok()
}

fn set_labels(object: &mut Value, deployment: &str) {
    let Some(members) = object.as_object_mut() else { return };
    let metadata = members.entry("metadata").or_insert_with(|| json!({}));
    if metadata.is_null() {
        *metadata = json!({});
    }
    let Some(metadata) = metadata.as_object_mut() else { return };
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if labels.is_null() {
        *labels = json!({});
    }
    if let Some(labels) = labels.as_object_mut() {
        labels.insert(DEPLOYMENT_LABEL.into(), deployment.into());
        labels.insert(MANAGED_BY_LABEL.into(), "infra".into());
    }
}

/// All containers of a manifest's pods, with those that run before the others.
pub(crate) fn containers_mut(manifest: &mut Value) -> impl Iterator<Item = &mut Value> {
    let specification =
        template_mut(manifest).and_then(|template| template.get_mut("spec")).and_then(Value::as_object_mut);
    specification
        .into_iter()
        .flatten()
        .filter(|(name, _)| matches!(name.as_str(), "containers" | "initContainers"))
        .filter_map(|(_, containers)| containers.as_array_mut())
        .flatten()
}

/// Objects that must be there before this one: kind, namespace (none for the whole cluster) and name.
pub(crate) type References = BTreeSet<(&'static str, Option<String>, String)>;

/// What a manifest refers to by name.
pub(crate) fn references(manifest: &Value, namespace: Option<&str>) -> References {
    let mut found = References::new();
    if let Some(specification) = template(manifest).and_then(|template| template.get("spec")) {
        pod_references(specification, namespace, &mut found);
    }
    let specification = &manifest["spec"];
    let mut add = |kind, namespace: Option<&str>, name: &Value| insert(&mut found, kind, namespace, name);
    match manifest["kind"].as_str().unwrap_or_default() {
        "RoleBinding" | "ClusterRoleBinding" => {
            match manifest["roleRef"]["kind"].as_str() {
                Some("Role") => add("Role", namespace, &manifest["roleRef"]["name"]),
                _ => add("ClusterRole", None, &manifest["roleRef"]["name"]),
            }
            for subject in list(&manifest["subjects"]).filter(|subject| subject["kind"] == "ServiceAccount") {
                add("ServiceAccount", subject["namespace"].as_str().or(namespace), &subject["name"]);
            }
        }
        "StatefulSet" => {
            add("Service", namespace, &specification["serviceName"]);
            for claim in list(&specification["volumeClaimTemplates"]) {
                add("StorageClass", None, &claim["spec"]["storageClassName"]);
            }
        }
        "PersistentVolumeClaim" => {
            add("StorageClass", None, &specification["storageClassName"]);
            add("PersistentVolume", None, &specification["volumeName"]);
        }
        "PersistentVolume" => add("StorageClass", None, &specification["storageClassName"]),
        "Ingress" => add("IngressClass", None, &specification["ingressClassName"]),
        "HorizontalPodAutoscaler" => {
            for kind in ["Deployment", "StatefulSet"] {
                if specification["scaleTargetRef"]["kind"] == kind {
                    add(kind, namespace, &specification["scaleTargetRef"]["name"]);
                }
            }
        }
        _ => {}
    }
    found
}

fn pod_references(specification: &Value, namespace: Option<&str>, found: &mut References) {
    let mut add = |kind, name: &Value| insert(found, kind, namespace, name);
    add("ServiceAccount", &specification["serviceAccountName"]);
    for secret in list(&specification["imagePullSecrets"]) {
        add("Secret", &secret["name"]);
    }
    for volume in list(&specification["volumes"]) {
        add("ConfigMap", &volume["configMap"]["name"]);
        add("Secret", &volume["secret"]["secretName"]);
        add("PersistentVolumeClaim", &volume["persistentVolumeClaim"]["claimName"]);
        for source in list(&volume["projected"]["sources"]) {
            add("ConfigMap", &source["configMap"]["name"]);
            add("Secret", &source["secret"]["name"]);
        }
    }
    for container in list(&specification["containers"]).chain(list(&specification["initContainers"])) {
        for source in list(&container["envFrom"]) {
            add("ConfigMap", &source["configMapRef"]["name"]);
            add("Secret", &source["secretRef"]["name"]);
        }
        for variable in list(&container["env"]) {
            add("ConfigMap", &variable["valueFrom"]["configMapKeyRef"]["name"]);
            add("Secret", &variable["valueFrom"]["secretKeyRef"]["name"]);
        }
    }
    insert(found, "PriorityClass", None, &specification["priorityClassName"]);
}

fn insert(found: &mut References, kind: &'static str, namespace: Option<&str>, name: &Value) {
    if let Some(name) = name.as_str().filter(|name| !name.is_empty()) {
        found.insert((kind, namespace.map(str::to_owned), name.to_owned()));
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_lists_are_flattened() {
        let one = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        let inner = json!({"apiVersion": "v1", "kind": "ConfigMapList", "items": [one("b"), one("c")]});
        let outer = json!({"apiVersion": "v1", "kind": "List", "items": [one("a"), inner]});
        assert_eq!(flatten(&outer), [one("a"), one("b"), one("c")]);
        assert_eq!(flatten(&one("d")), [one("d")]);
    }

    #[test]
    fn an_object_carries_the_manifest_that_it_was_applied_from() {
        let sealed = json!({"kind": "ConfigMap", "metadata": {"name": "a", "annotations": null}, "data": {"a": "b"}});
        let mut applied = sealed.clone();
        annotate(&mut applied, &sealed);
        let annotations = serde_json::from_value(applied["metadata"]["annotations"].clone()).expect("texts");
        assert_eq!(annotated(&annotations), Some(sealed));
        let long = json!({"kind": "ConfigMap", "data": {"a": "b".repeat(LONGEST_MANIFEST_BYTES)}});
        let mut applied = long.clone();
        annotate(&mut applied, &long);
        assert_eq!(applied, long, "the API server would refuse it");
    }

    #[test]
    fn pods_refer_to_maps_secrets_claims_and_accounts() {
        let job = json!({"kind": "Job", "spec": {"template": {"spec": {
            "serviceAccountName": "runner",
            "imagePullSecrets": [{"name": "registry"}],
            "volumes": [
                {"configMap": {"name": "settings"}}, {"secret": {"secretName": "token"}},
                {"persistentVolumeClaim": {"claimName": "model"}},
                {"projected": {"sources": [{"configMap": {"name": "part"}}]}}],
            "containers": [{"envFrom": [{"secretRef": {"name": "login"}}]}],
            "initContainers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "first", "key": "k"}}}]}],
        }}}});
        let names: Vec<String> =
            references(&job, Some("a")).into_iter().map(|(kind, _, name)| format!("{kind} {name}")).collect();
        assert_eq!(
            names,
            [
                "ConfigMap first",
                "ConfigMap part",
                "ConfigMap settings",
                "PersistentVolumeClaim model",
                "Secret login",
                "Secret registry",
                "Secret token",
                "ServiceAccount runner"
            ]
        );
    }

    #[test]
    fn labels_go_on_the_object_and_its_pods_and_not_into_the_selector() {
        let mut deployment = json!({"kind": "Deployment", "metadata": {"name": "a", "labels": null},
            "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": {"metadata": {"labels": {"app": "a"}}, "spec": {}}}});
        label(&mut deployment, "demo");
        let labels = json!({"infra/deployment": "demo", "app.kubernetes.io/managed-by": "infra"});
        assert_eq!(deployment["metadata"]["labels"], labels);
        assert_eq!(deployment["spec"]["template"]["metadata"]["labels"]["infra/deployment"], "demo");
        assert_eq!(deployment["spec"]["selector"]["matchLabels"], json!({"app": "a"}));
    }
}
