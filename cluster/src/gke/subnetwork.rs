use async_trait::async_trait;
use providers::gcp::compute::model;
use providers::gcp::{Error, Gcp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::network::marked;
use super::things::{Found, Thing, Things};
use super::{Owner, names};

/// The kind of node.
pub(super) const KIND: &str = "gcp-subnetwork";

/// What a `gcp-subnetwork` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub owner: Owner,
    pub region: String,
    pub name: String,
    pub network: String,
    pub range: String,
}

/// The behaviour of `gcp-subnetwork`: the nodes' part of a network. GKE adds the ranges of pods and services.
pub(super) type Subnetworks = Things<Inputs>;

#[async_trait]
impl Thing for Inputs {
    const SORT: &'static str = "subnetwork";
    const FIXED: &'static [&'static str] = &["name", "region", "network", "range"];

    fn project(&self) -> &str {
        &self.owner.project
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn look(&self, gcp: &Gcp) -> Result<Found, Error> {
        let found = gcp.subnetwork(&self.region, &self.name).await?;
        Ok(marked(&self.owner, found.map(|found| (found.description, json!({ "name": self.name })))))
    }

    async fn make(&self, gcp: &Gcp) -> Result<(), Error> {
        let subnetwork = model::Subnetwork::new()
            .set_name(&self.name)
            .set_description(names::mark(&self.owner.deployment))
            .set_network(format!("projects/{}/global/networks/{}", self.owner.project, self.network))
            .set_ip_cidr_range(&self.range)
            // Nodes without an address of their own reach Google's APIs and registries all the same.
            .set_private_ip_google_access(true);
        gcp.create_subnetwork(&self.region, &subnetwork).await
    }

    async fn remove(&self, gcp: &Gcp) -> Result<Option<String>, Error> {
        gcp.delete_subnetwork(&self.region, &self.name).await.map(|()| None)
    }
}
