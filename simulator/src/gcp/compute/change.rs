//! Changing resources: patches, labels, sizes, members, snapshots.

use serde_json::{Value, json};

use super::{Collection, begin, check, existing, fingerprint, link, make, repeated};
use crate::gcp::call::Call;
use crate::gcp::operations::End;
use crate::gcp::prices::number;
use crate::gcp::refusal::Refusal;
use crate::gcp::world::World;
use crate::gcp::{catalog, quotas};

/// Begins a change of a resource.
pub(super) fn change(world: &mut World, call: &Call, collection: &'static Collection) -> Result<Value, Refusal> {
    if let Some(operation) = repeated(world, call) {
        return Ok(operation);
    }
    let key = existing(world, call, collection)?;
    let path = key.trim_start_matches("compute/").to_owned();
    if world.things[&key].leaving {
        return Err(Refusal::not_ready(format!("The resource '{path}' is not ready")));
    }
    let mut asked = call.body.clone();
    let action = call.route.method.action();
    let kind = match action {
        "setLabels" => set_labels(world, &key, &asked)?,
        "resize" => resize(world, call, &key, &asked)?,
        "createSnapshot" => snapshot(world, call, &key, &asked)?,
        "addInstance" | "removeInstance" | "addHealthCheck" | "removeHealthCheck" => {
            members(world, call.project(), &key, action, &mut asked)?
        }
        "setTarget" => {
            check::links(world, call.project(), &mut asked)?;
            world.change(&key, |body| body["target"] = asked["target"].clone());
            "SetTarget"
        }
        "setPrivateIpGoogleAccess" => {
            world.change(&key, |body| body["privateIpGoogleAccess"] = asked["privateIpGoogleAccess"].clone());
            "setPrivateIpGoogleAccess"
        }
        _ => patch(world, call, &key, asked)?,
    };
    let end: End = Box::new(|_, _| {});
    Ok(begin(world, call, kind, &path, end))
}

fn set_labels(world: &mut World, key: &str, asked: &Value) -> Result<&'static str, Refusal> {
    check::labels(&asked["labels"])?;
    // Bytes are read in either alphabet.
    let bytes = |value: &Value| value.as_str().map(|text| text.replace('-', "+").replace('_', "/"));
    if bytes(&asked["labelFingerprint"]) != bytes(&world.things[key].body["labelFingerprint"]) {
        return Err(Refusal::stale("Labels fingerprint either invalid or resource labels have changed"));
    }
    world.change(key, |body| {
        body["labels"] = if asked["labels"].is_null() { json!({}) } else { asked["labels"].clone() };
        body["labelFingerprint"] = json!(fingerprint(&body["labels"]));
    });
    Ok("setLabels")
}

fn resize(world: &mut World, call: &Call, key: &str, asked: &Value) -> Result<&'static str, Refusal> {
    let (before, wanted) = (number(&world.things[key].body["sizeGb"]), number(&asked["sizeGb"]));
    if wanted <= before {
        return Err(Refusal::invalid(format!(
            "Invalid value for field 'sizeGb': '{wanted}'. New disk size '{wanted}' GiB must be larger than existing size '{before}' GiB."
        )));
    }
    let mut more = world.things[key].body.clone();
    more["sizeGb"] = json!((wanted - before).to_string());
    let state = world.projects.get(call.project()).ok_or_else(|| Refusal::not_found("The project was not found"))?;
    quotas::check(world, &state.project, catalog::region_of(call.location()), "disks", &more)?;
    world.change(key, |body| body["sizeGb"] = asked["sizeGb"].clone());
    Ok("resizeDisk")
}

fn snapshot(world: &mut World, call: &Call, key: &str, asked: &Value) -> Result<&'static str, Refusal> {
    let name = asked["name"].as_str().unwrap_or_default();
    check::name(name)?;
    check::labels(&asked["labels"])?;
    let path = format!("projects/{}/global/snapshots/{name}", call.project());
    if world.has(&format!("compute/{path}")) {
        return Err(Refusal::exists(format!("The resource '{path}' already exists")));
    }
    let disk = &world.things[key].body;
    let mut body = asked.clone();
    body["sourceDisk"] = json!(link(key.trim_start_matches("compute/")));
    body["sourceDiskId"] = disk["id"].clone();
    body["diskSizeGb"] = disk["sizeGb"].clone();
    make(world, &path, "snapshots", body);
    Ok("createSnapshot")
}

fn members(
    world: &mut World,
    project: &str,
    key: &str,
    action: &str,
    asked: &mut Value,
) -> Result<&'static str, Refusal> {
    check::links(world, project, asked)?;
    let (list, single) =
        if action.ends_with("Instance") { ("instances", "instance") } else { ("healthChecks", "healthCheck") };
    let links: Vec<String> = asked[list]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|each| check::full(project, each[single].as_str()?))
        .map(|path| link(&path))
        .collect();
    let adds = action.starts_with("add");
    world.change(key, |body| {
        let mut all: Vec<Value> = body[list].as_array().cloned().unwrap_or_default();
        all.retain(|known| !links.iter().any(|link| known == link));
        if adds {
            all.extend(links.iter().map(|link| json!(link)));
        }
        body[list] = json!(all);
    });
    Ok(if adds { "addInstance" } else { "removeInstance" })
}

fn patch(world: &mut World, call: &Call, key: &str, mut asked: Value) -> Result<&'static str, Refusal> {
    check::links(world, call.project(), &mut asked)?;
    let known = world.things[key].body["fingerprint"].clone();
    let given = asked["fingerprint"].clone();
    if !given.is_null() && !known.is_null() && given != known {
        return Err(Refusal::stale("Invalid fingerprint."));
    }
    let count = world.next_number();
    world.change(key, |body| {
        for (field, value) in asked.as_object().into_iter().flatten() {
            if !matches!(field.as_str(), "name" | "id" | "selfLink" | "kind" | "fingerprint" | "region" | "zone") {
                body[field] = value.clone();
            }
        }
        if !known.is_null() {
            body["fingerprint"] = json!(fingerprint(&json!(count.to_string())));
        }
    });
    Ok(if call.route.method.action() == "update" { "update" } else { "patch" })
}
