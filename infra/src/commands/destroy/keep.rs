//! What a destroy keeps on purpose: the disks of a cloud, with the data on them.

use std::collections::BTreeSet;

use cluster::gke_spec::Data;
use engine::{Address, Change, Deployment, Inventory};

use crate::google;
use crate::report::Problem;
use crate::session::Session;
use crate::settings::{Settings, shown};

/// The disks of a deployment that are there now.
///
/// # Errors
///
/// Where there is data that cannot be kept, by its name and with what to do instead.
pub async fn data(deployment: &Deployment, inventory: &Inventory, settings: &Settings) -> Result<Vec<Data>, Problem> {
    refuse_local(deployment, inventory)?;
    refuse_filestore(deployment, inventory)?;
    if google::holds(inventory) { Ok(google::data(settings, inventory).await?) } else { Ok(Vec::new()) }
}

/// Volumes of clusters on this machine are folders inside of them.
fn refuse_local(deployment: &Deployment, inventory: &Inventory) -> Result<(), Problem> {
    let has = |kind: &str| inventory.iter().any(|held| held.node.address.kind() == kind);
    let name = deployment.name();
    if has("sandbox-cluster") {
        let folder = cluster::sandbox::folder(deployment.folder()).join("volumes");
        return Err(Problem::usage(format!(
            "keep the data of {name}: its volumes are folders of the sandbox and go with it"
        ))
        .hint(format!("copy what you need out of {} first, then destroy without --keep-data", shown(&folder))));
    }
    if has("kind-cluster") {
        return Err(Problem::usage(format!(
            "keep the data of {name}: its volumes are folders of kind's nodes and go with them"
        ))
        .hint("copy what you need with `kubectl cp` first, then destroy without --keep-data"));
    }
    Ok(())
}

/// An instance of Filestore is in the deployment's network, which cannot be removed around it.
fn refuse_filestore(deployment: &Deployment, inventory: &Inventory) -> Result<(), Problem> {
    let mut held = inventory.iter().map(|held| &held.node);
    let Some(node) = held.find(|node| node.address.kind() == "gcp-filestore") else { return Ok(()) };
    let (name, of) = (node.address.name(), deployment.name());
    Err(Problem::usage(format!("keep the data of {of}: the Filestore instance {name} goes with its network")).hint(
        "copy what you need first, or make a backup with `gcloud filestore backups create`, then destroy without --keep-data",
    ))
}

/// The addresses of disks.
pub fn addresses(data: &[Data]) -> BTreeSet<Address> {
    data.iter().map(|disk| disk.node.address.clone()).collect()
}

/// Writes down that these disks are kept. Before anything is deleted: whoever is killed afterwards knows of them.
pub async fn remember(data: &[Data], session: &mut Session) -> Result<(), Problem> {
    let kept = |disk: &Data| {
        (disk.node.address.clone(), Change::Found { node: Box::new(disk.node.clone()), outputs: disk.outputs.clone() })
    };
    Ok(session.journal.append(data.iter().map(kept).collect()).await?)
}
