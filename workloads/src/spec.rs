use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::Address;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that a deployment puts into its cluster.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The deployment's name: the label on every object.
    pub deployment: String,
    /// The private kubeconfig of the cluster; need not exist yet.
    pub kubeconfig: PathBuf,
    /// The node of the cluster, which announces the milestone `api`.
    pub cluster: Address,
    /// The namespace of objects that name none.
    pub namespace: String,
    /// The documents, in any order.
    pub manifests: Vec<Manifest>,
    /// The steps that manifests name.
    pub steps: Vec<Step>,
    /// By the name that manifests use: the node whose output `reference` takes the name's place.
    pub images: BTreeMap<String, Address>,
    /// Service ports that answer on a local port.
    pub node_ports: Vec<NodePort>,
    /// Claims that a folder of the only node serves, or one that all nodes share, so that they wait for no provisioner.
    pub volumes: Vec<NodeVolume>,
    /// Claims that a disk of the cloud serves, which stands alone.
    pub disks: Vec<DiskVolume>,
    /// Claims that a file server serves, so that pods on all nodes share what is in them.
    pub shared: Vec<SharedVolume>,
    /// Whether the cluster gives each `LoadBalancer` service an address of its own.
    pub load_balancers: bool,
    /// The addresses that some of them shall have.
    pub static_addresses: Vec<StaticAddress>,
    /// What is asked of the running system.
    pub checks: Vec<Check>,
}

/// A claim, and the folder of the cluster's only node, or of all its nodes, that serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeVolume {
    /// The claim's namespace.
    pub namespace: String,
    /// The claim's name.
    pub claim: String,
    /// The folder's path in the node.
    pub folder: String,
    /// The node of the graph that makes the folder.
    pub made_by: Address,
}

/// A claim, and the disk of Compute Engine that serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskVolume {
    /// The claim's namespace.
    pub namespace: String,
    /// The claim's name.
    pub claim: String,
    /// The disk's size.
    pub size_gigabytes: u32,
    /// The node of the graph that makes the disk, with the outputs `handle` and `zone`.
    pub made_by: Address,
}

/// A claim that pods on all nodes share, and the file server that serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedVolume {
    /// The claim's namespace.
    pub namespace: String,
    /// The claim's name.
    pub claim: String,
    /// How much there is room for.
    pub size_gigabytes: u32,
    /// What serves it.
    pub server: FileServer,
}

/// A server that is spoken to by NFS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileServer {
    /// A pod of infra's own program, which serves the disk that [`file_server_claim`](crate::file_server_claim) is bound to.
    InCluster {
        /// The name in [`Spec::images`] of its image.
        image: String,
    },
    /// One of the cloud.
    InCloud {
        /// The node of the graph that makes it, with the outputs `address` and `path`.
        made_by: Address,
    },
}

/// A service of type `LoadBalancer`, and its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticAddress {
    /// The service's namespace.
    pub namespace: String,
    /// The service.
    pub service: String,
    /// The node of the graph that makes the address, with the output `address`.
    pub made_by: Address,
}

/// One document of a manifest file.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The document; may be a `List`.
    pub value: Value,
    /// The file, as a person would name it.
    pub file: String,
    /// The line where the document begins, from 1.
    pub line: usize,
    /// The step it belongs to; none waits for nothing.
    pub step: Option<String>,
}

/// A group of objects that begins when others are ready.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// The steps whose workloads must be ready before.
    pub after: Vec<String>,
    /// How long each of its workloads may take to be ready.
    pub timeout_seconds: u64,
}

/// A service's port that answers on a local port.
#[derive(Clone, Debug)]
pub struct NodePort {
    /// The service's namespace.
    pub namespace: String,
    /// The service.
    pub service: String,
    /// The service's port.
    pub port: u16,
    /// The port on every node that was mapped when the cluster was made; none where the cluster opens the local port itself, as the
    /// annotation `infra/local-port.PORT` of the service asks.
    pub node_port: Option<u16>,
    /// The port on 127.0.0.1.
    pub local_port: u16,
}

/// A question to a service and the answer that is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name. It is no part of what is asked: a check that is only called otherwise is not asked again.
    #[serde(default, skip_serializing)]
    pub name: String,
    /// The service's namespace.
    pub namespace: String,
    /// The service.
    pub service: String,
    /// The service's port.
    pub port: u16,
    /// The path, with a leading slash.
    pub path: String,
    /// How long the service may take to answer at all.
    pub timeout_seconds: u64,
    /// What is asked.
    pub question: Question,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// One HTTP request.
    Http {
        /// The method; `GET` where it is not said.
        #[serde(default = "get")]
        method: String,
        /// The body: text as it is, anything else as JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
        /// What the answer must be.
        #[serde(default)]
        expect: Expectation,
    },
    /// Test images, sent as JSON pixels; the answers are compared with their labels.
    Accuracy {
        /// The folder with the IDX files of the test set.
        images: PathBuf,
        /// How many of them are sent, from the first on.
        count: usize,
        /// The share of right answers that is enough, 0 to 1.
        at_least: f64,
    },
}

fn get() -> String {
    "GET".into()
}

/// What an HTTP answer must be. What is not said is not looked at, except that the status must be a success.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The status; any 2xx where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// A text that the body holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// By JSON pointer: the value there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Value>,
}

impl Step {
    /// How long a workload may take where nothing else is said.
    pub const TIMEOUT_SECONDS: u64 = 300;
}
