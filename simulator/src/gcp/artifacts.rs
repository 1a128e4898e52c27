//! Artifact Registry: repositories, and what is in them. What is in them comes by [`super::registry`].

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::{Value, json};

use super::call::Call;
use super::catalog::{self, REGIONS};
use super::operations::{End, Failure};
use super::refusal::Refusal;
use super::resources;
use super::world::{Plan, World};
use crate::faults::FaultKind;
use crate::hash;

/// The bytes of images.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Blobs by their digests.
    pub blobs: BTreeMap<String, Bytes>,
    /// Which blobs each image may use, as `REPOSITORY_KEY/IMAGE` and digest.
    pub links: BTreeSet<(String, String)>,
    /// Manifests by their digests, with their media types.
    pub manifests: BTreeMap<String, (String, Bytes)>,
    /// Uploads under way.
    pub uploads: BTreeMap<String, Vec<u8>>,
}

const META: &str = "type.googleapis.com/google.devtools.artifactregistry.v1.OperationMetadata";
const MULTI_REGIONS: [&str; 3] = ["asia", "europe", "us"];

/// The host names of the registries of all locations.
pub(crate) fn hosts() -> Vec<String> {
    let regions = REGIONS.iter().map(|(region, _)| *region).chain(MULTI_REGIONS);
    regions.map(|location| format!("{location}-docker.pkg.dev")).collect()
}

/// Answers a call.
pub(crate) fn handle(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let method = call.route.method;
    let location = call.location();
    let known = location == "-" || catalog::is_region(location) || MULTI_REGIONS.contains(&location);
    if !location.is_empty() && !known {
        return Err(Refusal::invalid(format!("unsupported location \"{location}\"")));
    }
    match (method.collection(), method.action()) {
        ("locations", action) => Ok(locations(call, action)),
        ("operations", _) => operation(world, call),
        ("repositories", "create") => create(world, call),
        ("repositories", "list") => list(world, call, "repositories"),
        ("repositories", "get") => Ok(told(world, &existing(world, call)?)),
        ("repositories", "delete") => remove(world, call),
        ("repositories", "patch") => patch(world, call),
        ("repositories", action) => {
            let key = existing(world, call)?;
            resources::policy(world, call, call.project(), &key, action)
        }
        ("dockerImages", "list") => list(world, call, "dockerImages"),
        ("dockerImages", _) => {
            let key = format!("{}/dockerImages/{}", existing(world, call)?, call.path("dockerImage"));
            let found = world.find(&key).map(|thing| image(&key, &thing.body));
            found.ok_or_else(|| Refusal::not_found("Requested entity was not found."))
        }
        (_, "list") => contents(world, call),
        (_, "get") => content(world, call),
        _ => remove_content(world, call),
    }
}

fn locations(call: &Call, action: &str) -> Value {
    let told = |id: &str| json!({"name": format!("projects/{}/locations/{id}", call.project()), "locationId": id, "displayName": id});
    if action == "get" {
        return told(call.location());
    }
    let all = REGIONS.iter().map(|(region, _)| *region).chain(MULTI_REGIONS).map(told);
    json!({ "locations": all.collect::<Vec<_>>() })
}

fn operation(world: &World, call: &Call) -> Result<Value, Refusal> {
    let (project, location) = (call.project(), call.location());
    let name = format!("projects/{project}/locations/{location}/operations/{}", call.path("operation"));
    let known = world.operations.get(&name).map(super::operations::Operation::of_others);
    known.ok_or_else(|| Refusal::not_found("Requested entity was not found."))
}

/// The key of the repository that a call is about, if it is there.
fn existing(world: &World, call: &Call) -> Result<String, Refusal> {
    let path =
        format!("projects/{}/locations/{}/repositories/{}", call.project(), call.location(), call.path("repository"));
    let key = format!("artifactregistry/{path}");
    match world.find(&key) {
        Some(_) => Ok(key),
        None => Err(Refusal::not_found("Requested entity was not found.")),
    }
}

/// A repository as it is told, with its size.
fn told(world: &World, key: &str) -> Value {
    let mut body = world.things[key].body.clone();
    let prefix = format!("{key}/");
    let links =
        world.store.links.range((prefix.clone(), String::new())..).take_while(|(image, _)| image.starts_with(&prefix));
    let digests: BTreeSet<&String> = links.map(|(_, digest)| digest).collect();
    let size: usize = digests.into_iter().filter_map(|digest| world.store.blobs.get(digest)).map(Bytes::len).sum();
    body["sizeBytes"] = json!(size.to_string());
    body
}

fn create(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let (id, project, location) =
        (call.query("repositoryId").to_owned(), call.project().to_owned(), call.location().to_owned());
    let sign = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-';
    if id.is_empty()
        || id.len() > 63
        || !id.chars().all(sign)
        || !id.starts_with(|c: char| c.is_ascii_lowercase())
        || id.ends_with('-')
    {
        return Err(Refusal::invalid(format!("invalid repository ID: \"{id}\"")));
    }
    if call.body["format"].as_str().is_none_or(|format| format == "FORMAT_UNSPECIFIED") {
        return Err(Refusal::invalid("repository format must be specified"));
    }
    let key = format!("artifactregistry/projects/{project}/locations/{location}/repositories/{id}");
    if world.has(&key) {
        return Err(Refusal::exists("the repository already exists"));
    }
    let now = world.clock.timestamp(world.now);
    let mut body = call.body.clone();
    body["name"] = json!(key.trim_start_matches("artifactregistry/"));
    body["createTime"] = json!(now);
    body["updateTime"] = json!(now);
    body["registryUri"] = json!(format!("{location}-docker.pkg.dev/{project}/{id}"));
    if body["mode"].is_null() || body["mode"] == "MODE_UNSPECIFIED" {
        body["mode"] = json!("STANDARD_REPOSITORY");
    }
    world.insert(&key, "repositories", body.clone());
    let failure =
        (world.fault == Some(FaultKind::FailedOperation)).then(|| Failure::internal("Internal error encountered."));
    let owner = key.clone();
    let end: End = Box::new(move |world, failure| {
        if failure.is_some() {
            world.remove(&owner);
        }
    });
    body["@type"] = json!("type.googleapis.com/google.devtools.artifactregistry.v1.Repository");
    let name = begin(world, call, "repositories.create", &key, end, body);
    world.operation(&name).failure = failure;
    Ok(world.operations[&name].of_others())
}

fn begin(world: &mut World, call: &Call, kind: &'static str, key: &str, end: End, response: Value) -> String {
    let plan = Plan {
        service: "artifactregistry",
        kind,
        pace: kind.to_owned(),
        project: call.project().to_owned(),
        place: call.location().to_owned(),
        target: key.trim_start_matches("artifactregistry/").to_owned(),
    };
    let name = world.begin(plan, Vec::new(), end);
    let begun = world.operation(&name);
    begun.metadata = json!({"@type": META});
    begun.response = response;
    name
}

fn remove(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let key = existing(world, call)?;
    if world.things[&key].leaving {
        return Err(Refusal::precondition("the repository is being deleted"));
    }
    world.leave(&key);
    let owner = key.clone();
    let end: End = Box::new(move |world, _| {
        let prefix = format!("{owner}/");
        let images: Vec<String> = world.things.keys().filter(|known| known.starts_with(&prefix)).cloned().collect();
        for image in images {
            world.remove(&image);
        }
        world.remove(&owner);
        world.store.links.retain(|(image, _)| !image.starts_with(&prefix));
        sweep(world);
    });
    let name = begin(
        world,
        call,
        "repositories.delete",
        &key,
        end,
        json!({"@type": "type.googleapis.com/google.protobuf.Empty"}),
    );
    Ok(world.operations[&name].of_others())
}

/// Drops the bytes that no image uses any more.
fn sweep(world: &mut World) {
    let used: BTreeSet<String> = world.store.links.iter().map(|(_, digest)| digest.clone()).collect();
    world.store.blobs.retain(|digest, _| used.contains(digest));
    let images = world.things.keys().filter_map(|key| key.split_once("/dockerImages/")?.1.split_once('@'));
    let kept: BTreeSet<String> = images.map(|(_, digest)| digest.to_owned()).collect();
    world.store.manifests.retain(|digest, _| kept.contains(digest));
}

fn patch(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let key = existing(world, call)?;
    let now = world.clock.timestamp(world.now);
    let asked = call.body.clone();
    world.change(&key, |body| {
        for field in ["labels", "description", "cleanupPolicies", "cleanupPolicyDryRun", "dockerConfig"] {
            if !asked[field].is_null() {
                body[field] = asked[field].clone();
            }
        }
        body["updateTime"] = json!(now);
    });
    Ok(told(world, &key))
}

/// An image as it is told: slashes in its name are written as `%2F`.
fn image(key: &str, body: &Value) -> Value {
    let mut told = body.clone();
    let (repository, name) = key.split_once("/dockerImages/").unwrap_or((key, ""));
    let repository = repository.trim_start_matches("artifactregistry/");
    told["name"] = json!(format!("{repository}/dockerImages/{}", name.replace('/', "%2F")));
    told
}

fn list(world: &World, call: &Call, kind: &str) -> Result<Value, Refusal> {
    let prefix = match kind {
        "dockerImages" => format!("{}/dockerImages/", existing(world, call)?),
        _ => format!("artifactregistry/projects/{}/locations/", call.project()),
    };
    let here = |key: &str| {
        let inner = &key[prefix.len()..];
        kind == "dockerImages" || call.location() == "-" || inner.split('/').next() == Some(call.location())
    };
    let found = world.below(&prefix).filter(|(key, thing)| thing.kind == kind && here(key));
    let found =
        found.map(|(key, thing)| if kind == "repositories" { told(world, key) } else { image(key, &thing.body) });
    paged(call, kind, found.collect())
}

fn paged(call: &Call, kind: &str, all: Vec<Value>) -> Result<Value, Refusal> {
    let (items, next) = call.page(all)?;
    let mut answer = if items.is_empty() { json!({}) } else { json!({ kind: items }) };
    if let Some(next) = next {
        answer["nextPageToken"] = json!(next);
    }
    Ok(answer)
}

/// Packages (images by name), versions (digests) or tags of the repository of a call, each with the keys of its images.
fn found(world: &World, call: &Call) -> Result<BTreeMap<String, (Value, Vec<String>)>, Refusal> {
    let repository = existing(world, call)?;
    let prefix = format!("{repository}/dockerImages/");
    let root = repository.trim_start_matches("artifactregistry/").to_owned();
    let package = call.path("package");
    let mut found: BTreeMap<String, (Value, Vec<String>)> = BTreeMap::new();
    for (key, thing) in world.below(&prefix) {
        let Some((image, digest)) = key[prefix.len()..].split_once('@') else { continue };
        let encoded = image.replace('/', "%2F");
        let times = (thing.body["uploadTime"].clone(), thing.body["updateTime"].clone());
        let path = format!("{root}/packages/{encoded}");
        if call.route.method.collection() == "packages" {
            let told = json!({"name": path, "createTime": times.0, "updateTime": times.1});
            found.entry(image.to_owned()).or_insert((told, Vec::new())).1.push(key.to_owned());
        } else if image == package && call.route.method.collection() == "versions" {
            let told =
                json!({"name": format!("{path}/versions/{digest}"), "createTime": times.0, "updateTime": times.1});
            found.insert(digest.to_owned(), (told, vec![key.to_owned()]));
        } else if image == package {
            for tag in thing.body["tags"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let told =
                    json!({"name": format!("{path}/tags/{tag}"), "version": format!("{path}/versions/{digest}")});
                found.insert(tag.to_owned(), (told, vec![key.to_owned()]));
            }
        }
    }
    Ok(found)
}

fn contents(world: &World, call: &Call) -> Result<Value, Refusal> {
    let all = found(world, call)?.into_values().map(|(told, _)| told).collect();
    paged(call, call.route.method.collection(), all)
}

fn one(world: &World, call: &Call) -> Result<(String, Value, Vec<String>), Refusal> {
    let single = call.route.method.collection().trim_end_matches('s');
    let name = call.path(single).to_owned();
    let (told, keys) =
        found(world, call)?.remove(&name).ok_or_else(|| Refusal::not_found("Requested entity was not found."))?;
    Ok((name, told, keys))
}

fn content(world: &World, call: &Call) -> Result<Value, Refusal> {
    one(world, call).map(|(_, told, _)| told)
}

fn remove_content(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let (name, _, keys) = one(world, call)?;
    if call.route.method.collection() == "tags" {
        for key in keys {
            world.change(&key, |body| untag(body, &name));
        }
        return Ok(json!({}));
    }
    let tagged = keys.iter().any(|key| world.things[key].body["tags"].as_array().is_some_and(|tags| !tags.is_empty()));
    if call.route.method.collection() == "versions" && tagged && call.query("force") != "true" {
        return Err(Refusal::precondition("cannot delete version because it is tagged"));
    }
    let target = keys.first().cloned().unwrap_or_default();
    let end: End = Box::new(move |world, _| {
        for key in keys {
            world.remove(&key);
            let image = key.split('@').next().unwrap_or_default().replacen("/dockerImages/", "/", 1);
            let others = world
                .things
                .keys()
                .any(|known| known.starts_with(&format!("{}@", key.split('@').next().unwrap_or_default())));
            if !others {
                world.store.links.retain(|(known, _)| *known != image);
            }
        }
        sweep(world);
    });
    let response = json!({"@type": "type.googleapis.com/google.protobuf.Empty"});
    let name = begin(world, call, "artifacts.delete", &target, end, response);
    Ok(world.operations[&name].of_others())
}

/// Takes a tag from an image.
pub(crate) fn untag(body: &mut Value, tag: &str) {
    if let Some(tags) = body["tags"].as_array_mut() {
        tags.retain(|known| known != tag);
    }
}

/// An identifier for an upload.
pub(crate) fn upload_name(world: &mut World) -> String {
    let count = world.next_number().to_string();
    hash::uuid(world.seed, &["upload", &count])
}
