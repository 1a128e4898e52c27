use std::collections::BTreeMap;

use async_trait::async_trait;
use providers::gcp::{Error, Gcp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::network::labelled;
use super::things::{Found, Thing, Things};
use super::{Owner, names};

/// The kind of node.
pub(super) const KIND: &str = "artifact-repository";

/// What an `artifact-repository` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub owner: Owner,
    pub location: String,
    pub name: String,
}

/// The behaviour of `artifact-repository`: where the cluster pulls the deployment's images from.
pub(super) type Repositories = Things<Inputs>;

#[async_trait]
impl Thing for Inputs {
    const SORT: &'static str = "image repository";
    const FIXED: &'static [&'static str] = &["name", "location"];

    fn project(&self) -> &str {
        &self.owner.project
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn look(&self, gcp: &Gcp) -> Result<Found, Error> {
        let Some(found) = gcp.repository(&self.location, &self.name).await? else { return Ok(Found::Nothing) };
        let host = format!("{}-docker.pkg.dev", self.location);
        let outputs = json!({ "name": self.name, "host": host });
        Ok(labelled(&self.owner, found.labels.get(names::LABEL).map(String::as_str), outputs, None))
    }

    async fn make(&self, gcp: &Gcp) -> Result<(), Error> {
        let labels = BTreeMap::from([(names::LABEL.to_owned(), self.owner.deployment.clone())]);
        gcp.create_repository(&self.location, &self.name, &labels).await
    }

    /// Its images go with it: they are of this deployment alone.
    async fn remove(&self, gcp: &Gcp) -> Result<Option<String>, Error> {
        gcp.delete_repository(&self.location, &self.name).await.map(|()| None)
    }
}
