//! Clusters by kind, whose nodes are containers of the local Docker Engine.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use engine::{Address, Graph, GraphError, Need, Node, Registry};
use providers::docker::Docker;
use serde_json::json;

use crate::{PortMapping, SECTION, context};

mod boot;
mod cluster;
mod discover;
mod find;
mod folder;
mod network;
mod nodes;

pub(crate) use cluster::remove_file;
pub use discover::discover;
pub use find::{Seen, find, list};

/// Where a node keeps the folders of volumes.
const VOLUMES: &str = "/var/lib/infra/volumes";
/// Where the nodes of a cluster of several keep the folders of volumes that all of them see: a folder of this machine.
const SHARED: &str = "/var/lib/infra/shared";

/// A kind cluster that a deployment wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The deployment's name.
    pub deployment: String,
    /// How many nodes, at least 1; workloads may run on all of them.
    pub nodes: usize,
    /// The image of the nodes; `None` leaves it to kind.
    pub node_image: Option<String>,
    /// Ports of this machine that lead to ports of the nodes. They can be set only when the cluster is made.
    pub ports: Vec<PortMapping>,
    /// The program kind; `None` looks for it in `PATH`.
    pub kind: Option<PathBuf>,
    /// The deployment's own kubeconfig, which is written with mode 0600.
    pub kubeconfig: PathBuf,
    /// A folder of the deployment that is mounted into every node, read-only: by it the cluster is known as the deployment's. It is
    /// made when it does not exist. Everything in it can be read in the nodes.
    pub owner_folder: PathBuf,
    /// The user's kubeconfig, which gets a context; `None` leaves it alone.
    pub user_kubeconfig: Option<PathBuf>,
}

impl Spec {
    /// The name of the cluster, of its network and of the context: the same for each, so that a person finds them.
    pub fn name(&self) -> String {
        name(&self.deployment)
    }
}

fn name(deployment: &str) -> String {
    format!("infra-{deployment}")
}

/// The addresses of what [`declare`] adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The cluster, with the milestones `nodes` and `api` and the outputs `context` and `server`.
    pub cluster: Address,
    /// The context in the user's kubeconfig, if that is wanted.
    pub context: Option<Address>,
}

/// Adds a network, the cluster and the context to the graph. Pure.
pub fn declare(spec: &Spec, graph: &mut Graph) -> Result<Declared, GraphError> {
    let name = spec.name();
    let network = Address::new(network::KIND, &name);
    let mut node = Node::new(network.clone(), format!("Docker network {name}"), SECTION);
    node.inputs = json!({ "name": name, "deployment": spec.deployment });
    graph.add(node)?;

    let cluster = Address::new(cluster::KIND, &name);
    let nodes = if spec.nodes == 1 { "1 node".to_owned() } else { format!("{} nodes", spec.nodes) };
    let mut node = Node::new(cluster.clone(), format!("kind cluster {name} ({nodes})"), SECTION);
    node.inputs = serde_json::to_value(cluster::Inputs {
        name: name.clone(),
        deployment: spec.deployment.clone(),
        nodes: spec.nodes,
        node_image: spec.node_image.clone(),
        network: name.clone(),
        ports: spec.ports.clone(),
        kubeconfig: spec.kubeconfig.clone(),
        owner_folder: spec.owner_folder.clone(),
        kind: spec.kind.clone(),
    })
    .expect("the inputs are data");
    node.needs = vec![network.into()];
    graph.add(node)?;

    let context = match &spec.user_kubeconfig {
        Some(file) => Some(context::declare(file, (&name, &spec.deployment), &spec.kubeconfig, &cluster, graph)?),
        None => None,
    };
    Ok(Declared { cluster, context })
}

/// The address of a folder of the cluster's only node, or of all its nodes.
pub fn folder_address(name: &str) -> Address {
    Address::new(folder::KIND, name)
}

/// The path in the node that a folder for a volume usually has.
pub fn folder_path(name: &str) -> String {
    format!("{VOLUMES}/{name}")
}

/// The path of a folder that all nodes of a cluster of several see.
pub fn shared_path(name: &str) -> String {
    format!("{SHARED}/{name}")
}

/// Adds a folder for a volume to the graph: of the cluster's only node, or of all of them. Pure; returns its address.
pub fn declare_folder(spec: &Spec, name: &str, folder: &str, graph: &mut Graph) -> Result<Address, GraphError> {
    let cluster = Address::new(cluster::KIND, spec.name());
    let mut node = Node::new(folder_address(name), folder::title(name, folder), "volumes");
    node.inputs = json!(folder::Inputs { cluster: spec.name(), folder: folder.to_owned() });
    node.needs = vec![Need::milestone(cluster.clone(), cluster::NODES)];
    node.within = Some(cluster);
    let address = node.address.clone();
    graph.add(node)?;
    Ok(address)
}

/// Sets the behaviour of `docker-network`, `kind-cluster`, `node-folder` and `kubeconfig-context`.
///
/// With `lock`, the deployment's lock file, the deployment stays locked as long as a kind works that outlives this process.
pub fn register(registry: &mut Registry, docker: &Docker, lock: Option<Arc<File>>) {
    registry.register(network::KIND, network::DockerNetwork::new(docker.clone()));
    registry.register(cluster::KIND, cluster::KindCluster::new(docker.clone(), lock));
    registry.register(folder::KIND, folder::NodeFolder::new(docker.clone()));
    registry.register(context::KIND, context::KubeconfigContext);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec {
            deployment: "demo".to_owned(),
            nodes: 2,
            node_image: Some("kind-node:v1.34.4".to_owned()),
            ports: vec![PortMapping { local_port: 8080, node_port: 30080 }],
            kind: None,
            kubeconfig: "/state/demo/kubeconfig".into(),
            owner_folder: "/state/demo/owner".into(),
            user_kubeconfig: Some("/home/me/.kube/config".into()),
        }
    }

    #[test]
    fn a_deployment_declares_network_cluster_and_context() {
        let mut graph = Graph::default();
        declare(&spec(), &mut graph).unwrap();
        let nodes: Vec<&Node> = graph.in_order().unwrap();
        insta::assert_json_snapshot!(nodes);
    }

    #[test]
    fn without_the_users_kubeconfig_no_context_is_declared() {
        let mut graph = Graph::default();
        let declared = declare(&Spec { user_kubeconfig: None, ..spec() }, &mut graph).unwrap();
        assert_eq!((declared.context, graph.nodes().count()), (None, 2));
    }
}
