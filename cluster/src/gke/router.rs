use async_trait::async_trait;
use providers::gcp::compute::model::{self, router_nat};
use providers::gcp::{Error, Gcp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::network::marked;
use super::things::{Found, Thing, Things};
use super::{Owner, names};

/// The kind of node.
pub(super) const KIND: &str = "gcp-router";

/// What a `gcp-router` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub owner: Owner,
    pub region: String,
    pub name: String,
    pub network: String,
}

/// The behaviour of `gcp-router`: the way out of a network for machines that have no address outside of it.
pub(super) type Routers = Things<Inputs>;

#[async_trait]
impl Thing for Inputs {
    const SORT: &'static str = "router";
    const FIXED: &'static [&'static str] = &["name", "region", "network"];

    fn project(&self) -> &str {
        &self.owner.project
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn look(&self, gcp: &Gcp) -> Result<Found, Error> {
        let found = gcp.router(&self.region, &self.name).await?;
        Ok(marked(&self.owner, found.map(|found| (found.description, json!({ "name": self.name })))))
    }

    async fn make(&self, gcp: &Gcp) -> Result<(), Error> {
        let nat = model::RouterNat::new()
            .set_name(&self.name)
            .set_nat_ip_allocate_option(router_nat::NatIpAllocateOption::AutoOnly)
            .set_source_subnetwork_ip_ranges_to_nat(
                router_nat::SourceSubnetworkIpRangesToNat::AllSubnetworksAllIpRanges,
            );
        let router = model::Router::new()
            .set_name(&self.name)
            .set_description(names::mark(&self.owner.deployment))
            .set_network(format!("projects/{}/global/networks/{}", self.owner.project, self.network))
            .set_nats([nat]);
        gcp.create_router(&self.region, &router).await
    }

    async fn remove(&self, gcp: &Gcp) -> Result<Option<String>, Error> {
        gcp.delete_router(&self.region, &self.name).await.map(|()| None)
    }
}
