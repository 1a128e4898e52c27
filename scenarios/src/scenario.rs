use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use engine::Address;

pub use crate::gke::{
    BoundDisk, BoundFilestore, GkePart, Object, PoolPart, StaticAddress, WantedPoolSize, WantedZones,
};
use crate::manifest::Manifest;
use crate::report::Problem;
use crate::vars::Variable;

/// A scenario that was read and checked: every file that it names exists, every reference leads somewhere.
///
/// Paths are joined with the path that [`crate::load`] was given; they are relative where that was.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The scenario file.
    pub file: PathBuf,
    /// The folder that the file's paths are relative to.
    pub folder: PathBuf,
    /// The name, and the deployment's name where nobody gives another: a DNS label.
    pub name: String,
    /// Where it asks to run; none leaves the choice to others.
    pub provider: Option<Provider>,
    /// The variables with their values, in the order of the file.
    pub vars: Vec<Variable>,
    /// The namespace of namespaced manifests that name none.
    pub namespace: String,
    /// The cluster.
    pub cluster: Cluster,
    /// The images to build, in the order of the file.
    pub images: Vec<Image>,
    /// The folders of data sets, by the data set's name; a data set that is not here is looked for.
    pub datasets: BTreeMap<String, PathBuf>,
    /// The steps, each after those that it names.
    pub steps: Vec<Step>,
    /// What shall be true in the end.
    pub checks: Vec<Check>,
    /// The ports on this machine that were asked for.
    pub local_ports: Vec<LocalPort>,
    /// What is called otherwise than before: the address before, and the one now.
    pub moved: Vec<(Address, Address)>,
    /// What looks wrong but does not stand in the way.
    pub warnings: Vec<Problem>,
}

/// Who makes the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// kind: Kubernetes in containers on this machine.
    Kind,
    /// The sandbox: a small Kubernetes in one process on this machine.
    Sandbox,
    /// Google Kubernetes Engine.
    Gke,
}

/// What the cluster is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// How many nodes, from 1 to 50.
    pub nodes: u32,
    /// How large a node is at least, where nodes can be chosen.
    pub size: NodeSize,
    /// What only kind understands.
    pub kind: KindPart,
    /// What only GKE understands.
    pub gke: GkePart,
}

/// How large a node is at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeSize {
    /// CPUs.
    pub cpus: Option<u32>,
    /// Memory.
    pub memory_gibibytes: Option<u32>,
}

/// The part of a cluster that only kind understands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindPart {
    /// The node image; kind's own default where there is none.
    pub node_image: Option<String>,
}

/// An image to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The name that manifests use.
    pub name: String,
    /// What it is built from.
    pub source: ImageSource,
    /// Data sets that are copied to `/data/NAME`, in a layer of their own.
    pub datasets: Vec<String>,
    /// Files and folders that are copied, in a layer of their own.
    pub files: Vec<CopiedFiles>,
    /// The user that it runs as, `UID` or `UID:GID` in numbers.
    pub user: Option<String>,
    /// Variables of the environment of its programs.
    pub environment: BTreeMap<String, String>,
    /// A registry and repository that it is pushed to: `registry/repository`.
    pub push: Option<String>,
}

/// What an image is built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// The program of a cargo package, alone in an image.
    Cargo {
        /// The package's name.
        package: String,
        /// The folder of its workspace.
        workspace: PathBuf,
        /// Which of its programs; the one with the package's name, or the only one, where none is named.
        binary: Option<String>,
        /// The cargo profile; `release` where none is named.
        profile: Option<String>,
        /// Features that are switched on.
        features: Vec<String>,
        /// The processor that it is compiled for, as rustc names it.
        target_cpu: Option<String>,
    },
    /// A Dockerfile with its context.
    Dockerfile {
        /// The Dockerfile.
        file: PathBuf,
        /// The folder that the build sees.
        context: PathBuf,
        /// The build arguments.
        arguments: BTreeMap<String, String>,
        /// The stage that is built; the last one where none is named.
        target: Option<String>,
    },
}

/// Files that are copied into an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedFiles {
    /// A file or folder on this machine.
    pub from: PathBuf,
    /// Where it is in the image: absolute.
    pub to: String,
}

/// Manifests that are applied together, and are ready before what comes after them begins.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name, unlike that of any other step.
    pub name: String,
    /// The objects, in the order of files and documents.
    pub manifests: Vec<Manifest>,
    /// How long each of its objects may take until it is ready.
    pub timeout: Duration,
    /// The steps that must be ready before.
    pub after: Vec<String>,
}

/// Something that shall be true once every step is ready.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Its name, unlike that of any other check.
    pub name: String,
    /// What is looked at.
    pub kind: CheckKind,
    /// How long it may take until it is true.
    pub timeout: Duration,
}

/// What a check looks at.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckKind {
    /// The answer to one request.
    Http {
        /// Who is asked.
        target: ServicePort,
        /// The path, with an optional query.
        path: String,
        /// The status that the answer has.
        status: u16,
        /// A text that the answer contains.
        contains: Option<String>,
    },
    /// How many images of a data set are recognised.
    Accuracy {
        /// Who is asked.
        target: ServicePort,
        /// The path that takes an image.
        path: String,
        /// The data set whose test images are sent.
        dataset: String,
        /// How many of them.
        images: u64,
        /// The share that must be right, from 0 to 1.
        at_least: f64,
    },
}

/// A port of a Service that a manifest declares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServicePort {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub service: String,
    /// The Service's port.
    pub port: u16,
}

/// A port on this machine that leads to a port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPort {
    /// Where it leads.
    pub target: ServicePort,
    /// The port on this machine.
    pub local_port: u16,
}
