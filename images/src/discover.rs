//! What this machine has of a deployment's images, found without its journal.

use std::collections::BTreeSet;
use std::path::Path;

use async_trait::async_trait;
use engine::{Deployment, Discover, Discovered, Failure, Held, Node, Observation, Resource, State};
use providers::docker::Docker;
use serde_json::{Value, json};

use crate::delivery::Deliveries;
use crate::image::{explain_docker, explain_store, outputs};
use crate::unpacked::UnpackedImages;
use crate::{Options, SharedStore, declare, find};

/// Finds images in the store, in Docker, and where they were brought to.
struct InStore {
    store: SharedStore,
    docker: Docker,
    deliveries: Deliveries,
    unpacked: UnpackedImages,
}

/// Finds a deployment's images in the store and in Docker, and in the cluster that was found before. What is not found is made
/// anew by the next apply.
pub fn discover(docker: &Docker, options: &Options) -> impl Discover + use<> {
    let store = SharedStore::new(options.cache.clone());
    InStore {
        deliveries: Deliveries::new(store.clone(), docker.clone()),
        unpacked: UnpackedImages::new(store.clone()),
        docker: docker.clone(),
        store,
    }
}

#[async_trait]
impl Discover for InStore {
    fn place(&self) -> String {
        "the images of this machine".to_owned()
    }

    async fn discover(&self, deployment: &Deployment, before: &[Discovered]) -> Result<Vec<Discovered>, Failure> {
        let mut all = self.stored(deployment.name())?;
        let clusters = before.iter().map(|found| &found.node).filter(|node| node.address.kind().ends_with("-cluster"));
        let mut brought = Vec::new();
        for cluster in clusters {
            for image in &all {
                brought.extend(self.brought(deployment.name(), image, cluster).await);
            }
        }
        let known: BTreeSet<_> = all.iter().map(|image| image.node.address.clone()).collect();
        all.extend(brought);
        let built = match find(&self.docker, deployment.name()).await {
            Err(error) if error.is_no_engine() => Vec::new(),
            found => found.map_err(explain_docker)?,
        };
        let built = built.into_iter().filter(|node| !known.contains(&node.address));
        all.extend(built.map(|node| Discovered { node, outputs: json!({}) }));
        Ok(all)
    }
}

impl InStore {
    /// The images in the store, with what they were made from.
    fn stored(&self, deployment: &str) -> Result<Vec<Discovered>, Failure> {
        let store = self.store.get().map_err(explain_store)?;
        let kept = store.images().map_err(explain_store)?.into_iter().filter(|image| image.deployment == deployment);
        let of_image = |image: crate::KeptImage| {
            let inputs: Value = store.recall("inputs", &format!("{deployment}/{}", image.name))?;
            let spec: crate::Spec = serde_json::from_value(inputs["spec"].clone()).ok()?;
            let mut node = declare::image_node(deployment, &spec, "");
            node.inputs = inputs;
            let outputs = outputs(deployment, &spec.name, &image.digest, image.layers, image.bytes);
            Some(Discovered { node, outputs })
        };
        Ok(kept.filter_map(of_image).collect())
    }

    /// An image in a cluster, if it is there as it is in the store.
    async fn brought(&self, deployment: &str, image: &Discovered, cluster: &Node) -> Option<Discovered> {
        let (name, reference) = (image.node.address.name(), &image.outputs["reference"]);
        let (mut node, behaviour): (Node, &dyn Resource) = if cluster.address.kind() == "kind-cluster" {
            let of = cluster.inputs["name"].as_str()?;
            (declare::delivery_node(deployment, name, &cluster.address, of), &self.deliveries)
        } else {
            let folder = Path::new(cluster.inputs["folder"].as_str()?).join("images");
            (declare::unpacked_node(deployment, name, &cluster.address, &folder), &self.unpacked)
        };
        node.inputs["reference"] = reference.clone();
        node.inputs["digest"] = image.outputs["digest"].clone();
        let held = Held { node: node.clone(), outputs: Value::Null, state: State::Present };
        let seen = behaviour.observe(&[&held]).await;
        let is_there = seen == [Observation::AsRecorded];
        is_there.then(|| Discovered { node, outputs: json!({ "reference": reference }) })
    }
}
