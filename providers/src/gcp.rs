//! Google Cloud: clusters, network, disks, images' repository, accounts and quotas of one project.
//!
//! GKE and Compute Engine are spoken to through Google's own crates, whose types of data ([`container::model`],
//! [`compute::model`]) are used by callers, too; the few calls to other APIs, and those that only list and delete what
//! controllers left behind, are made here ([`rest`]). Errors are [`Error`]; retries, time limits and the gates are of this
//! crate: Google's crates never repeat a throttled call, and give a call no time limit.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod answer;
mod apis;
mod artifacts;
mod call;
pub mod compute;
pub mod container;
mod credentials;
mod error;
mod exchange;
mod filestore;
mod leftovers;
mod long_running;
mod operation;
mod project;
mod rest;
mod tokens;

pub use artifacts::Repository;
pub use credentials::Credentials;
pub use error::{Error, Shortfall};
pub use filestore::FileServer;
pub use leftovers::{Left, LeftKind};
pub use operation::Limits;
pub use project::{BillingInfo, ProjectInfo, ServiceAccount};
pub use tokens::Token;

use crate::gate::Gate;
use tokens::Tokens;

/// How the client is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The project's ID.
    pub project: String,
    /// Where tokens come from.
    pub credentials: Credentials,
    /// One address that stands for every API, with paths as Google's: `http://127.0.0.1:PORT`. Only for rehearsals and tests.
    pub endpoint: Option<String>,
    /// By how much time passes faster than real time: pauses between looks are divided by it. 1 for Google itself.
    pub pace: f64,
}

/// A handle on Google Cloud. A clone is another handle on the same connections, tokens and gates.
#[derive(Clone, Debug)]
pub struct Gcp {
    shared: Arc<Shared>,
    project: Arc<str>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    endpoint: Option<String>,
    pace: f64,
    tokens: Tokens,
    http: reqwest::Client,
    gates: Mutex<HashMap<Service, Gate>>,
    /// The APIs that are known to be enabled, by project.
    enabled: tokio::sync::Mutex<BTreeSet<(String, String)>>,
    /// How many wait for operations of GKE.
    waiters: AtomicU32,
    container: tokio::sync::OnceCell<container::Client>,
    artifacts: tokio::sync::OnceCell<artifacts::Client>,
    usage: tokio::sync::OnceCell<apis::Client>,
    compute: compute::Clients,
}

/// An API of Google Cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    Container,
    Compute,
    /// Calls to Compute Engine that wait there for the end of an operation: they keep no others waiting.
    ComputeWait,
    ArtifactRegistry,
    Filestore,
    Usage,
    ResourceManager,
    Iam,
    Billing,
}

impl Service {
    pub(crate) fn host(self) -> &'static str {
        match self {
            Self::Container => "container.googleapis.com",
            Self::Compute | Self::ComputeWait => "compute.googleapis.com",
            Self::ArtifactRegistry => "artifactregistry.googleapis.com",
            Self::Filestore => "file.googleapis.com",
            Self::Usage => "serviceusage.googleapis.com",
            Self::ResourceManager => "cloudresourcemanager.googleapis.com",
            Self::Iam => "iam.googleapis.com",
            Self::Billing => "cloudbilling.googleapis.com",
        }
    }

    /// How many calls it gets at once as long as it does not ask for fewer. Compute Engine allows some 25 a second for each
    /// project and region, the others fewer.
    fn most_calls(self) -> u32 {
        match self {
            Self::Compute => 16,
            Self::ComputeWait => 1000,
            Self::Container => 8,
            _ => 4,
        }
    }
}

impl Gcp {
    /// A client. Nothing is asked before it is first used.
    ///
    /// # Errors
    ///
    /// Where this machine cannot speak HTTPS.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        // TLS needs a provider in the process; one that is there is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().connect_timeout(call::CONNECT_LIMIT).build();
        let Settings { project, credentials, endpoint, pace } = settings;
        let endpoint = endpoint.map(|endpoint| endpoint.trim_end_matches('/').to_owned());
        let shared = Shared {
            tokens: Tokens::new(credentials, endpoint.clone(), project.clone()),
            endpoint,
            pace: if pace.is_finite() && pace > 0.0 { pace } else { 1.0 },
            http: http.map_err(|error| Error::Protocol(Box::new(error)))?,
            gates: Mutex::default(),
            enabled: tokio::sync::Mutex::default(),
            waiters: AtomicU32::new(0),
            container: tokio::sync::OnceCell::new(),
            artifacts: tokio::sync::OnceCell::new(),
            usage: tokio::sync::OnceCell::new(),
            compute: compute::Clients::default(),
        };
        Ok(Self { shared: Arc::new(shared), project: project.into() })
    }

    /// The same for another project.
    #[must_use]
    pub fn for_project(&self, project: &str) -> Self {
        Self { shared: self.shared.clone(), project: project.into() }
    }

    /// The project's ID.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The address that stands for every API, where it is not Google itself.
    pub fn endpoint(&self) -> Option<&str> {
        self.shared.endpoint.as_deref()
    }

    /// Where tokens come from, for a person: without anything secret.
    pub fn credentials(&self) -> String {
        self.shared.tokens.described()
    }

    /// A token that is good for some minutes at least: for APIs, for registries (as the password of `oauth2accesstoken`), and for
    /// Kubernetes. It is kept, and renewed in time.
    pub async fn token(&self) -> Result<Token, Error> {
        self.shared.tokens.get().await
    }

    /// Says that a token was refused: the next one is another.
    pub async fn token_was_refused(&self, token: &Token) {
        self.shared.tokens.renew(token).await;
    }

    /// A pause as it is on this clock.
    pub fn pause(&self, pause: Duration) -> Duration {
        pause.div_f64(self.shared.pace).max(Duration::from_millis(2))
    }

    /// How much time passed on this clock.
    fn passed(&self, real: Duration) -> Duration {
        real.mul_f64(self.shared.pace)
    }

    /// Where an API is.
    fn base(&self, service: Service) -> String {
        self.shared.endpoint.clone().unwrap_or_else(|| format!("https://{}", service.host()))
    }

    fn gate(&self, service: Service) -> Gate {
        let mut gates = self.shared.gates.lock().expect("no panic while the lock is held");
        gates.entry(service).or_insert_with(|| Gate::new(service.most_calls())).clone()
    }
}

#[async_trait::async_trait]
impl crate::kubernetes::BearerTokens for Gcp {
    async fn token(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Gcp::token(self).await?.secret().to_owned())
    }

    async fn was_refused(&self, token: &str) {
        self.token_was_refused(&Token::new(token)).await;
    }
}

/// The user that a registry of Google takes a token from.
const REGISTRY_USER: &str = "oauth2accesstoken";

#[async_trait::async_trait]
impl crate::registry::Logins for Gcp {
    async fn login(
        &self,
        registry: &str,
    ) -> Result<Option<crate::docker::Credentials>, Box<dyn std::error::Error + Send + Sync>> {
        if !is_registry(registry) {
            return Ok(None);
        }
        let password = Gcp::token(self).await?.secret().to_owned();
        Ok(Some(crate::docker::Credentials::Password { username: REGISTRY_USER.to_owned(), password }))
    }

    async fn was_refused(&self, login: &crate::docker::Credentials) -> bool {
        let crate::docker::Credentials::Password { password, .. } = login else { return false };
        let refused = Token::new(password);
        self.token_was_refused(&refused).await;
        Gcp::token(self).await.is_ok_and(|token| token != refused)
    }

    fn stands_in(&self, registry: &str) -> Option<String> {
        let endpoint = self.endpoint().filter(|_| is_registry(registry))?;
        Some(endpoint.split_once("://").map_or(endpoint, |(_, address)| address).to_owned())
    }
}

/// Whether a registry is one of Artifact Registry.
fn is_registry(registry: &str) -> bool {
    registry.ends_with("-docker.pkg.dev")
}
