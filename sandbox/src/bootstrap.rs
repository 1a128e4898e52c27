//! The objects that every cluster begins with.

use apiserver::{Api, Status, User, WriteOptions};
use kinds::Resource;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// Makes what is missing of the first objects. `address` and `port` are the API's own inside the cluster; of the storage `classes` the
/// first is the default.
pub(crate) async fn first_objects(api: &Api, address: Ipv4Addr, port: u16, classes: &[String]) -> Result<(), Status> {
    let by = User::system("sandbox");
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        make(api, &by, kinds::NAMESPACES, "", json!({ "metadata": { "name": name } })).await?;
    }
    let rest = [(kinds::SERVICES, "default", kubernetes()), (kinds::SERVICES, "kube-system", dns())];
    let roles = apiserver::default_roles().into_iter().map(|(resource, object)| (resource, "", object));
    let classes = classes.iter().enumerate();
    let classes = classes.map(|(place, name)| (kinds::STORAGE_CLASSES, "", storage_class(name, place == 0)));
    let made = rest
        .into_iter()
        .chain(classes)
        .chain(roles)
        .map(|(resource, namespace, object)| make(api, &by, resource, namespace, object));
    futures::future::try_join_all(made).await?;
    let slice = endpoints(address, port);
    make(api, &by, kinds::ENDPOINT_SLICES, "default", slice.clone()).await?;
    let place = ("default", "kubernetes");
    let current = api.modify(&by, kinds::ENDPOINT_SLICES, None, place, |object| {
        let same = object["endpoints"] == slice["endpoints"];
        object["endpoints"] = slice["endpoints"].clone();
        !same
    });
    current.await.map(drop)
}

async fn make(
    api: &Api,
    by: &User,
    resource: &'static Resource,
    namespace: &str,
    mut object: Value,
) -> Result<(), Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if api.get(resource, namespace, name).is_ok() {
        return Ok(());
    }
    object["apiVersion"] = resource.api_version().into();
    object["kind"] = resource.kind.into();
    match api.create(by, resource, namespace, object, &WriteOptions::default()).await {
        Err(status) if !status.is_already_exists() => Err(status),
        _ => Ok(()),
    }
}

fn storage_class(name: &str, is_default: bool) -> Value {
    let mut class = json!({
        "metadata": { "name": name },
        "provisioner": controllers::PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    });
    if is_default {
        class["metadata"]["annotations"] = json!({ "storageclass.kubernetes.io/is-default-class": "true" });
    }
    class
}

fn kubernetes() -> Value {
    json!({
        "metadata": { "name": "kubernetes", "labels": { "component": "apiserver", "provider": "kubernetes" } },
        "spec": {
            "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "type": "ClusterIP",
            "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443 }],
        },
    })
}

/// The address of the cluster's names, answered by the node itself.
fn dns() -> Value {
    let port = |name: &str, protocol: &str| json!({ "name": name, "port": 53, "protocol": protocol, "targetPort": 53 });
    json!({
        "metadata": { "name": "kube-dns", "labels": { "k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS" } },
        "spec": {
            "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "type": "ClusterIP",
            "ports": [port("dns", "UDP"), port("dns-tcp", "TCP")],
        },
    })
}

fn endpoints(address: Ipv4Addr, port: u16) -> Value {
    json!({
        "metadata": { "name": "kubernetes", "labels": { "kubernetes.io/service-name": "kubernetes" } },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [address.to_string()], "conditions": { "ready": true } }],
        "ports": [{ "name": "https", "port": port, "protocol": "TCP" }],
    })
}
