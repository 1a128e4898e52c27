//! Google Cloud through its own SDK.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use cluster::gke_spec::{Cloud, Data, Finding, Spec};
use engine::{Discover, Inventory, Node, Registry};
use providers::gcp::{self, Credentials, Gcp};
use providers::kubernetes::Clients;

use super::{Google, text};
use crate::report::Problem;
use crate::settings::Settings;

/// The variable with one address that stands for every API: that of `infra simulator gcp`.
pub const ENDPOINT: &str = "INFRA_GCP_ENDPOINT";
/// The variable with how much faster the time of that address passes.
pub const PACE: &str = "INFRA_GCP_PACE";
/// The variables with a token that is used as it is, and never renewed.
const TOKENS: [&str; 2] = ["GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN"];

/// What is needed to call Google.
#[derive(Default)]
pub struct Connection {
    /// In place of what the environment says.
    rehearsed: Option<gcp::Settings>,
    client: OnceLock<Gcp>,
}

impl Google {
    /// As a rehearsal has it, whatever the environment says.
    pub fn rehearsed(settings: gcp::Settings, location: Option<String>) -> Self {
        let project = Some(settings.project.clone());
        Self { project, location, connection: Connection { rehearsed: Some(settings), client: OnceLock::new() } }
    }

    /// Whether it is a simulated cloud that ends with this command.
    pub fn is_rehearsed(&self) -> bool {
        self.connection.rehearsed.is_some()
    }

    /// The client; nothing is asked before it is used.
    pub fn client(&self) -> Result<&Gcp, Problem> {
        if let Some(client) = self.connection.client.get() {
            return Ok(client);
        }
        let settings = match &self.connection.rehearsed {
            Some(settings) => settings.clone(),
            None => self.of_environment()?,
        };
        let client = Gcp::new(settings)?;
        Ok(self.connection.client.get_or_init(|| client))
    }

    fn of_environment(&self) -> Result<gcp::Settings, Problem> {
        let credentials = match TOKENS.into_iter().find_map(text) {
            Some(token) => Credentials::Token(token),
            None => Credentials::application_default(|name: &str| -> Option<OsString> { env::var_os(name) }),
        };
        let pace = text(PACE).map_or(Ok(1.0), |text| {
            let wrong = || Problem::usage(format!("use {text:?} of {PACE} as a factor: it is no number above 0"));
            text.parse().ok().filter(|pace: &f64| pace.is_finite() && *pace > 0.0).ok_or_else(wrong)
        })?;
        let project = self.project().unwrap_or_default();
        Ok(gcp::Settings { project, credentials, endpoint: text(ENDPOINT), pace })
    }
}

/// Sets the behaviour of everything in Google Cloud, and whose logins images are pushed with.
pub fn register(settings: &Settings, registry: &mut Registry, images: &mut images::Options) -> Result<(), Problem> {
    let client = settings.google.client()?;
    cluster::gke::register(registry, client);
    images.logins = Some(Arc::new(client.clone()));
    Ok(())
}

/// Clients of Kubernetes that get their tokens from this process.
pub fn clients(settings: &Settings) -> Result<Clients, Problem> {
    Ok(Clients::with_tokens(Arc::new(settings.google.client()?.clone())))
}

/// Everything of a deployment in a project.
pub async fn find(settings: &Settings, project: &str, name: &str, kubeconfig: &Path) -> Result<Vec<Node>, Problem> {
    let client = settings.google.client()?.for_project(project);
    Ok(cluster::gke::find(&client, name, kubeconfig).await?)
}

/// What finds a deployment in the project by its marks.
pub fn discover(settings: &Settings) -> Result<Box<dyn Discover>, Problem> {
    let client = settings.google.client()?.for_project(&settings.google.needed_project()?);
    Ok(Box::new(cluster::gke::discover(&client, settings.google.target().token_program)))
}

/// Asks whether a cluster can be had, everything at once.
pub async fn preflight(settings: &Settings, spec: &Spec) -> Result<Vec<Finding>, Problem> {
    Ok(cluster::gke::preflight(settings.google.client()?, spec).await)
}

/// Enables the API that quotas are read with.
pub async fn enable_compute(settings: &Settings, spec: &Spec) -> Result<(), Problem> {
    Ok(cluster::gke::enable_compute(settings.google.client()?, spec).await?)
}

/// What Google says of a deployment now.
pub async fn status(settings: &Settings, inventory: &Inventory) -> Result<Cloud, Problem> {
    Ok(cluster::gke::status(settings.google.client()?, inventory).await?)
}

/// The disks of a deployment that are there now.
pub async fn data(settings: &Settings, inventory: &Inventory) -> Result<Vec<Data>, Problem> {
    Ok(cluster::gke::data(settings.google.client()?, inventory).await?)
}

/// Changes the behaviour of deletions so that disks outlive them.
pub fn keep_data(settings: &Settings, registry: &mut Registry) -> Result<(), Problem> {
    cluster::gke::keep_data(registry, settings.google.client()?);
    Ok(())
}

/// A token for kubectl.
pub async fn token(settings: &Settings) -> Result<String, Problem> {
    Ok(settings.google.client()?.token().await?.secret().to_owned())
}

/// Where credentials come from, as a person reads it; whether there is a file of them or only a server to be asked.
pub fn credentials(settings: &Settings) -> Result<(String, bool), Problem> {
    let described = settings.google.client()?.credentials();
    let is_file = !described.starts_with("the metadata server");
    Ok((described, is_file))
}
