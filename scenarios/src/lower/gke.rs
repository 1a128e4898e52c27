//! From the scenario's part for GKE to the cluster that it means.

use std::collections::BTreeMap;

use cluster::gke_spec::{self as gke, Network, NodePool, OtherZones, Place, PoolSize, Registry, Spec};
use engine::Address;
use serde_json::Value;
use workloads::{DiskVolume, StaticAddress};

use super::{LowerError, Target, private_kubeconfig};
use crate::gke::{GkePart, PoolPart, WantedZones};
use crate::scenario::Scenario;

/// What a target says of Google Cloud. What the scenario says goes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcpTarget {
    /// The project's ID.
    pub project: Option<String>,
    /// A zone or a region.
    pub location: Option<String>,
    /// The program with its arguments that prints tokens for kubectl; see [`Spec::token_program`].
    pub token_program: Vec<String>,
}

/// The cluster that the scenario wants.
pub(super) fn spec(scenario: &Scenario, target: &Target, has_images: bool) -> Result<Spec, LowerError> {
    let part = &scenario.cluster.gke;
    let from_target = target.gcp.clone().unwrap_or_default();
    let project = part.project.clone().or(from_target.project).ok_or(LowerError::NoProject)?;
    let place = place(part, from_target.location.as_deref())?;
    let registry = has_images
        .then(|| Registry { location: part.registry_location.clone().unwrap_or_else(|| place.region().to_owned()) });
    let network = match &part.network {
        Some(network) => Network::Given { network: network.clone(), subnetwork: part.subnetwork.clone() },
        None => part.range.clone().map_or_else(Network::default, |range| Network::Own { range }),
    };
    Ok(Spec {
        deployment: target.deployment.clone(),
        project,
        place,
        version: part.version.clone(),
        channel: part.channel,
        network,
        private_nodes: part.private_nodes,
        workload_identity: part.workload_identity,
        service_account: part.service_account.clone(),
        node_pools: node_pools(scenario)?,
        disks: part.disks.iter().map(|bound| bound.disk.clone()).collect(),
        addresses: part.addresses.iter().map(|address| address.name.clone()).collect(),
        load_balancers: load_balancers(scenario),
        claims_gigabytes: claims_gigabytes(scenario),
        registry,
        kubeconfig: private_kubeconfig(target),
        user_kubeconfig: Some(target.kubeconfig.clone()),
        token_program: from_target.token_program,
    })
}

fn place(part: &GkePart, from_target: Option<&str>) -> Result<Place, LowerError> {
    let named = part.zone.as_deref().or(part.region.as_deref());
    let location = named.or(from_target).ok_or(LowerError::NoPlace)?.to_owned();
    if !gke::is_zone(&location) {
        let zones = match &part.zones {
            WantedZones::Named(zones) => zones.clone(),
            WantedZones::Any | WantedZones::Unsaid => Vec::new(),
        };
        return Ok(Place::Region { region: location, zones });
    }
    let others = match &part.zones {
        WantedZones::Unsaid => OtherZones::None,
        WantedZones::Any => OtherZones::Any,
        WantedZones::Named(zones) => OtherZones::Named(zones.clone()),
    };
    Ok(Place::Zone { zone: location, others })
}

/// The node pools, the first one first: gcloud's flags describe it, or else what `node-pools` begins with.
fn node_pools(scenario: &Scenario) -> Result<Vec<NodePool>, LowerError> {
    let part = &scenario.cluster.gke;
    let usual = || PoolPart { name: "default-pool".to_owned(), ..PoolPart::default() };
    let first = part.default_pool.clone().or_else(|| part.node_pools.is_empty().then(usual));
    first.iter().chain(&part.node_pools).map(|pool| node_pool(scenario, pool)).collect()
}

fn node_pool(scenario: &Scenario, pool: &PoolPart) -> Result<NodePool, LowerError> {
    let size = match pool.size {
        Some(wanted) => match wanted.max {
            Some(max) => PoolSize::Autoscaling { min: wanted.first.unwrap_or(wanted.min).clamp(wanted.min, max), max },
            None => PoolSize::Count(wanted.first.unwrap_or(1)),
        },
        None => PoolSize::Count(scenario.cluster.nodes),
    };
    Ok(NodePool {
        name: pool.name.clone(),
        size,
        machine_type: pool.machine_type.clone().map_or_else(|| machine_type(scenario), Ok)?,
        image_type: pool.image_type.clone(),
        disk_type: pool.disk_type.clone(),
        disk_size_gigabytes: pool.disk_size_gigabytes,
        spot: pool.spot,
        gpu: pool.gpu.clone(),
        labels: pool.labels.clone(),
        taints: pool.taints.clone(),
        zones: pool.zones.clone(),
    })
}

/// The cheapest machine type with as much as `cluster.nodes` asks for.
fn machine_type(scenario: &Scenario) -> Result<String, LowerError> {
    let size = scenario.cluster.size;
    if (size.cpus, size.memory_gibibytes) == (None, None) {
        return Ok(gke::USUAL_MACHINE_TYPE.to_owned());
    }
    let (cpus, memory) = (size.cpus.unwrap_or(1), size.memory_gibibytes.unwrap_or(1));
    let found = gke::smallest_machine_type(cpus, u64::from(memory) * 1024);
    found.map(str::to_owned).ok_or(LowerError::NoMachine { cpus, memory_gibibytes: memory })
}

/// Where the images go: a repository for each, in that of the deployment.
pub(super) fn image_repository(spec: &Spec, image: &str) -> Option<String> {
    let registry = spec.registry.as_ref()?;
    Some(gke::image_repository(&registry.location, &spec.project, &spec.deployment, image))
}

/// The claims that disks serve.
pub(super) fn disks(scenario: &Scenario, made_by: &BTreeMap<String, Address>) -> Vec<DiskVolume> {
    let bound = scenario.cluster.gke.disks.iter();
    let volume = |bound: &crate::gke::BoundDisk| {
        let claim = bound.claim.as_ref()?;
        Some(DiskVolume {
            namespace: claim.namespace.clone(),
            claim: claim.name.clone(),
            size_gigabytes: bound.disk.size_gigabytes,
            made_by: made_by.get(&bound.disk.name)?.clone(),
        })
    };
    bound.filter_map(volume).collect()
}

/// The addresses that Services shall have.
pub(super) fn static_addresses(scenario: &Scenario, made_by: &BTreeMap<String, Address>) -> Vec<StaticAddress> {
    let address = |wanted: &crate::gke::StaticAddress| {
        Some(StaticAddress {
            namespace: wanted.service.namespace.clone(),
            service: wanted.service.name.clone(),
            made_by: made_by.get(&wanted.name)?.clone(),
        })
    };
    scenario.cluster.gke.addresses.iter().filter_map(address).collect()
}

fn load_balancers(scenario: &Scenario) -> u32 {
    let manifests = scenario.steps.iter().flat_map(|step| &step.manifests);
    let balancers = manifests.filter(|manifest| {
        manifest.identity.kind == "Ingress"
            || (manifest.identity.kind == "Service" && manifest.value["spec"]["type"] == "LoadBalancer")
    });
    u32::try_from(balancers.count()).unwrap_or(u32::MAX)
}

/// What the claims ask for that no disk of the scenario serves.
fn claims_gigabytes(scenario: &Scenario) -> u64 {
    let served = |name: &str, namespace: Option<&str>| {
        let claims = scenario.cluster.gke.disks.iter().filter_map(|bound| bound.claim.as_ref());
        claims.into_iter().any(|claim| claim.name == name && Some(claim.namespace.as_str()) == namespace)
    };
    let manifests = scenario.steps.iter().flat_map(|step| &step.manifests);
    let claims = manifests.filter(|manifest| {
        let identity = &manifest.identity;
        identity.kind == "PersistentVolumeClaim" && !served(&identity.name, identity.namespace.as_deref())
    });
    claims.map(|claim| gigabytes(&claim.value["spec"]["resources"]["requests"]["storage"])).sum()
}

/// A quantity of storage in whole GB, rounded up; disks have whole ones.
fn gigabytes(quantity: &Value) -> u64 {
    let text = quantity.as_str().unwrap_or_default();
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().unwrap_or_default();
    match &text[digits..] {
        "Ti" | "T" => number * 1024,
        "Gi" | "G" => number,
        "Mi" | "M" => number.div_ceil(1024),
        _ => u64::from(number > 0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_quantity_of_storage_is_rounded_up_to_what_a_disk_has() {
        assert_eq!(["10Gi", "1500Mi", "2Ti", "1"].map(|text| gigabytes(&json!(text))), [10, 2, 2048, 1]);
    }
}
