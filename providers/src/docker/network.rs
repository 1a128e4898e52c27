use std::collections::BTreeMap;

use bollard::models::{NetworkCreateRequest, NetworkInspect};
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptions};

use super::container::exists;
use super::{Docker, Error};

/// The option of a network that holds the largest size of its packets in bytes.
const PACKET_SIZE: &str = "com.docker.network.driver.mtu";

/// A network of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The names of the containers in it.
    pub containers: Vec<String>,
}

impl Docker {
    /// Makes a bridge network whose addresses the engine chooses, with packets as large as on its default network. A name that exists already is an error.
    pub async fn create_network(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<(), Error> {
        let client = self.client().await?;
        // On a machine behind a tunnel the engine is set to smaller packets, but only its own network follows that.
        let default = client.inspect_network("bridge", None::<InspectNetworkOptions>).await.ok();
        let packets = default.and_then(|network| network.options?.remove_entry(PACKET_SIZE));
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            options: Some(packets.into_iter().collect()),
            labels: Some(labels.clone().into_iter().collect()),
            ..Default::default()
        };
        let made = client.create_network(request).await;
        made.map(|_| ()).map_err(|error| Error::new(format!("make network {name}"), error))
    }

    /// The network of this name, if there is one.
    pub async fn network(&self, name: &str) -> Result<Option<Network>, Error> {
        let found = self.client().await?.inspect_network(name, None::<InspectNetworkOptions>).await;
        match found.map_err(|error| Error::new(format!("inspect network {name}"), error)) {
            Ok(network) => Ok(Some(Network::from(network))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All networks with this label (`key` or `key=value`), by name. Which containers are in them is not told.
    pub async fn networks(&self, label: &str) -> Result<Vec<Network>, Error> {
        let filters = [("label".to_owned(), vec![label.to_owned()])].into();
        let options = ListNetworksOptions { filters: Some(filters) };
        let found = self
            .client()
            .await?
            .list_networks(Some(options))
            .await
            .map_err(|error| Error::new("list networks", error))?;
        let mut networks: Vec<Network> = found
            .into_iter()
            .map(|network| Network {
                id: network.id.unwrap_or_default(),
                name: network.name.unwrap_or_default(),
                labels: network.labels.unwrap_or_default().into_iter().collect(),
                containers: Vec::new(),
            })
            .collect();
        networks.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(networks)
    }

    /// Removes a network that no container uses. One that is not there is fine.
    pub async fn remove_network(&self, name: &str) -> Result<(), Error> {
        let removed = self.client().await?.remove_network(name).await;
        exists(removed.map_err(|error| Error::new(format!("remove network {name}"), error))).map(|_| ())
    }
}

impl From<NetworkInspect> for Network {
    fn from(network: NetworkInspect) -> Self {
        let containers = network.containers.into_iter().flatten().filter_map(|(_, container)| container.name);
        Self {
            id: network.id.unwrap_or_default(),
            name: network.name.unwrap_or_default(),
            labels: network.labels.unwrap_or_default().into_iter().collect(),
            containers: containers.collect(),
        }
    }
}
