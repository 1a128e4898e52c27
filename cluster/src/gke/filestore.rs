use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use providers::gcp::{Error, FileServer as Instance, Gcp};
use providers::wait::{Probe, WaitError, until};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::network::labelled;
use super::things::{Found, Thing, Things};
use super::{Owner, names};

/// The kind of node.
pub(super) const KIND: &str = "gcp-filestore";

/// The name of the share of each instance, which has only one.
pub(super) const SHARE: &str = "data";

/// How long what another run began may take.
const SETTLE_LIMIT: Duration = Duration::from_mins(40);
/// Answers take their time, however fast the rest goes.
const LEAST_LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(5);

/// What a `gcp-filestore` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub owner: Owner,
    /// A zone, or a region for the tiers that are in a whole one.
    pub location: String,
    pub name: String,
    /// In the API's words: `BASIC_HDD`.
    pub tier: String,
    pub capacity_gibibytes: u32,
    pub network: String,
}

/// The behaviour of `gcp-filestore`: a file server of Google, with one share.
pub(super) type Filestores = Things<Inputs>;

/// The path at which its share is mounted.
pub(super) fn path() -> String {
    format!("/{SHARE}")
}

impl Inputs {
    fn wanted(&self) -> Instance {
        Instance {
            name: self.name.clone(),
            location: self.location.clone(),
            tier: self.tier.clone(),
            description: names::mark(&self.owner.deployment),
            labels: BTreeMap::from([(names::LABEL.to_owned(), self.owner.deployment.clone())]),
            share: SHARE.to_owned(),
            capacity_gibibytes: self.capacity_gibibytes,
            network: self.network.clone(),
            ..Instance::default()
        }
    }

    /// The instance as it is when nothing is being done to it any more.
    async fn settled(&self, gcp: &Gcp) -> Result<Option<Instance>, Error> {
        let limit = gcp.pause(SETTLE_LIMIT).max(LEAST_LIMIT);
        let what = format!("the Filestore instance {}", self.name);
        let settled = until(&what, limit, gcp.pause(PAUSE), || async {
            match gcp.file_server(&self.location, &self.name).await {
                Ok(Some(found)) if !matches!(found.state.as_str(), "READY" | "ERROR" | "SUSPENDED") => {
                    Ok(Probe::Pending(format!("its state is {}", found.state)))
                }
                Ok(found) => Ok(Probe::Ready(found)),
                Err(error) if error.is_passing() => Ok(Probe::Pending(error.to_string())),
                Err(error) => Err(error),
            }
        });
        settled.await.map_err(|error| match error {
            WaitError::Stopped(error) => error,
            timed_out @ WaitError::TimedOut { .. } => Error::TimedOut(timed_out.to_string()),
        })
    }

    /// What differs from what was asked for.
    fn difference(&self, found: &Instance) -> Option<String> {
        if found.state != "READY" {
            let said = if found.message.is_empty() { String::new() } else { format!(" ({})", found.message) };
            return Some(format!("its state is {}{said}", found.state));
        }
        let size = found.capacity_gibibytes;
        (size < self.capacity_gibibytes).then(|| format!("it has {size} GB"))
    }
}

#[async_trait]
impl Thing for Inputs {
    const SORT: &'static str = "Filestore instance";
    const FIXED: &'static [&'static str] = &["name", "location", "tier", "network"];

    fn project(&self) -> &str {
        &self.owner.project
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn look(&self, gcp: &Gcp) -> Result<Found, Error> {
        let found = match gcp.file_server(&self.location, &self.name).await {
            Ok(Some(found)) => found,
            // Where the API is off, there is nothing of it.
            Ok(None) | Err(Error::ApiDisabled { .. }) => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        let outputs = json!({ "name": self.name, "address": found.address, "path": path() });
        let difference = self.difference(&found);
        Ok(labelled(&self.owner, found.labels.get(names::LABEL).map(String::as_str), outputs, difference))
    }

    async fn make(&self, gcp: &Gcp) -> Result<(), Error> {
        match gcp.create_file_server(&self.wanted()).await {
            Ok(()) => Ok(()),
            // What was begun may have come to its end all the same, or is there and broken: the next run makes that anew.
            Err(error) => match self.settled(gcp).await {
                Ok(Some(found)) => match self.difference(&found) {
                    None => Ok(()),
                    Some(message) => Err(Error::Failed { message }),
                },
                Ok(None) | Err(_) => Err(error),
            },
        }
    }

    /// Waits for what another run began, makes what is broken anew, and lets a share grow. It never shrinks.
    async fn adjust(&self, gcp: &Gcp) -> Result<(), Error> {
        let found = self.settled(gcp).await?;
        if let Some(found) = &found
            && found.state == "READY"
        {
            if found.capacity_gibibytes < self.capacity_gibibytes {
                gcp.resize_file_server(&self.wanted()).await?;
            }
            return Ok(());
        }
        if found.is_some() {
            gcp.delete_file_server(&self.location, &self.name).await?;
        }
        self.make(gcp).await
    }

    async fn remove(&self, gcp: &Gcp) -> Result<Option<String>, Error> {
        // Nothing is deleted while it is being made; what another run began to delete is gone afterwards.
        if self.settled(gcp).await?.is_some() {
            gcp.delete_file_server(&self.location, &self.name).await?;
        }
        Ok(None)
    }
}
