//! Google Cloud as options, environment and gcloud's own settings say it.

use std::collections::BTreeSet;
use std::env;
use std::path::PathBuf;

use engine::Inventory;
use scenarios::GcpTarget;

#[cfg(not(feature = "gcp"))]
mod left_out;
#[cfg(feature = "gcp")]
mod sdk;

#[cfg(not(feature = "gcp"))]
pub use left_out::*;
#[cfg(feature = "gcp")]
pub use sdk::*;

use crate::report::{Exit, Problem};

/// How this process speaks to Google Cloud. Nothing is read before it is needed.
pub struct Google {
    project: Option<String>,
    location: Option<String>,
    #[cfg_attr(not(feature = "gcp"), allow(dead_code, reason = "there is none"))]
    connection: Connection,
}

impl Google {
    /// As the options say it, and the environment where they say nothing.
    pub fn new(project: Option<String>, location: Option<String>) -> Self {
        Self { project, location, connection: Connection::default() }
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
