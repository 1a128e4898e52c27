//! Node pools: made, sized, changed, removed.

use serde_json::{Value, json};

use super::create::{check_quota, failure};
use super::machines::{self, Node};
use super::{check_idle, defaults, existing, existing_pool, path_of, plan, short, told};
use crate::faults::FaultKind;
use crate::gcp::call::Call;
use crate::gcp::catalog;
use crate::gcp::operations::{End, Failure, Step, condition};
use crate::gcp::prices::number;
use crate::gcp::refusal::Refusal;
use crate::gcp::world::{Work, World};

/// A node pool with everything that it does not say, if it can be had in the cluster's zones.
pub(super) fn complete(world: &World, cluster_key: &str, cluster: &Value, mut pool: Value) -> Result<Value, Refusal> {
    let project = cluster_key.split('/').nth(2).unwrap_or_default();
    let account = world.projects.get(project).map(|state| state.project.number()).unwrap_or_default();
    let version = cluster["currentMasterVersion"].as_str().unwrap_or_default();
    let zones: Vec<String> = cluster["locations"].as_array().into_iter().flatten().map(short).collect();
    if pool["name"].as_str().is_none_or(|name| name.is_empty() || name.len() > 40) {
        return Err(Refusal::invalid("Invalid value for field \"node_pool.name\": must be 1 to 40 characters long."));
    }
    let default_account = "default".to_owned();
    defaults::pool(&mut pool, version, &zones, &default_account);
    let config = &mut pool["config"];
    let given = short(&config["serviceAccount"]);
    let by_default = given == "default" || given == format!("{account}-compute@developer.gserviceaccount.com");
    if !by_default && world.find(&format!("iam/projects/{project}/serviceAccounts/{given}")).is_none() {
        return Err(Refusal::invalid(format!("Service account \"{given}\" does not exist.")));
    }
    let kind = config["machineType"].as_str().unwrap_or_default().to_owned();
    let image = config["imageType"].as_str().unwrap_or_default().to_owned();
    if !defaults::IMAGES.contains(&image.as_str()) {
        return Err(Refusal::invalid(format!("Invalid value for field \"node_pool.config.image_type\": \"{image}\".")));
    }
    let disk = short(&config["diskType"]);
    if !catalog::DISK_TYPES.iter().any(|known| known.0 == disk) {
        return Err(Refusal::invalid(format!("Disk type with name \"{disk}\" does not exist.")));
    }
    if number(&config["diskSizeGb"]) < 10.0 {
        return Err(Refusal::invalid(
            "Invalid value for field \"node_pool.config.disk_size_gb\": must be at least 10.",
        ));
    }
    let accelerators: Vec<String> =
        config["accelerators"].as_array().into_iter().flatten().map(|each| short(&each["acceleratorType"])).collect();
    for zone in pool["locations"].as_array().into_iter().flatten().map(short) {
        if catalog::machine(&zone, &kind).is_none() {
            let message = format!("Machine type with name \"{kind}\" does not exist in zone \"{zone}\".");
            return Err(Refusal::invalid(message));
        }
        for accelerator in &accelerators {
            if catalog::accelerator(&zone, accelerator).is_none() {
                let message = format!("Accelerator type \"{accelerator}\" does not exist in zone \"{zone}\".");
                return Err(Refusal::invalid(message));
            }
        }
    }
    Ok(pool)
}

/// Notes new pools of a cluster, and the machines that they will have. Gives them, unless a quota is too small.
pub(super) fn plan_all(
    world: &mut World,
    cluster: &str,
    made: Vec<Value>,
) -> Result<Vec<(String, Vec<Node>)>, Refusal> {
    let mut planned = Vec::new();
    for mut pool in made {
        let key = format!("{cluster}/nodePools/{}", pool["name"].as_str().unwrap_or_default());
        pool["status"] = json!("PROVISIONING");
        pool["selfLink"] = json!(format!("https://container.googleapis.com/v1/{}", path_of(&key)));
        pool["etag"] = json!(crate::hash::uuid(world.seed, &["etag", &key]));
        let zones: Vec<String> = pool["locations"].as_array().into_iter().flatten().map(short).collect();
        let count = usize::try_from(pool["initialNodeCount"].as_u64().unwrap_or_default()).unwrap_or_default();
        world.insert(&key, "nodePools", pool);
        let nodes = machines::draw(world, &key, &zones, count);
        world.nodes.insert(key.clone(), nodes.clone());
        planned.push((key, nodes));
    }
    check_quota(world, cluster, &planned)?;
    Ok(planned)
}

/// Makes machines of a pool, with its groups if they are not there.
pub(super) fn boot(world: &mut World, cluster: &str, pool: &str, nodes: &[Node]) {
    let Some(thing) = world.things.get(pool) else { return };
    if thing.body["instanceGroupUrls"].is_null() {
        let zones: Vec<String> = thing.body["locations"].as_array().into_iter().flatten().map(short).collect();
        let links = machines::groups(world, cluster, pool, &zones);
        world.change(pool, |body| body["instanceGroupUrls"] = json!(links));
    }
    for node in nodes {
        machines::boot(world, cluster, pool, node);
    }
}

/// How a pool is after an operation.
pub(super) fn settle(world: &mut World, pool: &str, failure: Option<&Failure>) {
    world.change(pool, |body| match failure {
        None => {
            body["status"] = json!("RUNNING");
            if let Some(fields) = body.as_object_mut() {
                fields.remove("statusMessage");
                fields.remove("conditions");
            }
        }
        Some(failure) => {
            body["status"] = json!(if failure.word == "UNKNOWN" { "RUNNING_WITH_ERROR" } else { "ERROR" });
            body["statusMessage"] = json!(failure.message);
            body["conditions"] = json!([{"code": condition(&failure.word), "message": failure.message}]);
        }
    });
}

/// Begins to make a node pool.
pub(super) fn create(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let cluster = existing(world, call)?;
    check_idle(world, &cluster)?;
    let name = call.body["nodePool"]["name"].as_str().unwrap_or_default();
    let key = format!("{cluster}/nodePools/{name}");
    if world.has(&key) {
        return Err(Refusal::exists(format!("Already exists: {}.", path_of(&key))));
    }
    let body = world.things[&cluster].body.clone();
    let pool = complete(world, &cluster, &body, call.body["nodePool"].clone())?;
    let gpu = pool["config"]["accelerators"].as_array().is_some_and(|all| !all.is_empty());
    let planned = match plan_all(world, &cluster, vec![pool]) {
        Ok(planned) => planned,
        Err(refusal) => {
            world.nodes.remove(&key);
            world.forget(&key);
            return Err(refusal);
        }
    };
    let plan = plan(world, &cluster, "CREATE_NODE_POOL", if gpu { "gpu" } else { "" }, &key);
    let fault = world.fault;
    let nodes = planned.into_iter().next().map(|(_, nodes)| nodes).unwrap_or_default();
    let failure = failure(fault, &plan.project, nodes.first().map(|node| node.zone.clone()));
    let count = match fault {
        Some(FaultKind::FailedOperation | FaultKind::Stockout) => 0,
        Some(FaultKind::HalfMade) => nodes.len() / 2,
        _ => nodes.len(),
    };
    let (owner, pool, nodes) = (cluster.clone(), key.clone(), nodes[..count].to_vec());
    world.nodes.insert(key.clone(), nodes.clone());
    let step: Step = Box::new(move |world| boot(world, &owner, &pool, &nodes));
    let end: End = Box::new(move |world, failure| settle(world, &key, failure));
    let operation = world.begin(plan, vec![(0.4, step)], end);
    world.operation(&operation).failure = failure;
    set_nodes(world, &cluster, &operation);
    Ok(told(world, &operation))
}

/// Has the cluster's Kubernetes get the nodes that its pools now plan with.
pub(super) fn set_nodes(world: &mut World, cluster: &str, operation: &str) {
    let id = short(&world.things[cluster].body["id"]);
    let nodes = machines::shapes(world, cluster);
    world.ask(operation, Work::SetNodes(id, nodes));
}

/// Begins to remove a node pool.
pub(super) fn remove(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let (cluster, pool) = existing_pool(world, call)?;
    check_idle(world, &cluster)?;
    let nodes = world.nodes.insert(pool.clone(), Vec::new()).unwrap_or_default();
    world.change(&pool, |body| body["status"] = json!("STOPPING"));
    world.leave(&pool);
    let plan = plan(world, &cluster, "DELETE_NODE_POOL", "", &pool);
    let key = pool.clone();
    let step: Step = Box::new(move |world| nodes.iter().for_each(|node| machines::halt(world, &pool, node)));
    let failed = world.fault == Some(FaultKind::FailedOperation);
    let end: End = Box::new(move |world, failure| {
        if failure.is_some() {
            return settle(world, &key, failure);
        }
        machines::drop_groups(world, &key);
        world.nodes.remove(&key);
        world.remove(&key);
    });
    let operation = world.begin(plan, vec![(0.7, step)], end);
    if failed {
        world.operation(&operation).failure = Some(Failure::internal("Internal error."));
    }
    set_nodes(world, &cluster, &operation);
    Ok(told(world, &operation))
}

/// Begins to give a pool another number of nodes in each of its zones.
pub(super) fn size(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let (cluster, pool) = existing_pool(world, call)?;
    check_idle(world, &cluster)?;
    let wanted = usize::try_from(call.body["nodeCount"].as_i64().unwrap_or_default());
    let wanted = wanted.map_err(|_| Refusal::invalid("node_count must not be negative."))?;
    let zones: Vec<String> =
        world.things[&pool].body["locations"].as_array().into_iter().flatten().map(short).collect();
    let (mut kept, mut gone, mut new) = (Vec::new(), Vec::new(), Vec::new());
    let before = world.nodes.get(&pool).cloned().unwrap_or_default();
    for zone in zones {
        let here: Vec<Node> = before.iter().filter(|node| node.zone == zone).cloned().collect();
        let keep = here.len().min(wanted);
        new.extend(machines::draw(world, &pool, std::slice::from_ref(&zone), wanted - keep));
        kept.extend_from_slice(&here[..keep]);
        gone.extend_from_slice(&here[keep..]);
    }
    check_quota(world, &cluster, &[(pool.clone(), new.clone())])?;
    kept.extend(new.iter().cloned());
    world.nodes.insert(pool.clone(), kept);
    // What Google tells as the initial number of nodes follows the size.
    world.change(&pool, |body| {
        body["initialNodeCount"] = json!(wanted);
        body["status"] = json!("RECONCILING");
    });
    let plan = plan(world, &cluster, "SET_NODE_POOL_SIZE", "", &pool);
    let (owner, key) = (cluster.clone(), pool.clone());
    let step: Step = Box::new(move |world| {
        for node in &gone {
            machines::halt(world, &pool, node);
        }
        boot(world, &owner, &pool, &new);
    });
    let end: End = Box::new(move |world, failure| settle(world, &key, failure));
    let operation = world.begin(plan, vec![(0.5, step)], end);
    set_nodes(world, &cluster, &operation);
    Ok(told(world, &operation))
}

/// Begins another change of a node pool: management, autoscaling, labels, taints, image, version.
pub(super) fn change(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let (cluster, pool) = existing_pool(world, call)?;
    check_idle(world, &cluster)?;
    let asked = call.body.clone();
    let kind = match call.route.method.action() {
        "setManagement" => "SET_NODE_POOL_MANAGEMENT",
        _ if !asked["nodeVersion"].is_null() || !asked["imageType"].is_null() => "UPGRADE_NODES",
        _ => "UPDATE_CLUSTER",
    };
    let version = asked["nodeVersion"].as_str().filter(|wish| !wish.is_empty()).map(|wish| {
        let unknown = || Refusal::invalid(format!("Node version \"{wish}\" is unsupported."));
        defaults::version(wish).ok_or_else(unknown)
    });
    let version = version.transpose()?;
    world.change(&pool, |body| apply(body, &asked, version));
    let plan = plan(world, &cluster, kind, "", &pool);
    let end: End = Box::new(move |world, failure| settle(world, &pool, failure));
    let operation = world.begin(plan, Vec::new(), end);
    set_nodes(world, &cluster, &operation);
    Ok(told(world, &operation))
}

fn apply(body: &mut Value, asked: &Value, version: Option<&str>) {
    body["status"] = json!("RECONCILING");
    for field in ["management", "autoscaling", "upgradeSettings", "locations"] {
        if !asked[field].is_null() {
            body[field] = asked[field].clone();
        }
    }
    for (field, inner) in [("labels", "labels"), ("taints", "taints"), ("tags", "tags"), ("resourceLabels", "labels")] {
        if !asked[field].is_null() {
            body["config"][field] = asked[field][inner].clone();
        }
    }
    for field in
        ["imageType", "machineType", "diskType", "workloadMetadataConfig", "gcfsConfig", "gvnic", "kubeletConfig"]
    {
        if !asked[field].is_null() {
            body["config"][field] = asked[field].clone();
        }
    }
    if !asked["diskSizeGb"].is_null() {
        #[allow(clippy::cast_possible_truncation)]
        let size = number(&asked["diskSizeGb"]) as i64;
        body["config"]["diskSizeGb"] = json!(size);
    }
    if let Some(version) = version {
        body["version"] = json!(version);
    }
}
