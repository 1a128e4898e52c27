//! What there is to choose from: regions and zones with their quotas, types of machines, GPUs and disks; and the project.

use serde_json::{Value, json};

use super::list::{answer, by_place};
use super::{link, place};
use crate::gcp::call::Call;
use crate::gcp::catalog::{self, DISK_TYPES, Machine, REGIONS};
use crate::gcp::projects::State;
use crate::gcp::quotas;
use crate::gcp::refusal::Refusal;
use crate::gcp::resources::unknown_project;
use crate::gcp::world::World;
use crate::hash;

const MADE: &str = "2013-04-25T13:32:49.000-07:00";

/// Refuses a zone or region that there is not.
pub(super) fn check_place(call: &Call) -> Result<(), Refusal> {
    for (field, known) in [("zone", catalog::is_zone as fn(&str) -> bool), ("region", catalog::is_region)] {
        let name = call.path(field);
        // The places themselves are just not found.
        let itself = call.route.method.collection() == format!("{field}s");
        if !name.is_empty() && !known(name) {
            let unknown = format!("Invalid value for field '{field}': '{name}'. Unknown {field}.");
            let missing = format!("The resource 'projects/{}/{field}s/{name}' was not found", call.project());
            return Err(if itself { Refusal::not_found(missing) } else { Refusal::invalid(unknown) });
        }
    }
    Ok(())
}

/// Answers a call for something that is only looked at.
pub(super) fn handle(world: &World, call: &Call) -> Result<Value, Refusal> {
    let state = world.projects.get(call.project()).ok_or_else(|| unknown_project(call))?;
    let collection = call.route.method.collection();
    if collection == "projects" {
        return Ok(project(world, state));
    }
    let (single, items): (&str, Vec<(String, Value)>) = match collection {
        "regions" => ("region", REGIONS.iter().map(|(name, _)| (String::new(), region(world, state, name))).collect()),
        "zones" => ("zone", catalog::zones().iter().map(|name| (String::new(), zone(call, name))).collect()),
        "machineTypes" => ("machineType", in_zones(call, machine_types)),
        "acceleratorTypes" => ("acceleratorType", in_zones(call, accelerator_types)),
        _ => ("diskType", in_zones(call, disk_types)),
    };
    match call.route.method.action() {
        "get" => {
            let name = call.path(single);
            let own = || catalog::machine(call.location(), name).filter(|_| single == "machineType");
            let listed = items.into_iter().map(|(_, item)| item).find(|item| item["name"] == name);
            let path =
                format!("projects/{}/{}/{collection}/{name}", call.project(), place(call)).replace("/global/", "/");
            let missing = || Refusal::not_found(format!("The resource '{path}' was not found"));
            listed.or_else(|| own().map(|machine| machine_type(call, call.location(), &machine))).ok_or_else(missing)
        }
        "aggregatedList" => by_place(call, (single, collection), &["zones"], items),
        _ => {
            let path = format!("projects/{}/{}/{collection}", call.project(), place(call)).replace("/global/", "/");
            answer(call, single, &path, items.into_iter().map(|(_, item)| item).collect())
        }
    }
}

/// Items of the zone of a call, or of all zones, each with its place.
fn in_zones(call: &Call, items: fn(&Call, &str) -> Vec<Value>) -> Vec<(String, Value)> {
    let zones = if call.location().is_empty() { catalog::zones() } else { vec![call.location().to_owned()] };
    let each =
        zones.iter().flat_map(|zone| items(call, zone).into_iter().map(move |item| (format!("zones/{zone}"), item)));
    each.collect()
}

fn machine_types(call: &Call, zone: &str) -> Vec<Value> {
    catalog::machines_of(zone).iter().map(|machine| machine_type(call, zone, machine)).collect()
}

fn machine_type(call: &Call, zone: &str, machine: &Machine) -> Value {
    let name = &machine.name;
    let mut told = json!({
        "kind": "compute#machineType",
        "id": id(name),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": name,
        "description": format!("{} vCPUs {} GB RAM", machine.cores, f64::from(machine.memory_megabytes) / 1024.0),
        "guestCpus": machine.cores,
        "memoryMb": machine.memory_megabytes,
        "imageSpaceGb": 0,
        "maximumPersistentDisks": 128,
        "maximumPersistentDisksSizeGb": "263168",
        "zone": zone,
        "selfLink": link(&format!("projects/{}/zones/{zone}/machineTypes/{name}", call.project())),
        "isSharedCpu": machine.shared_core,
        "architecture": "X86_64",
    });
    if let Some((accelerator, count)) = machine.accelerator {
        told["accelerators"] = json!([{"guestAcceleratorType": accelerator, "guestAcceleratorCount": count}]);
    }
    told
}

fn accelerator_types(call: &Call, zone: &str) -> Vec<Value> {
    let each = catalog::accelerators_of(zone).into_iter().filter_map(|name| {
        let mut told = catalog::accelerator(zone, name)?;
        let place = format!("projects/{}/zones/{zone}", call.project());
        told["kind"] = json!("compute#acceleratorType");
        told["id"] = json!(id(name));
        told["creationTimestamp"] = json!(MADE);
        told["zone"] = json!(link(&place));
        told["selfLink"] = json!(link(&format!("{place}/acceleratorTypes/{name}")));
        Some(told)
    });
    each.collect()
}

fn disk_types(call: &Call, zone: &str) -> Vec<Value> {
    let each = DISK_TYPES.iter().map(|(name, _)| {
        let place = format!("projects/{}/zones/{zone}", call.project());
        json!({
            "kind": "compute#diskType", "id": id(name), "creationTimestamp": MADE, "name": name, "defaultDiskSizeGb": "100",
            "validDiskSize": "10GB-65536GB", "zone": link(&place), "selfLink": link(&format!("{place}/diskTypes/{name}")),
        })
    });
    each.collect()
}

fn region(world: &World, state: &State, name: &str) -> Value {
    let root = format!("projects/{}", state.project.id);
    let zones = catalog::zones_of(name).into_iter().map(|zone| link(&format!("{root}/zones/{zone}")));
    json!({
        "kind": "compute#region", "id": id(name), "creationTimestamp": MADE, "name": name, "description": name, "status": "UP",
        "zones": zones.collect::<Vec<_>>(), "quotas": quotas::told(world, &state.project, name),
        "selfLink": link(&format!("{root}/regions/{name}")), "supportsPzs": false,
    })
}

fn zone(call: &Call, name: &str) -> Value {
    let root = format!("projects/{}", call.project());
    json!({
        "kind": "compute#zone", "id": id(name), "creationTimestamp": MADE, "name": name, "description": name, "status": "UP",
        "region": link(&format!("{root}/regions/{}", catalog::region_of(name))),
        "selfLink": link(&format!("{root}/zones/{name}")), "availableCpuPlatforms": ["Intel Skylake", "Intel Broadwell"],
        "supportsPzs": false,
    })
}

fn project(world: &World, state: &State) -> Value {
    let (id, number) = (&state.project.id, state.project.number());
    json!({
        "kind": "compute#project", "id": number.to_string(), "creationTimestamp": MADE, "name": id,
        "commonInstanceMetadata": {"kind": "compute#metadata", "fingerprint": "AAAAAAAAAAA="},
        "quotas": quotas::told(world, &state.project, "global"),
        "selfLink": link(&format!("projects/{id}")),
        "defaultServiceAccount": format!("{number}-compute@developer.gserviceaccount.com"),
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS", "defaultNetworkTier": "PREMIUM", "vmDnsSetting": "ZONAL_ONLY",
    })
}

fn id(name: &str) -> String {
    (hash::number(0, &["catalog", name]) >> 1).to_string()
}
