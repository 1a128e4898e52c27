//! The Kubernetes of simulated clusters: sandboxes, each in a folder of its own, that end with this process however it ends.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use engine::Failure;
use sandbox::{Disks, NodeCredential, NodeShape, RegistryMirror, Settings, Taint};
use sha2::{Digest, Sha256};
use simulator::{ClusterError, ClusterShape, Clusters, Kubernetes};

use crate::launcher::{self, blocking};

/// The folder of disks, below that of all clusters. No cluster has this name: an id does not begin with a dot.
const DISKS: &str = ".disks";
/// The drivers of disks and file servers that Google's clusters have.
const DRIVERS: [&str; 3] = ["pd.csi.storage.gke.io", "filestore.csi.storage.gke.io", "nfs"];

/// The storage classes that Google's clusters have, the default one first.
const CLASSES: [&str; 3] = ["standard-rwo", "premium-rwo", "standard"];

/// One sandbox, while something is done to it.
type Slot = Arc<Mutex<Option<Child>>>;

/// Starts sandboxes in folders below one folder. Dropping it ends them all; their folders stay.
#[derive(Debug)]
pub struct SandboxClusters {
    folder: PathBuf,
    slots: Mutex<HashMap<String, Slot>>,
}

impl SandboxClusters {
    /// Sandboxes below this folder, which need not be there yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), slots: Mutex::default() }
    }

    async fn start_cluster(&self, wanted: &ClusterShape) -> Result<Kubernetes, Failure> {
        let (folder, slot) = self.place(&wanted.id)?;
        let wanted = wanted.clone();
        blocking(move || start(&folder, &mut slot.lock().unwrap_or_else(PoisonError::into_inner), &wanted)).await
    }

    /// Returns when pods of nodes that go have ended.
    async fn set_cluster_nodes(&self, id: &str, nodes: Vec<NodeShape>) -> Result<(), Failure> {
        let (folder, slot) = self.place(id)?;
        blocking(move || {
            let _alone = slot.lock().unwrap_or_else(PoisonError::into_inner);
            // What is gone stays gone.
            if !folder.is_dir() {
                return Ok(());
            }
            Ok(sandbox::set_nodes(&folder, Some(nodes))?)
        })
        .await
    }

    /// Ends a cluster and removes all that it had.
    async fn stop_cluster(&self, id: &str) -> Result<(), Failure> {
        let (folder, slot) = self.place(id)?;
        blocking(move || {
            let mut child = slot.lock().unwrap_or_else(PoisonError::into_inner);
            launcher::remove(&folder)?;
            if let Some(mut child) = child.take() {
                child.wait()?;
            }
            Ok(())
        })
        .await
    }

    fn place(&self, id: &str) -> Result<(PathBuf, Slot), Failure> {
        let plain = |each: char| each.is_ascii_alphanumeric() || "-_.".contains(each);
        if id.is_empty() || id.starts_with('.') || !id.chars().all(plain) {
            return Err(format!("use {id:?} as a name: it names no folder").into());
        }
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).entry(id.to_owned()).or_default().clone();
        Ok((self.folder.join(id), slot))
    }
}

#[async_trait]
impl Clusters for SandboxClusters {
    async fn start(&self, cluster: &ClusterShape) -> Result<Kubernetes, ClusterError> {
        self.start_cluster(cluster).await.map_err(|failure| told(&failure))
    }

    async fn set_nodes(&self, id: &str, nodes: &[simulator::NodeShape]) -> Result<(), ClusterError> {
        self.set_cluster_nodes(id, nodes.iter().map(shape).collect()).await.map_err(|failure| told(&failure))
    }

    async fn stop(&self, id: &str) -> Result<(), ClusterError> {
        self.stop_cluster(id).await.map_err(|failure| told(&failure))
    }
}

fn told(failure: &Failure) -> ClusterError {
    ClusterError::new(failure.causes().join(": "))
}

/// A node of a simulated cluster as the sandbox has it.
fn shape(node: &simulator::NodeShape) -> NodeShape {
    let taint = |taint: &simulator::Taint| Taint {
        key: taint.key.clone(),
        value: taint.value.clone(),
        effect: taint.effect.clone(),
    };
    NodeShape {
        name: node.name.clone(),
        labels: node.labels.clone(),
        taints: node.taints.iter().map(taint).collect(),
        cpu_millis: Some(node.cpu_millis),
        memory_bytes: Some(node.memory_bytes),
        pods: Some(node.pods),
        version: Some(node.version.clone()),
    }
}

fn start(folder: &Path, child: &mut Option<Child>, wanted: &ClusterShape) -> Result<Kubernetes, Failure> {
    let held = Settings::read(folder)?;
    let nodes = wanted.nodes.iter().map(shape).collect();
    let settings = Settings { nodes: held.nodes.clone(), generation: held.generation, ..settings(folder, wanted) };
    let runs = match launcher::settle(folder)? {
        // What else it is to be it learns at its start only.
        Some(_) if settings != held => {
            sandbox::stop(folder)?;
            if let Some(mut before) = child.take() {
                before.wait()?;
            }
            None
        }
        runs => runs,
    };
    settings.write(folder)?;
    sandbox::set_nodes(folder, Some(nodes))?;
    let ready = if let Some(ready) = runs {
        ready
    } else {
        let (ready, started) = launcher::spawn(folder, true)?;
        *child = Some(started);
        ready
    };
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| Failure::from(format!("read {}: {error}", path.display())))
    };
    Ok(Kubernetes {
        endpoint: ready.address.to_string(),
        ca_certificate: read(&folder.join("ca.crt"))?.into_bytes(),
        kubeconfig: read(&ready.kubeconfig)?,
    })
}

fn settings(folder: &Path, wanted: &ClusterShape) -> Settings {
    let mirror = |host: &String| RegistryMirror {
        host: host.clone(),
        url: wanted.registry.clone(),
        credential: Some(NodeCredential::TokenUrl(wanted.node_token.clone())),
    };
    Settings {
        token_review: Some(wanted.token_review.clone()),
        version: Some(wanted.version.clone()),
        registries: wanted.registry_hosts.iter().map(mirror).collect(),
        load_balancers: Some(network(folder)),
        storage_classes: CLASSES.map(str::to_owned).to_vec(),
        // Beside the clusters: a disk outlives the one that it is attached to.
        disks: folder
            .parent()
            .map(|all| Disks { folder: all.join(DISKS), drivers: DRIVERS.map(str::to_owned).to_vec() }),
        ..Settings::default()
    }
}

/// A network of loopback addresses for a cluster's load balancers, away from the stand-ins of addresses that the simulator
/// reserves. Those of clusters that run at once differ in all likelihood; where they do not, an address that is in use is passed
/// over.
fn network(folder: &Path) -> String {
    let hash = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    format!("127.{}.{}.0/24", 128 + hash[0] % 64, hash[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_asks_the_simulators_reviewer_and_registry() {
        let wanted = ClusterShape {
            id: "a".to_owned(),
            name: "one".to_owned(),
            version: "v1.35.5-gke.1201000".to_owned(),
            nodes: Vec::new(),
            token_review: "http://127.0.0.1:1/review".to_owned(),
            registry: "http://127.0.0.1:1".to_owned(),
            registry_hosts: vec!["europe-docker.pkg.dev".to_owned(), "us-docker.pkg.dev".to_owned()],
            node_token: "http://127.0.0.1:1/token".to_owned(),
        };
        let settings = settings(Path::new("/a"), &wanted);
        assert_eq!(settings.token_review.as_deref(), Some("http://127.0.0.1:1/review"));
        let hosts: Vec<&str> = settings.registries.iter().map(|mirror| mirror.host.as_str()).collect();
        assert_eq!(hosts, ["europe-docker.pkg.dev", "us-docker.pkg.dev"]);
        assert_ne!(network(Path::new("/a")), network(Path::new("/b")));
    }

    #[test]
    fn an_id_that_leads_elsewhere_is_refused() {
        let clusters = SandboxClusters::new("/nowhere");
        for id in ["", "..", "a/b", ".a"] {
            assert!(clusters.place(id).is_err(), "{id}");
        }
        assert_eq!(clusters.place("a-1").expect("a name").0, Path::new("/nowhere/a-1"));
    }
}
