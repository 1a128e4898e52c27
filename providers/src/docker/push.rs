use std::pin::pin;

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{PushImageOptions, TagImageOptions};
use futures::TryStreamExt;

use super::{Docker, Error};

/// A login at a registry. Its `Debug` output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name with a password or an access token.
    Password {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// A token that the registry gave to a person.
    Identity {
        /// The token.
        token: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Credentials(..)")
    }
}

impl Credentials {
    pub(super) fn for_engine(&self, registry: &str) -> DockerCredentials {
        let serveraddress = Some(registry.to_owned());
        match self.clone() {
            Self::Password { username, password } => DockerCredentials {
                username: Some(username),
                password: Some(password),
                serveraddress,
                ..Default::default()
            },
            Self::Identity { token } => {
                DockerCredentials { identitytoken: Some(token), serveraddress, ..Default::default() }
            }
        }
    }
}

impl Docker {
    /// Gives an image one more reference, `repository:tag`.
    pub async fn tag_image(&self, reference: &str, repository: &str, tag: &str) -> Result<(), Error> {
        let options = TagImageOptions { repo: Some(repository.to_owned()), tag: Some(tag.to_owned()) };
        let tagged = self.client().await?.tag_image(reference, Some(options)).await;
        tagged.map_err(|error| Error::new(format!("tag image {reference} as {repository}:{tag}"), error))
    }

    /// Pushes `repository:tag` to its registry and returns the digest that the registry keeps it under. Each line of progress
    /// goes to `line`.
    pub async fn push_image(
        &self,
        repository: &str,
        tag: &str,
        credentials: Option<&Credentials>,
        mut line: impl FnMut(&str),
    ) -> Result<String, Error> {
        let action = format!("push image {repository}:{tag}");
        let registry = repository.split('/').next().unwrap_or_default();
        let options = PushImageOptions { tag: Some(tag.to_owned()), platform: None };
        let credentials = credentials.map(|known| known.for_engine(registry));
        let client = self.client().await?;
        let mut answers = pin!(client.push_image(repository, Some(options), credentials));
        let mut digest = None;
        while let Some(answer) = answers.try_next().await.map_err(|error| Error::new(&action, error))? {
            let status = answer.status.unwrap_or_default();
            // The engine's last word, for example `1: digest: sha256:... size: 528`.
            digest =
                status.split("digest: ").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned).or(digest);
            line(&status);
        }
        digest.ok_or_else(|| Error::Lost { action, source: "the engine named no digest".into() })
    }
}
