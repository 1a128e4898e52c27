//! Kubernetes Engine: clusters, node pools, their operations.

mod changes;
mod create;
mod defaults;
mod machines;
mod pools;
mod remove;

use serde_json::{Map, Value, json};

use super::call::Call;
use super::catalog;
use super::operations::Operation;
use super::prices::last;
use super::refusal::Refusal;
use super::world::{Plan, World};
use crate::faults::FaultKind;

pub(crate) use machines::{Node, detached, machines_of};

/// Answers a call.
pub(crate) fn handle(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let method = call.route.method;
    check_location(call)?;
    match (method.collection(), method.action()) {
        ("clusters", "create") => create::create(world, call),
        ("clusters", "list") => Ok(list(world, call)),
        ("clusters", "get") => get(world, call),
        ("clusters", "delete") => remove::remove(world, call),
        ("clusters", _) => changes::change(world, call),
        ("nodePools", "create") => pools::create(world, call),
        ("nodePools", "list") => list_pools(world, call),
        ("nodePools", "get") => get_pool(world, call),
        ("nodePools", "delete") => pools::remove(world, call),
        ("nodePools", "setSize") => pools::size(world, call),
        ("nodePools", _) => pools::change(world, call),
        ("operations", "list") => Ok(list_operations(world, call)),
        ("operations", "get") => get_operation(world, call),
        ("operations", _) => {
            get_operation(world, call)?;
            Err(Refusal::precondition("Cannot cancel an operation of this type."))
        }
        ("usableSubnetworks", _) => Ok(usable_subnetworks(world, call)),
        _ => Ok(defaults::server_config()),
    }
}

fn check_location(call: &Call) -> Result<(), Refusal> {
    let location = call.location();
    if location.is_empty() || location == "-" || catalog::is_zone(location) || catalog::is_region(location) {
        return Ok(());
    }
    Err(Refusal::invalid(format!("Location \"{location}\" does not exist.")))
}

/// The key of a cluster.
fn key(project: &str, location: &str, cluster: &str) -> String {
    format!("container/projects/{project}/locations/{location}/clusters/{cluster}")
}

/// The key of the cluster that a call is about.
fn key_of(world: &World, call: &Call) -> String {
    let project = world.projects.get(call.project()).map_or(call.project(), |state| &state.project.id);
    let named = call.path("cluster");
    key(project, call.location(), if named.is_empty() { call.new_name() } else { named })
}

/// The path of a cluster as messages have it: with `zones` where it is in one.
fn path_of(key: &str) -> String {
    let path = key.trim_start_matches("container/");
    let location = path.split('/').nth(3).unwrap_or_default();
    if catalog::is_zone(location) { path.replacen("/locations/", "/zones/", 1) } else { path.to_owned() }
}

/// The project's number.
fn number(world: &World, key: &str) -> String {
    let project = key.split('/').nth(2).unwrap_or_default();
    world.projects.get(project).map_or_else(String::new, |state| state.project.number().to_string())
}

/// The cluster that a call is about, if it is there.
fn existing(world: &World, call: &Call) -> Result<String, Refusal> {
    let key = key_of(world, call);
    if world.find(&key).is_none() {
        let number = number(world, &key);
        let path = path_of(&key).replacen(&format!("projects/{}", call.project()), &format!("projects/{number}"), 1);
        return Err(Refusal::not_found(format!("Not found: {path}.")));
    }
    Ok(key)
}

/// The node pool that a call is about, if it is there.
fn existing_pool(world: &World, call: &Call) -> Result<(String, String), Refusal> {
    let cluster = existing(world, call)?;
    let key = format!("{cluster}/nodePools/{}", call.path("nodePool"));
    if world.find(&key).is_none() {
        return Err(Refusal::not_found(format!("Not found: {}.", path_of(&key))));
    }
    Ok((cluster, key))
}

/// Refuses a change while another one is made on the cluster.
fn check_idle(world: &World, cluster: &str) -> Result<(), Refusal> {
    let (path, name) = (cluster.trim_start_matches("container/"), cluster.rsplit('/').next().unwrap_or_default());
    let of_cluster = |operation: &&Operation| {
        let rest = operation.target.strip_prefix(path);
        operation.service == "container" && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let busy = world.under_way().find(of_cluster).map(|operation| (operation.name.clone(), operation.kind.clone()));
    let claimed = || ("operation-0".to_owned(), "UPDATE_CLUSTER".to_owned());
    let busy = busy.or_else(|| (world.fault == Some(FaultKind::Incompatible)).then(claimed));
    let Some((operation, kind)) = busy else { return Ok(()) };
    let doing = match kind.as_str() {
        "CREATE_CLUSTER" => "creating cluster",
        "DELETE_CLUSTER" => "deleting cluster",
        "CREATE_NODE_POOL" => "creating a node pool for cluster",
        "DELETE_NODE_POOL" => "deleting a node pool for cluster",
        "SET_NODE_POOL_SIZE" => "resizing a node pool for cluster",
        "UPGRADE_MASTER" | "UPGRADE_NODES" => "upgrading cluster",
        _ => "updating cluster",
    };
    Err(Refusal::precondition(format!(
        "Operation {operation} is currently {doing} {name}. Please wait and try again once it is done."
    )))
}

/// What an operation on a cluster is like. `pace` is empty where its type says it all.
fn plan(world: &World, cluster: &str, kind: &'static str, pace: &str, target: &str) -> Plan {
    let mut parts = cluster.split('/');
    let project = parts.nth(2).unwrap_or_default().to_owned();
    let location = parts.nth(1).unwrap_or_default().to_owned();
    let pace = if pace.is_empty() { kind.to_owned() } else { format!("{kind}.{pace}") };
    debug_assert!(world.projects.get(&project).is_some());
    Plan {
        service: "container",
        kind,
        pace,
        project,
        place: location,
        target: target.trim_start_matches("container/").to_owned(),
    }
}

/// An operation as it is told.
fn told(world: &World, name: &str) -> Value {
    let operation = &world.operations[name];
    let number = world.projects.get(&operation.project).map_or(0, |state| state.project.number()).to_string();
    operation.of_container(&world.clock, world.now, &number)
}

fn get(world: &World, call: &Call) -> Result<Value, Refusal> {
    let key = existing(world, call)?;
    Ok(cluster(world, &key))
}

/// A cluster as it is told, with its node pools.
fn cluster(world: &World, key: &str) -> Value {
    let mut body = world.things[key].body.clone();
    let prefix = format!("{key}/nodePools/");
    let pools: Vec<Value> = world
        .things
        .range(prefix.clone()..)
        .take_while(|(key, _)| key.starts_with(&prefix))
        .map(|(_, thing)| thing.body.clone())
        .collect();
    let nodes: usize = machines_of(world, key).count();
    body["currentNodeCount"] = json!(nodes);
    body["instanceGroupUrls"] =
        pools.iter().flat_map(|pool| pool["instanceGroupUrls"].as_array().into_iter().flatten()).cloned().collect();
    if let Some(first) = pools.first() {
        body["nodeConfig"] = first["config"].clone();
        body["initialNodeCount"] = first["initialNodeCount"].clone();
    }
    body["nodePools"] = json!(pools);
    body
}

fn list(world: &World, call: &Call) -> Value {
    let mut clusters = Vec::new();
    for (key, _) in of_location(world, call).filter(|(_, kind)| *kind == "clusters") {
        clusters.push(cluster(world, &key));
    }
    let mut answer = Map::new();
    if !clusters.is_empty() {
        answer.insert("clusters".into(), json!(clusters));
    }
    Value::Object(answer)
}

/// Keys and kinds of what is in the location of a call, `-` for all of them.
fn of_location<'a>(world: &'a World, call: &'a Call) -> impl Iterator<Item = (String, &'static str)> + 'a {
    let project = world.projects.get(call.project()).map_or(call.project(), |state| &state.project.id);
    let prefix = format!("container/projects/{project}/locations/");
    let all: Vec<(String, &'static str)> =
        world.below(&prefix).map(|(key, thing)| (key.to_owned(), thing.kind)).collect();
    all.into_iter().filter(move |(key, _)| {
        let location = call.location();
        location == "-" || key[prefix.len()..].split('/').next() == Some(location)
    })
}

fn list_pools(world: &World, call: &Call) -> Result<Value, Refusal> {
    let prefix = format!("{}/nodePools/", existing(world, call)?);
    let pools: Vec<Value> = world.below(&prefix).map(|(_, thing)| thing.body.clone()).collect();
    Ok(json!({ "nodePools": pools }))
}

fn get_pool(world: &World, call: &Call) -> Result<Value, Refusal> {
    let (_, pool) = existing_pool(world, call)?;
    Ok(world.things[&pool].body.clone())
}

fn list_operations(world: &World, call: &Call) -> Value {
    let project = world.projects.get(call.project()).map_or(call.project(), |state| &state.project.id);
    let mine = world.operations.values().filter(|operation| {
        let here = call.location() == "-" || operation.place == call.location();
        operation.service == "container" && operation.project == project && here
    });
    let told: Vec<Value> = mine.map(|operation| told(world, &operation.name)).collect();
    if told.is_empty() { json!({}) } else { json!({ "operations": told }) }
}

fn get_operation(world: &World, call: &Call) -> Result<Value, Refusal> {
    let name = call.path("operation");
    let project = world.projects.get(call.project()).map_or(call.project(), |state| &state.project.id);
    let known = world.operations.get(name);
    let here = |operation: &&Operation| {
        operation.service == "container"
            && operation.project == project
            && (call.location() == "-" || operation.place == call.location())
    };
    if !known.as_ref().is_some_and(here) {
        let (project, location) = (call.project(), call.location());
        return Err(Refusal::not_found(format!("Not found: projects/{project}/zones/{location}/operations/{name}.")));
    }
    Ok(told(world, name))
}

fn usable_subnetworks(world: &World, call: &Call) -> Value {
    let prefix = format!("compute/projects/{}/regions/", call.project());
    let found = world.below(&prefix).filter(|(_, thing)| thing.kind == "subnetworks").map(|(key, thing)| {
        let short =
            |value: &Value| value.as_str().and_then(|link| link.split("/v1/").nth(1)).unwrap_or_default().to_owned();
        json!({
            "subnetwork": key.trim_start_matches("compute/"),
            "network": short(&thing.body["network"]),
            "ipCidrRange": thing.body["ipCidrRange"],
        })
    });
    json!({ "subnetworks": found.collect::<Vec<_>>() })
}

/// The short name of something that may be a link.
fn short(value: &Value) -> String {
    last(value).to_owned()
}
