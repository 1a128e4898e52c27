//! From a checked scenario and a target to the engine's graph.

mod datasets;
mod error;
mod file_server;
mod gke;
mod images;
mod objects;
mod ports;
mod volumes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::images::Delivery;
use cluster::PortMapping;
use engine::{Address, Graph};
use serde::Serialize;
use serde_json::Value;
use workloads::{DiskVolume, NodeVolume, SharedVolume, StaticAddress, Vault};

pub use error::LowerError;
pub use gke::GcpTarget;

use crate::scenario::{Image, Provider, Scenario};
use crate::variable;
use images::Prepared;
use ports::Ports;

/// Where a scenario shall run.
#[derive(Clone, Debug)]
pub struct Target {
    /// The deployment's name: the label on everything.
    pub deployment: String,
    /// The deployment's own folder, absolute; need not exist.
    pub deployment_folder: PathBuf,
    /// The folder of what can be made again, absolute.
    pub cache: PathBuf,
    /// Who makes the cluster.
    pub provider: Provider,
    /// The program kind, where it is not the one in `PATH`.
    pub kind: Option<PathBuf>,
    /// A node image in place of the scenario's.
    pub node_image: Option<String>,
    /// What it takes to make a cluster in Google Cloud; needed for GKE alone.
    pub gcp: Option<GcpTarget>,
    /// The user's kubeconfig, absolute.
    pub kubeconfig: PathBuf,
    /// What the deployment's journal says is there: the inputs by address.
    pub held: BTreeMap<Address, Value>,
}

/// What a scenario means on a target.
#[derive(Debug)]
pub struct Lowered {
    /// The wanted end state.
    pub graph: Graph,
    /// The values of Secrets, which are in no graph and no journal.
    pub vault: Vault,
    /// Where the `LoadBalancer` Services answer on this machine.
    pub addresses: Vec<ServiceAddress>,
    /// What is different from what the scenario says, for a person.
    pub warnings: Vec<String>,
    /// What is called otherwise than before: the address before, and the one now.
    pub moved: Vec<(Address, Address)>,
    /// On GKE, the cluster that is wanted: what a preflight looks at.
    pub gke: Option<cluster::gke_spec::Spec>,
}

/// Where a port of a Service answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceAddress {
    /// The Service's name, with its port where it has several: `server` or `server:9090`.
    pub service: String,
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's port.
    pub port: u16,
    /// For example `http://127.0.0.1:8080`.
    pub url: String,
}

/// Makes the graph of a scenario.
///
/// Reads what goes into the images and writes only below [`Target::cache`], and a key into [`Target::deployment_folder`] where
/// that exists. A data set that is nowhere on this machine is downloaded. The same scenario, files and target give the same graph.
pub async fn lower(scenario: &Scenario, target: &Target) -> Result<Lowered, LowerError> {
    let datasets = datasets::locate(scenario, &target.cache).await?;
    let images = images::prepare(&wanted_images(scenario, target)?, &datasets, &target.cache).await?;
    let mut ports = ports::assign(scenario, held_ports(scenario, target).as_deref());
    let vault = vault(&target.deployment_folder)?;

    let mut graph = Graph::default();
    let mut of_cluster = match target.provider {
        Provider::Kind => on_kind(scenario, target, &images, &ports, &mut graph)?,
        Provider::Sandbox => {
            ports.on_this_machine = true;
            in_the_sandbox(scenario, target, &images, &ports, &mut graph)?
        }
        Provider::Gke => {
            ports = Ports::none();
            on_gke(scenario, target, &images, &mut graph)?
        }
    };
    let cluster = of_cluster.gke.take();
    let spec = objects::spec(scenario, target, of_cluster, &ports, &datasets);
    workloads::declare(&spec, &vault, &mut graph)?;
    variable::declare(&scenario.vars, &mut graph)?;
    graph.in_order()?;
    let (addresses, warnings, moved) = (ports.addresses(), ports.warnings, scenario.moved.clone());
    Ok(Lowered { graph, vault, addresses, warnings, moved, gke: cluster })
}

/// The images of the scenario, and those that the target needs besides.
fn wanted_images(scenario: &Scenario, target: &Target) -> Result<Vec<Image>, LowerError> {
    let mut images = scenario.images.clone();
    if target.provider == Provider::Gke && gke::needs_file_servers(scenario) {
        images.push(file_server::image(scenario, &target.cache)?);
    }
    Ok(images)
}

/// What the objects need to know of the cluster.
struct Parts {
    cluster: Address,
    /// By the name that manifests use: what makes each image available.
    images: BTreeMap<String, Address>,
    /// Claims that folders of the only node serve.
    volumes: Vec<NodeVolume>,
    /// Claims that disks serve.
    disks: Vec<DiskVolume>,
    /// Claims that file servers serve.
    shared: Vec<SharedVolume>,
    /// Whether Services of type `LoadBalancer` get addresses of their own.
    load_balancers: bool,
    /// Which addresses some of them shall have.
    static_addresses: Vec<StaticAddress>,
    gke: Option<cluster::gke_spec::Spec>,
}

impl Parts {
    fn new(cluster: Address, images: BTreeMap<String, Address>) -> Self {
        Self {
            cluster,
            images,
            volumes: Vec::new(),
            disks: Vec::new(),
            shared: Vec::new(),
            load_balancers: false,
            static_addresses: Vec::new(),
            gke: None,
        }
    }
}

fn on_kind(
    scenario: &Scenario,
    target: &Target,
    images: &[Prepared],
    ports: &Ports,
    graph: &mut Graph,
) -> Result<Parts, LowerError> {
    let spec = kind_spec(scenario, target, ports);
    let cluster = cluster::kind::declare(&spec, graph)?.cluster;
    let delivery = Delivery::Kind { cluster: &cluster, name: &spec.name() };
    let places = images::declare(images, &target.deployment, delivery, graph)?;
    let volumes = volumes::declare(scenario, target, &spec, graph)?;
    Ok(Parts { volumes, ..Parts::new(cluster, places) })
}

fn in_the_sandbox(
    scenario: &Scenario,
    target: &Target,
    images: &[Prepared],
    ports: &Ports,
    graph: &mut Graph,
) -> Result<Parts, LowerError> {
    let spec = sandbox_spec(scenario, target, ports);
    let cluster = cluster::sandbox::declare(&spec, graph)?.cluster;
    let delivery = Delivery::Folder { cluster: &cluster, folder: &spec.images() };
    let places = images::declare(images, &target.deployment, delivery, graph)?;
    Ok(Parts::new(cluster, places))
}

fn on_gke(scenario: &Scenario, target: &Target, images: &[Prepared], graph: &mut Graph) -> Result<Parts, LowerError> {
    let spec = gke::spec(scenario, target, images.iter().any(Prepared::needs_a_place))?;
    let declared = declare_gke(&spec, graph)?;
    let places = images::declare_pushed(images, &target.deployment, declared.repository.as_ref(), graph, |image| {
        gke::image_repository(&spec, image)
    })?;
    Ok(Parts {
        disks: gke::disks(scenario, &declared.disks),
        shared: gke::shared(scenario, &declared.file_servers),
        load_balancers: true,
        static_addresses: gke::static_addresses(scenario, &declared.addresses),
        gke: Some(spec),
        ..Parts::new(declared.cluster, places)
    })
}

#[cfg(feature = "gcp")]
fn declare_gke(spec: &cluster::gke_spec::Spec, graph: &mut Graph) -> Result<cluster::gke_spec::Declared, LowerError> {
    Ok(cluster::gke::declare(spec, graph)?)
}

#[cfg(not(feature = "gcp"))]
fn declare_gke(_: &cluster::gke_spec::Spec, _: &mut Graph) -> Result<cluster::gke_spec::Declared, LowerError> {
    Err(LowerError::WithoutGoogle)
}

/// The private kubeconfig of the deployment's cluster.
fn private_kubeconfig(target: &Target) -> PathBuf {
    target.deployment_folder.join("kubeconfig")
}

/// The vault with the deployment's key. A deployment that has no folder yet holds nothing that its values could differ from.
fn vault(folder: &Path) -> Result<Vault, LowerError> {
    if !folder.is_dir() {
        return Ok(Vault::new(b"a plan before the first apply"));
    }
    let file = folder.join("key");
    Vault::open(&file).map_err(|source| LowerError::Key { path: file, source })
}

/// The kind cluster that the scenario wants.
fn kind_spec(scenario: &Scenario, target: &Target, ports: &Ports) -> cluster::kind::Spec {
    cluster::kind::Spec {
        deployment: target.deployment.clone(),
        nodes: nodes(scenario),
        node_image: node_image(scenario, target).map(str::to_owned),
        ports: ports.pairs.clone(),
        kind: target.kind.clone(),
        kubeconfig: private_kubeconfig(target),
        owner_folder: target.deployment_folder.join("owner"),
        user_kubeconfig: Some(target.kubeconfig.clone()),
    }
}

/// The sandbox that the scenario runs in.
fn sandbox_spec(scenario: &Scenario, target: &Target, ports: &Ports) -> cluster::sandbox::Spec {
    cluster::sandbox::Spec {
        deployment: target.deployment.clone(),
        folder: cluster::sandbox::folder(&target.deployment_folder),
        nodes: nodes(scenario),
        ports: ports.pairs.iter().map(|pair| pair.local_port).collect(),
        kubeconfig: private_kubeconfig(target),
        user_kubeconfig: Some(target.kubeconfig.clone()),
    }
}

fn nodes(scenario: &Scenario) -> usize {
    usize::try_from(scenario.cluster.nodes).unwrap_or(usize::MAX)
}

fn node_image<'a>(scenario: &'a Scenario, target: &'a Target) -> Option<&'a str> {
    target.node_image.as_deref().or(scenario.cluster.kind.node_image.as_deref())
}

/// The ports of the cluster that is there; none where there is none, or where another one must take its place anyway.
fn held_ports(scenario: &Scenario, target: &Target) -> Option<Vec<PortMapping>> {
    let inputs = target.held.iter().find(|(address, _)| address.kind() == "kind-cluster").map(|(_, inputs)| inputs)?;
    let image = node_image(scenario, target);
    let same = inputs["nodes"] == nodes(scenario) && (image.is_none() || inputs["node_image"].as_str() == image);
    same.then(|| serde_json::from_value(inputs["ports"].clone()).unwrap_or_default())
}

/// A path without links and detours, so that it means the same from every folder.
fn absolute(path: &Path) -> Result<PathBuf, LowerError> {
    path.canonicalize().map_err(|source| LowerError::Path { path: path.to_owned(), source })
}
