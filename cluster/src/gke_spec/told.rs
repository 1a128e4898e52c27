//! What Google Cloud says of a deployment, in its own words.

use engine::Node;
use serde::Serialize;
use serde_json::Value;

/// What there is of a deployment in Google Cloud.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cloud {
    /// Its cluster, where there is one.
    pub cluster: Option<ClusterStatus>,
    /// The node pools of the cluster.
    pub node_pools: Vec<PoolStatus>,
    /// Disks that stand alone, and those of claims.
    pub disks: Vec<Data>,
    /// Static addresses.
    pub addresses: Vec<AddressStatus>,
}

/// A cluster, as `gcloud container clusters describe` tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterStatus {
    /// Its name.
    pub name: String,
    /// Its zone or region.
    pub location: String,
    /// For example `RUNNING`.
    pub status: String,
    /// The version of its control plane.
    pub version: String,
    /// Where its API answers.
    pub endpoint: String,
    /// The name of its network.
    pub network: String,
    /// The name of its subnetwork.
    pub subnetwork: String,
    /// How many nodes it has.
    pub nodes: i32,
}

/// A node pool, as `gcloud container node-pools list` tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// For example `RUNNING`.
    pub status: String,
    /// The version of its nodes.
    pub version: String,
    /// The type of its machines.
    pub machine_type: String,
    /// The type of their boot disks.
    pub disk_type: String,
    /// The size of their boot disks.
    pub disk_size_gigabytes: i32,
    /// How many nodes it shall have now, in all zones.
    pub nodes: i64,
}

/// A static address, as `gcloud compute addresses list` tells it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AddressStatus {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// The address itself.
    pub address: String,
    /// `RESERVED`, or `IN_USE`.
    pub status: String,
}

/// A disk with data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Data {
    /// The disk's name.
    pub name: String,
    /// The project that it is in.
    pub project: String,
    /// The zone that it is in.
    pub zone: String,
    /// How large it is.
    pub size_gigabytes: u64,
    /// For example `pd-balanced`.
    pub disk_type: String,
    /// The claim that it was made for, as `NAMESPACE/NAME`; none for a disk that stands alone.
    pub claim: Option<String>,
    /// What it costs in a month, by the list price of us-central1; none where that is not known.
    pub dollars_per_month: Option<f64>,
    /// The command that deletes it.
    pub deletion: String,
    /// How a journal holds it: as kept.
    #[serde(skip)]
    pub node: Node,
    /// The outputs of its node.
    #[serde(skip)]
    pub outputs: Value,
}
