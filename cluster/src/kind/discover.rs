use std::fs;
use std::path::PathBuf;

use async_trait::async_trait;
use engine::{Address, Context, Deployment, Discover, Discovered, Failure, Need, Node, Sinks};
use providers::docker::{Container, Docker, Exec};
use providers::kind::API_SERVER_PORT;
use serde::Deserialize;
use serde_json::json;

use super::cluster::{Inputs, KIND, KindCluster, NODES, foreign, outputs};
use super::nodes::Found;
use super::{SHARED, VOLUMES, find, folder, nodes};
use crate::{PortMapping, failure};

/// Finds networks by their label, and clusters by the mount in their nodes, in Docker.
struct InDocker {
    docker: Docker,
    clusters: KindCluster,
    kind: Option<PathBuf>,
}

/// Finds a deployment's network, cluster and volumes in Docker. Nodes that stand still are started, and the deployment's own
/// kubeconfig is written. `kind` is the program that a later change would use, as in [`Spec`](super::Spec).
pub fn discover(docker: &Docker, kind: Option<PathBuf>) -> impl Discover + use<> {
    InDocker { docker: docker.clone(), clusters: KindCluster::new(docker.clone(), None), kind }
}

#[async_trait]
impl Discover for InDocker {
    fn place(&self) -> String {
        "the networks and containers of Docker".to_owned()
    }

    async fn discover(&self, deployment: &Deployment, _before: &[Discovered]) -> Result<Vec<Discovered>, Failure> {
        let marked = find(&self.docker, deployment.name(), &deployment.kubeconfig()).await.map_err(failure::docker)?;
        let mut all = Vec::new();
        for node in marked {
            if node.address.kind() == KIND {
                all.extend(self.cluster(deployment, node).await?);
            } else {
                let outputs = json!({ "name": node.inputs["name"] });
                all.push(Discovered { node, outputs });
            }
        }
        Ok(all)
    }
}

impl InDocker {
    /// The cluster of a node that the marks tell of, with the volumes in it.
    async fn cluster(&self, deployment: &Deployment, mut node: Node) -> Result<Vec<Discovered>, Failure> {
        let mut inputs = Inputs::deserialize(&node.inputs)?;
        inputs.owner_folder = deployment.folder().join("owner");
        inputs.kind.clone_from(&self.kind);
        let look = async || nodes::containers(&self.docker, &inputs.name).await.map_err(failure::docker);
        let containers = match nodes::whose(look().await?, &inputs) {
            Found::Nothing => return Ok(Vec::new()),
            Found::Foreign(whose) => {
                let hint = "name the state folder that it was made with, as `--state FOLDER`: the part of its folder before `/deployments`";
                return Err(foreign(&inputs, &whose).hint(hint));
            }
            Found::Ours(containers) => containers,
        };
        // A node that is started again mounts it.
        fs::create_dir_all(&inputs.owner_folder).map_err(|error| failure::file("make", &inputs.owner_folder, error))?;
        let context = Context::detached(deployment.name(), node.address.clone(), Sinks::default());
        let server = self.clusters.adopt(&context, &inputs, &containers).await.map_err(|reason| {
            let hint =
                "`docker ps -a` and `docker logs` of its nodes show more; `infra destroy` removes it without a journal";
            Failure::from(format!("look into the cluster {}: {reason}", inputs.name)).hint(hint)
        })?;
        // Only a container that runs tells its ports.
        let containers = look().await?;
        inputs.ports = ports(&containers);
        node.inputs = json!(inputs);
        let mut all = self.volumes(&inputs, &node.address, &containers).await?;
        all.insert(0, Discovered { node, outputs: outputs(&inputs, &server) });
        Ok(all)
    }

    /// The folders for volumes: of the only node, or of all nodes.
    async fn volumes(
        &self,
        inputs: &Inputs,
        cluster: &Address,
        containers: &[Container],
    ) -> Result<Vec<Discovered>, Failure> {
        let Some(container) = containers.iter().find(|container| container.running) else { return Ok(Vec::new()) };
        let place = if containers.len() == 1 { VOLUMES } else { SHARED };
        // One for each claim, in a folder for its namespace.
        let list = Exec::new(["find", place, "-mindepth", "2", "-maxdepth", "2", "-printf", "%P\\n"]);
        let listed = self.docker.exec(&container.id, list).await.map_err(failure::docker)?;
        let listed = if listed.success() { listed.stdout } else { Vec::new() };
        let names = String::from_utf8_lossy(&listed);
        let volume = |name: &str| {
            let folder = format!("{place}/{name}");
            let mut node = Node::new(Address::new(folder::KIND, name), folder::title(name, &folder), "volumes");
            node.inputs = json!(folder::Inputs { cluster: inputs.name.clone(), folder: folder.clone() });
            node.needs = vec![Need::milestone(cluster.clone(), NODES)];
            node.within = Some(cluster.clone());
            Discovered { node, outputs: json!({ "folder": folder }) }
        };
        Ok(names.lines().map(volume).collect::<Vec<Discovered>>())
    }
}

/// The ports of this machine that lead into the cluster, without the one of its API server.
fn ports(containers: &[Container]) -> Vec<PortMapping> {
    let published = containers.iter().flat_map(|container| &container.ports);
    let mapped = published.filter(|port| port.container_port != API_SERVER_PORT);
    let mut mappings: Vec<PortMapping> =
        mapped.map(|port| PortMapping { local_port: port.local_port, node_port: port.container_port }).collect();
    mappings.sort();
    mappings.dedup();
    mappings
}

#[cfg(test)]
mod tests {
    use providers::docker::PublishedPort;

    use super::*;

    #[test]
    fn the_ports_of_a_cluster_are_those_that_its_nodes_publish() {
        let port =
            |local_port, container_port| PublishedPort { address: "127.0.0.1".to_owned(), local_port, container_port };
        let node = Container { ports: vec![port(8080, 30080), port(4711, API_SERVER_PORT)], ..Container::default() };
        assert_eq!(ports(&[node]), [PortMapping { local_port: 8080, node_port: 30080 }]);
    }
}
