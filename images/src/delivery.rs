//! The behaviour of the kind `delivery`: images in the nodes of a kind cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use engine::{Context, Failure, Gone, Held, Observation, Resource};
use futures::future;
use providers::docker::{self, Docker, Exec, ExecOutput};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::image::{explain_docker, explain_store, megabytes};
use crate::layout::Parcel;
use crate::oci::{Descriptor, Manifest};
use crate::store::Store;
use crate::{SharedStore, declare};

/// Imports the image `$1` from the standard input, pins it so that the kubelet does not collect it, takes the pin off the one
/// that it replaces (`$2`, may be empty or gone), and looks whether it is complete. The snapshotter is the one that the kubelet
/// will use.
const IMPORT: &str = r#"
snapshotter=$(sed -n "s/^ *snapshotter *= *[\"']\([a-z-]*\)[\"'].*/\1/p" /etc/containerd/config.toml | head -n 1)
ctr -n k8s.io images import --snapshotter "${snapshotter:-overlayfs}" - >&2 || exit 1
ctr -n k8s.io images label "$1" io.cri-containerd.pinned=pinned >&2 || exit 1
[ -z "$2" ] || ctr -n k8s.io images label "$2" io.cri-containerd.pinned= >/dev/null 2>&1
ctr -n k8s.io images check --snapshotter "${snapshotter:-overlayfs}" "name==$1"
"#;

/// Puts images into nodes.
pub struct Deliveries {
    store: SharedStore,
    docker: Docker,
}

#[derive(Deserialize)]
struct Inputs {
    #[serde(flatten)]
    place: Place,
    reference: String,
    digest: String,
}

/// What is known of a delivery even before its image is made.
#[derive(Deserialize)]
struct Place {
    deployment: String,
    name: String,
    cluster: String,
}

fn read<T: DeserializeOwned>(inputs: &Value) -> Result<T, Failure> {
    Ok(serde_json::from_value(inputs.clone())?)
}

/// A delivery to one node that failed.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The cluster has no nodes.
    #[error("cluster {cluster} has no nodes to put images into")]
    NoNodes {
        /// The cluster.
        cluster: String,
    },
    /// Docker.
    #[error("node {node}")]
    Docker {
        /// The node.
        node: String,
        /// Why.
        #[source]
        source: docker::Error,
    },
    /// The node's containerd refused.
    #[error("node {node} cannot take image {reference}: {message}")]
    Refused {
        /// The node.
        node: String,
        /// The image.
        reference: String,
        /// What containerd said.
        message: String,
    },
    /// The image was imported and is not complete.
    #[error("image {reference} is incomplete in node {node}: {found}")]
    Incomplete {
        /// The node.
        node: String,
        /// The image.
        reference: String,
        /// What containerd says of it.
        found: String,
    },
}

/// The image of a delivery in the store.
struct Image {
    store: Arc<Store>,
    reference: String,
    replaced: String,
    manifest: Manifest,
    descriptor: Descriptor,
}

impl Deliveries {
    pub(crate) fn new(store: SharedStore, docker: Docker) -> Self {
        Self { store, docker }
    }

    async fn nodes(&self, cluster: &str) -> Result<Vec<String>, docker::Error> {
        let label = format!("io.x-k8s.kind.cluster={cluster}");
        let containers = self.docker.containers(&[label.as_str()]).await?;
        let is_node = |role: Option<&String>| role.is_none_or(|role| role != "external-load-balancer");
        let nodes = containers.into_iter().filter(|container| is_node(container.labels.get("io.x-k8s.kind.role")));
        Ok(nodes.map(|container| container.name).collect())
    }

    async fn run(&self, node: &str, exec: Exec<'_>) -> Result<ExecOutput, DeliveryError> {
        self.docker.exec(node, exec).await.map_err(|source| DeliveryError::Docker { node: node.to_owned(), source })
    }

    async fn deliver_to_all(&self, context: &Context, inputs: Inputs, replaced: String) -> Result<Value, Failure> {
        let store = self.store.get().map_err(explain_store)?;
        let found = store.manifest(&inputs.digest);
        let (manifest, descriptor) = found
            .map_err(|error| explain_store(error).hint("run the same command again: the image is then made anew"))?;
        let image = Image { store, reference: inputs.reference, replaced, manifest, descriptor };
        let nodes = self.nodes(&inputs.place.cluster).await.map_err(explain_docker)?;
        if nodes.is_empty() {
            return Err(Failure::from(DeliveryError::NoNodes { cluster: inputs.place.cluster }).nothing_remains());
        }
        let sent = future::try_join_all(nodes.iter().map(|node| self.deliver(node, &image))).await?;
        let bytes: u64 = sent.iter().sum();
        context.progress(format!("{:.1} MB sent to {} nodes", megabytes(bytes), nodes.len()));
        Ok(json!({ "reference": image.reference, "sent_bytes": bytes }))
    }

    /// Sends one node what it lacks; returns how many bytes.
    async fn deliver(&self, node: &str, image: &Image) -> Result<u64, DeliveryError> {
        let listed = self.run(node, Exec::new(["ctr", "-n", "k8s.io", "content", "ls", "-q"])).await?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let held: BTreeSet<&str> = listed.lines().map(str::trim).collect();
        let parcel = image.parcel(|digest| held.contains(digest));
        let (bytes, partial) = (parcel.bytes(), parcel.blobs.len() < image.manifest.blobs().count());
        match self.import(node, parcel, image).await {
            // A layer that nothing refers to may be collected between the listing and the import.
            Err(DeliveryError::Refused { .. } | DeliveryError::Incomplete { .. }) if partial => {
                let parcel = image.parcel(|_| false);
                let all = parcel.bytes();
                self.import(node, parcel, image).await.map(|()| bytes + all)
            }
            imported => imported.map(|()| bytes),
        }
    }

    async fn import(&self, node: &str, parcel: Parcel, image: &Image) -> Result<(), DeliveryError> {
        let archive = parcel.archive(image.store.clone());
        let output = self
            .run(node, Exec::new(["sh", "-c", IMPORT, "import", &image.reference, &image.replaced]).stdin(archive))
            .await?;
        let (node, reference) = (node.to_owned(), image.reference.clone());
        if !output.success() {
            return Err(DeliveryError::Refused { node, reference, message: output.message() });
        }
        let found = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = found.lines().find(|line| line.starts_with(&reference)).unwrap_or_default();
        let complete = line.contains(" complete ") && line.trim_end().ends_with("true");
        if complete {
            Ok(())
        } else {
            Err(DeliveryError::Incomplete { node, reference, found: found.trim().to_owned() })
        }
    }

    /// The names of the images that each node of a cluster has; an empty map when there is no such cluster.
    async fn images(&self, cluster: &str) -> Result<BTreeMap<String, BTreeSet<String>>, DeliveryError> {
        let docker = |source| DeliveryError::Docker { node: format!("of {cluster}"), source };
        let nodes = self.nodes(cluster).await.map_err(docker)?;
        let list = nodes.into_iter().map(|node| async move {
            let output = self.run(&node, Exec::new(["ctr", "-n", "k8s.io", "images", "ls", "-q"])).await?;
            if !output.success() {
                let reference = "list".to_owned();
                return Err(DeliveryError::Refused { node, reference, message: output.message() });
            }
            let names = String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim().to_owned()).collect();
            Ok((node, names))
        });
        Ok(future::try_join_all(list).await?.into_iter().collect())
    }
}

impl Image {
    fn parcel(&self, has: impl Fn(&str) -> bool) -> Parcel {
        Parcel::new(&self.reference, &self.manifest, self.descriptor.clone(), has)
    }
}

#[async_trait]
impl Resource for Deliveries {
    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let inputs: Vec<Option<Inputs>> = held.iter().map(|held| read(&held.node.inputs).ok()).collect();
        let clusters: BTreeSet<&str> = inputs.iter().flatten().map(|inputs| inputs.place.cluster.as_str()).collect();
        let looks = clusters.into_iter().map(|cluster| async move { (cluster, self.images(cluster).await) });
        let found: BTreeMap<&str, _> = future::join_all(looks).await.into_iter().collect();
        let observe = |inputs: &Option<Inputs>| {
            let Some(inputs) = inputs else {
                return Observation::Unknown("its inputs are of another version".to_owned());
            };
            match &found[inputs.place.cluster.as_str()] {
                Err(error) => Observation::Unknown(error.to_string()),
                Ok(nodes) => {
                    let lacks: Vec<&str> = nodes
                        .iter()
                        .filter(|(_, images)| !images.contains(&inputs.reference))
                        .map(|(node, _)| node.as_str())
                        .collect();
                    match lacks.len() {
                        0 if !nodes.is_empty() => Observation::AsRecorded,
                        lacking if lacking == nodes.len() => Observation::Absent,
                        _ => Observation::Changed(format!("node {} lacks it", lacks.join(", ")).into()),
                    }
                }
            }
        };
        inputs.iter().map(observe).collect()
    }

    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        self.deliver_to_all(context, read(inputs)?, String::new()).await
    }

    async fn update(&self, context: &Context, old: &Value, new: &Value) -> Result<Value, Failure> {
        let (old, new): (Inputs, Inputs) = (read(old)?, read(new)?);
        let replaced = if old.reference == new.reference { String::new() } else { old.reference };
        self.deliver_to_all(context, new, replaced).await
    }

    async fn delete(&self, _context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let place: Place = read(inputs)?;
        let repository = declare::repository(&place.deployment, &place.name);
        let prefix = format!("{repository}@");
        for (node, images) in self.images(&place.cluster).await? {
            let ours: Vec<String> = images.into_iter().filter(|image| image.starts_with(&prefix)).collect();
            if !ours.is_empty() {
                let command =
                    ["ctr", "-n", "k8s.io", "images", "rm", "--sync"].map(str::to_owned).into_iter().chain(ours);
                let output = self.run(&node, Exec::new(command)).await?;
                if !output.success() {
                    let reference = repository;
                    return Err(DeliveryError::Refused { node, reference, message: output.message() }.into());
                }
            }
        }
        let left = self.images(&place.cluster).await?;
        let left = left.into_iter().find(|(_, images)| images.iter().any(|image| image.starts_with(&prefix)));
        match left {
            Some((node, _)) => Err(Failure::from(format!("image {prefix} is still in node {node} after its removal"))),
            None => Ok(vec![Gone::new("image in nodes", repository)]),
        }
    }
}
