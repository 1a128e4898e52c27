use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use engine::{Address, Need, Node};
use providers::docker::{Container, Docker, Error};
use providers::kind::CLUSTER_LABEL;
use serde_json::{Value, json};

use super::{cluster, network, nodes};
use crate::{DEPLOYMENT_LABEL, SECTION};

/// A deployment as Docker shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub deployment: String,
    /// Its clusters' names, usually one.
    pub clusters: BTreeSet<String>,
    /// How many nodes these have.
    pub nodes: usize,
    /// How many of the nodes run.
    pub running: usize,
}

/// Recovers the nodes of a deployment without its journal: from mounts and labels in Docker. What they say is enough to delete
/// them; it is not all that made them. Empty when nothing is left of it. `kubeconfig` is where the deployment's own would be.
pub async fn find(docker: &Docker, deployment: &str, kubeconfig: &Path) -> Result<Vec<Node>, Error> {
    let networks = docker.networks(&format!("{DEPLOYMENT_LABEL}={deployment}")).await?;
    let mut found: Vec<Node> = networks.iter().map(|network| network_node(deployment, &network.name)).collect();
    let needs: Vec<Need> = found.iter().map(|node| node.address.clone().into()).collect();
    let mut clusters: BTreeMap<(String, String), Vec<Container>> = BTreeMap::new();
    for container in docker.containers(&[CLUSTER_LABEL]).await? {
        if let Some((_, folder)) = nodes::owner(&container).filter(|(owner, _)| *owner == deployment) {
            let key = (nodes::cluster_name(&container).to_owned(), folder.to_owned());
            clusters.entry(key).or_default().push(container);
        }
    }
    for ((name, folder), containers) in &clusters {
        let mut node = Node::new(Address::new(cluster::KIND, name), format!("kind cluster {name}"), SECTION);
        node.inputs = cluster_inputs(deployment, name, folder, containers, kubeconfig);
        node.needs.clone_from(&needs);
        found.push(node);
    }
    Ok(found)
}

/// Every deployment that Docker shows, by name; also one of which only a network is left.
pub async fn list(docker: &Docker) -> Result<Vec<Seen>, Error> {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let new =
        |deployment: &str| Seen { deployment: deployment.to_owned(), clusters: BTreeSet::new(), nodes: 0, running: 0 };
    for network in docker.networks(DEPLOYMENT_LABEL).await? {
        let deployment = &network.labels[DEPLOYMENT_LABEL];
        seen.entry(deployment.clone()).or_insert_with(|| new(deployment));
    }
    for container in docker.containers(&[CLUSTER_LABEL]).await? {
        let Some((deployment, _)) = nodes::owner(&container) else { continue };
        let entry = seen.entry(deployment.to_owned()).or_insert_with(|| new(deployment));
        entry.clusters.insert(nodes::cluster_name(&container).to_owned());
        entry.nodes += 1;
        entry.running += usize::from(container.running);
    }
    Ok(seen.into_values().collect())
}

fn network_node(deployment: &str, name: &str) -> Node {
    let mut node = Node::new(Address::new(network::KIND, name), format!("Docker network {name}"), SECTION);
    node.inputs = json!({ "name": name, "deployment": deployment });
    node
}

fn cluster_inputs(deployment: &str, name: &str, folder: &str, containers: &[Container], kubeconfig: &Path) -> Value {
    let inputs = cluster::Inputs {
        name: name.to_owned(),
        deployment: deployment.to_owned(),
        nodes: containers.len(),
        node_image: containers.first().map(|container| container.image.clone()),
        network: name.to_owned(),
        ports: Vec::new(),
        kubeconfig: kubeconfig.to_owned(),
        owner_folder: PathBuf::from(folder),
        kind: None,
    };
    serde_json::to_value(inputs).expect("the inputs are data")
}
