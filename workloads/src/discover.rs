use async_trait::async_trait;
use engine::{Address, Deployment, Discover, Discovered, Failure, Need};
use futures::future::join_all;
use providers::kubernetes::{Client, Clients, Identity, Kind, KubernetesError, ObjectMeta, Selection};
use serde_json::json;

use crate::declare::object_of;
use crate::manifest::{DEPLOYMENT_LABEL, annotated};
use crate::object::Outputs;
use crate::owned;

/// Finds objects in the cluster that was found before.
struct InCluster {
    clients: Clients,
}

/// Finds a deployment's objects in its cluster by their label, with the manifests that they carry. What a controller made, or what
/// carries no manifest, is left out: the next apply takes it over.
pub fn discover(clients: &Clients) -> impl Discover + use<> {
    InCluster { clients: clients.clone() }
}

#[async_trait]
impl Discover for InCluster {
    fn place(&self) -> String {
        "the objects in the cluster".to_owned()
    }

    async fn discover(&self, deployment: &Deployment, before: &[Discovered]) -> Result<Vec<Discovered>, Failure> {
        let addresses = before.iter().map(|found| &found.node.address);
        let Some(cluster) = addresses.into_iter().find(|address| address.kind().ends_with("-cluster")) else {
            return Ok(Vec::new());
        };
        let client = self.clients.get(&deployment.kubeconfig());
        let kinds = client.patiently(|| client.listable()).await?;
        let looks = kinds.iter().map(|kind| objects(&client, kind, deployment.name()));
        let mut all = Vec::new();
        for objects in join_all(looks).await {
            for metadata in objects? {
                let Some((identity, found)) = discovered(metadata, deployment, cluster) else { continue };
                let outputs: Outputs = serde_json::from_value(found.outputs.clone())?;
                let outputs = outputs.with_address(&client, &identity, &found.node.inputs["manifest"]).await?;
                all.push(Discovered { outputs: json!(outputs), ..found });
            }
        }
        // The API server names its kinds in no certain order.
        all.sort_by(|one, other| one.node.address.cmp(&other.node.address));
        Ok(all)
    }
}

/// What carries the deployment's label. A kind that cannot be listed after all has nothing that we applied.
async fn objects(client: &Client, kind: &Kind, deployment: &str) -> Result<Vec<ObjectMeta>, KubernetesError> {
    let selection = Selection::default().labels(format!("{DEPLOYMENT_LABEL}={deployment}"));
    match client.list_metadata(kind, &selection).await {
        Err(KubernetesError::NotFound(_) | KubernetesError::UnknownKind { .. }) => Ok(Vec::new()),
        other => other,
    }
}

fn discovered(metadata: ObjectMeta, deployment: &Deployment, cluster: &Address) -> Option<(Identity, Discovered)> {
    let manifest = annotated(metadata.annotations.as_ref()?)?;
    let identity = Identity::of(&manifest)?;
    // Controllers copy labels and annotations to what they make.
    let is_itself = metadata.name.as_ref() == Some(&identity.name) && owned::was_applied(&metadata);
    if !is_itself || metadata.deletion_timestamp.is_some() {
        return None;
    }
    let mut node = object_of(&identity, &deployment.kubeconfig(), &manifest);
    node.needs = vec![Need::milestone(cluster.clone(), "api")];
    node.within = Some(cluster.clone());
    Some((identity, Discovered { node, outputs: json!(Outputs::of(metadata)) }))
}

#[cfg(test)]
mod tests {
    use engine::StateFolder;
    use serde_json::Value;

    use super::*;

    fn metadata(name: &str, manager: &str, manifest: &Value) -> ObjectMeta {
        serde_json::from_value(json!({
            "name": name, "namespace": "demo", "uid": "u", "resourceVersion": "7",
            "annotations": {"infra/manifest": manifest.to_string()},
            "managedFields": [{"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}],
        }))
        .expect("metadata")
    }

    #[test]
    fn an_object_is_found_as_it_was_applied_and_copies_of_its_labels_are_not() {
        let deployment = StateFolder::new("/state").deployment("demo");
        let cluster = Address::new("kind-cluster", "infra-demo");
        let manifest =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "demo"}});
        let found = |name, manager| discovered(metadata(name, manager, &manifest), &deployment, &cluster);
        let (_, object) = found("web", "infra").expect("it is ours");
        assert_eq!(object.node.address.to_string(), "object/deployment/demo/web");
        assert_eq!(object.node.inputs["manifest"], manifest);
        assert_eq!(object.node.within, Some(cluster.clone()));
        assert_eq!(object.outputs["revision"], "7");
        assert_eq!(found("web-5d4f", "infra"), None, "a replica set has the annotations of its deployment");
        assert_eq!(found("web", "kube-controller-manager"), None);
    }
}
