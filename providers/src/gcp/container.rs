//! Clusters and node pools of Google Kubernetes Engine.
//!
//! What the API takes and gives is Google's own [`model`]. Calls that begin an operation return its name; see
//! [`Gcp::wait_for_cluster_operation`].

use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

pub use google_cloud_container_v1::model;

use futures::future::try_join_all;
use google_cloud_container_v1::client::ClusterManager;
use google_cloud_container_v1::model::operation::Status;
use google_cloud_gax::error::Error as SdkError;
use google_cloud_gax::retry_policy::NeverRetry;

use super::call::Repeat;
use super::operation::{Limits, ended};
use super::{Error, Gcp, Service};
use crate::wait::{Probe, until};

/// Google's client.
pub(super) type Client = ClusterManager;

/// The pause before a cluster is asked again whether it is free.
const PAUSE: Duration = Duration::from_secs(5);

impl Gcp {
    pub(super) async fn container_client(&self) -> Result<&Client, Error> {
        let build = || async {
            let builder = ClusterManager::builder()
                .with_credentials(self.shared.tokens.clone())
                .with_retry_policy(NeverRetry)
                .with_endpoint(self.base(Service::Container));
            Box::pin(builder.build()).await.map_err(|error| Error::Protocol(Box::new(error)))
        };
        self.shared.container.get_or_try_init(build).await
    }

    async fn gke<'c, T, F>(&'c self, repeat: Repeat, call: impl Fn(&'c Client) -> F) -> Result<Box<T>, Error>
    where
        F: Future<Output = Result<T, SdkError>>,
    {
        let client = self.container_client().await?;
        self.sdk(Service::Container, repeat, || call(client)).await
    }

    fn location(&self, location: &str) -> String {
        format!("projects/{}/locations/{location}", self.project)
    }

    fn cluster_name(&self, location: &str, cluster: &str) -> String {
        format!("{}/clusters/{cluster}", self.location(location))
    }

    fn pool_name(&self, location: &str, cluster: &str, pool: &str) -> String {
        format!("{}/nodePools/{pool}", self.cluster_name(location, cluster))
    }

    /// The cluster, where it is there.
    pub async fn cluster(&self, location: &str, name: &str) -> Result<Option<Box<model::Cluster>>, Error> {
        let name = self.cluster_name(location, name);
        found(self.gke(Repeat::Safe, |client| client.get_cluster().set_name(&name).send()).await)
    }

    /// All clusters of the project, and the zones that could not be asked.
    pub async fn clusters(&self) -> Result<(Vec<model::Cluster>, Vec<String>), Error> {
        let parent = self.location("-");
        let listed = self.gke(Repeat::Safe, |client| client.list_clusters().set_parent(&parent).send()).await?;
        Ok((listed.clusters, listed.missing_zones))
    }

    /// Begins to make a cluster. Its outcome may be unknown ([`Error::outcome_is_unknown`]): then look for it by its name.
    pub async fn create_cluster(&self, location: &str, cluster: &model::Cluster) -> Result<String, Error> {
        let parent = self.location(location);
        let begun = self.gke(Repeat::Unsafe, |client| {
            client.create_cluster().set_parent(&parent).set_cluster(cluster.clone()).send()
        });
        Ok(begun.await?.name)
    }

    /// Begins to delete a cluster; nothing where it is not there.
    pub async fn delete_cluster(&self, location: &str, name: &str) -> Result<Option<String>, Error> {
        let name = self.cluster_name(location, name);
        let begun = self.gke(Repeat::Safe, |client| client.delete_cluster().set_name(&name).send()).await;
        Ok(found(begun)?.map(|operation| operation.name))
    }

    /// Begins to change one thing of a cluster.
    pub async fn update_cluster(
        &self,
        location: &str,
        name: &str,
        update: &model::ClusterUpdate,
    ) -> Result<String, Error> {
        let name = self.cluster_name(location, name);
        let begun = self
            .gke(Repeat::Unsafe, |client| client.update_cluster().set_name(&name).set_update(update.clone()).send());
        Ok(begun.await?.name)
    }

    /// The node pool, where it and its cluster are there.
    pub async fn node_pool(
        &self,
        location: &str,
        cluster: &str,
        pool: &str,
    ) -> Result<Option<Box<model::NodePool>>, Error> {
        let name = self.pool_name(location, cluster, pool);
        found(self.gke(Repeat::Safe, |client| client.get_node_pool().set_name(&name).send()).await)
    }

    /// How many machines a node pool shall have now, in each of its zones: what its groups say. What the pool itself says is how
    /// many it was made with.
    pub async fn node_pool_sizes(&self, pool: &model::NodePool) -> Result<Vec<i64>, Error> {
        let paths = pool.instance_group_urls.iter().filter_map(|link| Some(link.split_once("/compute/v1/")?.1));
        let looks = paths.map(|path| async move { self.find(Service::Compute, &format!("/compute/v1/{path}")).await });
        let groups = try_join_all(looks).await?;
        Ok(groups.iter().flatten().filter_map(|group| group["targetSize"].as_i64()).collect())
    }

    /// Begins to make a node pool.
    pub async fn create_node_pool(
        &self,
        location: &str,
        cluster: &str,
        pool: &model::NodePool,
    ) -> Result<String, Error> {
        let parent = self.cluster_name(location, cluster);
        let begun = self.gke(Repeat::Unsafe, |client| {
            client.create_node_pool().set_parent(&parent).set_node_pool(pool.clone()).send()
        });
        Ok(begun.await?.name)
    }

    /// Begins to delete a node pool; nothing where it is not there.
    pub async fn delete_node_pool(&self, location: &str, cluster: &str, pool: &str) -> Result<Option<String>, Error> {
        let name = self.pool_name(location, cluster, pool);
        let begun = self.gke(Repeat::Safe, |client| client.delete_node_pool().set_name(&name).send()).await;
        Ok(found(begun)?.map(|operation| operation.name))
    }

    /// Begins to change how many nodes a pool has in each zone.
    pub async fn set_node_pool_size(
        &self,
        location: &str,
        cluster: &str,
        pool: &str,
        nodes: i32,
    ) -> Result<String, Error> {
        let name = self.pool_name(location, cluster, pool);
        let begun =
            self.gke(Repeat::Safe, |client| client.set_node_pool_size().set_name(&name).set_node_count(nodes).send());
        Ok(begun.await?.name)
    }

    /// Begins to change between which bounds a pool grows and shrinks.
    pub async fn set_node_pool_autoscaling(
        &self,
        location: &str,
        cluster: &str,
        pool: &str,
        autoscaling: &model::NodePoolAutoscaling,
    ) -> Result<String, Error> {
        let name = self.pool_name(location, cluster, pool);
        let begun = self.gke(Repeat::Safe, |client| {
            client.set_node_pool_autoscaling().set_name(&name).set_autoscaling(autoscaling.clone()).send()
        });
        Ok(begun.await?.name)
    }

    /// Which versions and images a location offers.
    pub async fn server_config(&self, location: &str) -> Result<Box<model::ServerConfig>, Error> {
        let name = self.location(location);
        self.gke(Repeat::Safe, |client| client.get_server_config().set_name(&name).send()).await
    }

    /// An operation, as long as Google knows it.
    pub async fn operation(&self, location: &str, name: &str) -> Result<Option<Box<model::Operation>>, Error> {
        let name = format!("{}/operations/{name}", self.location(location));
        found(self.gke(Repeat::Safe, |client| client.get_operation().set_name(&name).send()).await)
    }

    /// The operations of a location that are about this cluster and not done yet.
    pub async fn open_operations(&self, location: &str, cluster: &str) -> Result<Vec<model::Operation>, Error> {
        let parent = self.location(location);
        let listed = self.gke(Repeat::Safe, |client| client.list_operations().set_parent(&parent).send()).await?;
        let (itself, within) = (format!("/clusters/{cluster}"), format!("/clusters/{cluster}/"));
        let is_about = |operation: &model::Operation| {
            operation.target_link.ends_with(&itself) || operation.target_link.contains(&within)
        };
        Ok(listed.operations.into_iter().filter(|open| open.status != Status::Done && is_about(open)).collect())
    }

    /// Makes a call that a cluster may refuse while another operation works on it, once that one is over.
    pub async fn queued<T, F>(
        &self,
        location: &str,
        tell: &(dyn Fn(String) + Sync),
        call: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let blocking: Mutex<Option<String>> = Mutex::default();
        let taken = || blocking.lock().expect("no panic while the lock is held");
        let waited = until("the cluster to be free", Limits::CLUSTER, self.pause(PAUSE), || async {
            let other = taken().clone();
            if let Some(name) = &other
                && let Ok(Some(operation)) = self.operation(location, name).await
                && operation.status != Status::Done
            {
                return Ok(Probe::Pending(format!("{name} is under way")));
            }
            match call().await {
                Ok(value) => Ok(Probe::Ready(value)),
                Err(Error::Incompatible { operation, message }) => {
                    tell(format!("waiting for the cluster: {message}"));
                    *taken() = operation;
                    Ok(Probe::Pending(message))
                }
                Err(error) => Err(error),
            }
        });
        waited.await.map_err(ended)
    }
}

/// Something that is there, or not.
pub(super) fn found<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
