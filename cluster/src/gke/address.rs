use async_trait::async_trait;
use providers::gcp::compute::model;
use providers::gcp::{Error, Gcp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::network::labelled;
use super::things::{Found, Thing, Things};
use super::{Owner, names};

/// The kind of node.
pub(super) const KIND: &str = "gcp-address";

/// What a `gcp-address` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub owner: Owner,
    pub region: String,
    pub name: String,
}

/// The behaviour of `gcp-address`: an address that stays the same while load balancers come and go.
pub(super) type Addresses = Things<Inputs>;

#[async_trait]
impl Thing for Inputs {
    const SORT: &'static str = "static address";
    const FIXED: &'static [&'static str] = &["name", "region"];

    fn project(&self) -> &str {
        &self.owner.project
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn look(&self, gcp: &Gcp) -> Result<Found, Error> {
        let Some(found) = gcp.address(&self.region, &self.name).await? else { return Ok(Found::Nothing) };
        let outputs = json!({ "name": self.name, "address": found.address });
        // Not every sort of address takes labels from the call that makes it on: the description says it, too.
        let mark = found.description.as_deref().and_then(|text| text.strip_prefix(&format!("{}=", names::LABEL)));
        Ok(labelled(&self.owner, found.labels.get(names::LABEL).map(String::as_str).or(mark), outputs, None))
    }

    async fn make(&self, gcp: &Gcp) -> Result<(), Error> {
        let address = model::Address::new()
            .set_name(&self.name)
            .set_description(names::mark(&self.owner.deployment))
            .set_labels([(names::LABEL, &self.owner.deployment)])
            .set_address_type(model::address::AddressType::External);
        gcp.create_address(&self.region, &address).await
    }

    async fn remove(&self, gcp: &Gcp) -> Result<Option<String>, Error> {
        gcp.delete_address(&self.region, &self.name).await.map(|()| None)
    }
}
