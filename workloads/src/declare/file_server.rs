//! File servers in the cluster: a pod for each claim that is served by one, with its disk and the address that nodes mount it by.

use engine::Address;
use providers::kubernetes::Identity;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{object_address, ready_address};
use crate::object::GIVES_ADDRESS;
use crate::spec::{FileServer, Manifest, SharedVolume, Spec};

/// Where file servers are: away from what the scenario counts and bounds in its own namespaces.
const NAMESPACE: &str = "infra-file-servers";
/// The folder that is served, which is also its path for clients.
pub(super) const FOLDER: &str = "/export";
/// The output of the service that nodes mount by.
pub(super) const ADDRESS: &str = "cluster_ip";
/// How nodes mount it: everything is at one port, and there are no locks between nodes.
pub(super) const OPTIONS: [&str; 7] =
    ["nfsvers=3", "proto=tcp", "port=2049", "mountport=2049", "mountproto=tcp", "nolock", "hard"];
const PORT: u16 = 2049;
/// As long as a name may be, less the digest.
const LONGEST: usize = 63 - 7;

/// The claim of the file server that serves a claim, as namespace and name: what its disk is bound to.
pub fn claim(namespace: &str, claim: &str) -> (String, String) {
    (NAMESPACE.to_owned(), name(namespace, claim))
}

/// The name of everything of a file server. Claims of two namespaces may have the same name.
fn name(namespace: &str, claim: &str) -> String {
    let digest = Sha256::digest(format!("{namespace}/{claim}"));
    let plain: String = claim.replace('.', "-").chars().take(LONGEST).collect();
    format!("{}-{:02x}{:02x}{:02x}", plain.trim_end_matches('-'), digest[0], digest[1], digest[2])
}

/// What gives the server's address, and what says that it serves.
pub(super) fn addresses(shared: &SharedVolume) -> (Address, Address) {
    let name = name(&shared.namespace, &shared.claim);
    let of = |version: &str, kind: &str| Identity::new(version, kind, Some(NAMESPACE), &name);
    (object_address(&of("v1", "Service")), ready_address(&of("apps/v1", "Deployment")))
}

/// The manifests of all file servers in the cluster.
pub(super) fn manifests(spec: &Spec) -> Vec<Manifest> {
    let servers = spec.shared.iter().filter_map(|shared| match &shared.server {
        FileServer::InCluster { image } => Some((shared, image)),
        FileServer::InCloud { .. } => None,
    });
    servers.flat_map(|(shared, image)| of_server(shared, image)).collect()
}

fn of_server(shared: &SharedVolume, image: &str) -> [Manifest; 3] {
    let name = name(&shared.namespace, &shared.claim);
    let file = format!("the file server of claim {}/{}", shared.namespace, shared.claim);
    let objects = [disk_claim(&name, shared.size_gigabytes), service(&name), deployment(&name, image)];
    objects.map(|value| Manifest { value, file: file.clone(), line: 0, step: None })
}

fn disk_claim(name: &str, size_gigabytes: u32) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": format!("{size_gigabytes}Gi")}},
        },
    })
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE, "annotations": {GIVES_ADDRESS: "true"}},
        "spec": {"selector": {"app": name}, "ports": [{"name": "nfs", "port": PORT}]},
    })
}

fn deployment(name: &str, image: &str) -> Value {
    let container = json!({
        "name": "nfs",
        "image": image,
        "args": [FOLDER],
        "ports": [{"name": "nfs", "containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        // It keeps the files of every user; nothing of it needs the node.
        "securityContext": {"runAsUser": 0, "allowPrivilegeEscalation": false},
        "volumeMounts": [{"name": "disk", "mountPath": FOLDER}],
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            // A disk is at one machine: the next server begins when the one before is gone.
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 5,
                    "containers": [container],
                    "volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": name}}],
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_server_has_a_name_that_fits_and_that_no_other_has() {
        assert_ne!(name("one", "data"), name("other", "data"));
        assert!(name("demo", "data").starts_with("data-"));
        assert!(name("demo", &"a.very-long.claim".repeat(12)).len() <= 63);
    }
}
