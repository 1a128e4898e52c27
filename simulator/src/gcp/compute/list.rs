//! Lists, also over all zones and regions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::filter::Filter;
use super::insert::scope;
use super::{Collection, collections, link, place, tell};
use crate::gcp::call::Call;
use crate::gcp::catalog::{self, REGIONS};
use crate::gcp::refusal::Refusal;
use crate::gcp::world::World;

/// A page of items as a list.
pub(super) fn answer(call: &Call, kind: &str, path: &str, items: Vec<Value>) -> Result<Value, Refusal> {
    let filter = Filter::parse(call.query("filter"))?;
    let wanted: Vec<Value> = items.into_iter().filter(|item| filter.fits(item)).collect();
    let (items, next) = call.page(wanted)?;
    let mut answer = json!({"kind": format!("compute#{kind}List"), "id": path, "selfLink": link(path)});
    if !items.is_empty() {
        answer["items"] = json!(items);
    }
    if let Some(next) = next {
        answer["nextPageToken"] = json!(next);
    }
    Ok(answer)
}

/// The resources of a collection in the place of a call.
pub(super) fn list(world: &World, call: &Call, collection: &Collection) -> Result<Value, Refusal> {
    let path = format!("projects/{}/{}/{}", call.project(), place(call), collection.segment);
    let prefix = format!("compute/{path}/");
    let keys: Vec<String> = world.below(&prefix).map(|(key, _)| key.to_owned()).collect();
    answer(call, collection.word, &path, keys.iter().map(|key| tell(world, key)).collect())
}

/// All places that there are.
fn places() -> Vec<String> {
    let regions = REGIONS.iter().map(|(region, _)| format!("regions/{region}"));
    let zones = catalog::zones().into_iter().map(|zone| format!("zones/{zone}"));
    std::iter::once("global".to_owned()).chain(regions).chain(zones).collect()
}

/// Items by their places, as aggregated lists have them.
pub(super) fn by_place(
    call: &Call,
    (kind, segment): (&str, &str),
    scopes: &[&str],
    items: Vec<(String, Value)>,
) -> Result<Value, Refusal> {
    let filter = Filter::parse(call.query("filter"))?;
    let wanted = items.into_iter().filter(|(_, item)| filter.fits(item)).collect();
    let (items, next) = call.page::<(String, Value)>(wanted)?;
    let mut places: BTreeMap<String, Vec<Value>> = places()
        .into_iter()
        .filter(|place| scopes.iter().any(|scope| place.starts_with(scope)))
        .map(|place| (place, Vec::new()))
        .collect();
    for (place, item) in items {
        places.entry(place).or_default().push(item);
    }
    let told = places.into_iter().map(|(place, items)| {
        if items.is_empty() {
            let message = format!("There are no results for scope '{place}' on this page.");
            let data = json!([{"key": "scope", "value": place}]);
            return (place, json!({"warning": {"code": "NO_RESULTS_ON_PAGE", "message": message, "data": data}}));
        }
        (place, json!({ segment: items }))
    });
    let told: serde_json::Map<String, Value> = told.collect();
    let path = format!("projects/{}/aggregated/{segment}", call.project());
    let kind = format!("compute#{kind}AggregatedList");
    let mut answer = json!({"kind": kind, "id": path, "selfLink": link(&path), "items": told});
    if let Some(next) = next {
        answer["nextPageToken"] = json!(next);
    }
    Ok(answer)
}

/// The resources of a collection, and of those with the same name in paths, in all places.
pub(super) fn aggregated(world: &World, call: &Call, collection: &Collection) -> Result<Value, Refusal> {
    let alike: Vec<&Collection> = collections().filter(|other| other.segment == collection.segment).collect();
    let scopes: Vec<&str> = alike.iter().map(|other| scope(other)).collect();
    let prefix = format!("compute/projects/{}/", call.project());
    let found = world.below(&prefix).filter(|(_, thing)| alike.iter().any(|other| other.name == thing.kind));
    let found = found.map(|(key, _)| {
        let inner = &key[prefix.len()..];
        let parts: Vec<&str> = inner.split('/').collect();
        let place = if parts[0] == "global" { "global".to_owned() } else { parts[..2].join("/") };
        (place, tell(world, key))
    });
    by_place(call, (collection.word, collection.segment), &scopes, found.collect())
}

/// Subnetworks that machines can be put in.
pub(super) fn usable(world: &World, call: &Call) -> Result<Value, Refusal> {
    let prefix = format!("compute/projects/{}/regions/", call.project());
    let found = world.below(&prefix).filter(|(_, thing)| thing.kind == "subnetworks").map(|(_, thing)| {
        let mut told = json!({"subnetwork": thing.body["selfLink"], "network": thing.body["network"],
            "ipCidrRange": thing.body["ipCidrRange"], "purpose": thing.body["purpose"], "stackType": thing.body["stackType"]});
        if !thing.body["secondaryIpRanges"].is_null() {
            told["secondaryIpRanges"] = thing.body["secondaryIpRanges"].clone();
        }
        told
    });
    let path = format!("projects/{}/aggregated/subnetworks/listUsable", call.project());
    answer(call, "usableSubnetworksAggregated", &path, found.collect())
}

/// The machines of a group.
pub(super) fn instances(world: &World, call: &Call, collection: &Collection) -> Result<Value, Refusal> {
    let key = super::existing(world, call, collection)?;
    let group = key.rsplit('/').next().unwrap_or_default();
    let names = group.trim_end_matches("-grp");
    let prefix = format!("compute/projects/{}/{}/instances/{names}-", call.project(), place(call));
    let all = world.below(&prefix).map(|(_, thing)| &thing.body);
    if collection.name == "instanceGroups" {
        let items = all.map(|body| json!({"instance": body["selfLink"], "status": body["status"]}));
        let path = key.trim_start_matches("compute/").to_owned();
        return answer(call, "instanceGroupsListInstances", &path, items.collect()).map(|mut told| {
            told["kind"] = json!("compute#instanceGroupsListInstances");
            told
        });
    }
    let items = all.map(|body| {
        json!({"instance": body["selfLink"], "id": body["id"], "instanceStatus": body["status"], "currentAction": "NONE", "name": body["name"]})
    });
    Ok(json!({"managedInstances": items.collect::<Vec<_>>()}))
}

/// Operations in the place of a call.
pub(super) fn operations(world: &World, call: &Call) -> Result<Value, Refusal> {
    let all = call.route.method.action() == "aggregatedList";
    let mine = world.operations.values().filter(|operation| {
        operation.service == "compute" && operation.project == call.project() && (all || operation.place == place(call))
    });
    let told = mine.map(|operation| (operation.place.clone(), operation.of_compute(&world.clock, world.now)));
    if all {
        return by_place(call, ("operation", "operations"), &["global", "regions", "zones"], told.collect());
    }
    let path = format!("projects/{}/{}/operations", call.project(), place(call));
    answer(call, "operation", &path, told.map(|(_, told)| told).collect())
}
