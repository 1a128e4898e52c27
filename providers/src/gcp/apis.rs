//! The APIs of a project, through Service Usage.

use std::future::Future;
use std::time::Duration;

use google_cloud_api_serviceusage_v1::client::ServiceUsage;
use google_cloud_api_serviceusage_v1::model::State;
use google_cloud_gax::error::Error as SdkError;
use google_cloud_gax::retry_policy::NeverRetry;

use super::call::Repeat;
use super::container::found;
use super::error::Error;
use super::operation::ended;
use super::{Gcp, Service};
use crate::wait::{Probe, until};

/// Google's client.
pub(super) type Client = ServiceUsage;

/// How long it takes at most until an API that was enabled is one that answers; usually half a minute.
const BELIEVED_LIMIT: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_secs(3);

/// The APIs that a cluster needs, or may need.
const USUAL_APIS: [&str; 5] = [
    "artifactregistry.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "compute.googleapis.com",
    "container.googleapis.com",
    "iam.googleapis.com",
];

impl Gcp {
    async fn usage<'c, T, F>(&'c self, repeat: Repeat, call: impl Fn(&'c Client) -> F) -> Result<Box<T>, Error>
    where
        F: Future<Output = Result<T, SdkError>>,
    {
        let build = || async {
            let builder = ServiceUsage::builder()
                .with_credentials(self.shared.tokens.clone())
                .with_retry_policy(NeverRetry)
                .with_endpoint(self.base(Service::Usage));
            Box::pin(builder.build()).await.map_err(|error| Error::Protocol(Box::new(error)))
        };
        let client = self.shared.usage.get_or_try_init(build).await?;
        self.sdk(Service::Usage, repeat, || call(client)).await
    }

    fn api_name(&self, api: &str) -> String {
        format!("projects/{}/services/{api}", self.project)
    }

    /// Whether an API is enabled. One call tells of all that are usual, and what is enabled is not asked again: should somebody
    /// turn it off, calls to it say so.
    pub async fn api_is_enabled(&self, api: &str) -> Result<bool, Error> {
        let mut enabled = self.shared.enabled.lock().await;
        let key = |api: &str| (self.project.to_string(), api.to_owned());
        if enabled.contains(&key(api)) {
            return Ok(true);
        }
        let others = USUAL_APIS.into_iter().filter(|other| *other != api);
        let names: Vec<String> = others.chain([api]).map(|api| self.api_name(api)).collect();
        let parent = format!("projects/{}", self.project);
        let get = |client: &Client| client.batch_get_services().set_parent(&parent).set_names(names.clone()).send();
        let answer = self.usage(Repeat::Safe, get).await?;
        let on = answer.services.iter().filter(|service| service.state == State::Enabled);
        enabled.extend(on.filter_map(|service| service.name.rsplit('/').next()).map(key));
        Ok(enabled.contains(&key(api)))
    }

    /// Enables an API, and returns when it answers.
    pub async fn enable_api(&self, api: &str) -> Result<(), Error> {
        let name = self.api_name(api);
        let begun = self.usage(Repeat::Safe, |client| client.enable_service().set_name(&name).send()).await?;
        let look = |name| async move {
            found(self.usage(Repeat::Safe, |client| client.get_operation().set_name(&name).send()).await)
        };
        self.finished(&begun, look).await?;
        let what = format!("the API {api}");
        let waited = until(&what, BELIEVED_LIMIT, self.pause(PAUSE), || async {
            match self.api_answers(api).await {
                Err(error @ Error::ApiDisabled { .. }) => Ok(Probe::Pending(error.to_string())),
                Err(error) if error.is_passing() => Ok(Probe::Pending(error.to_string())),
                // What it answers does not matter, as long as it is no longer that.
                _ => Ok::<_, Error>(Probe::Ready(())),
            }
        });
        waited.await.map_err(ended)
    }

    /// A question that costs nothing.
    async fn api_answers(&self, api: &str) -> Result<(), Error> {
        let project = &self.project;
        let (service, path) = match api {
            "container.googleapis.com" => (Service::Container, format!("/v1/projects/{project}/locations/-/clusters")),
            "compute.googleapis.com" => (Service::Compute, format!("/compute/v1/projects/{project}")),
            "artifactregistry.googleapis.com" => {
                (Service::ArtifactRegistry, format!("/v1/projects/{project}/locations"))
            }
            "file.googleapis.com" => (Service::Filestore, format!("/v1/projects/{project}/locations/-/instances")),
            "iam.googleapis.com" => (Service::Iam, format!("/v1/projects/{project}/serviceAccounts")),
            "cloudresourcemanager.googleapis.com" => (Service::ResourceManager, format!("/v1/projects/{project}")),
            _ => return Ok(()),
        };
        self.read(service, &path, &[]).await.map(|_| ())
    }
}
