//! Projects: what each has from the start, which services are enabled, and who may do what.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::clock::Moment;
use crate::hash;

/// A project as it is at the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Its identifier.
    pub id: String,
    /// Whether a billing account is linked and open.
    pub billing: bool,
    /// The services that are enabled, as `container.googleapis.com`.
    pub services: BTreeSet<String>,
    /// Limits of quotas where they are not those of a new project: `CPUS` for every region, `us-central1/CPUS` for one,
    /// `global/NETWORKS` for the project's own.
    pub quotas: BTreeMap<String, f64>,
    /// Permissions that nobody has, as `container.clusters.create`.
    pub denied: BTreeSet<String>,
    /// Whether it has the network `default`.
    pub default_network: bool,
}

/// A token and who it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The token.
    pub token: String,
    /// The e-mail address.
    pub email: String,
}

/// The services that a new project has enabled.
const AT_FIRST: [&str; 5] = [
    "cloudapis.googleapis.com",
    "cloudbilling.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "iam.googleapis.com",
    "serviceusage.googleapis.com",
];

/// The services that can be enabled, with their titles.
pub(crate) const SERVICES: [(&str, &str); 15] = [
    ("artifactregistry.googleapis.com", "Artifact Registry API"),
    ("autoscaling.googleapis.com", "Cloud Autoscaling API"),
    ("cloudapis.googleapis.com", "Google Cloud APIs"),
    ("cloudbilling.googleapis.com", "Cloud Billing API"),
    ("cloudquotas.googleapis.com", "Cloud Quotas API"),
    ("cloudresourcemanager.googleapis.com", "Cloud Resource Manager API"),
    ("compute.googleapis.com", "Compute Engine API"),
    ("container.googleapis.com", "Kubernetes Engine API"),
    ("file.googleapis.com", "Cloud Filestore API"),
    ("iam.googleapis.com", "Identity and Access Management (IAM) API"),
    ("iamcredentials.googleapis.com", "IAM Service Account Credentials API"),
    ("logging.googleapis.com", "Cloud Logging API"),
    ("monitoring.googleapis.com", "Cloud Monitoring API"),
    ("serviceusage.googleapis.com", "Service Usage API"),
    ("storage.googleapis.com", "Cloud Storage API"),
];

impl Project {
    /// A project with billing, the default network, the quotas of a new project, and every service enabled.
    pub fn new(id: &str) -> Self {
        Self { services: SERVICES.iter().map(|known| known.0.to_owned()).collect(), ..Self::fresh(id) }
    }

    /// A project as it is when it was just made: the services for work are not enabled.
    pub fn fresh(id: &str) -> Self {
        Self {
            id: id.into(),
            billing: true,
            services: AT_FIRST.into_iter().map(str::to_owned).collect(),
            quotas: BTreeMap::new(),
            denied: BTreeSet::new(),
            default_network: true,
        }
    }

    /// Its number, which follows from its identifier.
    pub fn number(&self) -> u64 {
        100_000_000_000 + hash::number(0, &["project", &self.id]) % 900_000_000_000
    }
}

/// How long it takes until a service that was enabled is believed to be.
const BELIEVED_AFTER: Duration = Duration::from_secs(30);

/// A project as it is now.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub project: Project,
    /// Enabled services, and from when on calls to them are answered.
    pub enabled: BTreeMap<String, Moment>,
    /// Who may do what, and its version.
    pub policies: BTreeMap<String, (Value, u64)>,
}

/// All projects.
#[derive(Debug, Default)]
pub(crate) struct Projects {
    states: BTreeMap<String, State>,
}

impl Projects {
    pub fn new(projects: Vec<Project>) -> Self {
        let states = projects.into_iter().map(|project| {
            let enabled = project.services.iter().map(|name| (name.clone(), Moment::ZERO)).collect();
            (project.id.clone(), State { project, enabled, policies: BTreeMap::new() })
        });
        Self { states: states.collect() }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &State> {
        self.states.values()
    }

    /// The project of an identifier or a number.
    pub fn get(&self, name: &str) -> Option<&State> {
        let by_number = || self.states.values().find(|state| state.project.number().to_string() == name);
        self.states.get(name).or_else(by_number)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut State> {
        let id = self.get(name)?.project.id.clone();
        self.states.get_mut(&id)
    }
}

impl State {
    /// Enables a service from now on.
    pub fn enable(&mut self, service: &str, now: Moment) {
        self.enabled.entry(service.to_owned()).or_insert(now + BELIEVED_AFTER);
    }

    /// Refuses a call to a service that is not enabled, or not for long enough.
    pub fn check_enabled(&self, service: &str, now: Moment) -> Result<(), Refusal> {
        let service = if service == "cloudresourcemanager" { "cloudresourcemanager" } else { service };
        let name = format!("{service}.googleapis.com");
        if self.enabled.get(&name).is_some_and(|believed| *believed <= now) {
            return Ok(());
        }
        let title = SERVICES.iter().find(|known| known.0 == name).map_or(name.as_str(), |known| known.1);
        let project = &self.project.id;
        let url = format!("https://console.developers.google.com/apis/api/{name}/overview?project={project}");
        let message = format!(
            "{title} has not been used in project {project} before or it is disabled. Enable it by visiting {url} then retry. \
             If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
        );
        let links = json!([{"description": "Google developers console API activation", "url": url}]);
        let metadata = json!({
            "service": name, "serviceTitle": title, "consumer": format!("projects/{project}"), "containerInfo": project,
            "activationUrl": url,
        });
        let help = json!({"@type": "type.googleapis.com/google.rpc.Help", "links": links});
        let refusal = Refusal { reason: "accessNotConfigured", ..Refusal::forbidden(message) };
        Err(refusal.info("SERVICE_DISABLED", "googleapis.com", &metadata).with(help))
    }

    /// Whether a permission is held.
    pub fn permits(&self, permission: &str) -> bool {
        !self.project.denied.contains(permission)
    }
}
