//! What a cluster on GKE is made of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::Address;
use serde::{Deserialize, Serialize};

use super::names;

/// A GKE cluster that a deployment wants, with everything that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The deployment's name.
    pub deployment: String,
    /// The project's ID.
    pub project: String,
    /// Where it runs.
    pub place: Place,
    /// The version of Kubernetes, for example `1.34` or `1.34.1-gke.1000`; Google's default where there is none.
    pub version: Option<String>,
    /// The release channel; Google's default where there is none.
    pub channel: Option<Channel>,
    /// The network.
    pub network: Network,
    /// Whether nodes have no address outside of the network. They then reach the world through NAT.
    pub private_nodes: bool,
    /// Whether pods may act as service accounts of Google Cloud.
    pub workload_identity: bool,
    /// The service account of the nodes; one of its own with the least roles where there is none.
    pub service_account: Option<String>,
    /// The node pools, at least one. The first is made together with the cluster.
    pub node_pools: Vec<NodePool>,
    /// Disks that stand alone.
    pub disks: Vec<Disk>,
    /// Filestore instances.
    pub file_servers: Vec<FileServer>,
    /// Static addresses in the cluster's region, by the name that they have in the scenario.
    pub addresses: Vec<String>,
    /// How many load balancers the workloads will ask for.
    pub load_balancers: u32,
    /// How much the workloads' claims will ask for, on disks of the default storage class.
    pub claims_gigabytes: u64,
    /// Whether images are delivered: a repository for them.
    pub registry: Option<Registry>,
    /// The deployment's own kubeconfig, which is written with mode 0600.
    pub kubeconfig: PathBuf,
    /// The user's kubeconfig, which gets a context; `None` leaves it alone.
    pub user_kubeconfig: Option<PathBuf>,
    /// The program with its arguments that prints a token for kubectl as an `ExecCredential`: `infra token` or
    /// `gke-gcloud-auth-plugin`. This process needs none.
    pub token_program: Vec<String>,
}

impl Spec {
    /// The name of the cluster, of its network, subnetwork, router and repository, and of the context.
    pub fn name(&self) -> String {
        names::name(&self.deployment)
    }

    /// The service account of the nodes.
    pub(crate) fn node_account(&self) -> String {
        self.service_account.clone().unwrap_or_else(|| names::service_account(&self.project, &self.deployment))
    }
}

/// The addresses of what a [`Spec`] adds to a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The cluster, with the milestone `api` and the outputs `context`, `server`, `location` and `id`.
    pub cluster: Address,
    /// The context in the user's kubeconfig, if that is wanted.
    pub context: Option<Address>,
    /// The repository for images, if that is wanted.
    pub repository: Option<Address>,
    /// By the name in the scenario: the disk, with the outputs `handle` (as a CSI volume handle) and `zone`.
    pub disks: BTreeMap<String, Address>,
    /// By the name in the scenario: the Filestore instance, with the outputs `address` and `path`.
    pub file_servers: BTreeMap<String, Address>,
    /// By the name in the scenario: the static address, with the output `address`.
    pub addresses: BTreeMap<String, Address>,
}

/// Where a cluster runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// One control plane in a zone.
    Zone {
        /// For example `us-central1-a`.
        zone: String,
        /// Which zones of the region are tried when Google has no machines left there.
        others: OtherZones,
    },
    /// A control plane in three zones.
    Region {
        /// For example `us-central1`.
        region: String,
        /// The zones of the nodes; Google's choice where there are none.
        zones: Vec<String>,
    },
}

/// Which zones are tried after the first one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtherZones {
    /// None.
    #[default]
    None,
    /// Every zone of the region.
    Any,
    /// These, in this order.
    Named(Vec<String>),
}

impl Place {
    /// The region.
    pub fn region(&self) -> &str {
        match self {
            Self::Region { region, .. } => region,
            Self::Zone { zone, .. } => region_of(zone),
        }
    }

    /// The zone where something is that is in one zone, where nobody says another.
    pub fn first_zone(&self) -> String {
        match self {
            Self::Zone { zone, .. } => zone.clone(),
            Self::Region { region, zones } => zones.first().cloned().unwrap_or_else(|| format!("{region}-a")),
        }
    }

    /// The location of the control plane as the API calls it: the zone, or the region.
    pub fn location(&self) -> &str {
        match self {
            Self::Region { region, .. } => region,
            Self::Zone { zone, .. } => zone,
        }
    }
}

/// The region of a zone: `us-central1` of `us-central1-a`.
pub fn region_of(zone: &str) -> &str {
    zone.rsplit_once('-').map_or(zone, |(region, _)| region)
}

/// Whether a location is a zone.
pub fn is_zone(location: &str) -> bool {
    location.split('-').count() == 3
}

/// How new the versions are that a cluster gets by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Newest.
    Rapid,
    /// In the middle.
    Regular,
    /// Well tried.
    Stable,
    /// Well tried, and supported for longer.
    Extended,
    /// None: the cluster is upgraded by hand.
    None,
}

/// The network of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// One of its own, with a subnetwork of this range for the nodes; pods and services get ranges of their own.
    Own {
        /// For example `10.0.0.0/20`.
        range: String,
    },
    /// One that exists, by name; it is never changed.
    Given {
        /// The network.
        network: String,
        /// Its subnetwork in the region of the cluster.
        subnetwork: Option<String>,
    },
}

impl Default for Network {
    fn default() -> Self {
        Self::Own { range: "10.0.0.0/20".to_owned() }
    }
}

/// Nodes that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePool {
    /// Its name: at most 40 lower-case letters, digits and `-`.
    pub name: String,
    /// How many nodes. In a regional cluster, in each zone.
    pub size: PoolSize,
    /// For example `e2-standard-4`.
    pub machine_type: String,
    /// For example `COS_CONTAINERD`; Google's default where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_type: Option<String>,
    /// For example `pd-balanced`; Google's default where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_type: Option<String>,
    /// The size of the boot disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_size_gigabytes: Option<u32>,
    /// Whether Google may take the nodes away at any time, for a lower price.
    #[serde(default)]
    pub spot: bool,
    /// GPUs on each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
    /// Labels of the Kubernetes nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Taints of the Kubernetes nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// The zones of its nodes; those of the cluster where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
}

impl NodePool {
    /// How many nodes it begins with in each zone.
    pub fn first_nodes(&self) -> u32 {
        match self.size {
            PoolSize::Count(count) => count,
            PoolSize::Autoscaling { min, .. } => min,
        }
    }

    /// How many nodes it may have at most in each zone.
    pub fn most_nodes(&self) -> u32 {
        match self.size {
            PoolSize::Count(count) => count,
            PoolSize::Autoscaling { max, .. } => max,
        }
    }
}

/// How many nodes a pool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolSize {
    /// As many.
    Count(u32),
    /// As many as the pods need, within bounds.
    Autoscaling {
        /// At least.
        min: u32,
        /// At most.
        max: u32,
    },
}

/// GPUs of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// For example `nvidia-tesla-t4`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many on each node.
    pub count: u32,
    /// Which driver Google installs.
    #[serde(default)]
    pub driver: GpuDriver,
}

/// Which driver for GPUs Google installs on the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpuDriver {
    /// The one that goes with the version of GKE.
    #[default]
    Default,
    /// The newest.
    Latest,
    /// None: the scenario brings its own.
    Disabled,
}

/// A taint of Kubernetes nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; may be empty.
    #[serde(default)]
    pub value: String,
    /// What it does to pods that do not tolerate it.
    pub effect: TaintEffect,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaintEffect {
    /// They are not put on the node.
    NoSchedule,
    /// They are put there only where there is no other place.
    PreferNoSchedule,
    /// They are not put on the node, and taken away from it.
    NoExecute,
}

/// A disk that stands alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Its name in the scenario.
    pub name: String,
    /// Its size.
    pub size_gigabytes: u32,
    /// For example `pd-ssd`; `pd-balanced` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_type: Option<String>,
    /// Its zone; that of the cluster where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Whether a snapshot of it is kept when it is deleted.
    #[serde(default)]
    pub snapshot: bool,
}

/// A file server of Google: an instance of Filestore with one share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileServer {
    /// Its name in the scenario.
    pub name: String,
    /// Its tier.
    pub tier: FileTier,
    /// The size of its share; see [`FileTier::least_gibibytes`].
    pub capacity_gibibytes: u32,
    /// Its zone, for tiers that are in one; that of the cluster where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

impl FileServer {
    /// The zone or region that it is in.
    pub fn location(&self, place: &Place) -> String {
        if self.tier.is_regional() {
            return place.region().to_owned();
        }
        self.zone.clone().unwrap_or_else(|| place.first_zone())
    }
}

/// A service tier of Filestore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileTier {
    /// On hard disks, in a zone: the cheapest.
    BasicHdd,
    /// On solid-state disks, in a zone.
    BasicSsd,
    /// On solid-state disks, in a zone; grows and shrinks.
    Zonal,
    /// In three zones of a region.
    Regional,
    /// In three zones of a region; the tier before `regional`.
    Enterprise,
}

impl FileTier {
    /// Its name in the API.
    pub fn api_name(self) -> &'static str {
        match self {
            Self::BasicHdd => "BASIC_HDD",
            Self::BasicSsd => "BASIC_SSD",
            Self::Zonal => "ZONAL",
            Self::Regional => "REGIONAL",
            Self::Enterprise => "ENTERPRISE",
        }
    }

    /// Whether its instances are in a whole region.
    pub fn is_regional(self) -> bool {
        matches!(self, Self::Regional | Self::Enterprise)
    }

    /// The least that an instance has, by Google's pages on service tiers.
    pub fn least_gibibytes(self) -> u32 {
        if self == Self::BasicSsd { 2560 } else { 1024 }
    }
}

/// The repository for images in Artifact Registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// A region or multi-region, for example `us-central1` or `us`.
    pub location: String,
}
