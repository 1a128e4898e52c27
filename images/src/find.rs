//! What the Docker Engine has of a deployment, found by its labels.

use std::collections::BTreeSet;

use engine::{Address, Node};
use providers::docker::{Docker, Error};
use serde_json::json;

use crate::declare;
use crate::spec::{DockerfileSource, Source, Spec};

/// The nodes of the images that the engine built for a deployment, as far as their labels tell: enough to delete them.
pub async fn find(docker: &Docker, deployment: &str) -> Result<Vec<Node>, Error> {
    let images = docker.images(&format!("infra.deployment={deployment}")).await?;
    let names: BTreeSet<&String> = images.iter().filter_map(|image| image.labels.get("infra.image")).collect();
    Ok(names.into_iter().map(|name| node(deployment, name)).collect())
}

fn node(deployment: &str, name: &str) -> Node {
    let mut node = Node::new(Address::new(declare::IMAGE, name), format!("image {name}"), "images");
    let source = Source::Dockerfile(DockerfileSource::default());
    let spec = Spec { name: name.to_owned(), source, files: Vec::new(), user: None, push: None };
    node.inputs = json!({ "deployment": deployment, "fingerprint": "", "spec": spec });
    node
}
