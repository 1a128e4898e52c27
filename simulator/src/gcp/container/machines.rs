//! The machines of node pools: instances with their disks and groups, and the Kubernetes nodes that they are.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::short;
use crate::clusters::{NodeShape, Taint};
use crate::gcp::catalog::{self, Machine};
use crate::gcp::compute;
use crate::gcp::prices::{last, number};
use crate::gcp::world::World;
use crate::hash;

/// A machine that a pool has or will have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub name: String,
    pub zone: String,
}

/// The first letters of a name, as GKE cuts them for the names of what it makes.
fn cut(name: &str, most: usize) -> &str {
    &name[..name.len().min(most)]
}

/// The hash in the names of a pool's machines.
fn pool_hash(world: &World, pool: &str) -> String {
    let id =
        world.things.get(pool.split("/nodePools/").next().unwrap_or_default()).map(|thing| short(&thing.body["id"]));
    hash::hex(world.seed, &["pool", pool, &id.unwrap_or_default()], 8)
}

/// The beginning of the names of a pool's machines: `gke-CLUSTER-POOL-HASH`.
pub(crate) fn prefix(world: &World, pool: &str) -> String {
    let mut parts = pool.rsplit('/');
    let name = parts.next().unwrap_or_default();
    let cluster = parts.nth(1).unwrap_or_default();
    format!("gke-{}-{}-{}", cut(cluster, 19), cut(name, 17), pool_hash(world, pool))
}

/// Names for this many new machines of a pool in each of its zones.
pub(crate) fn draw(world: &mut World, pool: &str, zones: &[String], count: usize) -> Vec<Node> {
    let prefix = prefix(world, pool);
    let mut nodes = Vec::new();
    for zone in zones {
        for _ in 0..count {
            let number = world.next_number().to_string();
            let name = format!("{prefix}-{}", hash::letters(world.seed, &["node", pool, zone, &number], 4));
            nodes.push(Node { name, zone: zone.clone() });
        }
    }
    nodes
}

/// The machines of all pools of a cluster that are there or on their way.
pub(crate) fn machines_of<'a>(world: &'a World, cluster: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
    let prefix = format!("{cluster}/nodePools/");
    let pools = world.nodes.range(prefix.clone()..).take_while(move |(pool, _)| pool.starts_with(&prefix));
    pools.flat_map(|(pool, nodes)| nodes.iter().map(move |node| (pool.as_str(), node)))
}

/// The Kubernetes nodes of a cluster.
pub(crate) fn shapes(world: &World, cluster: &str) -> Vec<NodeShape> {
    let each = machines_of(world, cluster).filter_map(|(pool, node)| {
        let body = &world.things.get(pool)?.body;
        Some(shape(node, last(&Value::from(pool)), body))
    });
    each.collect()
}

/// A machine of a pool as a Kubernetes node.
fn shape(node: &Node, pool: &str, body: &Value) -> NodeShape {
    let config = &body["config"];
    let kind = config["machineType"].as_str().unwrap_or_default();
    let machine = catalog::machine(&node.zone, kind);
    let (cpu_millis, memory_bytes) = machine.as_ref().map_or((940, 2 << 30), allocatable);
    let family = kind.split('-').next().unwrap_or_default();
    let mut labels: BTreeMap<String, String> = [
        ("beta.kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/instance-type", kind),
        ("beta.kubernetes.io/os", "linux"),
        ("cloud.google.com/gke-boot-disk", config["diskType"].as_str().unwrap_or_default()),
        ("cloud.google.com/gke-container-runtime", "containerd"),
        ("cloud.google.com/gke-nodepool", pool),
        ("cloud.google.com/gke-os-distribution", "cos"),
        ("cloud.google.com/gke-provisioning", if is_spot(config) { "spot" } else { "standard" }),
        ("cloud.google.com/machine-family", family),
        ("failure-domain.beta.kubernetes.io/region", catalog::region_of(&node.zone)),
        ("failure-domain.beta.kubernetes.io/zone", &node.zone),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/hostname", &node.name),
        ("kubernetes.io/os", "linux"),
        ("node.kubernetes.io/instance-type", kind),
        ("topology.gke.io/zone", &node.zone),
        ("topology.kubernetes.io/region", catalog::region_of(&node.zone)),
        ("topology.kubernetes.io/zone", &node.zone),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if is_spot(config) {
        labels.insert("cloud.google.com/gke-spot".into(), "true".into());
    }
    let mut taints: Vec<Taint> = config["taints"].as_array().into_iter().flatten().map(taint).collect();
    for accelerator in config["accelerators"].as_array().into_iter().flatten() {
        labels.insert("cloud.google.com/gke-accelerator".into(), short(&accelerator["acceleratorType"]));
        taints.push(Taint { key: "nvidia.com/gpu".into(), value: "present".into(), effect: "NoSchedule".into() });
    }
    let own = config["labels"].as_object().into_iter().flatten();
    labels.extend(own.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let pods = number(&body["maxPodsConstraint"]["maxPodsPerNode"]) as u32;
    NodeShape {
        name: node.name.clone(),
        version: format!("v{}", body["version"].as_str().unwrap_or_default()),
        labels,
        taints,
        cpu_millis,
        memory_bytes,
        pods: if pods == 0 { 110 } else { pods },
    }
}

fn taint(taint: &Value) -> Taint {
    let effect = match taint["effect"].as_str() {
        Some("NO_EXECUTE") => "NoExecute",
        Some("PREFER_NO_SCHEDULE") => "PreferNoSchedule",
        _ => "NoSchedule",
    };
    let text = |field: &str| taint[field].as_str().unwrap_or_default().to_owned();
    Taint { key: text("key"), value: text("value"), effect: effect.into() }
}

fn is_spot(config: &Value) -> bool {
    config["spot"] == true || config["preemptible"] == true
}

/// What GKE leaves of a machine for pods: thousandths of cores, and bytes. Google's page "Plan GKE Standard node sizes" has the
/// parts that it keeps.
pub(crate) fn allocatable(machine: &Machine) -> (u64, u64) {
    let kept_cpu = if machine.shared_core {
        1060
    } else {
        let cores = u64::from(machine.cores);
        let parts = [(1, 600), (1, 100), (2, 50)];
        let (mut rest, mut kept) = (cores, 0);
        for (size, tenths) in parts {
            let part = rest.min(size);
            kept += part * tenths / 10;
            rest -= part;
        }
        kept + rest * 25 / 10
    };
    let cpu = u64::from(machine.cores) * 1000 - kept_cpu;
    let whole = u64::from(machine.memory_megabytes);
    let parts = [(4096, 25), (4096, 20), (8192, 10), (114_688, 6)];
    let (mut rest, mut kept) = (whole, 100);
    for (size, percent) in parts {
        let part = rest.min(size);
        kept += part * percent / 100;
        rest -= part;
    }
    kept += rest * 2 / 100;
    (cpu, whole.saturating_sub(kept) << 20)
}

/// A machine of a pool as an instance of Compute Engine. `bootDisk` is what its disk will be.
pub(crate) fn instance(world: &World, cluster: &str, pool: &str, node: &Node) -> Value {
    let (body, of) = (&world.things[pool].body, &world.things[cluster].body);
    let project = cluster.split('/').nth(2).unwrap_or_default();
    let config = &body["config"];
    let zone = compute::link(&format!("projects/{project}/zones/{}", node.zone));
    let mut labels = json!({
        "goog-gke-node": "",
        "goog-k8s-cluster-name": of["name"],
        "goog-k8s-cluster-location": of["location"],
        "goog-k8s-node-pool-name": last(&Value::from(pool)),
    });
    for source in [&of["resourceLabels"], &config["resourceLabels"]] {
        for (name, value) in source.as_object().into_iter().flatten() {
            labels[name] = value.clone();
        }
    }
    let region = catalog::region_of(&node.zone);
    let network = compute::link(&format!("projects/{project}/global/networks/{}", short(&of["network"])));
    let subnetwork =
        compute::link(&format!("projects/{project}/regions/{region}/subnetworks/{}", short(&of["subnetwork"])));
    let private =
        of["privateClusterConfig"]["enablePrivateNodes"] == true || body["networkConfig"]["enablePrivateNodes"] == true;
    let external = json!([{"kind": "compute#accessConfig", "name": "external-nat", "type": "ONE_TO_ONE_NAT", "networkTier": "PREMIUM",
        "natIP": address(world, "34.72", &node.name)}]);
    let accelerators = config["accelerators"].as_array().into_iter().flatten().map(|accelerator| {
        let kind = format!("{zone}/acceleratorTypes/{}", short(&accelerator["acceleratorType"]));
        json!({"acceleratorType": kind, "acceleratorCount": number(&accelerator["acceleratorCount"])})
    });
    let accelerators: Vec<Value> = accelerators.map(whole_count).collect();
    json!({
        "kind": "compute#instance",
        "name": node.name,
        "zone": zone,
        "machineType": format!("{zone}/machineTypes/{}", config["machineType"].as_str().unwrap_or_default()),
        "status": "PROVISIONING",
        "labels": labels,
        "tags": {"items": [format!("gke-{}-{}-node", cut(of["name"].as_str().unwrap_or_default(), 40), cluster_hash(world, cluster))]},
        "disks": [{"kind": "compute#attachedDisk", "boot": true, "autoDelete": true, "deviceName": "persistent-disk-0", "index": 0,
            "source": format!("{zone}/disks/{}", node.name), "diskSizeGb": number(&config["diskSizeGb"]).to_string(), "mode": "READ_WRITE",
            "type": "PERSISTENT"}],
        "networkInterfaces": [{"kind": "compute#networkInterface", "name": "nic0", "network": network, "subnetwork": subnetwork,
            "networkIP": address(world, "10.128", &node.name), "accessConfigs": if private { json!([]) } else { external }}],
        "serviceAccounts": [{"email": config["serviceAccount"], "scopes": config["oauthScopes"]}],
        "guestAccelerators": accelerators,
        "scheduling": {"preemptible": is_spot(config), "automaticRestart": !is_spot(config)},
        "bootDisk": {"type": format!("{zone}/diskTypes/{}", config["diskType"].as_str().unwrap_or_default()),
            "sizeGb": number(&config["diskSizeGb"]).to_string(), "zone": zone, "labels": labels},
    })
}

fn whole_count(mut accelerator: Value) -> Value {
    #[allow(clippy::cast_possible_truncation)]
    let count = number(&accelerator["acceleratorCount"]) as i64;
    accelerator["acceleratorCount"] = json!(count);
    accelerator
}

fn address(world: &World, network: &str, name: &str) -> String {
    let drawn = hash::number(world.seed, &["address", network, name]);
    format!("{network}.{}.{}", drawn % 250, drawn / 250 % 250 + 2)
}

/// The hash in the names of what belongs to a whole cluster: the first digits of its identifier.
pub(crate) fn cluster_hash(world: &World, cluster: &str) -> String {
    let id = world.things.get(cluster).and_then(|thing| thing.body["id"].as_str()).unwrap_or_default();
    id.chars().take(8).collect()
}

/// Makes the instance of a machine, and its disk. The group counts it.
pub(crate) fn boot(world: &mut World, cluster: &str, pool: &str, node: &Node) {
    let project = cluster.split('/').nth(2).unwrap_or_default().to_owned();
    let mut body = instance(world, cluster, pool, node);
    let mut disk = body.as_object_mut().and_then(|fields| fields.remove("bootDisk")).unwrap_or_default();
    body["status"] = json!("RUNNING");
    let zone = format!("projects/{project}/zones/{}", node.zone);
    disk["users"] = json!([compute::link(&format!("{zone}/instances/{}", node.name))]);
    disk["lastAttachTimestamp"] = json!(world.clock.timestamp(world.now));
    compute::make(world, &format!("{zone}/disks/{}", node.name), "disks", disk);
    compute::make(world, &format!("{zone}/instances/{}", node.name), "instances", body);
    count_group(world, pool, &project, &node.zone);
}

/// Removes a machine and its disk.
pub(crate) fn halt(world: &mut World, pool: &str, node: &Node) {
    let project = pool.split('/').nth(2).unwrap_or_default().to_owned();
    let zone = format!("compute/projects/{project}/zones/{}", node.zone);
    world.remove(&format!("{zone}/disks/{}", node.name));
    if let Some(machine) = world.remove(&format!("{zone}/instances/{}", node.name)) {
        detached(world, &machine["disks"]);
    }
    count_group(world, pool, &project, &node.zone);
}

/// Takes note that disks are attached to no machine any more.
pub(crate) fn detached(world: &mut World, disks: &Value) {
    let now = world.clock.timestamp(world.now);
    let paths =
        disks.as_array().into_iter().flatten().filter_map(|disk| compute::path_of_link(disk["source"].as_str()?));
    for path in paths {
        world.change(&format!("compute/{path}"), |body| {
            if let Some(fields) = body.as_object_mut() {
                fields.remove("users");
            }
            body["lastDetachTimestamp"] = json!(now);
        });
    }
}

fn count_group(world: &mut World, pool: &str, project: &str, zone: &str) {
    let prefix = prefix(world, pool);
    let zone = format!("compute/projects/{project}/zones/{zone}");
    let instances = format!("{zone}/instances/{prefix}-");
    let count = world.things.range(instances.clone()..).take_while(|(key, _)| key.starts_with(&instances)).count();
    let group = format!("{prefix}-grp");
    world.change(&format!("{zone}/instanceGroups/{group}"), |body| body["size"] = json!(count));
    world.change(&format!("{zone}/instanceGroupManagers/{group}"), |body| body["targetSize"] = json!(count));
}

/// Makes the groups of a pool, one in each zone, and the template. Gives the links of the managers.
pub(crate) fn groups(world: &mut World, cluster: &str, pool: &str, zones: &[String]) -> Vec<String> {
    let project = cluster.split('/').nth(2).unwrap_or_default().to_owned();
    let prefix = prefix(world, pool);
    let template = format!("projects/{project}/global/instanceTemplates/{prefix}");
    compute::make(world, &template, "instanceTemplates", json!({"description": ""}));
    let network = short(&world.things[cluster].body["network"]);
    let network = compute::link(&format!("projects/{project}/global/networks/{network}"));
    let mut links = Vec::new();
    for zone in zones {
        let (group, zone) = (format!("{prefix}-grp"), format!("projects/{project}/zones/{zone}"));
        let place = compute::link(&zone);
        let body = json!({"description": "This instance group is controlled by Instance Group Manager", "size": 0, "zone": place,
            "network": network});
        compute::make(world, &format!("{zone}/instanceGroups/{group}"), "instanceGroups", body);
        let manager = format!("{zone}/instanceGroupManagers/{group}");
        let body = json!({"baseInstanceName": prefix, "targetSize": 0, "zone": place, "instanceTemplate": compute::link(&template),
            "instanceGroup": compute::link(&format!("{zone}/instanceGroups/{group}"))});
        compute::make(world, &manager, "instanceGroupManagers", body);
        links.push(compute::link(&manager));
    }
    links
}

/// Removes the groups of a pool and its template.
pub(crate) fn drop_groups(world: &mut World, pool: &str) {
    let prefix = prefix(world, pool);
    let project = pool.split('/').nth(2).unwrap_or_default();
    let zones = format!("compute/projects/{project}/zones/");
    let group = format!("/{prefix}-grp");
    let gone = world.things.range(zones.clone()..).take_while(|(key, _)| key.starts_with(&zones));
    let mut gone: Vec<String> = gone.filter(|(key, _)| key.ends_with(&group)).map(|(key, _)| key.clone()).collect();
    gone.push(format!("compute/projects/{project}/global/instanceTemplates/{prefix}"));
    for key in gone {
        world.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_for_pods_is_what_googles_page_says() {
        let machine = catalog::machine("us-central1-a", "e2-standard-4").unwrap();
        let (cpu, memory) = allocatable(&machine);
        assert_eq!(cpu, 3920);
        // 16 GiB less 2.6 GiB and the 100 MiB of the eviction threshold.
        assert_eq!(memory >> 20, 16384 - 100 - 1024 - 819 - 819);
        assert_eq!(allocatable(&catalog::machine("us-central1-a", "e2-medium").unwrap()).0, 940);
    }
}
