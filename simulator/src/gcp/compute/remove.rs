//! Removing resources, if nothing uses them.

use serde_json::{Value, json};

use super::{Collection, begin, existing, link, networks, repeated};
use crate::faults::FaultKind;
use crate::gcp::call::Call;
use crate::gcp::filestore;
use crate::gcp::operations::{End, Failure};
use crate::gcp::refusal::Refusal;
use crate::gcp::world::World;

/// Fields that tell who uses something, and so are no use of it.
const REVERSE: [&str; 6] = ["users", "subnetworks", "selfLink", "selfLinkWithId", "instances", "instanceGroupUrls"];

/// Begins to remove a resource.
pub(super) fn remove(world: &mut World, call: &Call, collection: &'static Collection) -> Result<Value, Refusal> {
    if let Some(operation) = repeated(world, call) {
        return Ok(operation);
    }
    let key = existing(world, call, collection)?;
    let path = key.trim_start_matches("compute/").to_owned();
    if world.things[&key].leaving {
        return Err(Refusal::not_ready(format!("The resource '{path}' is not ready")));
    }
    let server = || filestore::in_network(world, &path);
    let claimed = || format!("projects/{}/global/firewalls/k8s-fw-someone", call.project());
    let user =
        user(world, &key, collection).or_else(server).or_else(|| (world.fault == Some(FaultKind::InUse)).then(claimed));
    if let Some(user) = user {
        return Err(Refusal::in_use(format!(
            "The {} resource '{path}' is already being used by '{user}'",
            collection.word
        )));
    }
    if collection.name == "disks" {
        world.change(&key, |body| body["status"] = json!("DELETING"));
    }
    world.leave(&key);
    let project = call.project().to_owned();
    let failed = world.fault == Some(FaultKind::FailedOperation);
    let end: End = Box::new(move |world, failure| {
        if failure.is_some() {
            world.stay(&key);
            return;
        }
        if world.things.get(&key).is_some_and(|thing| thing.kind == "networks") {
            for other in networks::with_network(world, &key) {
                world.remove(&other);
            }
        }
        world.remove(&key);
        refresh_addresses(world, &project);
    });
    let answer = begin(world, call, "delete", &path, end);
    if let (true, Some(operation)) = (failed, answer["name"].as_str()) {
        let message = "Internal error. Please try again or contact Google Support.";
        world.operation(operation).failure = Some(Failure::internal(message));
    }
    Ok(answer)
}

/// What uses a resource, if anything does.
fn user(world: &World, key: &str, collection: &Collection) -> Option<String> {
    // What lists machines does not hold them.
    if matches!(collection.name, "instances" | "instanceGroupManagers" | "snapshots") {
        return None;
    }
    let project = key.split('/').nth(2)?;
    let wanted = link(key.trim_start_matches("compute/"));
    let address = collection.segment.contains("ddresses").then(|| world.things[key].body["address"].as_str()).flatten();
    let own = if collection.name == "networks" { networks::with_network(world, key) } else { Vec::new() };
    let prefix = format!("compute/projects/{project}/");
    let others = world.things.range(prefix.clone()..).take_while(|(other, _)| other.starts_with(&prefix));
    let mut others = others.filter(|(other, _)| *other != key && !own.contains(other));
    let user = others.find(|(_, thing)| {
        let copies = matches!(thing.kind, "snapshots");
        !copies && (names(&thing.body, &wanted) || address.is_some_and(|address| has_address(&thing.body, address)))
    });
    user.map(|(other, _)| other.trim_start_matches("compute/").to_owned())
}

/// Whether a body names a link anywhere but in what only tells of it.
fn names(body: &Value, wanted: &str) -> bool {
    match body {
        Value::String(text) => text == wanted,
        Value::Array(all) => all.iter().any(|one| names(one, wanted)),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| !REVERSE.contains(&name.as_str()) && names(value, wanted))
        }
        _ => false,
    }
}

fn has_address(body: &Value, address: &str) -> bool {
    let machine = body["networkInterfaces"].as_array().into_iter().flatten();
    let mut outside = machine.flat_map(|one| one["accessConfigs"].as_array().into_iter().flatten());
    body["IPAddress"] == address || outside.any(|one| one["natIP"] == address)
}

/// Sets whether each address of a project is in use, and by what.
pub(crate) fn refresh_addresses(world: &mut World, project: &str) {
    let prefix = format!("compute/projects/{project}/");
    let all = || world.things.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
    let rules: Vec<(String, String)> = all()
        .filter(|(_, thing)| thing.kind.ends_with("orwardingRules"))
        .filter_map(|(key, thing)| {
            Some((thing.body["IPAddress"].as_str()?.to_owned(), link(key.trim_start_matches("compute/"))))
        })
        .collect();
    let addresses: Vec<(String, Vec<String>)> = all()
        .filter(|(_, thing)| thing.kind.ends_with("ddresses"))
        .map(|(key, thing)| {
            let users =
                rules.iter().filter(|(address, _)| thing.body["address"] == *address).map(|(_, rule)| rule.clone());
            (key.clone(), users.collect())
        })
        .collect();
    for (key, users) in addresses {
        if world.things[&key].body["users"] == json!(users)
            || (users.is_empty() && world.things[&key].body["users"].is_null())
        {
            continue;
        }
        world.change(&key, |body| {
            body["status"] = json!(if users.is_empty() { "RESERVED" } else { "IN_USE" });
            body["users"] = json!(users);
        });
    }
}
