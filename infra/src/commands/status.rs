//! `infra status`: what runs, and what blocks what does not.

use cluster::gke_spec::{AddressStatus, Cloud, ClusterStatus, PoolStatus};
use engine::{Deployment, Inventory, State};
use serde_json::json;
use workloads::WorkloadStatus;

use crate::arguments;
use crate::commands::destroy::keep;
use crate::google;
use crate::prepare::{balanced_addresses, local_addresses};
use crate::report::{Exit, Problem};
use crate::session::client;
use crate::settings::Settings;
use crate::view::{style, summary};
use crate::which::{applied, choose};

/// Runs the command. It ends with [`Exit::Blocked`] where something is not ready, so that scripts can ask.
pub async fn run(command: arguments::Status, settings: &Settings) -> Result<Exit, Problem> {
    let deployment = choose(&command.which, settings).await?;
    let inventory = settings.state.inventory(&deployment).await?;
    let mut lasting = inventory.iter().filter(|held| held.node.lasting).peekable();
    if lasting.peek().is_some() && lasting.all(|held| held.node.kept) {
        return kept(&deployment, &inventory, settings).await;
    }
    applied(&deployment, &inventory)?;
    let client = client(settings, &deployment, &inventory)?;
    let workloads = workloads::status(&client, deployment.name()).await?;
    let mut addresses = local_addresses(&inventory);
    let mut cloud = None;
    if google::holds(&inventory) {
        addresses.extend(balanced_addresses(&client, deployment.name()).await?);
        cloud = Some(google::status(settings, &inventory).await?);
    }
    if settings.json {
        let mut told = json!({ "deployment": deployment.name(), "workloads": workloads, "addresses": addresses });
        if let Some(cloud) = &cloud {
            told["cloud"] = json!(cloud);
        }
        println!("{told}");
    } else {
        print(deployment.name(), &inventory, &workloads);
        if let Some(cloud) = &cloud {
            print_cloud(cloud);
        }
        for (service, url) in &addresses {
            anstream::println!("  {service:<28} {}", style::hint(url));
        }
    }
    Ok(if workloads.iter().all(|workload| workload.ready) { Exit::Done } else { Exit::Blocked })
}

/// Of a deployment that was destroyed but for its data, that is all there is to tell.
async fn kept(deployment: &Deployment, inventory: &Inventory, settings: &Settings) -> Result<Exit, Problem> {
    let (name, data) = (deployment.name(), keep::data(deployment, inventory, settings).await?);
    if settings.json {
        println!("{}", json!({ "deployment": name, "workloads": [], "addresses": {}, "kept": data }));
    } else {
        anstream::print!("{}", summary::kept(name, &data));
    }
    Ok(Exit::Done)
}

fn print(name: &str, inventory: &Inventory, workloads: &[WorkloadStatus]) {
    anstream::println!("{}", style::bold(name));
    let unfinished: Vec<&str> = inventory
        .iter()
        .filter(|held| held.node.lasting && held.state != State::Present)
        .map(|held| held.node.title.as_str())
        .collect();
    if !unfinished.is_empty() {
        anstream::println!("  {} not finished: {}", style::change("!"), unfinished.join(", "));
    }
    let width = workloads.iter().map(|workload| title(workload).chars().count()).max().unwrap_or(0);
    for workload in workloads {
        let mark = if workload.ready { style::good("✓") } else { style::change("!") };
        anstream::println!("  {mark} {:width$}  {}", title(workload), workload.detail);
        for pod in &workload.pods {
            let restarts = if pod.restarts == 0 { String::new() } else { format!(", {} restarts", pod.restarts) };
            let node = pod.node.as_deref().unwrap_or("no node");
            anstream::println!("      {}", style::dim(format!("{}  {}{restarts}, {node}", pod.name, pod.phase)));
        }
        for blocker in &workload.blockers {
            anstream::println!("      {} {}: {}", style::change(&blocker.cause), blocker.subject, blocker.message);
            for line in &blocker.log {
                anstream::println!("        {}", style::dim(format!("| {line}")));
            }
            if let Some(hint) = &blocker.hint {
                anstream::println!("        {} {hint}", style::hint("hint:"));
            }
        }
    }
}

/// What the cloud says, in its own words.
fn print_cloud(cloud: &Cloud) {
    if let Some(cluster) = &cloud.cluster {
        let ClusterStatus { name, location, status, version, .. } = cluster;
        anstream::println!("  GKE cluster {name}  {status}, {version}, {location}");
    }
    for PoolStatus { name, status, machine_type, nodes, .. } in &cloud.node_pools {
        anstream::println!("    node pool {name}  {status}, {nodes} x {machine_type}");
    }
    for AddressStatus { name, address, status, .. } in &cloud.addresses {
        anstream::println!("    address {name}  {address}, {status}");
    }
    anstream::print!("{}", summary::disks(&cloud.disks, "    "));
}

fn title(workload: &WorkloadStatus) -> String {
    format!("{} {}/{}", workload.kind, workload.namespace, workload.name)
}
