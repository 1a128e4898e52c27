use async_trait::async_trait;
use providers::gcp::{Error, Gcp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::network::marked;
use super::things::{Found, Thing, Things};
use super::{Owner, names};

/// The kind of node.
pub(super) const KIND: &str = "gcp-service-account";

/// What nodes need to be allowed: to say how they are, and to pull images.
pub(super) const ROLES: [&str; 2] = ["roles/container.defaultNodeServiceAccount", "roles/artifactregistry.reader"];

/// What a `gcp-service-account` node holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Inputs {
    pub owner: Owner,
    pub id: String,
    pub roles: Vec<String>,
}

/// The behaviour of `gcp-service-account`: who the nodes are, with the least that they need to be allowed.
pub(super) type Accounts = Things<Inputs>;

impl Inputs {
    fn email(&self) -> String {
        names::service_account(&self.owner.project, &self.owner.deployment)
    }

    fn member(&self) -> String {
        format!("serviceAccount:{}", self.email())
    }
}

#[async_trait]
impl Thing for Inputs {
    const SORT: &'static str = "service account";
    const FIXED: &'static [&'static str] = &["id"];

    fn project(&self) -> &str {
        &self.owner.project
    }

    fn name(&self) -> &str {
        &self.id
    }

    async fn look(&self, gcp: &Gcp) -> Result<Found, Error> {
        let found = gcp.service_account(&self.email()).await?;
        let found = marked(
            &self.owner,
            found.map(|found| (Some(found.description), json!({ "name": self.id, "email": found.email }))),
        );
        let Found::Ours { outputs, .. } = found else { return Ok(found) };
        let held = gcp.roles_of(&self.member()).await?;
        let lacking: Vec<&str> = self.roles.iter().filter(|role| !held.contains(role)).map(String::as_str).collect();
        let difference = (!lacking.is_empty()).then(|| format!("it lacks {}", lacking.join(", ")));
        Ok(Found::Ours { outputs, difference })
    }

    async fn make(&self, gcp: &Gcp) -> Result<(), Error> {
        let title = format!("nodes of {}", names::name(&self.owner.deployment));
        let made = gcp.create_service_account(&self.id, &title, &names::mark(&self.owner.deployment)).await;
        if !matches!(made, Ok(()) | Err(Error::AlreadyExists(_))) {
            return made;
        }
        self.adjust(gcp).await
    }

    async fn adjust(&self, gcp: &Gcp) -> Result<(), Error> {
        gcp.grant(&self.member(), &self.roles).await
    }

    /// First its roles: a policy keeps the names of accounts that are gone.
    async fn remove(&self, gcp: &Gcp) -> Result<Option<String>, Error> {
        gcp.revoke(&self.member()).await?;
        gcp.delete_service_account(&self.email()).await.map(|()| None)
    }
}
