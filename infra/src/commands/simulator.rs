//! `infra simulator`: a cloud on the wire, for as long as the command runs.

use std::sync::Arc;

use serde_json::json;
use simulator::{Clusters, Faults, NoClusters, Options, Project};

use crate::arguments::{SimulatorCommand, SimulatorGcp};
use crate::google::{ENDPOINT, PACE};
use crate::rehearsal::clusters::SandboxClusters;
use crate::report::{Exit, Problem};
use crate::session::next_signal;
use crate::settings::Settings;
use crate::view::style;

/// Runs the command: it answers until it is interrupted, and then removes everything that it made.
pub async fn run(command: SimulatorCommand, settings: &Settings) -> Result<Exit, Problem> {
    let SimulatorCommand::Gcp(command) = command;
    let folder = tempfile::Builder::new().prefix("infra-simulator-").tempdir()?;
    let project = command.with_project.clone().or_else(|| settings.google.project()).unwrap_or_else(|| "demo".into());
    let clusters: Arc<dyn Clusters> =
        if command.no_clusters { Arc::new(NoClusters) } else { Arc::new(SandboxClusters::new(folder.path())) };
    let mut options = Options::new(clusters);
    (options.listen, options.speed, options.anonymous) = (command.listen, command.speed, true);
    options.projects = vec![Project::new(&project)];
    if let Some(seed) = command.with_faults {
        (options.seed, options.faults) = (seed, Faults::by_seed(seed));
    }
    let running = simulator::start(options).await?;
    if settings.json {
        println!("{}", json!({ "event": "simulating", "address": running.url(), "project": project }));
    } else {
        introduce(&running.url(), &project, &command);
    }
    next_signal().await?;
    running.stop().await;
    Ok(Exit::Done)
}

/// How clients reach it.
fn introduce(url: &str, project: &str, command: &SimulatorGcp) {
    let title = format!("Google Cloud, simulated, at {url}");
    anstream::println!(
        "{}  {}",
        style::bold(title),
        style::dim(format!("project {project}, {} times as fast", command.speed))
    );
    let gcloud = |name: &str, path: &str| format!("CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}={url}/{path}");
    let lines = [
        (
            "infra",
            vec![
                format!("{ENDPOINT}={url} {PACE}={} GOOGLE_OAUTH_ACCESS_TOKEN=any", command.speed),
                format!("infra apply SCENARIO --provider gke --project {project} --location us-central1-a"),
            ],
        ),
        (
            "gcloud",
            vec![
                format!("CLOUDSDK_CORE_PROJECT={project} CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true"),
                gcloud("CONTAINER", ""),
                gcloud("COMPUTE", "compute/v1/"),
                gcloud("ARTIFACTREGISTRY", ""),
                gcloud("SERVICEUSAGE", ""),
            ],
        ),
        ("ledger", vec![format!("{url}/sim/ledger")]),
    ];
    for (name, lines) in lines {
        for (number, line) in lines.iter().enumerate() {
            anstream::println!("  {:<8} {line}", if number == 0 { name } else { "" });
        }
    }
    anstream::eprintln!("{}", style::dim("until Ctrl-C"));
}
