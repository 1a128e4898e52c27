//! Google Cloud as options, environment and gcloud's own settings say it.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use engine::Inventory;
use providers::gcp::{self, Credentials, Gcp};
use scenarios::GcpTarget;

use crate::report::{Exit, Problem};

/// The variable with one address that stands for every API: that of `infra simulator gcp`.
pub const ENDPOINT: &str = "INFRA_GCP_ENDPOINT";
/// The variable with how much faster the time of that address passes.
pub const PACE: &str = "INFRA_GCP_PACE";
/// The variables with a token that is used as it is, and never renewed.
const TOKENS: [&str; 2] = ["GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN"];

/// How this process speaks to Google Cloud. Nothing is read before it is needed.
pub struct Google {
    project: Option<String>,
    location: Option<String>,
    /// In place of what the environment says.
    rehearsed: Option<gcp::Settings>,
    client: OnceLock<Gcp>,
}

impl Google {
    /// As the options say it, and the environment where they say nothing.
    pub fn new(project: Option<String>, location: Option<String>) -> Self {
        Self { project, location, rehearsed: None, client: OnceLock::new() }
    }

    /// As a rehearsal has it, whatever the environment says.
    pub fn rehearsed(settings: gcp::Settings, location: Option<String>) -> Self {
        Self { project: Some(settings.project.clone()), location, rehearsed: Some(settings), client: OnceLock::new() }
    }

    /// Whether it is a simulated cloud that ends with this command.
    pub fn is_rehearsed(&self) -> bool {
        self.rehearsed.is_some()
    }

    /// The project that is meant where the scenario says none.
    pub fn project(&self) -> Option<String> {
        let variables = ["GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"];
        self.project.clone().or_else(|| variables.into_iter().find_map(text)).or_else(|| gcloud("core", "project"))
    }

    /// The zone or region that is meant where the scenario says none.
    pub fn location(&self) -> Option<String> {
        let variables = ["CLOUDSDK_COMPUTE_ZONE", "CLOUDSDK_COMPUTE_REGION"];
        self.location
            .clone()
            .or_else(|| variables.into_iter().find_map(text))
            .or_else(|| gcloud("compute", "zone"))
            .or_else(|| gcloud("compute", "region"))
    }

    /// What a scenario needs to know.
    pub fn target(&self) -> GcpTarget {
        let program = env::current_exe().map_or_else(|_| "infra".to_owned(), |path| path.display().to_string());
        GcpTarget {
            project: self.project(),
            location: self.location(),
            token_program: vec![program, "token".to_owned()],
        }
    }

    /// The client; nothing is asked before it is used.
    pub fn client(&self) -> Result<&Gcp, Problem> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let settings = match &self.rehearsed {
            Some(settings) => settings.clone(),
            None => self.of_environment()?,
        };
        let client = Gcp::new(settings)?;
        Ok(self.client.get_or_init(|| client))
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

    /// The project, where a command cannot do without one and no scenario says it.
    pub fn needed_project(&self) -> Result<String, Problem> {
        self.project().ok_or_else(|| {
            Problem::usage("choose a project of Google Cloud: none is said").exit(Exit::Usage).hint(
                "say --project, set GOOGLE_CLOUD_PROJECT, or write `cluster: {gke: {project: ID}}` in the scenario",
            )
        })
    }
}

/// Whether something of a deployment is in Google Cloud, or may be.
pub fn holds(inventory: &Inventory) -> bool {
    inventory.iter().any(|held| is_google(held.node.address.kind()))
}

/// The projects that something of a deployment is in, or may be.
pub fn projects(inventory: &Inventory) -> BTreeSet<String> {
    let held = inventory.iter().filter(|held| is_google(held.node.address.kind()));
    let inputs = held.map(|held| &held.node.inputs);
    inputs
        .filter_map(|inputs| inputs["owner"]["project"].as_str().or(inputs["project"].as_str()))
        .map(str::to_owned)
        .collect()
}

/// Whether a kind of resource is in Google Cloud.
pub fn is_google(kind: &str) -> bool {
    kind.starts_with("gcp-") || kind.starts_with("gke-") || kind == "artifact-repository"
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|text| !text.is_empty())
}

/// A property of gcloud's active configuration.
fn gcloud(section: &str, name: &str) -> Option<String> {
    let folder = env::var_os("CLOUDSDK_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config/gcloud")))?;
    let active = text("CLOUDSDK_ACTIVE_CONFIG_NAME")
        .or_else(|| Some(std::fs::read_to_string(folder.join("active_config")).ok()?.trim().to_owned()))?;
    property(&std::fs::read_to_string(folder.join(format!("configurations/config_{active}"))).ok()?, section, name)
}

fn property(text: &str, section: &str, name: &str) -> Option<String> {
    let header = format!("[{section}]");
    let lines = text.lines().map(str::trim).skip_while(|line| *line != header).skip(1);
    let mut own = lines.take_while(|line| !line.starts_with('['));
    own.find_map(|line| {
        let (found, value) = line.split_once('=')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_of_gcloud_is_read_from_its_section_alone() {
        let text = "[core]\naccount = me\nproject = demo\n\n[compute]\nzone = europe-west4-a\n";
        assert_eq!(property(text, "core", "project").as_deref(), Some("demo"));
        assert_eq!(property(text, "compute", "zone").as_deref(), Some("europe-west4-a"));
        assert_eq!(property(text, "core", "zone"), None);
    }
}
