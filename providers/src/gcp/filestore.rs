//! Filestore: file servers of Google, which machines of a network mount by NFS.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::call::Repeat;
use super::error::Error;
use super::long_running::Pace;
use super::rest::Request;
use super::{Gcp, Service};

/// Instances take minutes; some tiers were seen to take a quarter of an hour.
const PACE: Pace = Pace { pause: Duration::from_secs(5), limit: Duration::from_mins(40) };

/// An instance of Filestore with one share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileServer {
    /// Its name, without project and location.
    pub name: String,
    /// The zone or the region that it is in.
    pub location: String,
    /// In the API's words: `BASIC_HDD`.
    pub tier: String,
    /// In the API's words: `CREATING`, `READY`, `DELETING`, `ERROR`.
    pub state: String,
    /// What Google says of its state, where it does.
    pub message: String,
    /// What it is for.
    pub description: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The share's name: it is mounted as `/NAME`.
    pub share: String,
    /// The share's size.
    pub capacity_gibibytes: u32,
    /// The network's name.
    pub network: String,
    /// Its address in the network, once it is ready.
    pub address: Option<String>,
}

impl Gcp {
    fn file_servers_of(&self, location: &str) -> String {
        format!("/v1/projects/{}/locations/{location}/instances", self.project)
    }

    /// The instance, where it is there.
    pub async fn file_server(&self, location: &str, name: &str) -> Result<Option<FileServer>, Error> {
        let path = format!("{}/{name}", self.file_servers_of(location));
        Ok(self.find(Service::Filestore, &path).await?.as_ref().map(file_server))
    }

    /// Every instance of the project.
    pub async fn file_servers(&self) -> Result<Vec<FileServer>, Error> {
        let pages = self.pages(Service::Filestore, &self.file_servers_of("-"), &[]).await?;
        Ok(pages.iter().filter_map(|page| page["instances"].as_array()).flatten().map(file_server).collect())
    }

    /// Makes an instance, and returns when it is ready. What of it only Google says is not looked at.
    pub async fn create_file_server(&self, wanted: &FileServer) -> Result<(), Error> {
        let path = self.file_servers_of(&wanted.location);
        let body = json!({
            "tier": wanted.tier,
            "description": wanted.description,
            "labels": wanted.labels,
            "fileShares": [{ "name": wanted.share, "capacityGb": wanted.capacity_gibibytes.to_string() }],
            "networks": [{
                "network": format!("projects/{}/global/networks/{}", self.project, wanted.network),
                "modes": ["MODE_IPV4"],
            }],
        });
        let request = Request {
            service: Service::Filestore,
            method: Method::POST,
            path: &path,
            query: &[("instanceId", &wanted.name)],
            body: Some(&body),
            repeat: Repeat::Unsafe,
        };
        let begun = self.send(&request).await?;
        self.long_running(Service::Filestore, begun, PACE).await.map(|_| ())
    }

    /// Makes an instance's share larger, and returns when it is.
    pub async fn resize_file_server(&self, wanted: &FileServer) -> Result<(), Error> {
        let path = format!("{}/{}", self.file_servers_of(&wanted.location), wanted.name);
        let share = json!({ "name": wanted.share, "capacityGb": wanted.capacity_gibibytes.to_string() });
        let request = Request {
            service: Service::Filestore,
            method: Method::PATCH,
            path: &path,
            query: &[("updateMask", "fileShares")],
            body: Some(&json!({ "fileShares": [share] })),
            repeat: Repeat::Safe,
        };
        let begun = self.send(&request).await?;
        self.long_running(Service::Filestore, begun, PACE).await.map(|_| ())
    }

    /// Deletes an instance with all that is on it; that it is not there is success.
    pub async fn delete_file_server(&self, location: &str, name: &str) -> Result<(), Error> {
        let path = format!("{}/{name}", self.file_servers_of(location));
        let Some(begun) = self.remove(Service::Filestore, &path, &[]).await? else { return Ok(()) };
        match self.long_running(Service::Filestore, begun, PACE).await {
            Ok(_) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn file_server(value: &Value) -> FileServer {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let last = |value: &Value| value.as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
    let (share, network) = (&value["fileShares"][0], &value["networks"][0]);
    let labels = value["labels"].as_object().into_iter().flatten();
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    FileServer {
        name: last(&value["name"]),
        location: value["name"].as_str().and_then(|path| path.split('/').nth(3)).unwrap_or_default().to_owned(),
        tier: text(&value["tier"]),
        state: text(&value["state"]),
        message: text(&value["statusMessage"]),
        description: text(&value["description"]),
        labels: labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect(),
        share: text(&share["name"]),
        capacity_gibibytes: number(&share["capacityGb"]).and_then(|size| u32::try_from(size).ok()).unwrap_or_default(),
        network: last(&network["network"]),
        address: network["ipAddresses"][0].as_str().map(str::to_owned),
    }
}
