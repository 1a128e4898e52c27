use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::{Class, Context, Failure, Gone, Held, Observation, Remains, Resource};
use providers::docker::{Container, Docker};
use providers::kind::CLUSTER_LABEL;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::boot::Boot;
use super::nodes::{self, Found};
use crate::{PortMapping, failure};

/// The kind of node.
pub(super) const KIND: &str = "kind-cluster";
/// The milestone at which images may be delivered.
pub(super) const NODES: &str = "nodes";
/// The milestone at which objects may be applied.
pub(super) const API: &str = "api";

/// How long a cluster whose nodes ran already may take to answer.
const RUNNING_ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// How long a cluster whose nodes were just started again may take to answer.
const STARTED_ANSWER_LIMIT: Duration = Duration::from_mins(2);

/// What a `kind-cluster` node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub(super) name: String,
    pub(super) deployment: String,
    pub(super) nodes: usize,
    pub(super) node_image: Option<String>,
    pub(super) network: String,
    pub(super) ports: Vec<PortMapping>,
    pub(super) kubeconfig: PathBuf,
    pub(super) owner_folder: PathBuf,
    pub(super) kind: Option<PathBuf>,
}

impl Inputs {
    /// The folder of this machine that all nodes of a cluster of several see.
    pub(super) fn shared_folder(&self) -> Option<PathBuf> {
        (self.nodes > 1).then(|| self.owner_folder.with_file_name("shared"))
    }
}

/// The behaviour of `kind-cluster`.
#[derive(Debug)]
pub(super) struct KindCluster {
    docker: Docker,
    lock: Option<Arc<File>>,
}

impl KindCluster {
    pub(super) fn new(docker: Docker, lock: Option<Arc<File>>) -> Self {
        Self { docker, lock }
    }

    fn boot<'a>(&'a self, context: &'a Context, inputs: &'a Inputs) -> Boot<'a> {
        Boot { docker: &self.docker, context, inputs, lock: self.lock.clone() }
    }

    async fn find(&self, inputs: &Inputs) -> Result<Found, Failure> {
        let containers = nodes::containers(&self.docker, &inputs.name).await.map_err(failure::docker)?;
        Ok(nodes::whose(containers, inputs))
    }

    /// Uses the nodes that are there and writes the private kubeconfig. Starts those that are stopped; the error says why the cluster cannot be used.
    pub(super) async fn adopt(
        &self,
        context: &Context,
        inputs: &Inputs,
        containers: &[Container],
    ) -> Result<String, String> {
        if let Some(difference) = nodes::difference(containers, inputs) {
            return Err(difference);
        }
        let boot = self.boot(context, inputs);
        if !boot.was_initialised(containers).await {
            return Err("kind did not finish it".to_owned());
        }
        let stopped: Vec<&Container> = containers.iter().filter(|container| !container.running).collect();
        for container in &stopped {
            context.progress(format!("starting {} again", container.name));
            self.docker.start_container(&container.id).await.map_err(|error| error.to_string())?;
        }
        let limit = if stopped.is_empty() { RUNNING_ANSWER_LIMIT } else { STARTED_ANSWER_LIMIT };
        // Nobody may build on it before it is known to be whole.
        let (server, api) = boot.watch(limit, &|_| ()).await?;
        let joined = api.nodes().await?;
        if joined < inputs.nodes {
            return Err(format!("{joined} of {} nodes have joined", inputs.nodes));
        }
        if api.storage_classes().await? == 0 {
            return Err("it has no storage class: kind did not finish it".to_owned());
        }
        for milestone in [NODES, API] {
            context.milestone(milestone);
        }
        Ok(server)
    }
}

#[async_trait]
impl Resource for KindCluster {
    fn parallelism(&self) -> usize {
        1
    }

    fn forces_replacement(&self, old: &Value, new: &Value) -> Option<String> {
        // The owner's folder is a mount, which cannot change while a container lives.
        let fixed = ["name", "deployment", "nodes", "node_image", "network", "owner_folder"];
        // Whoever leaves the image to kind takes the one that is there.
        let is_left_to_kind = |field: &str| field == "node_image" && new[field].is_null();
        let differs = |field: &&str| old[*field] != new[*field] && !is_left_to_kind(field);
        fixed.into_iter().find(differs).map(ToOwned::to_owned)
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let containers = match self.docker.containers(&[CLUSTER_LABEL]).await {
            Ok(containers) => containers,
            Err(error) => return vec![Observation::Unknown(error.to_string()); held.len()],
        };
        held.iter()
            .map(|held| match Inputs::deserialize(&held.node.inputs) {
                Ok(inputs) => observation(&containers, &inputs),
                Err(error) => Observation::Unknown(error.to_string()),
            })
            .collect()
    }

    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        let boot = self.boot(context, &inputs);
        let server = match self.find(&inputs).await? {
            Found::Nothing => boot.run().await?,
            Found::Foreign(whose) => return Err(foreign(&inputs, &whose)),
            Found::Ours(containers) => match self.adopt(context, &inputs, &containers).await {
                Ok(server) => server,
                Err(reason) => {
                    context.progress(format!("making it anew, because {reason}"));
                    nodes::remove(&self.docker, &containers).await?;
                    boot.run().await?
                }
            },
        };
        Ok(outputs(&inputs, &server))
    }

    async fn update(&self, context: &Context, old: &Value, new: &Value) -> Result<Value, Failure> {
        let inputs = Inputs::deserialize(new)?;
        let Found::Ours(containers) = self.find(&inputs).await? else { return self.create(context, new).await };
        let server = self.adopt(context, &inputs, &containers).await.map_err(|reason| {
            let mut failure = Failure::from(format!("use the cluster {} again: {reason}", inputs.name));
            failure.remains = Remains::Something;
            failure.hint("`docker ps -a` and `docker logs` of its nodes show more; destroy and apply makes it anew")
        })?;
        let unmapped = new["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|port| !old["ports"].as_array().is_some_and(|old| old.contains(port)));
        for port in unmapped {
            context.progress(format!("port {} is mapped only when the cluster is made anew", port["local_port"]));
        }
        if let Some(path) = old["kubeconfig"].as_str().map(Path::new).filter(|path| *path != inputs.kubeconfig) {
            remove_file(path)?;
        }
        Ok(outputs(&inputs, &server))
    }

    async fn delete(&self, _context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        let ours = |containers: Vec<Container>| -> Vec<Container> {
            containers.into_iter().filter(|container| nodes::is_ours(container, &inputs)).collect()
        };
        let found = ours(nodes::containers(&self.docker, &inputs.name).await.map_err(failure::docker)?);
        let shared = inputs.shared_folder();
        if shared.is_some() {
            nodes::empty_shared(&self.docker, &found).await?;
        }
        let (containers, volumes) = nodes::remove(&self.docker, &found).await?;
        let left = ours(nodes::containers(&self.docker, &inputs.name).await.map_err(failure::docker)?);
        if let Some(container) = left.first() {
            return Err(format!("container {} appeared while the cluster was removed", container.name).into());
        }
        remove_file(&inputs.kubeconfig)?;
        if let Some(shared) = &shared {
            remove_shared(shared)?;
        }
        let mut gone = vec![Gone::new("kind cluster", &inputs.name)];
        gone.extend(containers.into_iter().map(|name| Gone::new("container", name)));
        gone.extend(volumes.into_iter().map(|name| Gone::new("volume", name)));
        gone.push(Gone::new("file", inputs.kubeconfig.display().to_string()));
        gone.extend(shared.map(|folder| Gone::new("folder", folder.display().to_string())));
        Ok(gone)
    }
}

/// Removes the folder that the nodes shared, which need not exist.
fn remove_shared(folder: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let hint = format!(
                "pods made files there and no node runs that could remove them: sudo rm -r {}",
                folder.display()
            );
            Err(failure::file("remove", folder, error).hint(hint))
        }
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failure::file("remove", folder, error)),
        _ => Ok(()),
    }
}

/// Removes a file, which need not exist.
pub(crate) fn remove_file(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failure::file("remove", path, error)),
        _ => Ok(()),
    }
}

pub(super) fn outputs(inputs: &Inputs, server: &str) -> Value {
    json!({ "context": inputs.name, "server": server })
}

pub(super) fn foreign(inputs: &Inputs, whose: &str) -> Failure {
    let failure =
        Failure::from(format!("make the kind cluster {}: a cluster of this name exists, and {whose}", inputs.name));
    let hint = format!(
        "choose another deployment name, or remove it if nobody needs it: `kind delete cluster --name {}`",
        inputs.name
    );
    failure.class(Class::Foreign).hint(hint).nothing_remains()
}

/// What the containers say of one cluster. A cluster that lacks a node is no cluster any more.
fn observation(containers: &[Container], inputs: &Inputs) -> Observation {
    let named = containers.iter().filter(|container| nodes::cluster_name(container) == inputs.name).cloned().collect();
    let Found::Ours(containers) = nodes::whose(named, inputs) else { return Observation::Absent };
    if containers.len() < inputs.nodes || !containers.iter().any(nodes::is_control_plane) {
        return Observation::Absent;
    }
    let stopped: BTreeMap<&str, &str> = containers
        .iter()
        .filter(|container| !container.running)
        .map(|container| (container.name.as_str(), container.state.as_str()))
        .collect();
    match stopped.first_key_value() {
        None => Observation::AsRecorded,
        Some((name, state)) => Observation::Changed(format!("{name} does not run ({state})").into()),
    }
}

#[cfg(test)]
mod tests {
    use providers::docker::Settings;

    use super::*;

    #[test]
    fn only_what_cannot_change_in_place_forces_a_replacement() {
        let cluster = KindCluster::new(Docker::new(Settings::default()), None);
        let old = json!({ "nodes": 1, "node_image": "a", "ports": [], "kind": null, "kubeconfig": "/a" });
        let with = |field: &str, value: Value| {
            let mut new = old.clone();
            new[field] = value;
            cluster.forces_replacement(&old, &new)
        };
        assert_eq!(with("nodes", json!(2)).as_deref(), Some("nodes"));
        assert_eq!(with("node_image", json!("b")).as_deref(), Some("node_image"));
        assert_eq!(with("node_image", Value::Null), None, "the one that is there does");
        assert_eq!(with("ports", json!([{ "local_port": 1, "node_port": 2 }])), None);
        assert_eq!(with("kind", json!("/usr/bin/kind")), None);
        assert_eq!(with("kubeconfig", json!("/b")), None);
    }
}
