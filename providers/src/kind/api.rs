use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api as Objects, Client, Config};
use tokio::time::timeout;

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The API server of a cluster that is being made, for the few questions that tell how far it is.
#[derive(Clone)]
pub struct Api {
    client: Client,
}

impl Api {
    /// An API server with the credentials of a kubeconfig file's text. Nothing is sent yet.
    pub async fn new(kubeconfig: &str) -> Result<Self, String> {
        let parsed = Kubeconfig::from_yaml(kubeconfig).map_err(|error| error.to_string())?;
        let config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
        Ok(Self { client })
    }

    /// Whether it answers these credentials with the namespace `default`: objects may then be applied. Says why not.
    pub async fn answers(&self) -> Result<(), String> {
        let namespaces: Objects<Namespace> = Objects::all(self.client.clone());
        match timeout(ANSWER_LIMIT, namespaces.get("default")).await {
            Ok(answer) => answer.map(|_| ()).map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} seconds", ANSWER_LIMIT.as_secs())),
        }
    }

    /// How many nodes have joined the cluster.
    pub async fn nodes(&self) -> Result<usize, String> {
        let nodes: Objects<Node> = Objects::all(self.client.clone());
        Ok(nodes.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items.len())
    }

    /// How many storage classes there are. kind adds one near the end of its work, after the pod network.
    pub async fn storage_classes(&self) -> Result<usize, String> {
        let classes: Objects<StorageClass> = Objects::all(self.client.clone());
        Ok(classes.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items.len())
    }
}
