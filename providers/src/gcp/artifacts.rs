use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::answer::Answer;
use super::call::Repeat;
use super::error::Error;
use super::operation::{Limits, ended};
use super::rest::Request;
use super::{Gcp, Service};
use crate::wait::{Probe, until};

/// How long an operation may take, and the pause between two looks at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub pause: Duration,
    pub limit: Duration,
}

/// The pace of what takes seconds.
const PACE: Pace = Pace { pause: Duration::from_secs(1), limit: Limits::COMPUTE };

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
    pub size_bytes: Option<u64>,
}

impl Gcp {
    fn repositories(&self, location: &str) -> String {
        format!("/v1/projects/{}/locations/{location}/repositories", self.project)
    }

    /// The repository, where it is there.
    pub async fn repository(&self, location: &str, name: &str) -> Result<Option<Repository>, Error> {
        let path = format!("{}/{name}", self.repositories(location));
        Ok(self.find(Service::ArtifactRegistry, &path).await?.as_ref().map(repository))
    }

    /// Every repository of a location.
    pub async fn list_repositories(&self, location: &str) -> Result<Vec<Repository>, Error> {
        let pages = self.pages(Service::ArtifactRegistry, &self.repositories(location), &[]).await?;
        Ok(pages.iter().filter_map(|page| page["repositories"].as_array()).flatten().map(repository).collect())
    }

    /// Makes a repository for images, and returns when it is made.
    pub async fn create_repository(
        &self,
        location: &str,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let path = self.repositories(location);
        let body = json!({ "format": "DOCKER", "labels": labels });
        let request = Request {
            service: Service::ArtifactRegistry,
            method: Method::POST,
            path: &path,
            query: &[("repositoryId", name)],
            body: Some(&body),
            repeat: Repeat::Unsafe,
        };
        let begun = self.send(&request).await?;
        self.long_running(Service::ArtifactRegistry, begun).await.map(|_| ())
    }

    /// Deletes a repository with everything in it; that it is not there is success.
    pub async fn delete_repository(&self, location: &str, name: &str) -> Result<(), Error> {
        let path = format!("{}/{name}", self.repositories(location));
        match self.remove(Service::ArtifactRegistry, &path, &[]).await? {
            Some(begun) => match self.long_running(Service::ArtifactRegistry, begun).await {
                Ok(_) | Err(Error::NotFound(_)) => Ok(()),
                Err(error) => Err(error),
            },
            None => Ok(()),
        }
    }

    /// Waits for an operation of the form that most APIs share (`google.longrunning.Operation`); returns its response.
    pub(super) async fn long_running(&self, service: Service, begun: Value) -> Result<Value, Error> {
        self.long_running_at(service, begun, PACE).await
    }

    /// The same at another pace.
    pub(super) async fn long_running_at(&self, service: Service, begun: Value, pace: Pace) -> Result<Value, Error> {
        if begun["done"] == true {
            return response(begun);
        }
        let path = format!("/v1/{}", begun["name"].as_str().unwrap_or_default());
        let waited = until(&path, pace.limit, self.pause(pace.pause), || async {
            match self.find(service, &path).await {
                Ok(Some(operation)) if operation["done"] == true => response(operation).map(Probe::Ready),
                // It is over when nobody knows it any more: its caller looks at what it was about.
                Ok(None) => Ok(Probe::Ready(Value::Null)),
                Ok(Some(_)) => Ok(Probe::Pending("it goes on".to_owned())),
                Err(error) if error.is_passing() => Ok(Probe::Pending(error.to_string())),
                Err(error) => Err(error),
            }
        });
        waited.await.map_err(ended)
    }
}

fn response(mut operation: Value) -> Result<Value, Error> {
    if !operation["error"].is_object() {
        return Ok(operation["response"].take());
    }
    let code = operation["error"]["code"].as_u64().unwrap_or_default();
    // The codes of gRPC, as HTTP has them.
    let http = match code {
        3 | 9 => 400,
        5 => 404,
        6 => 409,
        7 => 403,
        8 => 429,
        13 | 14 => 503,
        16 => 401,
        _ => 0,
    };
    Err(Answer::of_body(http, &operation.to_string(), None).into_error())
}

fn repository(value: &Value) -> Repository {
    let labels = value["labels"].as_object().into_iter().flatten();
    Repository {
        name: value["name"].as_str().and_then(|name| name.rsplit('/').next()).unwrap_or_default().to_owned(),
        format: value["format"].as_str().unwrap_or_default().to_owned(),
        labels: labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect(),
        size_bytes: value["sizeBytes"].as_str().and_then(|size| size.parse().ok()),
    }
}
