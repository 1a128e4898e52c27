//! Each pod runs as a service account of its namespace, and gets its token as a volume.

use std::time::Duration;

use kinds::Resource;
use serde_json::{Value, json};

use super::pods::push;
use super::{Attempt, containers};
use crate::{Api, Status, metadata};

const DEFAULT: &str = "default";
const VOLUME: &str = "kube-api-access-";
const FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The real server retries for about this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits a moment for the service account `default` of a namespace that was made just now, since a pod is often created
/// right behind its namespace. Is called before the write lock is taken.
pub(crate) async fn settle(api: &Api, resource: &'static Resource, namespace: &str, object: &Value) {
    let wanted = object["spec"]["serviceAccountName"].as_str().unwrap_or_default();
    if resource != kinds::PODS || !matches!(wanted, "" | DEFAULT) {
        return;
    }
    let mut changes = api.changes();
    let is_there = || api.get(kinds::SERVICE_ACCOUNTS, namespace, DEFAULT).is_ok();
    if is_there() || api.get(kinds::NAMESPACES, "", namespace).is_err() {
        return;
    }
    let arrival = async {
        loop {
            match changes.recv().await {
                Ok(change) if change.resource != kinds::SERVICE_ACCOUNTS => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
                _ if is_there() => return,
                _ => {}
            }
        }
    };
    // Without it the pod is refused with the reason.
    let _ = tokio::time::timeout(PATIENCE, arrival).await;
}

/// Gives a new pod its account, the account's token and its pull secrets.
pub(super) fn assign(api: &Api, attempt: &Attempt<'_>, pod: &mut Value) -> Result<(), Status> {
    let wanted = pod["spec"]["serviceAccountName"].as_str().filter(|name| !name.is_empty());
    let name = wanted.unwrap_or(DEFAULT).to_owned();
    let namespace = attempt.namespace;
    let account = api.get(kinds::SERVICE_ACCOUNTS, namespace, &name).map_err(|_| {
        let why = format!("error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found");
        attempt.forbidden(pod, &why)
    })?;
    pod["spec"]["serviceAccountName"] = json!(name);
    pod["spec"]["serviceAccount"] = json!(name);
    let mounts = pod["spec"]["automountServiceAccountToken"].as_bool();
    if mounts.or(account["automountServiceAccountToken"].as_bool()).unwrap_or(true) {
        mount_token(pod);
    }
    if super::items(&pod["spec"], "imagePullSecrets").next().is_none()
        && super::items(&account, "imagePullSecrets").next().is_some()
    {
        pod["spec"]["imagePullSecrets"] = account["imagePullSecrets"].clone();
    }
    Ok(())
}

/// Mounts the token into every container that has nothing else in its place.
fn mount_token(pod: &mut Value) {
    let names = super::items(&pod["spec"], "volumes").filter_map(|volume| volume["name"].as_str());
    let found = names.into_iter().find(|name| name.starts_with(VOLUME)).map(str::to_owned);
    let is_there = found.is_some();
    let name = found.unwrap_or_else(|| metadata::generated_name(VOLUME));
    let has_place =
        |container: &Value| !super::items(container, "volumeMounts").any(|mount| mount["mountPath"] == FOLDER);
    if !containers(&pod["spec"]).any(has_place) {
        return;
    }
    for list in ["initContainers", "containers"] {
        for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if has_place(container) {
                push(container, "volumeMounts", json!({"name": name, "readOnly": true, "mountPath": FOLDER}));
            }
        }
    }
    if !is_there {
        push(
            &mut pod["spec"],
            "volumes",
            json!({"name": name, "projected": {"sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
            ]}},
        ], "defaultMode": 420}}),
        );
    }
}

/// Tokens that never expire are not made here.
pub(super) fn refuse_lasting_token(attempt: &Attempt<'_>, secret: &Value) -> Result<(), Status> {
    let is_named = secret["metadata"]["annotations"]["kubernetes.io/service-account.name"].is_string();
    if secret["type"] != "kubernetes.io/service-account-token" || !is_named {
        return Ok(());
    }
    let why = "the sandbox makes no tokens that never expire (type kubernetes.io/service-account-token): use `kubectl \
               create token`, or the token in a pod's own volume";
    Err(attempt.forbidden(secret, why))
}
