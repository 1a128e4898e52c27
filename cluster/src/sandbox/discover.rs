use std::sync::Arc;

use async_trait::async_trait;
use engine::{Deployment, Discover, Discovered, Failure};
use serde::Deserialize;
use serde_json::json;

use super::cluster::{Inputs, read_ports, take};
use super::{Launcher, find, folder};

/// Finds the sandbox in a deployment's folder.
struct InFolder(Arc<dyn Launcher>);

/// Finds the sandbox of a deployment by its folder, starts it where it stands still, and writes the deployment's own kubeconfig.
pub fn discover(launcher: Arc<dyn Launcher>) -> impl Discover {
    InFolder(launcher)
}

#[async_trait]
impl Discover for InFolder {
    fn place(&self) -> String {
        "the sandbox in the deployment's folder".to_owned()
    }

    async fn discover(&self, deployment: &Deployment, _before: &[Discovered]) -> Result<Vec<Discovered>, Failure> {
        let folder = folder(deployment.folder());
        let Some(mut node) = find(deployment.name(), &folder, &deployment.kubeconfig()) else { return Ok(Vec::new()) };
        let running = self.0.start(&folder, None).await?;
        let mut inputs = Inputs::deserialize(&node.inputs)?;
        inputs.ports = read_ports(&folder);
        let outputs = take(&running, &inputs)?;
        node.inputs = json!(inputs);
        Ok(vec![Discovered { node, outputs }])
    }
}
