//! What a cluster is made of on each provider. Every provider has the same files, so that two can be compared: `network` (what its
//! nodes talk through), `cluster` (the cluster itself), `context` (how the user's kubectl reaches it) and `find` (all of it,
//! recovered from labels alone).

use serde::{Deserialize, Serialize};

mod context;
mod failure;
#[cfg(feature = "gcp")]
pub mod gke;
#[cfg_attr(not(feature = "gcp"), allow(dead_code, reason = "only what calls Google needs all of it"))]
pub mod gke_spec;
pub mod kind;
mod ports;
pub mod sandbox;

pub use context::{discover as discover_contexts, find as find_contexts};

/// A port of this machine that leads to a port of the cluster's nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortMapping {
    /// The port of 127.0.0.1 on this machine.
    pub local_port: u16,
    /// The port of the node, as a Service of type `NodePort` or `LoadBalancer` has it.
    pub node_port: u16,
}

/// The section of the plan.
pub(crate) const SECTION: &str = "cluster";

/// The label of everything that infra makes in Docker; its value is the deployment's name.
pub const DEPLOYMENT_LABEL: &str = "infra.deployment";
