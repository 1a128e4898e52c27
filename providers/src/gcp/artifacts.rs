//! Repositories of Artifact Registry.

use std::collections::BTreeMap;
use std::future::Future;

use google_cloud_artifactregistry_v1::client::ArtifactRegistry;
use google_cloud_artifactregistry_v1::model;
use google_cloud_artifactregistry_v1::model::repository::Format;
use google_cloud_gax::error::Error as SdkError;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_longrunning::model::Operation;

use super::call::Repeat;
use super::container::found;
use super::error::Error;
use super::{Gcp, Service};

/// Google's client.
pub(super) type Client = ArtifactRegistry;

/// A repository of Artifact Registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    /// Its name, without project and location.
    pub name: String,
    /// For example `DOCKER`.
    pub format: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How much it holds.
    pub size_bytes: u64,
}

impl Gcp {
    async fn artifacts<'c, T, F>(&'c self, repeat: Repeat, call: impl Fn(&'c Client) -> F) -> Result<Box<T>, Error>
    where
        F: Future<Output = Result<T, SdkError>>,
    {
        let build = || async {
            let builder = ArtifactRegistry::builder()
                .with_credentials(self.shared.tokens.clone())
                .with_retry_policy(NeverRetry)
                .with_endpoint(self.base(Service::ArtifactRegistry));
            Box::pin(builder.build()).await.map_err(|error| Error::Protocol(Box::new(error)))
        };
        let client = self.shared.artifacts.get_or_try_init(build).await?;
        self.sdk(Service::ArtifactRegistry, repeat, || call(client)).await
    }

    fn registry(&self, location: &str) -> String {
        format!("projects/{}/locations/{location}", self.project)
    }

    fn repository_name(&self, location: &str, name: &str) -> String {
        format!("{}/repositories/{name}", self.registry(location))
    }

    /// The repository, where it is there.
    pub async fn repository(&self, location: &str, name: &str) -> Result<Option<Repository>, Error> {
        let name = self.repository_name(location, name);
        let answer = self.artifacts(Repeat::Safe, |client| client.get_repository().set_name(&name).send()).await;
        Ok(found(answer)?.map(|repository| of_model(*repository)))
    }

    /// Every repository of a location.
    pub async fn list_repositories(&self, location: &str) -> Result<Vec<Repository>, Error> {
        let (parent, mut page, mut all) = (self.registry(location), String::new(), Vec::new());
        loop {
            let list = |client: &Client| client.list_repositories().set_parent(&parent).set_page_token(&page).send();
            let answer = self.artifacts(Repeat::Safe, list).await?;
            all.extend(answer.repositories.into_iter().map(of_model));
            if answer.next_page_token.is_empty() {
                return Ok(all);
            }
            page = answer.next_page_token;
        }
    }

    /// Makes a repository for images, and returns when it is made.
    pub async fn create_repository(
        &self,
        location: &str,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let parent = self.registry(location);
        let repository = model::Repository::new().set_format(Format::Docker).set_labels(labels.clone());
        let create = |client: &Client| {
            let call = client.create_repository().set_parent(&parent).set_repository_id(name);
            call.set_repository(repository.clone()).send()
        };
        let begun = self.artifacts(Repeat::Unsafe, create).await?;
        self.until_made(&begun).await
    }

    /// Deletes a repository with everything in it; that it is not there is success.
    pub async fn delete_repository(&self, location: &str, name: &str) -> Result<(), Error> {
        let name = self.repository_name(location, name);
        let begun = self.artifacts(Repeat::Safe, |client| client.delete_repository().set_name(&name).send()).await;
        let Some(begun) = found(begun)? else { return Ok(()) };
        found(self.until_made(&begun).await).map(|_| ())
    }

    async fn until_made(&self, begun: &Operation) -> Result<(), Error> {
        self.finished(begun, |name| async move {
            found(self.artifacts(Repeat::Safe, |client| client.get_operation().set_name(&name).send()).await)
        })
        .await
    }
}

fn of_model(repository: model::Repository) -> Repository {
    Repository {
        name: repository.name.rsplit('/').next().unwrap_or_default().to_owned(),
        format: repository.format.name().unwrap_or_default().to_owned(),
        labels: repository.labels.into_iter().collect(),
        size_bytes: repository.size_bytes.try_into().unwrap_or(0),
    }
}
