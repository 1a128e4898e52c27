//! What the Docker Engine has of a deployment, found by its labels.

use std::collections::{BTreeMap, BTreeSet};

use engine::Node;
use providers::docker::{Docker, Error};

use crate::assemble::{DEPLOYMENT_LABEL, NAME_LABEL};
use crate::declare;
use crate::spec::{DockerfileSource, Source, Spec};

/// One reference that the engine has.
pub(crate) struct InDocker {
    /// The image's name within its deployment.
    pub name: String,
    /// A tag of it, or its identifier where it has none.
    pub reference: String,
}

/// Every reference of a deployment's images, by their labels.
pub(crate) async fn in_docker(docker: &Docker, deployment: &str) -> Result<Vec<InDocker>, Error> {
    let mut found = Vec::new();
    for image in docker.images(&format!("{DEPLOYMENT_LABEL}={deployment}")).await? {
        let Some(name) = image.labels.get(NAME_LABEL) else { continue };
        let references = if image.tags.is_empty() { vec![image.id] } else { image.tags };
        found.extend(references.into_iter().map(|reference| InDocker { name: name.clone(), reference }));
    }
    Ok(found)
}

/// The nodes of the images that the engine built for a deployment, as far as their labels tell: enough to delete them.
pub async fn find(docker: &Docker, deployment: &str) -> Result<Vec<Node>, Error> {
    let names: BTreeSet<String> = in_docker(docker, deployment).await?.into_iter().map(|image| image.name).collect();
    Ok(names.into_iter().map(|name| node(deployment, name)).collect())
}

fn node(deployment: &str, name: String) -> Node {
    let source = Source::Dockerfile(DockerfileSource::default());
    let (files, environment) = (Vec::new(), BTreeMap::new());
    declare::image_node(deployment, &Spec { name, source, files, user: None, environment, push: None }, "")
}
