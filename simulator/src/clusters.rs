//! What makes the Kubernetes behind simulated clusters.

use std::collections::BTreeMap;

use async_trait::async_trait;

/// Makes real Kubernetes clusters behind simulated ones.
///
/// All calls may be repeated: what is there already stays, what is gone stays gone.
#[async_trait]
pub trait Clusters: Send + Sync {
    /// Makes a cluster, and returns when its API answers. Begun when the simulated creation begins.
    ///
    /// # Errors
    /// When the cluster cannot be had; the creation then ends with that error.
    async fn start(&self, cluster: &ClusterShape) -> Result<Kubernetes, ClusterError>;

    /// Gives a cluster exactly these nodes: a pool grew, shrank, came or went.
    ///
    /// # Errors
    /// When the nodes cannot be had; the operation then ends with that error.
    async fn set_nodes(&self, id: &str, nodes: &[NodeShape]) -> Result<(), ClusterError>;

    /// Removes a cluster.
    ///
    /// # Errors
    /// When something of it is left.
    async fn stop(&self, id: &str) -> Result<(), ClusterError>;
}

/// A cluster that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterShape {
    /// Its own for ever, as GKE's `id` is.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The version of its Kubernetes, as its API tells it: `v1.35.5-gke.1201000`.
    pub version: String,
    /// Its nodes at first.
    pub nodes: Vec<NodeShape>,
    /// The URL that answers a `TokenReview` of `authentication.k8s.io/v1`.
    pub token_review: String,
    /// The base URL of the OCI registry.
    pub registry: String,
    /// The registry's host names that the base URL stands for.
    pub registry_hosts: Vec<String>,
    /// The URL that gives out tokens of the nodes' service account, as a machine's metadata server does it.
    pub node_token: String,
}

/// A node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeShape {
    /// Its name, which is that of its machine.
    pub name: String,
    /// The version of its kubelet.
    pub version: String,
    /// Its labels, GKE's own included.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// What pods may ask for together, in thousandths of a core: the allocatable part of the machine.
    pub cpu_millis: u64,
    /// What pods may ask for together, in bytes: the allocatable part of the machine.
    pub memory_bytes: u64,
    /// How many pods it takes.
    pub pods: u32,
}

/// A taint of a node, in Kubernetes' words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; may be empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// How a cluster that was made is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kubernetes {
    /// Host and port of its API, which speaks TLS.
    pub endpoint: String,
    /// The certificate of its authority, as PEM.
    pub ca_certificate: Vec<u8>,
    /// The text of a kubeconfig that may do everything, for the simulator's own controllers. Empty: there are none.
    pub kubeconfig: String,
}

/// Why a cluster cannot be had, changed or removed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ClusterError {
    /// What happened.
    pub message: String,
}

impl ClusterError {
    /// An error with this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// No Kubernetes at all: an endpoint that nobody answers at, for what concerns the cloud alone.
pub struct NoClusters;

#[async_trait]
impl Clusters for NoClusters {
    async fn start(&self, _: &ClusterShape) -> Result<Kubernetes, ClusterError> {
        // An address of the block that is reserved for examples: nothing is ever there.
        Ok(Kubernetes { endpoint: "192.0.2.1".into(), ca_certificate: b"none\n".to_vec(), kubeconfig: String::new() })
    }

    async fn set_nodes(&self, _: &str, _: &[NodeShape]) -> Result<(), ClusterError> {
        Ok(())
    }

    async fn stop(&self, _: &str) -> Result<(), ClusterError> {
        Ok(())
    }
}
