//! Compute Engine: networks, disks, addresses, load balancers, machines, and what there is to choose from.

mod change;
mod check;
mod filter;
mod insert;
mod list;
mod networks;
mod offers;
mod remove;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::call::Call;
use super::catalog;
use super::refusal::Refusal;
use super::world::{Plan, World};
use crate::hash;

pub(crate) use networks::default_network;
pub(crate) use remove::refresh_addresses;

/// Where the resources of a collection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Global,
    Region,
    Zone,
}

/// A collection of resources.
#[derive(Debug)]
struct Collection {
    /// Its name in methods: `globalAddresses`.
    name: &'static str,
    /// Its name in paths: `addresses`.
    segment: &'static str,
    /// The name of one: `address`.
    word: &'static str,
    scope: Scope,
}

const fn collection(name: &'static str, segment: &'static str, word: &'static str, scope: Scope) -> Collection {
    Collection { name, segment, word, scope }
}

const COLLECTIONS: [Collection; 24] = [
    collection("networks", "networks", "network", Scope::Global),
    collection("subnetworks", "subnetworks", "subnetwork", Scope::Region),
    collection("routers", "routers", "router", Scope::Region),
    collection("addresses", "addresses", "address", Scope::Region),
    collection("globalAddresses", "addresses", "address", Scope::Global),
    collection("disks", "disks", "disk", Scope::Zone),
    collection("snapshots", "snapshots", "snapshot", Scope::Global),
    collection("forwardingRules", "forwardingRules", "forwardingRule", Scope::Region),
    collection("globalForwardingRules", "forwardingRules", "forwardingRule", Scope::Global),
    collection("targetPools", "targetPools", "targetPool", Scope::Region),
    collection("backendServices", "backendServices", "backendService", Scope::Global),
    collection("regionBackendServices", "backendServices", "backendService", Scope::Region),
    collection("healthChecks", "healthChecks", "healthCheck", Scope::Global),
    collection("regionHealthChecks", "healthChecks", "healthCheck", Scope::Region),
    collection("httpHealthChecks", "httpHealthChecks", "httpHealthCheck", Scope::Global),
    collection("networkEndpointGroups", "networkEndpointGroups", "networkEndpointGroup", Scope::Zone),
    collection("urlMaps", "urlMaps", "urlMap", Scope::Global),
    collection("targetHttpProxies", "targetHttpProxies", "targetHttpProxy", Scope::Global),
    collection("targetHttpsProxies", "targetHttpsProxies", "targetHttpsProxy", Scope::Global),
    collection("sslCertificates", "sslCertificates", "sslCertificate", Scope::Global),
    collection("firewalls", "firewalls", "firewall", Scope::Global),
    collection("routes", "routes", "route", Scope::Global),
    collection("instances", "instances", "instance", Scope::Zone),
    collection("instanceGroups", "instanceGroups", "instanceGroup", Scope::Zone),
];
const MORE: [Collection; 2] = [
    collection("instanceGroupManagers", "instanceGroupManagers", "instanceGroupManager", Scope::Zone),
    collection("instanceTemplates", "instanceTemplates", "instanceTemplate", Scope::Global),
];

fn collections() -> impl Iterator<Item = &'static Collection> {
    COLLECTIONS.iter().chain(&MORE)
}

/// The collection of this name.
fn collection_of(name: &str) -> Option<&'static Collection> {
    collections().find(|known| known.name == name)
}

/// Answers a call.
pub(crate) fn handle(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let method = call.route.method;
    let (name, action) = (method.collection(), method.action());
    if name.ends_with("Operations") {
        return match action {
            "list" | "aggregatedList" => list::operations(world, call),
            "delete" => operation(world, call).map(|_| json!({})),
            _ => operation(world, call),
        };
    }
    offers::check_place(call)?;
    let Some(collection) = collection_of(name) else { return offers::handle(world, call) };
    match action {
        "insert" => insert::insert(world, call, collection),
        "list" => list::list(world, call, collection),
        "aggregatedList" => list::aggregated(world, call, collection),
        "listUsable" => list::usable(world, call),
        "get" => Ok(tell(world, &existing(world, call, collection)?)),
        "delete" => remove::remove(world, call, collection),
        "listInstances" | "listManagedInstances" => list::instances(world, call, collection),
        "getRouterStatus" => {
            existing(world, call, collection)?;
            Ok(json!({"kind": "compute#routerStatusResponse", "result": {}}))
        }
        _ => change::change(world, call, collection),
    }
}

/// An operation of Compute Engine.
pub(crate) fn operation(world: &World, call: &Call) -> Result<Value, Refusal> {
    let name = call.path("operation");
    let place = place(call);
    let known =
        world.operations.get(name).filter(|operation| operation.service == "compute" && operation.place == place);
    let Some(operation) = known else {
        let path = format!("projects/{}/{place}/operations/{name}", call.project());
        return Err(Refusal::not_found(format!("The resource '{path}' was not found")));
    };
    Ok(operation.of_compute(&world.clock, world.now))
}

/// A resource's full link.
pub(crate) fn link(path: &str) -> String {
    format!("https://www.googleapis.com/compute/v1/{path}")
}

/// The path within a full link.
pub(crate) fn path_of_link(link: &str) -> Option<&str> {
    link.split_once("/compute/v1/").map(|(_, path)| path)
}

/// Where a call is: `global`, `regions/R`, `zones/Z`.
fn place(call: &Call) -> String {
    match (call.path("zone"), call.path("region")) {
        ("", "") => "global".to_owned(),
        ("", region) => format!("regions/{region}"),
        (zone, _) => format!("zones/{zone}"),
    }
}

/// The region of a call; `global` without one.
fn region(call: &Call) -> String {
    let location = call.location();
    if location.is_empty() { "global".to_owned() } else { catalog::region_of(location).to_owned() }
}

/// The path of the resource that a call is about, or makes.
fn path(call: &Call, collection: &Collection, name: &str) -> String {
    format!("projects/{}/{}/{}/{name}", call.project(), place(call), collection.segment)
}

/// The key of the resource that a call is about, if it is there.
fn existing(world: &World, call: &Call, collection: &Collection) -> Result<String, Refusal> {
    let named = [collection.word, "resource"].into_iter().map(|word| call.path(word)).find(|name| !name.is_empty());
    let path = path(call, collection, named.unwrap_or_default());
    let key = format!("compute/{path}");
    if world.find(&key).is_none() {
        return Err(Refusal::not_found(format!("The resource '{path}' was not found")));
    }
    Ok(key)
}

/// A resource as it is told.
fn tell(world: &World, key: &str) -> Value {
    let thing = &world.things[key];
    let mut body = thing.body.clone();
    if thing.kind == "networks" {
        let project = key.split('/').nth(2).unwrap_or_default();
        let (mine, prefix) = (link(key.trim_start_matches("compute/")), format!("compute/projects/{project}/regions/"));
        let within = world.things.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        let within = within.filter(|(_, thing)| thing.kind == "subnetworks" && thing.body["network"] == mine);
        let links: Vec<Value> = within.map(|(_, thing)| thing.body["selfLink"].clone()).collect();
        if !links.is_empty() {
            body["subnetworks"] = json!(links);
        }
    }
    body
}

/// What a resource has that every one has.
fn dressed(world: &mut World, path: &str, kind: &str, mut body: Value) -> Value {
    let single = collection_of(kind).map_or(kind, |collection| collection.word);
    let mut parts = path.split('/').skip(2);
    let count = world.next_number().to_string();
    body["kind"] = json!(format!("compute#{single}"));
    body["id"] = json!((hash::number(world.seed, &["id", path, &count]) >> 1).to_string());
    body["name"] = json!(path.rsplit('/').next().unwrap_or_default());
    body["selfLink"] = json!(link(path));
    body["creationTimestamp"] = json!(world.clock.timestamp(world.now));
    if let (Some(scope @ ("regions" | "zones")), Some(_)) = (parts.next(), parts.next()) {
        let place = path.split('/').take(4).collect::<Vec<_>>().join("/");
        body[scope.trim_end_matches('s')] = json!(link(&place));
    }
    if matches!(
        kind,
        "disks"
            | "instances"
            | "addresses"
            | "globalAddresses"
            | "snapshots"
            | "forwardingRules"
            | "globalForwardingRules"
    ) {
        body["labelFingerprint"] = json!(fingerprint(&body["labels"]));
    }
    if matches!(
        kind,
        "subnetworks"
            | "backendServices"
            | "regionBackendServices"
            | "instanceGroups"
            | "instanceGroupManagers"
            | "urlMaps"
    ) {
        body["fingerprint"] = json!(fingerprint(&json!(count)));
    }
    body
}

/// Makes a resource at once, as controllers do.
pub(crate) fn make(world: &mut World, path: &str, kind: &'static str, body: Value) {
    let body = insert::completed(world, path, kind, body);
    let body = dressed(world, path, kind, body);
    world.insert(&format!("compute/{path}"), kind, body);
}

/// A value's fingerprint, which changes with it.
fn fingerprint(value: &Value) -> String {
    if value.as_object().is_none_or(serde_json::Map::is_empty) && !value.is_string() {
        return "42WmSpB8rSM=".to_owned();
    }
    STANDARD.encode(hash::number(0, &["fingerprint", &value.to_string()]).to_be_bytes())
}

/// Begins an operation of Compute Engine, or finds the one that the same request began before.
fn begin(world: &mut World, call: &Call, kind: &'static str, path: &str, end: super::operations::End) -> Value {
    let pace = format!("{kind}.{}", call.route.method.collection());
    let plan = Plan {
        service: "compute",
        kind,
        pace,
        project: call.project().to_owned(),
        place: place(call),
        target: path.to_owned(),
    };
    let name = world.begin(plan, Vec::new(), end);
    let request = call.query("requestId");
    if !request.is_empty() {
        world.requests.insert(format!("{}/{request}", call.project()), name.clone());
    }
    world.operations[&name].of_compute(&world.clock, world.now)
}

/// The operation that a request with the same identifier began.
fn repeated(world: &World, call: &Call) -> Option<Value> {
    let request = call.query("requestId");
    let name = world.requests.get(&format!("{}/{request}", call.project())).filter(|_| !request.is_empty())?;
    Some(world.operations.get(name)?.of_compute(&world.clock, world.now))
}
