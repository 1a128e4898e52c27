use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use engine::{Context, Failure, Gone, Held, Observation, Resource};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Launcher, Running};
use crate::kind::remove_file;
use crate::{failure, ports};

/// The kind of node.
pub(super) const KIND: &str = "sandbox-cluster";

/// The file in a sandbox's folder with the ports that it was made with.
const PORTS: &str = "ports.json";
/// The file in a sandbox's folder with the number of nodes that it was made with.
const NODES: &str = "nodes.json";

/// What a `sandbox-cluster` node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub(super) name: String,
    pub(super) deployment: String,
    pub(super) folder: PathBuf,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(super) nodes: usize,
    #[serde(default)]
    pub(super) ports: Vec<u16>,
    pub(super) kubeconfig: PathBuf,
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_one(nodes: &usize) -> bool {
    *nodes == 1
}

/// The behaviour of `sandbox-cluster`.
#[derive(Debug)]
pub(super) struct SandboxCluster(pub(super) Arc<dyn Launcher>);

impl SandboxCluster {
    fn look(&self, inputs: &Value) -> Result<Observation, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        if !inputs.folder.is_dir() {
            return Ok(Observation::Absent);
        }
        Ok(match self.0.running(&inputs.folder)? {
            Some(_) if inputs.kubeconfig.is_file() => Observation::AsRecorded,
            Some(_) => Observation::Changed(format!("{} is missing", inputs.kubeconfig.display()).into()),
            None => Observation::Changed("it does not run".into()),
        })
    }
}

#[async_trait]
impl Resource for SandboxCluster {
    fn forces_replacement(&self, old: &Value, new: &Value) -> Option<String> {
        ["name", "folder"].into_iter().find(|field| old[*field] != new[*field]).map(ToOwned::to_owned)
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let looks = held.iter().map(|held| self.look(&held.node.inputs));
        looks.map(|look| look.unwrap_or_else(|failure| Observation::Unknown(failure.causes().join(": ")))).collect()
    }

    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        if self.0.running(&inputs.folder)?.is_none() {
            check_ports(&inputs.ports)?;
        }
        let running = self.0.start(&inputs.folder, Some(inputs.nodes)).await?;
        let outputs = take(&running, &inputs)?;
        write(&inputs.folder.join(PORTS), &json!(inputs.ports))?;
        write(&inputs.folder.join(NODES), &json!(inputs.nodes))?;
        for milestone in ["nodes", "api"] {
            context.milestone(milestone);
        }
        Ok(outputs)
    }

    async fn update(&self, context: &Context, old: &Value, new: &Value) -> Result<Value, Failure> {
        let (old, wanted) = (Inputs::deserialize(old)?, Inputs::deserialize(new)?);
        let added: Vec<u16> = wanted.ports.into_iter().filter(|port| !old.ports.contains(port)).collect();
        check_ports(&added)?;
        self.create(context, new).await
    }

    async fn delete(&self, _context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let inputs = Inputs::deserialize(inputs)?;
        self.0.remove(&inputs.folder).await?;
        if self.0.running(&inputs.folder)?.is_some() || inputs.folder.exists() {
            return Err(format!("{} was used again while it was removed", inputs.folder.display()).into());
        }
        remove_file(&inputs.kubeconfig)?;
        Ok(vec![
            Gone::new("sandbox", &inputs.name),
            Gone::new("folder", inputs.folder.display().to_string()),
            Gone::new("file", inputs.kubeconfig.display().to_string()),
        ])
    }
}

/// Copies the kubeconfig of a sandbox to where the deployment has it; returns the outputs of its node.
pub(super) fn take(running: &Running, inputs: &Inputs) -> Result<Value, Failure> {
    // The copy keeps the mode 0600 of the sandbox's own file.
    let fresh = inputs.kubeconfig.with_extension("new");
    let copied = fs::copy(&running.kubeconfig, &fresh).and_then(|_| fs::rename(&fresh, &inputs.kubeconfig));
    copied.map_err(|error| failure::file("write", &inputs.kubeconfig, error))?;
    Ok(json!({ "context": inputs.name, "server": running.server }))
}

/// Writes down in the sandbox's folder what it was made with: the rest of its inputs follows from where the folder is.
fn write(path: &Path, value: &Value) -> Result<(), Failure> {
    fs::write(path, value.to_string()).map_err(|error| failure::file("write", path, error))
}

/// The number of nodes that the sandbox of a folder was made with; one where that cannot be read.
pub(super) fn read_nodes(folder: &Path) -> usize {
    let text = fs::read(folder.join(NODES)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or(1)
}

/// The ports that the sandbox of a folder was made with; none where that cannot be read.
pub(super) fn read_ports(folder: &Path) -> Vec<u16> {
    let text = fs::read(folder.join(PORTS)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn check_ports(wanted: &[u16]) -> Result<(), Failure> {
    let taken = wanted.iter().find_map(|port| Some((*port, ports::obstacle(*port)?)));
    taken.map_or(Ok(()), |(port, reason)| Err(ports::failure(port, &reason)))
}
