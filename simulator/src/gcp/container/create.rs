//! Making a cluster.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::machines::{self, Node};
use super::{check_idle, defaults, key_of, path_of, plan, pools, short, told};
use crate::clusters::ClusterShape;
use crate::faults::FaultKind;
use crate::gcp::call::Call;
use crate::gcp::operations::{End, Failure, Step};
use crate::gcp::refusal::Refusal;
use crate::gcp::world::{Work, World};
use crate::gcp::{catalog, compute, quotas};
use crate::hash;

/// Begins to make a cluster.
pub(super) fn create(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let key = key_of(world, call);
    let mut cluster = call.body["cluster"].clone();
    check_name(&cluster)?;
    if world.has(&key) {
        check_idle(world, &key)?;
        return Err(Refusal::exists(format!("Already exists: {}.", path_of(&key))));
    }
    let zones = zones(&cluster, call.location())?;
    let wanted = take_pools(&mut cluster)?;
    check_network(world, &key, &cluster)?;
    complete(world, &key, &mut cluster, call.location(), &zones)?;
    let mut made = Vec::new();
    for pool in wanted {
        made.push(pools::complete(world, &key, &cluster, pool)?);
    }
    world.insert(&key, "clusters", cluster);
    let planned = match pools::plan_all(world, &key, made) {
        Ok(planned) => planned,
        Err(refusal) => {
            forget(world, &key);
            return Err(refusal);
        }
    };
    Ok(begin(world, &key, planned))
}

/// Takes back what a refused creation had begun to note.
fn forget(world: &mut World, key: &str) {
    let below: Vec<String> = world.things.keys().filter(|known| known.starts_with(key)).cloned().collect();
    for key in below {
        world.nodes.remove(&key);
        world.forget(&key);
    }
}

fn check_name(cluster: &Value) -> Result<(), Refusal> {
    let name = cluster["name"].as_str().unwrap_or_default();
    let fits = name.len() <= 40
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-');
    if fits {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "Invalid value for field \"cluster.name\": \"{name}\". Must be a match of regex \
         '(?:[a-z](?:[-a-z0-9]{{0,38}}[a-z0-9])?)'."
    )))
}

/// The zones that a cluster's nodes are in.
fn zones(cluster: &Value, location: &str) -> Result<Vec<String>, Refusal> {
    let asked: Vec<String> = cluster["locations"].as_array().into_iter().flatten().map(short).collect();
    for zone in &asked {
        if !catalog::is_zone(zone) || catalog::region_of(zone) != catalog::region_of(location) {
            return Err(Refusal::invalid(format!("Location \"{zone}\" does not exist.")));
        }
    }
    if !asked.is_empty() {
        return Ok(asked);
    }
    Ok(match catalog::zones_of(location) {
        of_region if !of_region.is_empty() => of_region.into_iter().take(3).collect(),
        _ => vec![location.to_owned()],
    })
}

/// The node pools that are asked for, in either of the two ways.
fn take_pools(cluster: &mut Value) -> Result<Vec<Value>, Refusal> {
    let (count, config) = (cluster["initialNodeCount"].clone(), cluster["nodeConfig"].clone());
    let pools = cluster["nodePools"].as_array().cloned().unwrap_or_default();
    for field in ["initialNodeCount", "nodeConfig", "nodePools"] {
        if let Some(fields) = cluster.as_object_mut() {
            fields.remove(field);
        }
    }
    match (pools.is_empty(), count.as_i64()) {
        (false, Some(count)) if count > 0 => {
            Err(Refusal::invalid("cluster.initial_node_count and cluster.node_pools cannot both be set."))
        }
        (false, _) => Ok(pools),
        (true, Some(count)) if count > 0 => {
            let config = if config.is_null() { json!({}) } else { config };
            Ok(vec![json!({"name": "default-pool", "initialNodeCount": count, "config": config})])
        }
        (true, _) if cluster["autopilot"]["enabled"] == true => Ok(Vec::new()),
        (true, _) => Err(Refusal::invalid("Cluster.initial_node_count must be greater than zero.")),
    }
}

fn check_network(world: &World, key: &str, cluster: &Value) -> Result<(), Refusal> {
    let project = key.split('/').nth(2).unwrap_or_default();
    let region = catalog::region_of(key.split('/').nth(4).unwrap_or_default());
    let network = if cluster["network"].is_null() { "default".to_owned() } else { short(&cluster["network"]) };
    if world.find(&format!("compute/projects/{project}/global/networks/{network}")).is_none() {
        return Err(Refusal::invalid(format!("Network \"{network}\" does not exist.")));
    }
    if cluster["subnetwork"].is_null() && network == "default" {
        return Ok(());
    }
    let subnetwork = if cluster["subnetwork"].is_null() { network.clone() } else { short(&cluster["subnetwork"]) };
    let path = format!("compute/projects/{project}/regions/{region}/subnetworks/{subnetwork}");
    match world.find(&path) {
        Some(thing) if short(&thing.body["network"]) == network => Ok(()),
        Some(_) => Err(Refusal::invalid(format!("Subnetwork \"{subnetwork}\" is not in network \"{network}\"."))),
        None => Err(Refusal::invalid(format!("Subnetwork \"{subnetwork}\" does not exist in region \"{region}\"."))),
    }
}

/// Fills in what the cluster does not say.
fn complete(
    world: &mut World,
    key: &str,
    cluster: &mut Value,
    location: &str,
    zones: &[String],
) -> Result<(), Refusal> {
    let wish = cluster["initialClusterVersion"].as_str().unwrap_or_default().to_owned();
    let version = defaults::version(&wish)
        .ok_or_else(|| Refusal::invalid(format!("Master version \"{wish}\" is unsupported.")))?;
    for field in ["network", "subnetwork"] {
        if !cluster[field].is_null() {
            cluster[field] = json!(short(&cluster[field]));
        }
    }
    defaults::cluster(cluster, world.seed, key);
    let count = world.next_number().to_string();
    let id = hash::uuid(world.seed, &["cluster", key, &count]).replace('-', "");
    let id =
        format!("{id}{}", hash::number(world.seed, &["cluster-end", key, &count])).chars().take(64).collect::<String>();
    let project = key.split('/').nth(2).unwrap_or_default();
    let path = path_of(key);
    let mut full = |field: &str, value: Value| cluster[field] = value;
    full("id", json!(id));
    full("location", json!(location));
    full("zone", json!(location));
    full("locations", json!(zones));
    full("status", json!("PROVISIONING"));
    full("initialClusterVersion", json!(version));
    full("currentMasterVersion", json!(version));
    full("currentNodeVersion", json!(version));
    full("createTime", json!(world.clock.timestamp(world.now)));
    full("selfLink", json!(format!("https://container.googleapis.com/v1/{path}")));
    full("labelFingerprint", json!(hash::hex(world.seed, &["labels", key], 8)));
    full("etag", json!(hash::uuid(world.seed, &["etag", key, &count])));
    full("nodeIpv4CidrSize", json!(24));
    let region = catalog::region_of(location);
    let network = format!("projects/{project}/global/networks/{}", short(&cluster["network"]));
    let subnetwork = format!("projects/{project}/regions/{region}/subnetworks/{}", short(&cluster["subnetwork"]));
    cluster["networkConfig"]["network"] = json!(network);
    cluster["networkConfig"]["subnetwork"] = json!(subnetwork);
    Ok(())
}

fn begin(world: &mut World, key: &str, mut planned: Vec<(String, Vec<Node>)>) -> Value {
    let plan = plan(world, key, "CREATE_CLUSTER", "", key);
    let project = plan.project.clone();
    let fault = world.fault;
    let failure =
        failure(fault, &project, planned.first().and_then(|(_, nodes)| nodes.first()).map(|node| node.zone.clone()));
    let owner = key.to_owned();
    let stockout = fault == Some(FaultKind::Stockout);
    for (pool, nodes) in &mut planned {
        match fault {
            Some(FaultKind::FailedOperation | FaultKind::Stockout) => nodes.clear(),
            Some(FaultKind::HalfMade) => nodes.truncate(nodes.len() / 2),
            _ => {}
        }
        world.nodes.insert(pool.clone(), nodes.clone());
    }
    let shape = shape(world, key);
    // The network's rules come first, the machines when the control plane is nearly there.
    let rules: Step = {
        let owner = owner.clone();
        Box::new(move |world: &mut World| rules(world, &owner))
    };
    let nodes: Step = {
        let (owner, planned) = (owner.clone(), planned.clone());
        Box::new(move |world: &mut World| {
            for (pool, nodes) in &planned {
                pools::boot(world, &owner, pool, nodes);
            }
        })
    };
    let end: End = Box::new(move |world, failure| finish(world, &owner, &planned, failure));
    let operation = world.begin(plan, vec![(0.2, rules), (0.6, nodes)], end);
    world.operation(&operation).failure = failure;
    if stockout {
        // Google tries for a long time before it says so.
        world.operation(&operation).due += std::time::Duration::from_mins(25);
    }
    world.ask(&operation, Work::Start(shape));
    told(world, &operation)
}

/// What the fault of a call makes of the operation.
pub(super) fn failure(fault: Option<FaultKind>, project: &str, zone: Option<String>) -> Option<Failure> {
    match fault? {
        FaultKind::FailedOperation => Some(Failure::internal(
            "All cluster resources were brought up, but: only 0 nodes out of 1 have registered; cluster may be unhealthy.",
        )),
        FaultKind::HalfMade => Some(Failure::new(
            13,
            500,
            "UNKNOWN",
            "Not all instances running in IGM after 35m0.000s. Expected all of them, running some, transitioning some.",
        )),
        FaultKind::Stockout => {
            let mut failure = Failure::stockout(project, &zone.unwrap_or_default());
            failure.message = format!("[GCE_STOCKOUT] Instance creation failed: {}", failure.message);
            Some(failure)
        }
        _ => None,
    }
}

/// What the cluster's Kubernetes is to be like.
fn shape(world: &World, key: &str) -> ClusterShape {
    let body = &world.things[key].body;
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    ClusterShape {
        id: text("id"),
        name: text("name"),
        version: format!("v{}", text("currentMasterVersion")),
        nodes: machines::shapes(world, key),
        token_review: format!("{}/sim/tokenreview", world.base),
        registry: world.base.clone(),
        registry_hosts: crate::gcp::artifacts::hosts(),
        node_token: format!("{}/sim/nodetoken/{}", world.base, text("id")),
    }
}

/// The rules that a cluster puts into its network.
fn rules(world: &mut World, key: &str) {
    let body = world.things[key].body.clone();
    let project = key.split('/').nth(2).unwrap_or_default().to_owned();
    let network = compute::link(&format!("projects/{project}/global/networks/{}", short(&body["network"])));
    let hash = machines::cluster_hash(world, key);
    let name: String = body["name"].as_str().unwrap_or_default().chars().take(40).collect();
    let tag = format!("gke-{name}-{hash}-node");
    let pods = body["clusterIpv4Cidr"].clone();
    let any = json!([{"IPProtocol": "tcp"}, {"IPProtocol": "udp"}, {"IPProtocol": "icmp"}, {"IPProtocol": "esp"}, {"IPProtocol": "ah"},
        {"IPProtocol": "sctp"}]);
    let vms = json!([{"IPProtocol": "icmp"}, {"IPProtocol": "tcp", "ports": ["1-65535"]}, {"IPProtocol": "udp", "ports": ["1-65535"]}]);
    let kubelet = json!([{"IPProtocol": "tcp", "ports": ["10255"]}]);
    for (end, ranges, allowed, priority) in [
        ("all", json!([pods]), any, 1000),
        ("vms", json!(["10.128.0.0/9"]), vms, 1000),
        ("inkubelet", json!([pods]), kubelet.clone(), 999),
        ("exkubelet", json!(["0.0.0.0/0"]), kubelet, 1000),
    ] {
        let verdict = if end == "exkubelet" { "denied" } else { "allowed" };
        let rule = json!({"network": network, "direction": "INGRESS", "priority": priority, "sourceRanges": ranges, verdict: allowed,
            "targetTags": [tag], "description": "", "disabled": false, "logConfig": {"enable": false}});
        compute::make(
            world,
            &format!("projects/{project}/global/firewalls/gke-{name}-{hash}-{end}"),
            "firewalls",
            rule,
        );
    }
}

fn finish(world: &mut World, key: &str, planned: &[(String, Vec<Node>)], failure: Option<&Failure>) {
    let Some(id) = world.things.get(key).map(|thing| short(&thing.body["id"])) else { return };
    let kubernetes = world.kubernetes.get(&id).cloned().unwrap_or_default();
    let broken = failure.is_some_and(|failure| failure.word != "UNKNOWN");
    let status = if broken { "ERROR" } else { "RUNNING" };
    let hidden = world.things[key].body["privateClusterConfig"]["enablePrivateNodes"] == true;
    world.change(key, |body| {
        body["status"] = json!(status);
        body["endpoint"] = json!(kubernetes.endpoint);
        body["masterAuth"]["clusterCaCertificate"] = json!(STANDARD.encode(&kubernetes.ca_certificate));
        if hidden {
            body["privateClusterConfig"]["privateEndpoint"] = json!("172.16.0.2");
            body["privateClusterConfig"]["publicEndpoint"] = json!(kubernetes.endpoint);
        }
        if let Some(failure) = failure {
            body["statusMessage"] = json!(failure.message);
            let code = crate::gcp::operations::condition(&failure.word);
            body["conditions"] = json!([{"code": code, "message": failure.message}]);
        }
    });
    for (pool, _) in planned {
        pools::settle(world, pool, failure);
    }
    world.kubernetes_changed(&id, key);
}

/// Refuses what the project's quotas do not hold.
pub(super) fn check_quota(world: &World, key: &str, planned: &[(String, Vec<Node>)]) -> Result<(), Refusal> {
    let (project, location) = (key.split('/').nth(2).unwrap_or_default(), key.split('/').nth(4).unwrap_or_default());
    let state = world.projects.get(project).ok_or_else(|| Refusal::not_found("Not found."))?;
    let instances = planned.iter().flat_map(|(pool, nodes)| nodes.iter().map(move |node| (pool, node)));
    let instances: Vec<Value> = instances.map(|(pool, node)| machines::instance(world, key, pool, node)).collect();
    world.refuse_if(FaultKind::Quota, || quotas::insufficient(project, "regional", "CPUS", 24.0, 22.0, 8.0))?;
    quotas::check_cluster(world, &state.project, catalog::region_of(location), &instances)
}
