//! What GKE needs: credentials of Google Cloud, a project and a place. Whether they are good, `infra preflight` asks Google.

use super::{Check, Part};
use crate::google;
use crate::settings::Settings;

/// What the environment says.
pub fn examine(settings: &Settings) -> Vec<Check> {
    let google = &settings.google;
    let credentials = match google::credentials(settings) {
        Ok((described, true)) => Check::ok(Part::Gke, "credentials", described),
        Ok((described, false)) => {
            Check::missing(Part::Gke, "credentials", format!("no file of credentials; {described} would be asked"))
                .hint("`gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS".to_owned())
        }
        Err(problem) => Check::missing(Part::Gke, "credentials", problem.causes.join(": ")).hint(problem.hint),
    };
    let project = match google.project() {
        Some(project) => Check::ok(Part::Gke, "project", project),
        None => Check::warning(Part::Gke, "project", "none is said")
            .hint("--project, GOOGLE_CLOUD_PROJECT, or `cluster: {gke: {project: ID}}` in the scenario".to_owned()),
    };
    let place = match google.location() {
        Some(place) => Check::ok(Part::Gke, "place", place),
        None => Check::warning(Part::Gke, "place", "no zone or region is said")
            .hint("--location, CLOUDSDK_COMPUTE_ZONE, or `cluster: {gke: {zone: ZONE}}` in the scenario".to_owned()),
    };
    vec![credentials, project, place]
}
