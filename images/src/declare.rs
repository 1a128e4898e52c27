use std::path::Path;

use engine::{Address, Graph, GraphError, Need, Node, output};
use serde_json::json;

use crate::spec::{self, Source, Spec};

pub(crate) const IMAGE: &str = "image";
pub(crate) const DELIVERY: &str = "delivery";
pub(crate) const PUSH: &str = "push";
pub(crate) const UNPACKED: &str = "unpacked-image";

/// The repository of an image, before it is at a registry. The host does not exist, so nothing can be pulled by mistake.
pub(crate) fn repository(deployment: &str, name: &str) -> String {
    format!("infra.local/{deployment}/{name}")
}

/// How the cluster gets an image.
#[derive(Clone, Copy, Debug)]
pub enum Delivery<'a> {
    /// Straight into the nodes of this kind cluster; also pushed where [`Spec::push`] says so.
    Kind {
        /// The address of the cluster, which announces the milestone `nodes`.
        cluster: &'a Address,
        /// The cluster's name.
        name: &'a str,
    },
    /// Unpacked into a folder that a sandbox runs images from; also pushed where [`Spec::push`] says so.
    Folder {
        /// The address of the cluster, which announces the milestone `nodes`.
        cluster: &'a Address,
        /// The folder.
        folder: &'a Path,
    },
    /// From a registry: the image is pushed to [`Spec::push`].
    Registry {
        /// What makes the repository there, where that is a node of the graph.
        needs: Option<&'a Address>,
    },
}

/// Where the nodes of an image are in the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The image itself.
    pub image: Address,
    /// What makes it available to the cluster. Its output `reference` is what a manifest names; a workload needs this node.
    pub available: Address,
}

/// Adds an image and its way to the cluster to a graph. `fingerprint` is the one of [`crate::fingerprint`].
///
/// With [`Delivery::Registry`] the specification must say where to push; without that the image is only made, and its reference
/// is one that no cluster can pull.
pub fn declare(
    graph: &mut Graph,
    deployment: &str,
    spec: &Spec,
    fingerprint: &str,
    delivery: Delivery<'_>,
) -> Result<Declared, GraphError> {
    let node = image_node(deployment, spec, fingerprint);
    let image = node.address.clone();
    graph.add(node)?;
    let repository = if let Delivery::Registry { needs } = delivery { needs } else { None };
    let pushed = spec.push.as_ref().map(|to| pushed(graph, spec, &image, to, repository)).transpose()?;
    let available = match delivery {
        Delivery::Kind { cluster, name } => delivered(graph, deployment, spec, &image, cluster, name)?,
        Delivery::Folder { cluster, folder } => unpacked(graph, deployment, spec, &image, cluster, folder)?,
        Delivery::Registry { .. } => pushed.unwrap_or_else(|| image.clone()),
    };
    Ok(Declared { image, available })
}

/// The node of an image alone.
pub(crate) fn image_node(deployment: &str, spec: &Spec, fingerprint: &str) -> Node {
    let (os, architecture) = spec::platform();
    let mut node = Node::new(Address::new(IMAGE, &spec.name), title(spec), "images");
    node.inputs = json!({
        "deployment": deployment,
        "repository": repository(deployment, &spec.name),
        "platform": format!("{os}/{architecture}"),
        "fingerprint": fingerprint,
        "spec": spec,
    });
    node
}

fn title(spec: &Spec) -> String {
    match &spec.source {
        Source::Cargo(source) if source.package == spec.name => format!("image {} (cargo)", spec.name),
        Source::Cargo(source) => format!("image {} (cargo {})", spec.name, source.package),
        Source::Dockerfile(_) => format!("image {} (Dockerfile)", spec.name),
    }
}

fn delivered(
    graph: &mut Graph,
    deployment: &str,
    spec: &Spec,
    image: &Address,
    cluster: &Address,
    cluster_name: &str,
) -> Result<Address, GraphError> {
    let mut node = delivery_node(deployment, &spec.name, cluster, cluster_name);
    refer(&mut node, image);
    let address = node.address.clone();
    graph.add(node)?;
    Ok(address)
}

fn unpacked(
    graph: &mut Graph,
    deployment: &str,
    spec: &Spec,
    image: &Address,
    cluster: &Address,
    folder: &Path,
) -> Result<Address, GraphError> {
    let mut node = unpacked_node(deployment, &spec.name, cluster, folder);
    refer(&mut node, image);
    let address = node.address.clone();
    graph.add(node)?;
    Ok(address)
}

/// The node of an image in the nodes of a kind cluster; which image that is has to be added.
pub(crate) fn delivery_node(deployment: &str, image: &str, cluster: &Address, cluster_name: &str) -> Node {
    let mut node = Node::new(Address::new(DELIVERY, image), format!("image {image} in the nodes"), "images");
    node.inputs = json!({ "deployment": deployment, "name": image, "cluster": cluster_name });
    place(&mut node, image, cluster);
    node
}

/// The node of an image in the folder of a sandbox; which image that is has to be added.
pub(crate) fn unpacked_node(deployment: &str, image: &str, cluster: &Address, folder: &Path) -> Node {
    let mut node = Node::new(Address::new(UNPACKED, image), format!("image {image} unpacked"), "images");
    node.inputs = json!({ "deployment": deployment, "name": image, "folder": folder });
    place(&mut node, image, cluster);
    node
}

fn place(node: &mut Node, image: &str, cluster: &Address) {
    node.needs = vec![Address::new(IMAGE, image).into(), Need::milestone(cluster.clone(), "nodes")];
    node.within = Some(cluster.clone());
}

/// Says that the image is the one that is made.
fn refer(node: &mut Node, image: &Address) {
    node.inputs["reference"] = output(image, "reference");
    node.inputs["digest"] = output(image, "digest");
}

fn pushed(
    graph: &mut Graph,
    spec: &Spec,
    image: &Address,
    to: &str,
    repository: Option<&Address>,
) -> Result<Address, GraphError> {
    let address = Address::new(PUSH, &spec.name);
    let mut node = Node::new(address.clone(), format!("image {} at {to}", spec.name), "images");
    node.inputs = json!({ "to": to, "digest": output(image, "digest") });
    node.needs = std::iter::once(image).chain(repository).cloned().map(Need::from).collect();
    // A registry keeps what it was given, and others may have pulled it: nothing is deleted there.
    node.lasting = false;
    graph.add(node)?;
    Ok(address)
}
