//! Making resources.

use serde_json::{Value, json};

use super::check::{self, Range};
use super::{
    Collection, Scope, begin, dressed, fingerprint, link, networks, path, refresh_addresses, region, repeated,
};
use crate::faults::FaultKind;
use crate::gcp::call::Call;
use crate::gcp::operations::{End, Failure};
use crate::gcp::prices::{last, number};
use crate::gcp::refusal::Refusal;
use crate::gcp::world::World;
use crate::gcp::{catalog, quotas};
use crate::hash;

/// Begins to make a resource.
pub(super) fn insert(world: &mut World, call: &Call, collection: &'static Collection) -> Result<Value, Refusal> {
    if let Some(operation) = repeated(world, call) {
        return Ok(operation);
    }
    let mut body = call.body.clone();
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    check::name(&name)?;
    check::labels(&body["labels"])?;
    let path = path(call, collection, &name);
    let key = format!("compute/{path}");
    if world.has(&key) {
        return Err(Refusal::exists(format!("The resource '{path}' already exists")));
    }
    if collection.name == "routes" || collection.name == "firewalls" {
        default_to_default_network(call.project(), &mut body);
    }
    address_link(world, call.project(), &mut body);
    check::links(world, call.project(), &mut body)?;
    check_kind(world, call, collection, &body)?;
    let body = completed(world, &path, collection.name, body);
    let state = world.projects.get(call.project()).ok_or_else(|| Refusal::not_found("The project was not found"))?;
    world.refuse_if(FaultKind::Quota, || {
        Refusal::quota("Quota 'IN_USE_ADDRESSES' exceeded.  Limit: 8.0 in region us-central1.")
    })?;
    quotas::check(world, &state.project, &region(call), collection.name, &body)?;
    let body = dressed(world, &path, collection.name, body);
    world.insert(&key, collection.name, body);
    refresh_addresses(world, call.project());
    let failure = failure(world.fault, call);
    let end: End = Box::new(move |world, failure| finish(world, &key, failure));
    let answer = begin(world, call, "insert", &path, end);
    if let Some(operation) = answer["name"].as_str() {
        world.operation(operation).failure = failure;
    }
    Ok(answer)
}

/// What the fault of a call makes of the operation.
fn failure(fault: Option<FaultKind>, call: &Call) -> Option<Failure> {
    match fault? {
        FaultKind::FailedOperation | FaultKind::HalfMade => {
            Some(Failure::internal("Internal error. Please try again or contact Google Support."))
        }
        FaultKind::Stockout => Some(Failure::stockout(call.project(), call.location())),
        _ => None,
    }
}

/// A rule or route that names no network is for the default one.
fn default_to_default_network(project: &str, body: &mut Value) {
    if body["network"].is_null() {
        body["network"] = json!(link(&format!("projects/{project}/global/networks/default")));
    }
}

/// A forwarding rule may name a reserved address by its link; what is kept is the address.
fn address_link(world: &World, project: &str, body: &mut Value) {
    let linked = body["IPAddress"].as_str().and_then(|text| check::full(project, text));
    let reserved =
        linked.and_then(|path| world.find(&format!("compute/{path}")).map(|thing| thing.body["address"].clone()));
    if let Some(address) = reserved {
        body["IPAddress"] = address;
    }
}

/// The rules of single kinds.
fn check_kind(world: &World, call: &Call, collection: &Collection, body: &Value) -> Result<(), Refusal> {
    match collection.name {
        "subnetworks" => networks::check_subnetwork(world, call, body),
        "disks" => {
            let kind = if body["type"].is_null() { "pd-standard" } else { last(&body["type"]) };
            if !catalog::DISK_TYPES.iter().any(|known| known.0 == kind) {
                let path = format!("projects/{}/zones/{}/diskTypes/{kind}", call.project(), call.location());
                return Err(Refusal::not_found(format!("The resource '{path}' was not found")));
            }
            let (size, most) = (number(&body["sizeGb"]), 65_536.0);
            if !body["sizeGb"].is_null() && !(10.0..=most).contains(&size) && kind != "pd-extreme" {
                let message = format!(
                    "Invalid value for field 'resource.sizeGb': '{size}'. Disk size must be between 10 and 65536 GB."
                );
                return Err(Refusal::invalid(message));
            }
            Ok(())
        }
        "firewalls" if body["allowed"].is_null() && body["denied"].is_null() => Err(Refusal::invalid(
            "Invalid value for field 'resource.allowed': ''. At least one of allowed and denied must be specified.",
        )),
        "routers" if body["network"].is_null() => Err(required("network")),
        "targetHttpProxies" | "targetHttpsProxies" if body["urlMap"].is_null() => Err(required("urlMap")),
        _ => Ok(()),
    }
}

/// A field that must be there and is not.
pub(super) fn required(field: &str) -> Refusal {
    let mut refusal =
        Refusal::invalid(format!("Invalid value for field 'resource.{field}': ''. A value must be provided."));
    refusal.reason = "required";
    refusal
}

/// Fields that are set where a body does not set them, whatever else it says.
fn usual(kind: &str) -> Value {
    match kind {
        "networks" => {
            json!({"autoCreateSubnetworks": false, "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
            "routingConfig": {"routingMode": "REGIONAL"}})
        }
        "subnetworks" => json!({"privateIpGoogleAccess": false, "purpose": "PRIVATE", "stackType": "IPV4_ONLY",
            "allowSubnetCidrRoutesOverlap": false}),
        "disks" => json!({"status": "READY", "physicalBlockSizeBytes": "4096"}),
        "addresses" | "globalAddresses" => {
            json!({"addressType": "EXTERNAL", "status": "RESERVED", "networkTier": "PREMIUM"})
        }
        "forwardingRules" | "globalForwardingRules" => json!({"IPProtocol": "TCP", "loadBalancingScheme": "EXTERNAL",
            "networkTier": "PREMIUM"}),
        "firewalls" => {
            json!({"direction": "INGRESS", "priority": 1000, "disabled": false, "logConfig": {"enable": false}})
        }
        "routes" => json!({"priority": 1000}),
        "healthChecks" | "regionHealthChecks" | "httpHealthChecks" => json!({"checkIntervalSec": 5, "timeoutSec": 5,
            "healthyThreshold": 2, "unhealthyThreshold": 2}),
        "backendServices" | "regionBackendServices" => {
            json!({"protocol": "HTTP", "timeoutSec": 30, "sessionAffinity": "NONE",
            "loadBalancingScheme": "EXTERNAL"})
        }
        "targetPools" => json!({"sessionAffinity": "NONE"}),
        "networkEndpointGroups" => json!({"networkEndpointType": "GCE_VM_IP_PORT", "size": 0}),
        "snapshots" => json!({"status": "READY", "storageBytes": "0"}),
        _ => json!({}),
    }
}

fn default(body: &mut Value, field: &str, value: Value) {
    if body[field].is_null() {
        body[field] = value;
    }
}

/// A body with what its kind has from the start.
pub(super) fn completed(world: &mut World, path: &str, kind: &str, mut body: Value) -> Value {
    if let Value::Object(fields) = usual(kind) {
        for (field, value) in fields {
            default(&mut body, &field, value);
        }
    }
    let project = path.split('/').nth(1).unwrap_or_default();
    let zone = path.split('/').take(4).collect::<Vec<_>>().join("/");
    match kind {
        "networks" => {
            let number = hash::number(0, &[path]);
            body["selfLinkWithId"] = json!(link(&format!("projects/{project}/global/networks/{number}")));
        }
        "subnetworks" => {
            let range = body["ipCidrRange"].as_str().and_then(Range::parse);
            let gateway = range.map(|range| range.at(1).to_string()).unwrap_or_default();
            default(&mut body, "gatewayAddress", json!(gateway));
        }
        "disks" => {
            let size = if body["sourceSnapshot"].is_null() { "500" } else { "10" };
            default(&mut body, "sizeGb", json!(size));
            let whole = check::full(project, body["type"].as_str().unwrap_or_default());
            body["type"] = json!(link(&whole.unwrap_or(format!("{zone}/diskTypes/pd-standard"))));
        }
        "addresses" | "globalAddresses" => {
            let drawn = if body["addressType"] == "INTERNAL" { inside(world) } else { outside(world, path) };
            default(&mut body, "address", json!(drawn));
        }
        "forwardingRules" | "globalForwardingRules" => {
            let internal = body["loadBalancingScheme"] == "INTERNAL";
            let drawn = if internal { inside(world) } else { outside(world, path) };
            default(&mut body, "IPAddress", json!(drawn));
            body["fingerprint"] = json!(fingerprint(&json!(path)));
        }
        _ => {}
    }
    body
}

/// An address of a private network.
fn inside(world: &mut World) -> String {
    let number = world.next_number();
    format!("10.128.{}.{}", number / 200 % 16, number % 200 + 20)
}

/// An address of the internet that nobody else has.
fn outside(world: &mut World, path: &str) -> String {
    let number = world.next_number();
    let drawn = hash::number(world.seed, &["outside", path, &number.to_string()]);
    format!("34.{}.{}.{}", drawn % 64 + 64, number / 250 % 250, number % 250 + 1)
}

/// What happens when what was made is ready.
fn finish(world: &mut World, key: &str, failure: Option<&Failure>) {
    if failure.is_some() {
        world.remove(key);
        let project = key.split('/').nth(2).unwrap_or_default().to_owned();
        refresh_addresses(world, &project);
        return;
    }
    if world.things.get(key).is_some_and(|thing| thing.kind == "networks") {
        networks::complete_network(world, key);
    }
}

/// The scope of a collection, in the words of paths.
pub(super) fn scope(collection: &Collection) -> &'static str {
    match collection.scope {
        Scope::Global => "global",
        Scope::Region => "regions",
        Scope::Zone => "zones",
    }
}
