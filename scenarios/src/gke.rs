//! The part of a scenario's cluster that only GKE understands.

use std::collections::BTreeMap;

use cluster::gke_spec::{Channel, Disk, FileServer, Gpu, Taint};

/// The part of a cluster that only GKE understands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GkePart {
    /// The project's ID; that of the target where there is none.
    pub project: Option<String>,
    /// The zone of a cluster with one control plane.
    pub zone: Option<String>,
    /// The region of a cluster with a control plane in three zones.
    pub region: Option<String>,
    /// Other zones.
    pub zones: WantedZones,
    /// The version of Kubernetes.
    pub version: Option<String>,
    /// The release channel.
    pub channel: Option<Channel>,
    /// The first node pool, where gcloud's flags describe it.
    pub default_pool: Option<PoolPart>,
    /// Further node pools.
    pub node_pools: Vec<PoolPart>,
    /// A network that exists.
    pub network: Option<String>,
    /// Its subnetwork.
    pub subnetwork: Option<String>,
    /// The range of the nodes, in a network of the deployment's own.
    pub range: Option<String>,
    /// Whether nodes have no address outside of the network.
    pub private_nodes: bool,
    /// Whether pods may act as service accounts of Google Cloud.
    pub workload_identity: bool,
    /// A service account that exists, for the nodes.
    pub service_account: Option<String>,
    /// Disks that stand alone.
    pub disks: Vec<BoundDisk>,
    /// Instances of Filestore.
    pub filestores: Vec<BoundFilestore>,
    /// Static addresses.
    pub addresses: Vec<StaticAddress>,
    /// Where the repository for images is; the region of the cluster where it is not said.
    pub registry_location: Option<String>,
}

/// Which zones there are besides the first one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WantedZones {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// Any of the region.
    Any,
    /// These.
    Named(Vec<String>),
}

/// A node pool as far as the scenario says what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolPart {
    /// Its name.
    pub name: String,
    /// How many nodes.
    pub size: Option<WantedPoolSize>,
    /// The machine type.
    pub machine_type: Option<String>,
    /// The image of the nodes.
    pub image_type: Option<String>,
    /// The sort of the boot disks.
    pub disk_type: Option<String>,
    /// The size of the boot disks.
    pub disk_size_gigabytes: Option<u32>,
    /// Whether Google may take the nodes away.
    pub spot: bool,
    /// GPUs of each node.
    pub gpu: Option<Gpu>,
    /// Labels of the Kubernetes nodes.
    pub labels: BTreeMap<String, String>,
    /// Taints of the Kubernetes nodes.
    pub taints: Vec<Taint>,
    /// The zones of its nodes.
    pub zones: Vec<String>,
}

/// How many nodes a pool shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedPoolSize {
    /// With how many it begins, where that is said.
    pub first: Option<u32>,
    /// With autoscaling: how many at least.
    pub min: u32,
    /// With autoscaling: how many at most.
    pub max: Option<u32>,
}

/// A disk, and the claim that it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundDisk {
    /// The disk.
    pub disk: Disk,
    /// The claim that it is bound to.
    pub claim: Option<Object>,
}

/// An instance of Filestore, and the claim that it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundFilestore {
    /// The instance.
    pub server: FileServer,
    /// The claim that it is bound to.
    pub claim: Object,
}

/// A static address, and the Service of type `LoadBalancer` that answers there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticAddress {
    /// Its name.
    pub name: String,
    /// The Service.
    pub service: Object,
}

/// An object of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}
