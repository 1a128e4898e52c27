//! Folders of a node that hold volumes.

use async_trait::async_trait;
use engine::{Context, Failure, Gone, Held, Observation, Resource};
use providers::docker::{Container, Docker, Exec, ExecOutput};
use providers::kind::CLUSTER_LABEL;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::SHARED;
use crate::failure;

/// The kind of node.
pub(super) const KIND: &str = "node-folder";

/// What a `node-folder` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub(super) cluster: String,
    pub(super) folder: String,
}

/// What a person calls it.
pub(super) fn title(name: &str, folder: &str) -> String {
    let whose = if folder.starts_with(SHARED) { "all nodes" } else { "the node" };
    format!("folder {name} of {whose}")
}

/// The behaviour of `node-folder`: a folder in the cluster's only node, or one that all its nodes share, which every user of a pod may write to, as in the volumes of
/// kind's own provisioner.
#[derive(Debug)]
pub(super) struct NodeFolder {
    docker: Docker,
}

impl NodeFolder {
    pub(super) fn new(docker: Docker) -> Self {
        Self { docker }
    }

    async fn node(&self, inputs: &Inputs) -> Result<Option<Container>, Failure> {
        let label = format!("{CLUSTER_LABEL}={}", inputs.cluster);
        let containers = self.docker.containers(&[label.as_str()]).await.map_err(failure::docker)?;
        Ok(containers.into_iter().find(|container| container.running))
    }

    async fn run(&self, node: &Container, script: &str, folder: &str) -> Result<ExecOutput, Failure> {
        let command = Exec::new(["sh", "-c", script, "folder", folder]);
        self.docker.exec(&node.id, command).await.map_err(failure::docker)
    }

    async fn look(&self, inputs: &Value) -> Result<Observation, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        let Some(node) = self.node(&inputs).await? else { return Ok(Observation::Absent) };
        let found = self.run(&node, "test -d \"$1\"", &inputs.folder).await?;
        Ok(if found.success() { Observation::AsRecorded } else { Observation::Absent })
    }
}

#[async_trait]
impl Resource for NodeFolder {
    fn forces_replacement(&self, old: &Value, new: &Value) -> Option<String> {
        ["cluster", "folder"].into_iter().find(|field| old[*field] != new[*field]).map(ToOwned::to_owned)
    }

    fn is_same(&self, old: &Value, new: &Value) -> bool {
        self.forces_replacement(old, new).is_none()
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let looks = held.iter().map(|held| self.look(&held.node.inputs));
        let looks = futures::future::join_all(looks).await.into_iter();
        looks.map(|look| look.unwrap_or_else(|failure| Observation::Unknown(failure.causes().join(": ")))).collect()
    }

    async fn create(&self, _context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        let Some(node) = self.node(&inputs).await? else {
            return Err(Failure::from(format!("find the node of cluster {}", inputs.cluster)).nothing_remains());
        };
        if inputs.folder.starts_with(SHARED) && !node.mounts.iter().any(|mount| mount.destination == SHARED) {
            let failure =
                Failure::from(format!("make {}: the nodes of {} share no folder", inputs.folder, inputs.cluster));
            let hint = "an older infra made the cluster: destroy and apply makes it anew";
            return Err(failure.hint(hint).nothing_remains());
        }
        let made = self.run(&node, "mkdir -p \"$1\" && chmod 0777 \"$1\"", &inputs.folder).await?;
        if made.success() {
            return Ok(json!({ "folder": inputs.folder }));
        }
        Err(format!("make {} in node {}: {}", inputs.folder, node.name, made.message()).into())
    }

    async fn delete(&self, _context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        // A node that does not run cannot be reached; the folder is in it and goes with it.
        if let Some(node) = self.node(&inputs).await? {
            let removed = self.run(&node, "rm -rf \"$1\" && ! test -e \"$1\"", &inputs.folder).await?;
            if !removed.success() {
                return Err(format!("remove {} in node {}: {}", inputs.folder, node.name, removed.message()).into());
            }
        }
        Ok(vec![Gone::new("folder of the node", inputs.folder)])
    }
}
