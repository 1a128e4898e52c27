//! From the scenario's part for GKE to the cluster that it means.

use std::collections::BTreeMap;

use cluster::gke_spec::{self as gke, Disk, Network, NodePool, OtherZones, Place, PoolSize, Registry, Spec};
use engine::Address;
use serde_json::Value;
use workloads::{DiskVolume, FileServer, SharedVolume, StaticAddress};

use super::volumes::{is_shared, leaves_its_volume_open};
use super::{LowerError, Target, file_server, private_kubeconfig};
use crate::gke::{GkePart, Object, PoolPart, WantedZones};
use crate::manifest::Manifest;
use crate::scenario::Scenario;

/// A disk has at least so much.
const LEAST_DISK_GIGABYTES: u64 = 10;

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
        disks: part.disks.iter().map(|bound| bound.disk.clone()).chain(disks_of_servers(scenario)).collect(),
        file_servers: part.filestores.iter().map(|bound| bound.server.clone()).collect(),
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

/// The claims that disks serve: those of the scenario, and those of file servers in the cluster.
pub(super) fn disks(scenario: &Scenario, made_by: &BTreeMap<String, Address>) -> Vec<DiskVolume> {
    let servers = servers(scenario);
    let of_servers = servers.iter().map(|server| {
        let claim = workloads::file_server_claim(&server.claim.namespace, &server.claim.name);
        (claim, &server.disk)
    });
    let bound = scenario.cluster.gke.disks.iter().filter_map(|bound| Some((bound.claim.as_ref()?, &bound.disk)));
    let direct = bound.filter(|(claim, _)| !servers.iter().any(|server| server.claim == **claim));
    let direct = direct.map(|(claim, disk)| ((claim.namespace.clone(), claim.name.clone()), disk));
    let volume = |((namespace, claim), disk): ((String, String), &Disk)| {
        let (size_gigabytes, made_by) = (disk.size_gigabytes, made_by.get(&disk.name)?.clone());
        Some(DiskVolume { namespace, claim, size_gigabytes, made_by })
    };
    direct.chain(of_servers).filter_map(volume).collect()
}

/// A file server in the cluster: a claim that all nodes share, and the disk that its files are on.
struct Server {
    claim: Object,
    disk: Disk,
    /// Whether the disk is made for it alone.
    is_own: bool,
}

/// Whether file servers in the cluster are needed.
pub(super) fn needs_file_servers(scenario: &Scenario) -> bool {
    !servers(scenario).is_empty()
}

/// The claims for several nodes that a file server in the cluster serves: those of a disk, since a disk is at one machine, and
/// those that say nothing of their volume.
fn servers(scenario: &Scenario) -> Vec<Server> {
    let part = &scenario.cluster.gke;
    let claims = claims(scenario).filter(|(_, manifest)| is_shared(&manifest.value));
    let in_cloud = |claim: &Object| part.filestores.iter().any(|bound| bound.claim == *claim);
    let server = |(claim, manifest): (Object, &Manifest)| {
        let bound = part.disks.iter().find(|bound| bound.claim.as_ref() == Some(&claim));
        if let Some(bound) = bound {
            return Some(Server { claim, disk: bound.disk.clone(), is_own: false });
        }
        let size = storage(manifest).max(LEAST_DISK_GIGABYTES);
        let (_, name) = workloads::file_server_claim(&claim.namespace, &claim.name);
        let size_gigabytes = u32::try_from(size).unwrap_or(u32::MAX);
        let disk = Disk { name, size_gigabytes, disk_type: None, zone: None, snapshot: false };
        leaves_its_volume_open(&manifest.value).then_some(Server { claim, disk, is_own: true })
    };
    claims.filter(|(claim, _)| !in_cloud(claim)).filter_map(server).collect()
}

fn disks_of_servers(scenario: &Scenario) -> Vec<Disk> {
    servers(scenario).into_iter().filter(|server| server.is_own).map(|server| server.disk).collect()
}

/// The claims that file servers serve.
pub(super) fn shared(scenario: &Scenario, made_by: &BTreeMap<String, Address>) -> Vec<SharedVolume> {
    let in_cluster = servers(scenario).into_iter().map(|server| SharedVolume {
        namespace: server.claim.namespace,
        claim: server.claim.name,
        size_gigabytes: server.disk.size_gigabytes,
        server: FileServer::InCluster { image: file_server::IMAGE.to_owned() },
    });
    let in_cloud = scenario.cluster.gke.filestores.iter().filter_map(|bound| {
        Some(SharedVolume {
            namespace: bound.claim.namespace.clone(),
            claim: bound.claim.name.clone(),
            size_gigabytes: bound.server.capacity_gibibytes,
            server: FileServer::InCloud { made_by: made_by.get(&bound.server.name)?.clone() },
        })
    });
    in_cluster.chain(in_cloud).collect()
}

/// The claims of the manifests.
fn claims(scenario: &Scenario) -> impl Iterator<Item = (Object, &Manifest)> {
    let manifests = scenario.steps.iter().flat_map(|step| &step.manifests);
    manifests.filter(|manifest| manifest.identity.kind == "PersistentVolumeClaim").map(|manifest| {
        let identity = &manifest.identity;
        let namespace = identity.namespace.clone().unwrap_or_else(|| scenario.namespace.clone());
        (Object { namespace, name: identity.name.clone() }, manifest)
    })
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

/// What the claims ask for that no disk of the scenario and no file server serves.
fn claims_gigabytes(scenario: &Scenario) -> u64 {
    let part = &scenario.cluster.gke;
    let of_servers: Vec<Object> = servers(scenario).into_iter().map(|server| server.claim).collect();
    let by_disks = part.disks.iter().filter_map(|bound| bound.claim.as_ref());
    let served: Vec<&Object> =
        by_disks.chain(part.filestores.iter().map(|bound| &bound.claim)).chain(&of_servers).collect();
    claims(scenario).filter(|(claim, _)| !served.contains(&claim)).map(|(_, manifest)| storage(manifest)).sum()
}

/// What a claim asks for, in whole GB.
fn storage(manifest: &Manifest) -> u64 {
    gigabytes(&manifest.value["spec"]["resources"]["requests"]["storage"])
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
