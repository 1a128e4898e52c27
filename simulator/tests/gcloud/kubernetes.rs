//! A real API server without nodes behind each cluster, which asks the simulator who a token is.

use std::sync::Arc;

use apiserver::streams::{Duplex, ExecOptions, ExecSession, LogOptions, LogStream, PodStreams};
use apiserver::{Api, Status, User, WriteOptions};
use async_trait::async_trait;
use serde_json::{Value, json};
use simulator::{ClusterError, ClusterShape, Clusters, Kubernetes, NodeShape};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct NoNode;

fn no_node() -> Status {
    Status::new(501, "NotImplemented", "there is no node here")
}

#[async_trait]
impl PodStreams for NoNode {
    async fn logs(&self, _: &Value, _: &str, _: LogOptions) -> Result<LogStream, Status> {
        Err(no_node())
    }

    async fn exec(&self, _: &Value, _: &str, _: ExecOptions) -> Result<ExecSession, Status> {
        Err(no_node())
    }

    async fn connect(&self, _: &Value, _: u16) -> Result<Box<dyn Duplex>, Status> {
        Err(no_node())
    }
}

/// API servers in a folder.
pub struct Servers {
    pub folder: tempfile::TempDir,
}

fn told(error: &dyn std::error::Error) -> ClusterError {
    ClusterError::new(error.to_string())
}

#[async_trait]
impl Clusters for Servers {
    async fn start(&self, cluster: &ClusterShape) -> Result<Kubernetes, ClusterError> {
        let options = apiserver::Options { token_review: Some(cluster.token_review.clone()), ..Default::default() };
        let folder = self.folder.path().join(&cluster.id);
        std::fs::create_dir_all(&folder).map_err(|error| told(&error))?;
        let api = Api::open(&folder, &options).map_err(|error| told(&error))?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| told(&error))?;
        let endpoint = listener.local_addr().map_err(|error| told(&error))?.to_string();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}});
        let made = api.create(&User::system("test"), kinds::NAMESPACES, "", namespace, &WriteOptions::default()).await;
        made.map_err(|status| ClusterError::new(status.message))?;
        let credentials = api.credentials();
        let kubernetes = Kubernetes {
            ca_certificate: credentials.authority.clone().into_bytes(),
            kubeconfig: credentials.kubeconfig(&format!("https://{endpoint}")),
            endpoint,
        };
        // It ends with the test.
        tokio::spawn(apiserver::serve(api, listener, Arc::new(NoNode), CancellationToken::new()));
        Ok(kubernetes)
    }

    async fn set_nodes(&self, _: &str, _: &[NodeShape]) -> Result<(), ClusterError> {
        Ok(())
    }

    async fn stop(&self, _: &str) -> Result<(), ClusterError> {
        Ok(())
    }
}
