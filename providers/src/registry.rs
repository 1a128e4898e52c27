//! A registry of images, spoken to in its own protocol (OCI distribution).

use std::error::Error as StdError;
use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciEnvelope, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};

use crate::docker::Credentials;

/// How many blobs are sent at once.
const BLOBS_AT_ONCE: usize = 4;

/// An image cannot be pushed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a repository.
    #[error("{repository:?} is not a repository: {reason}")]
    Name {
        /// The text.
        repository: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The registry wants a login, or another one.
    #[error("registry {registry} refuses the login for {repository}{}", if *.logged_in { "" } else { ": there is none" })]
    Unauthorized {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
        /// Whether a login was sent along.
        logged_in: bool,
    },
    /// The registry does not know the repository, and does not make it by itself.
    #[error("registry {registry} does not know repository {repository}")]
    Unknown {
        /// The registry.
        registry: String,
        /// The repository.
        repository: String,
    },
    /// The registry refused, with its own words.
    #[error("registry {registry}: {message}")]
    Refused {
        /// The registry.
        registry: String,
        /// What it said.
        message: String,
    },
    /// The registry is not well, or asked for too much.
    #[error("registry {registry}, which is not well: {message}")]
    Unwell {
        /// The registry.
        registry: String,
        /// What it said.
        message: String,
    },
    /// The registry cannot be reached, or the connection broke.
    #[error("reach registry {registry}")]
    Unreachable {
        /// The registry.
        registry: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The registry keeps something else than what was sent.
    #[error("registry {registry} keeps {found}, but {sent} was pushed")]
    Digest {
        /// The registry.
        registry: String,
        /// Its digest.
        found: String,
        /// Ours.
        sent: String,
    },
}

impl Error {
    /// Whether another attempt may succeed without anybody doing something: the connection broke, or the registry is not well.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unwell { .. })
    }

    /// What the person can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unauthorized { registry, .. } => Some(format!("log in with `docker login {registry}`, with an account that may push there")),
            Self::Unknown { .. } => Some("make the repository at the registry first, or correct its name".to_owned()),
            Self::Unreachable { .. } => {
                Some("is the name right, and does the registry speak HTTPS? Plain HTTP is only used for this machine's own addresses".to_owned())
            }
            _ => None,
        }
    }
}

/// Knows how to log in at registries of a cloud.
#[async_trait::async_trait]
pub trait Logins: std::fmt::Debug + Send + Sync {
    /// The login at a registry (`host` or `host:port`), where it is one of the cloud's.
    async fn login(&self, registry: &str) -> Result<Option<Credentials>, Box<dyn StdError + Send + Sync>>;

    /// Says that a login was refused; returns whether the next one may be another.
    async fn was_refused(&self, login: &Credentials) -> bool;

    /// The address that stands for a registry in a rehearsal, as `host:port`; usually there is none.
    fn stands_in(&self, registry: &str) -> Option<String>;
}

/// A blob that is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Its length in bytes.
    pub size: u64,
}

/// A repository at a registry, for example `registry.example.com/team/server`.
pub struct Repository {
    client: Client,
    reference: Reference,
    login: RegistryAuth,
}

/// The registry of a repository, as it is known for logins.
pub fn registry_of(repository: &str) -> Result<String, Error> {
    Ok(parse(repository, "latest")?.registry().to_owned())
}

fn parse(repository: &str, tag: &str) -> Result<Reference, Error> {
    let last = repository.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) {
        let reason = "it must not have a tag or digest".to_owned();
        return Err(Error::Name { repository: repository.to_owned(), reason });
    }
    let parsed = format!("{repository}:{tag}").parse();
    parsed.map_err(|error: oci_client::ParseError| Error::Name {
        repository: repository.to_owned(),
        reason: error.to_string(),
    })
}

/// Whether a registry runs on this machine, so that nobody can listen to plain HTTP.
fn is_loopback(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost"
        || host == "[::1]"
        || host.parse().is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback())
}

impl Repository {
    /// A repository, with a tag under which the pushed image can be found, and a login if there is one.
    pub fn new(repository: &str, tag: &str, credentials: Option<&Credentials>) -> Result<Self, Error> {
        // TLS needs a provider in the process; one that is there is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let reference = parse(repository, tag)?;
        let registry = reference.resolve_registry();
        let protocol = if is_loopback(registry) { ClientProtocol::Http } else { ClientProtocol::Https };
        let client = Client::new(ClientConfig { protocol, ..ClientConfig::default() });
        let login = match credentials {
            Some(Credentials::Password { username, password }) => {
                RegistryAuth::Basic(username.clone(), password.clone())
            }
            Some(Credentials::Identity { token }) => RegistryAuth::Bearer(token.clone()),
            None => RegistryAuth::Anonymous,
        };
        Ok(Self { client, reference, login })
    }

    /// Pushes an image: those blobs that the registry lacks, as `open` gives them, and then the manifest. Returns the digest that
    /// the registry keeps it under, and how many bytes of content were sent.
    pub async fn push<S>(
        &self,
        blobs: &[Blob],
        manifest: (Bytes, &str, &str),
        open: impl Fn(&Blob) -> S,
    ) -> Result<(String, u64), Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        // The rights of the first request are kept, and asking for a blob needs less than sending it.
        let rights = self.client.auth(&self.reference, &self.login, RegistryOperation::Push).await;
        rights.map_err(|error| self.explain(error))?;
        let sends: Vec<_> = blobs.iter().map(|blob| self.push_blob(blob, open(blob))).collect();
        let sent: Vec<u64> = stream::iter(sends).buffer_unordered(BLOBS_AT_ONCE).try_collect().await?;
        let (bytes, media_type, digest) = manifest;
        let length = bytes.len() as u64;
        let media_type = media_type.parse().map_err(|_| self.refused("no media type"))?;
        self.client.push_manifest_raw(&self.reference, bytes, media_type).await.map_err(|error| self.explain(error))?;
        let found = self.client.fetch_manifest_digest(&self.reference, &self.login).await;
        let found = found.map_err(|error| self.explain(error))?;
        if found != digest {
            let registry = self.reference.registry().to_owned();
            return Err(Error::Digest { registry, found, sent: digest.to_owned() });
        }
        Ok((found, sent.iter().sum::<u64>() + length))
    }

    /// Whether the registry still has a manifest under its digest.
    pub async fn has(&self, digest: &str) -> Result<bool, Error> {
        let reference = self.reference.clone_with_digest(digest.to_owned());
        match self.client.fetch_manifest_digest(&reference, &self.login).await {
            Ok(found) => Ok(found == digest),
            Err(error) => match self.explain(error) {
                Error::Unknown { .. } => Ok(false),
                error => Err(error),
            },
        }
    }

    async fn push_blob<S>(&self, blob: &Blob, content: S) -> Result<u64, Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        if self.client.blob_exists(&self.reference, &blob.digest).await.map_err(|error| self.explain(error))? {
            return Ok(0);
        }
        let content = content.map_err(OciDistributionError::IoError);
        let pushed = self.client.push_blob_stream(&self.reference, content, &blob.digest, Some(blob.size)).await;
        pushed.map_err(|error| self.explain(error))?;
        Ok(blob.size)
    }

    fn refused(&self, message: impl Into<String>) -> Error {
        Error::Refused { registry: self.reference.registry().to_owned(), message: message.into() }
    }

    fn unwell(&self, message: impl Into<String>) -> Error {
        Error::Unwell { registry: self.reference.registry().to_owned(), message: message.into() }
    }

    fn unauthorized(&self) -> Error {
        let (registry, repository) = (self.reference.registry().to_owned(), self.reference.repository().to_owned());
        Error::Unauthorized { registry, repository, logged_in: self.login != RegistryAuth::Anonymous }
    }

    fn unknown(&self) -> Error {
        Error::Unknown {
            registry: self.reference.registry().to_owned(),
            repository: self.reference.repository().to_owned(),
        }
    }

    fn explain(&self, error: OciDistributionError) -> Error {
        use OciDistributionError as Client;
        match error {
            Client::UnauthorizedError { .. }
            | Client::AuthenticationFailure(_)
            | Client::ServerError { code: 401 | 403, .. } => self.unauthorized(),
            Client::RequestError(error)
                if error.status().is_some_and(|status| matches!(status.as_u16(), 401 | 403)) =>
            {
                self.unauthorized()
            }
            Client::ImageManifestNotFoundError(_) => self.unknown(),
            Client::RegistryError { envelope, .. } => self.explain_answer(&envelope),
            Client::ServerError { code, message, .. } => match serde_json::from_str(&message) {
                Ok(envelope) => self.explain_answer(&envelope),
                Err(_) if code == 429 || code >= 500 => self.unwell(format!("status {code}: {}", message.trim())),
                Err(_) => self.refused(format!("status {code}: {}", message.trim())),
            },
            Client::RequestError(error) => Error::Unreachable {
                registry: self.reference.registry().to_owned(),
                source: Box::new(error.without_url()),
            },
            error => self.refused(error.to_string()),
        }
    }

    fn explain_answer(&self, envelope: &OciEnvelope) -> Error {
        let has = |wanted: &[OciErrorCode]| envelope.errors.iter().any(|error| wanted.contains(&error.code));
        if has(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
            self.unauthorized()
        } else if has(&[OciErrorCode::NameUnknown, OciErrorCode::ManifestUnknown]) {
            self.unknown()
        } else {
            let messages: Vec<&str> = envelope.errors.iter().map(|error| error.message.as_str()).collect();
            if envelope.errors.iter().any(|error| is_unwell(&error.code)) {
                self.unwell(messages.join("; "))
            } else {
                self.refused(messages.join("; "))
            }
        }
    }
}

/// Codes of registries that have a bad moment, or too many calls. Only the first is of the standard.
fn is_unwell(code: &OciErrorCode) -> bool {
    match code {
        OciErrorCode::Toomanyrequests => true,
        OciErrorCode::Other(code) => matches!(code.as_str(), "UNAVAILABLE" | "UNKNOWN" | "INTERNAL" | "INTERNAL_ERROR"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for registry in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"] {
            assert!(is_loopback(registry), "{registry}");
        }
        for registry in ["registry.example", "localhost.example:5000", "10.0.0.1:5000", "127.0.0.1.example"] {
            assert!(!is_loopback(registry), "{registry}");
        }
    }

    #[test]
    fn a_repository_has_no_tag_and_no_digest() {
        assert_eq!(registry_of("registry.example:5000/team/web").unwrap(), "registry.example:5000");
        assert_eq!(registry_of("team/web").unwrap(), "docker.io");
        for wrong in ["registry.example/web:1", "web@sha256:0", "Registry.example/Web", ""] {
            assert!(registry_of(wrong).is_err(), "{wrong}");
        }
    }
}
