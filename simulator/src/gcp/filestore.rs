//! Filestore: file servers that machines of a network mount by NFS.

use serde_json::{Value, json};

use super::call::Call;
use super::catalog;
use super::operations::{End, Failure, Operation};
use super::prices::number;
use super::refusal::Refusal;
use super::world::{Plan, World};
use crate::faults::FaultKind;
use crate::hash;

const META: &str = "type.googleapis.com/google.cloud.common.OperationMetadata";
const INSTANCE: &str = "type.googleapis.com/google.cloud.filestore.v1.Instance";
const EMPTY: &str = "type.googleapis.com/google.protobuf.Empty";

/// A service tier.
struct Tier {
    name: &'static str,
    /// Whether its instances are in one zone, and not in a region.
    is_zonal: bool,
    /// The least and the most that an instance has.
    gibibytes: (u64, u64),
    /// The quota that its capacity counts for, and that quota's limit in a new project.
    quota: (&'static str, f64),
}

/// The tiers, with the capacities of Google's pages on service tiers. The names of the quotas are those of its refusals; the
/// limits are assumptions.
const TIERS: [Tier; 8] = [
    tier("BASIC_HDD", true, (1024, 65_434), ("StandardStorageGbPerRegion", 10_240.0)),
    tier("STANDARD", true, (1024, 65_434), ("StandardStorageGbPerRegion", 10_240.0)),
    tier("BASIC_SSD", true, (2560, 65_434), ("PremiumStorageGbPerRegion", 5120.0)),
    tier("PREMIUM", true, (2560, 65_434), ("PremiumStorageGbPerRegion", 5120.0)),
    tier("HIGH_SCALE_SSD", true, (10_240, 102_400), ("HighScaleSSDStorageGibPerRegion", 0.0)),
    tier("ZONAL", true, (1024, 102_400), ("HighScaleSSDStorageGibPerRegion", 10_240.0)),
    tier("REGIONAL", false, (1024, 102_400), ("EnterpriseStorageGibPerRegion", 10_240.0)),
    tier("ENTERPRISE", false, (1024, 10_240), ("EnterpriseStorageGibPerRegion", 10_240.0)),
];

const fn tier(name: &'static str, is_zonal: bool, gibibytes: (u64, u64), quota: (&'static str, f64)) -> Tier {
    Tier { name, is_zonal, gibibytes, quota }
}

fn tier_of(body: &Value) -> Option<&'static Tier> {
    TIERS.iter().find(|tier| body["tier"] == tier.name)
}

/// Answers a call.
pub(crate) fn handle(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let location = call.location();
    let known = location == "-" || catalog::is_region(location) || catalog::is_zone(location);
    if !known {
        return Err(Refusal::not_found(format!("Location {location} is not found or access is unauthorized.")));
    }
    match (call.route.method.collection(), call.route.method.action()) {
        ("operations", _) => operation(world, call),
        (_, "create") => create(world, call),
        (_, "list") => list(world, call),
        (_, "get") => existing(world, call).map(|key| world.things[&key].body.clone()),
        (_, "patch") => patch(world, call),
        _ => remove(world, call),
    }
}

fn operation(world: &World, call: &Call) -> Result<Value, Refusal> {
    let name =
        format!("projects/{}/locations/{}/operations/{}", call.project(), call.location(), call.path("operation"));
    let known = world.operations.get(&name).filter(|operation| operation.service == "file");
    known.map(Operation::of_others).ok_or_else(|| missing(&name))
}

fn missing(name: &str) -> Refusal {
    Refusal::not_found(format!("Resource '{name}' was not found"))
}

fn path_of(call: &Call, name: &str) -> String {
    format!("projects/{}/locations/{}/instances/{name}", call.project(), call.location())
}

/// The key of the instance that a call is about, if it is there.
fn existing(world: &World, call: &Call) -> Result<String, Refusal> {
    let path = path_of(call, call.path("instance"));
    let key = format!("file/{path}");
    if world.find(&key).is_some() { Ok(key) } else { Err(missing(&path)) }
}

fn list(world: &World, call: &Call) -> Result<Value, Refusal> {
    let prefix = format!("file/projects/{}/locations/", call.project());
    let here = |key: &str| call.location() == "-" || key[prefix.len()..].split('/').next() == Some(call.location());
    let found = world.below(&prefix).filter(|(key, _)| here(key)).map(|(_, thing)| thing.body.clone());
    let (instances, next) = call.page(found.collect::<Vec<Value>>())?;
    let mut answer = if instances.is_empty() { json!({}) } else { json!({ "instances": instances }) };
    if let Some(next) = next {
        answer["nextPageToken"] = json!(next);
    }
    Ok(answer)
}

fn create(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let id = call.query("instanceId").to_owned();
    check_name(&id)?;
    let path = path_of(call, &id);
    let key = format!("file/{path}");
    let (tier, network) = check(world, call)?;
    if world.has(&key) {
        return Err(Refusal::exists(format!("Resource '{path}' already exists")));
    }
    check_quota(world, call, tier, capacity(&call.body))?;
    let mut body = call.body.clone();
    body["name"] = json!(path);
    body["state"] = json!("CREATING");
    body["createTime"] = json!(world.clock.timestamp(world.now));
    let count = world.next_number().to_string();
    body["etag"] = json!(hash::hex(world.seed, &["etag", &count], 16));
    body["networks"][0]["network"] = json!(format!("projects/{}/global/networks/{network}", call.project()));
    body["networks"][0]["modes"] = json!(["MODE_IPV4"]);
    if body["networks"][0]["connectMode"].is_null() {
        body["networks"][0]["connectMode"] = json!("DIRECT_PEERING");
    }
    if body["protocol"].is_null() {
        body["protocol"] = json!("NFS_V3");
    }
    world.insert(&key, "filestoreInstances", body.clone());
    let (range, address) = addresses(world);
    body["state"] = json!("READY");
    body["networks"][0]["reservedIpRange"] = json!(range);
    body["networks"][0]["ipAddresses"] = json!([address]);
    let (owner, ready) = (key.clone(), body.clone());
    let end: End = Box::new(move |world, failure| {
        let message = failure.map(|failure| failure.message.clone());
        world.change(&owner, |body| match message {
            None => *body = ready,
            Some(message) => {
                body["state"] = json!("ERROR");
                body["statusMessage"] = json!(message);
            }
        });
    });
    body["@type"] = json!(INSTANCE);
    Ok(begin(world, call, ("instances.create", "create"), &path, end, body))
}

fn check_name(id: &str) -> Result<(), Refusal> {
    let sign = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-';
    let fits = (1..=63).contains(&id.len()) && id.chars().all(sign) && id.starts_with(|c: char| c.is_ascii_lowercase());
    if fits && !id.ends_with('-') {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "Invalid resource ID \"{id}\": it must be 1-63 lowercase letters, digits and hyphens, begin with a letter and not end \
         with a hyphen."
    )))
}

/// The rules for a new instance; gives its tier and the name of its network.
fn check(world: &World, call: &Call) -> Result<(&'static Tier, String), Refusal> {
    // That is all that Google says of a request without a tier.
    let tier = tier_of(&call.body).ok_or_else(|| Refusal::internal("An internal error has occurred"))?;
    if tier.is_zonal != catalog::is_zone(call.location()) {
        let wanted = if tier.is_zonal { "zone" } else { "region" };
        let message = format!("Instances of tier {} must be created in a {wanted}: {}", tier.name, call.location());
        return Err(Refusal::invalid(message));
    }
    let shares = call.body["fileShares"].as_array().map_or(&[][..], Vec::as_slice);
    let [share] = shares else {
        return Err(Refusal::invalid("instance.file_shares must have exactly one element"));
    };
    let name = share["name"].as_str().unwrap_or_default();
    let most = if tier.name.contains("BASIC") || matches!(tier.name, "STANDARD" | "PREMIUM") { 16 } else { 63 };
    let sign = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_';
    if !(1..=most).contains(&name.len())
        || !name.chars().all(sign)
        || !name.starts_with(|c: char| c.is_ascii_lowercase())
    {
        return Err(Refusal::invalid(format!("Invalid file share name \"{name}\"")));
    }
    check_capacity(tier, capacity(&call.body))?;
    let networks = call.body["networks"].as_array().map_or(&[][..], Vec::as_slice);
    let [network] = networks else {
        return Err(Refusal::invalid("instance.networks must have exactly one element"));
    };
    let name = network["network"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    if world.find(&format!("compute/projects/{}/global/networks/{name}", call.project())).is_none() {
        return Err(Refusal::invalid(format!("network '{name}' does not exist.")));
    }
    Ok((tier, name.to_owned()))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn capacity(body: &Value) -> u64 {
    number(&body["fileShares"][0]["capacityGb"]) as u64
}

fn check_capacity(tier: &Tier, gibibytes: u64) -> Result<(), Refusal> {
    let (least, most) = tier.gibibytes;
    if (least..=most).contains(&gibibytes) {
        return Ok(());
    }
    let message =
        format!("Invalid capacity {gibibytes} GB for tier {}: it must be between {least} GB and {most} GB", tier.name);
    Err(Refusal::invalid(message))
}

/// The capacity of all instances of a region together, for each sort of tiers.
fn check_quota(world: &World, call: &Call, tier: &Tier, more: u64) -> Result<(), Refusal> {
    let (metric, usual) = tier.quota;
    let region = catalog::region_of(call.location());
    let own = world.projects.get(call.project()).and_then(|state| state.project.quotas.get(metric).copied());
    let limit = own.unwrap_or(usual);
    let prefix = format!("file/projects/{}/locations/", call.project());
    let others = world.things.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
    let counted = others.filter(|(key, thing)| {
        let place = key[prefix.len()..].split('/').next().unwrap_or_default();
        catalog::region_of(place) == region && tier_of(&thing.body).is_some_and(|tier| tier.quota.0 == metric)
    });
    let used: u64 = counted.map(|(_, thing)| capacity(&thing.body)).sum();
    #[allow(clippy::cast_precision_loss)]
    if (used + more) as f64 <= limit {
        return Ok(());
    }
    let project = world.projects.get(call.project()).map(|state| state.project.number()).unwrap_or_default();
    let violation = json!({
        "subject": format!("project:{project}"),
        "description": format!("Quota '{metric}' exhausted. Limit {limit} in region {region}"),
    });
    let message = format!("Quota limit '{metric}' has been exceeded. Limit: {limit} in region {region}.");
    let detail = json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]});
    Err(Refusal::too_many(message).with(detail))
}

/// A range of eight addresses and the instance's address in it: no two instances of a cloud have the same.
fn addresses(world: &mut World) -> (String, String) {
    let prefix = "file/";
    let taken = |range: &str| {
        let all = world.things.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        all.into_iter().any(|(_, thing)| thing.body["networks"][0]["reservedIpRange"] == range)
    };
    let mut place = hash::number(world.seed, &["file", &world.operations.len().to_string()]) % 8192;
    loop {
        let (second, third, last) = (place / 8192 + 120, place / 32 % 256, place % 32 * 8);
        let range = format!("10.{second}.{third}.{last}/29");
        if !taken(&range) {
            return (range, format!("10.{second}.{third}.{}", last + 2));
        }
        place = (place + 1) % 8192;
    }
}

/// Begins an operation on an instance; gives it as it is told.
fn begin(
    world: &mut World,
    call: &Call,
    (kind, verb): (&'static str, &str),
    path: &str,
    end: End,
    response: Value,
) -> Value {
    let plan = Plan {
        service: "file",
        kind,
        pace: kind.to_owned(),
        project: call.project().to_owned(),
        place: call.location().to_owned(),
        target: path.to_owned(),
    };
    let created = world.clock.timestamp(world.now);
    let failed = world.fault == Some(FaultKind::FailedOperation);
    let name = world.begin(plan, Vec::new(), end);
    let begun = world.operation(&name);
    begun.metadata = json!({"@type": META, "createTime": created, "target": path, "verb": verb, "apiVersion": "v1",
        "cancelRequested": false});
    begun.response = response;
    if failed {
        begun.failure = Some(Failure::internal("An internal error has occurred"));
    }
    begun.of_others()
}

/// Refuses a change of an instance that is being changed.
fn check_settled(world: &World, key: &str) -> Result<(), Refusal> {
    let path = key.trim_start_matches("file/");
    let busy = world.under_way().any(|operation| operation.service == "file" && operation.target == path);
    if busy || world.fault == Some(FaultKind::Incompatible) {
        let message = format!(
            "Operation in progress: instance '{path}' is being changed by another operation. Please try again later."
        );
        return Err(Refusal::precondition(message));
    }
    Ok(())
}

fn patch(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let key = existing(world, call)?;
    check_settled(world, &key)?;
    let mut body = world.things[&key].body.clone();
    for field in call.query("updateMask").split(',').filter(|field| !field.is_empty()) {
        match field {
            "description" | "labels" | "deletionProtectionEnabled" => body[field] = call.body[field].clone(),
            "fileShares" | "file_shares" => {
                let tier = tier_of(&body).ok_or_else(|| Refusal::internal("An internal error has occurred"))?;
                let (before, wanted) = (capacity(&body), capacity(&call.body));
                check_capacity(tier, wanted)?;
                if wanted < before && tier.name.contains("BASIC") {
                    let message = format!("Instances of tier {} cannot be made smaller", tier.name);
                    return Err(Refusal::invalid(message));
                }
                check_quota(world, call, tier, wanted.saturating_sub(before))?;
                body["fileShares"][0]["capacityGb"] = json!(wanted.to_string());
            }
            other => return Err(Refusal::invalid(format!("Invalid field mask: '{other}' cannot be updated"))),
        }
    }
    let path = key.trim_start_matches("file/").to_owned();
    let (owner, changed) = (key, body.clone());
    let end: End = Box::new(move |world, failure| {
        if failure.is_none() {
            world.change(&owner, |body| *body = changed);
        }
    });
    body["@type"] = json!(INSTANCE);
    Ok(begin(world, call, ("instances.patch", "update"), &path, end, body))
}

fn remove(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let key = existing(world, call)?;
    check_settled(world, &key)?;
    let path = key.trim_start_matches("file/").to_owned();
    if world.things[&key].body["deletionProtectionEnabled"] == true {
        return Err(Refusal::precondition(format!("Instance '{path}' is protected against deletion")));
    }
    let before = world.things[&key].body["state"].clone();
    world.change(&key, |body| body["state"] = json!("DELETING"));
    world.leave(&key);
    let owner = key;
    let end: End = Box::new(move |world, failure| {
        if failure.is_some() {
            world.stay(&owner);
            world.change(&owner, |body| body["state"] = before);
            return;
        }
        world.remove(&owner);
    });
    Ok(begin(world, call, ("instances.delete", "delete"), &path, end, json!({"@type": EMPTY})))
}

/// An instance that holds a network, if one does: the network is peered with Filestore's as long as it is there.
pub(crate) fn in_network(world: &World, network: &str) -> Option<String> {
    let project = network.split('/').nth(1)?;
    let prefix = format!("file/projects/{project}/locations/");
    let mut all = world.things.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
    let found = all.find(|(_, thing)| thing.body["networks"][0]["network"] == network)?;
    Some(found.0.trim_start_matches("file/").to_owned())
}
