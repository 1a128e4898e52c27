use async_trait::async_trait;
use providers::gcp::compute::model;
use providers::gcp::{Error, Gcp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::things::{Found, Thing, Things};
use super::{Owner, names};

/// The kind of node.
pub(super) const KIND: &str = "gcp-network";

/// What a `gcp-network` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub owner: Owner,
    pub name: String,
}

/// The behaviour of `gcp-network`: a network without subnetworks of its own making.
pub(super) type Networks = Things<Inputs>;

#[async_trait]
impl Thing for Inputs {
    const SORT: &'static str = "network";
    const FIXED: &'static [&'static str] = &["name"];

    fn project(&self) -> &str {
        &self.owner.project
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn look(&self, gcp: &Gcp) -> Result<Found, Error> {
        let found = gcp.network(&self.name).await?;
        Ok(marked(&self.owner, found.map(|found| (found.description, json!({ "name": self.name })))))
    }

    async fn make(&self, gcp: &Gcp) -> Result<(), Error> {
        let network = model::Network::new()
            .set_name(&self.name)
            .set_description(names::mark(&self.owner.deployment))
            .set_auto_create_subnetworks(false)
            .set_routing_config(
                model::NetworkRoutingConfig::new()
                    .set_routing_mode(model::network_routing_config::RoutingMode::Regional),
            );
        gcp.create_network(&network).await
    }

    async fn remove(&self, gcp: &Gcp) -> Result<Option<String>, Error> {
        gcp.delete_network(&self.name).await.map(|()| None)
    }
}

/// Whose something is that says it in its description.
pub(super) fn marked(owner: &Owner, found: Option<(Option<String>, serde_json::Value)>) -> Found {
    match found {
        None => Found::Nothing,
        Some((Some(description), outputs)) if description == names::mark(&owner.deployment) => {
            Found::Ours { outputs, difference: None }
        }
        Some((description, _)) => {
            let other = description.as_deref().and_then(|text| text.strip_prefix(&format!("{}=", names::LABEL)));
            Found::Foreign(match other {
                Some(other) => format!("the deployment {other} made it"),
                None => "infra did not make it".to_owned(),
            })
        }
    }
}

/// Whose something is that carries labels.
pub(super) fn labelled(
    owner: &Owner,
    label: Option<&str>,
    outputs: serde_json::Value,
    difference: Option<String>,
) -> Found {
    match label {
        Some(deployment) if deployment == owner.deployment => Found::Ours { outputs, difference },
        Some(other) => Found::Foreign(format!("the deployment {other} made it")),
        None => Found::Foreign("infra did not make it".to_owned()),
    }
}
