//! Claims on kind. On one node a folder of it serves them, without waiting for the provisioner that kind starts last. On several
//! nodes that provisioner has volumes for one node each; what pods on all of them share is in a folder that all of them see.

use engine::{Address, Graph, GraphError};
use serde_json::Value;
use workloads::NodeVolume;

use super::Target;
use crate::scenario::Scenario;

/// Fields by which a claim says more of its volume than a folder can answer.
const OWN_WISHES: [&str; 6] =
    ["storageClassName", "volumeName", "selector", "dataSource", "dataSourceRef", "volumeAttributesClassName"];

/// Adds the folders of all claims that leave their volume to the cluster.
///
/// A claim that is there already keeps the volume that it has: what it holds must not be lost to a faster way.
pub(super) fn declare(
    scenario: &Scenario,
    target: &Target,
    cluster: &cluster::kind::Spec,
    graph: &mut Graph,
) -> Result<Vec<NodeVolume>, GraphError> {
    let mut volumes = Vec::new();
    let is_single = scenario.cluster.nodes == 1;
    let manifests = scenario.steps.iter().flat_map(|step| &step.manifests).map(|manifest| &manifest.value);
    for claim in manifests.filter(|value| leaves_its_volume_open(value) && (is_single || is_shared(value))) {
        let namespace = claim["metadata"]["namespace"].as_str().unwrap_or(&scenario.namespace);
        let Some(name) = claim["metadata"]["name"].as_str() else { continue };
        if has_another_volume(target, namespace, name) {
            continue;
        }
        let folder = folder(scenario, target, &format!("{namespace}/{name}"), &volumes);
        let made_by = cluster::kind::declare_folder(cluster, &format!("{namespace}/{name}"), &folder, graph)?;
        volumes.push(NodeVolume { namespace: namespace.to_owned(), claim: name.to_owned(), folder, made_by });
    }
    Ok(volumes)
}

/// The path of a claim's folder: the one that it has, also where the claim was called otherwise before. A new folder gets a path
/// that no other claim has.
fn folder(scenario: &Scenario, target: &Target, name: &str, others: &[NodeVolume]) -> String {
    let address = cluster::kind::folder_address(name);
    let is_single = scenario.cluster.nodes == 1;
    let before = scenario.moved.iter().find(|(_, to)| *to == address).map(|(from, _)| from);
    let other = if is_single { cluster::kind::shared_path("") } else { cluster::kind::folder_path("") };
    let fits = |path: &&str| !path.starts_with(&other);
    let held = |address: &Address| target.held.get(address)?["folder"].as_str().filter(fits).map(str::to_owned);
    if let Some(folder) = held(&address).or_else(|| held(before?)) {
        return folder;
    }
    let is_taken = |path: &str| {
        let of_others = target.held.iter().filter(|(other, _)| other.kind() == address.kind() && **other != address);
        let mut paths = of_others.filter_map(|(_, inputs)| inputs["folder"].as_str());
        paths.any(|other| other == path) || others.iter().any(|other| other.folder == path)
    };
    let usual = if is_single { cluster::kind::folder_path(name) } else { cluster::kind::shared_path(name) };
    let numbered = (2..).map(|number| format!("{usual}.{number}"));
    std::iter::once(usual.clone()).chain(numbered).find(|path| !is_taken(path)).unwrap_or(usual)
}

/// Whether pods on several nodes may use a claim at once.
pub(super) fn is_shared(claim: &Value) -> bool {
    claim["spec"]["accessModes"].as_array().is_some_and(|modes| modes.iter().any(|mode| mode == "ReadWriteMany"))
}

/// Whether a claim says nothing of its volume.
pub(super) fn leaves_its_volume_open(manifest: &Value) -> bool {
    let spec = &manifest["spec"];
    manifest["kind"] == "PersistentVolumeClaim"
        && OWN_WISHES.iter().all(|field| spec[*field].is_null())
        && spec["volumeMode"] != "Block"
        && spec["resources"]["requests"]["storage"].is_string()
}

fn has_another_volume(target: &Target, namespace: &str, name: &str) -> bool {
    let address = Address::new("object", format!("persistentvolumeclaim/{namespace}/{name}"));
    target.held.get(&address).is_some_and(|inputs| inputs["manifest"]["spec"]["volumeName"].is_null())
}
