//! What Docker says of a cluster's nodes.

use std::path::Path;
use std::time::Duration;

use engine::{Class, Failure};
use futures::future::join_all;
use providers::docker::{Container, Docker, Error, Exec};
use providers::kind::{API_SERVER_PORT, CLUSTER_LABEL, CONTROL_PLANE, ROLE_LABEL};
use providers::wait::{Probe, WaitError, until};

use super::SHARED;
use super::cluster::Inputs;

/// Where the owner's folder is mounted in every node, followed by the deployment's name.
const OWNER_PATH: &str = "/etc/infra/deployment/";

/// How long the engine may take to remove a container.
const REMOVAL_LIMIT: Duration = Duration::from_mins(1);
/// Pause between two looks at a container that goes.
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);

/// The path in the nodes that says which deployment they belong to.
pub(super) fn owner_path(deployment: &str) -> String {
    format!("{OWNER_PATH}{deployment}")
}

/// The deployment that a node belongs to, with the folder on the machine; `None` for a node that infra did not make.
pub(super) fn owner(container: &Container) -> Option<(&str, &str)> {
    container.mounts.iter().find_map(|mount| Some((mount.destination.strip_prefix(OWNER_PATH)?, mount.source.as_str())))
}

/// The cluster that a node belongs to.
pub(super) fn cluster_name(container: &Container) -> &str {
    container.labels.get(CLUSTER_LABEL).map_or("", String::as_str)
}

pub(super) fn is_control_plane(container: &Container) -> bool {
    container.labels.get(ROLE_LABEL).is_some_and(|role| role == CONTROL_PLANE)
}

/// Whose nodes there are under a cluster's name.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// There are none.
    Nothing,
    /// All of them are the deployment's; perhaps not all that are wanted.
    Ours(Vec<Container>),
    /// At least one is somebody else's; says whose.
    Foreign(String),
}

/// Whose nodes these are, all of one cluster's name.
pub(super) fn whose(containers: Vec<Container>, inputs: &Inputs) -> Found {
    let foreign = containers.iter().find(|container| !is_ours(container, inputs));
    match foreign {
        None if containers.is_empty() => Found::Nothing,
        None => Found::Ours(containers),
        Some(container) => Found::Foreign(match owner(container) {
            None => "infra did not make it".to_owned(),
            Some((deployment, folder)) if deployment == inputs.deployment => {
                format!("the deployment {deployment} of another state folder made it (its folder is {folder})")
            }
            Some((deployment, _)) => format!("the deployment {deployment} made it"),
        }),
    }
}

pub(super) fn is_ours(container: &Container, inputs: &Inputs) -> bool {
    owner(container)
        .is_some_and(|(deployment, folder)| deployment == inputs.deployment && is_folder(folder, &inputs.owner_folder))
}

/// Whether Docker means this folder. Docker Desktop shows it under a path of its virtual machine.
fn is_folder(shown: &str, folder: &Path) -> bool {
    let folder = folder.to_string_lossy();
    shown == folder || shown.strip_suffix(folder.as_ref()).is_some_and(|prefix| prefix.starts_with("/host_mnt"))
}

/// Why these nodes are not what is asked for, if so: another number, another image.
pub(super) fn difference(containers: &[Container], inputs: &Inputs) -> Option<String> {
    let image = |container: &&Container| inputs.node_image.as_ref().is_some_and(|image| *image != container.image);
    if containers.len() != inputs.nodes || !containers.iter().any(is_control_plane) {
        Some(format!("{} of {} nodes are there", containers.len(), inputs.nodes))
    } else {
        containers.iter().find(image).map(|container| format!("{} runs the image {}", container.name, container.image))
    }
}

/// The port of this machine that leads to the API server.
pub(super) fn api_port(containers: &[Container]) -> Option<u16> {
    let control_plane = containers.iter().find(|container| is_control_plane(container))?;
    control_plane.ports.iter().find(|port| port.container_port == API_SERVER_PORT).map(|port| port.local_port)
}

/// The containers of a cluster.
pub(super) async fn containers(docker: &Docker, cluster: &str) -> Result<Vec<Container>, Error> {
    docker.containers(&[&format!("{CLUSTER_LABEL}={cluster}")]).await
}

/// Removes nodes with their volumes, all at once, and makes sure that they are gone. The names of containers and volumes are returned.
pub(super) async fn remove(docker: &Docker, containers: &[Container]) -> Result<(Vec<String>, Vec<String>), Failure> {
    let removals = containers.iter().map(|container| docker.remove_container(&container.id));
    for removed in join_all(removals).await {
        removed.map_err(crate::failure::docker)?;
    }
    // The removal may be somebody else's: that of a run that was killed goes on in the engine.
    let waits = containers.iter().map(|container| {
        until(&container.name, REMOVAL_LIMIT, REMOVAL_PAUSE, async || {
            let there = docker.container_exists(&container.id).await?;
            Ok::<_, Error>(if there { Probe::Pending("its removal is under way".to_owned()) } else { Probe::Ready(()) })
        })
    });
    for (container, waited) in containers.iter().zip(join_all(waits).await) {
        match waited {
            Ok(()) => {}
            Err(WaitError::Stopped(error)) => return Err(crate::failure::docker(error)),
            Err(_) => return Err(still_there("container", &container.name)),
        }
    }
    let volumes: Vec<String> =
        containers.iter().flat_map(|container| &container.mounts).filter_map(|mount| mount.volume.clone()).collect();
    for volume in &volumes {
        if docker.volume_exists(volume).await.map_err(crate::failure::docker)? {
            // Docker removes only volumes without a name along with their container, and may fail to.
            docker.remove_volume(volume).await.map_err(crate::failure::docker)?;
            if docker.volume_exists(volume).await.map_err(crate::failure::docker)? {
                return Err(still_there("volume", volume));
            }
        }
    }
    Ok((containers.iter().map(|container| container.name.clone()).collect(), volumes))
}

/// Removes what is in the folder that the nodes of a cluster share. Its files may be of any user, so only a node can.
pub(super) async fn empty_shared(docker: &Docker, containers: &[Container]) -> Result<(), Failure> {
    let sees_it =
        |container: &&Container| container.running && container.mounts.iter().any(|mount| mount.destination == SHARED);
    let Some(node) = containers.iter().find(sees_it) else { return Ok(()) };
    let command = Exec::new(["find", SHARED, "-mindepth", "1", "-delete"]);
    let emptied = docker.exec(&node.id, command).await.map_err(crate::failure::docker)?;
    // Pods may still write: what they make now is removed with the folder, or by the next run.
    if emptied.success() || emptied.message().contains("No such file") || emptied.message().contains("not empty") {
        return Ok(());
    }
    Err(format!("empty {SHARED} in node {}: {}", node.name, emptied.message()).into())
}

fn still_there(what: &str, name: &str) -> Failure {
    Failure::from(format!("{what} {name} was removed and is still there"))
        .class(Class::Failed)
        .hint("destroy again in a moment")
}

#[cfg(test)]
mod tests {
    use providers::docker::{Mount, PublishedPort};
    use serde_json::json;

    use super::*;

    fn inputs(nodes: usize) -> Inputs {
        serde_json::from_value(json!({
            "name": "infra-demo", "deployment": "demo", "nodes": nodes, "node_image": "kind-node:v1", "network": "infra-demo", "ports": [],
            "kubeconfig": "/state/demo/kubeconfig", "owner_folder": "/state/demo/owner", "kind": null
        }))
        .unwrap()
    }

    fn node(mount: Option<(&str, &str)>) -> Container {
        let mount = mount.map(|(source, destination)| Mount {
            volume: None,
            source: source.to_owned(),
            destination: destination.to_owned(),
        });
        Container {
            name: "infra-demo-control-plane".to_owned(),
            image: "kind-node:v1".to_owned(),
            labels: [(ROLE_LABEL.to_owned(), CONTROL_PLANE.to_owned())].into(),
            ports: vec![PublishedPort {
                address: "127.0.0.1".to_owned(),
                local_port: 4711,
                container_port: API_SERVER_PORT,
            }],
            mounts: mount.into_iter().collect(),
            ..Container::default()
        }
    }

    fn ours() -> Container {
        node(Some(("/state/demo/owner", "/etc/infra/deployment/demo")))
    }

    #[test]
    fn a_cluster_is_ours_by_the_mount_in_every_node() {
        assert_eq!(whose(vec![], &inputs(1)), Found::Nothing);
        assert_eq!(whose(vec![ours()], &inputs(1)), Found::Ours(vec![ours()]));
        assert_eq!(whose(vec![ours(), node(None)], &inputs(2)), Found::Foreign("infra did not make it".to_owned()));
    }

    #[test]
    fn the_same_deployment_of_another_state_folder_is_foreign() {
        let other = node(Some(("/elsewhere/owner", "/etc/infra/deployment/demo")));
        let Found::Foreign(reason) = whose(vec![other], &inputs(1)) else { panic!("it is foreign") };
        assert!(reason.contains("/elsewhere/owner"), "{reason}");
    }

    #[test]
    fn the_path_that_docker_desktop_shows_is_the_same_folder() {
        let shown = node(Some(("/host_mnt/state/demo/owner", "/etc/infra/deployment/demo")));
        assert!(is_ours(&shown, &inputs(1)));
    }

    #[test]
    fn another_number_or_another_image_is_a_difference() {
        assert_eq!(difference(&[ours()], &inputs(1)), None);
        assert_eq!(difference(&[ours()], &inputs(2)).as_deref(), Some("1 of 2 nodes are there"));
        let other = Container { image: "kind-node:v2".to_owned(), ..ours() };
        assert_eq!(
            difference(&[other], &inputs(1)).as_deref(),
            Some("infra-demo-control-plane runs the image kind-node:v2")
        );
    }

    #[test]
    fn the_api_port_is_the_published_one() {
        assert_eq!(api_port(&[ours()]), Some(4711));
        assert_eq!(api_port(&[]), None);
    }
}
