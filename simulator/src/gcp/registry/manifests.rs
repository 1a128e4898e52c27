//! Manifests and tags.

use hyper::header;
use serde_json::{Value, json};

use super::{Target, bytes_of, digest, error};
use crate::gcp::artifacts::untag;
use crate::gcp::serve::Request;
use crate::gcp::world::World;
use crate::server::Answer;

/// Answers a request for a manifest, by tag or digest.
pub(super) fn answer(world: &mut World, request: &Request, target: &Target, reference: &str) -> Answer {
    if request.verb == "PUT" {
        return put(world, request, target, reference);
    }
    let Some(key) = find(world, target, reference) else {
        return error(404, "MANIFEST_UNKNOWN", &format!("Failed to fetch \"{reference}\""));
    };
    if request.verb == "DELETE" {
        if reference.starts_with("sha256:") {
            world.remove(&key);
        } else {
            world.change(&key, |body| untag(body, reference));
        }
        return Answer::empty(202);
    }
    let digest = key.split_once('@').map(|parts| parts.1.to_owned()).unwrap_or_default();
    let Some((media_type, bytes)) = world.store.manifests.get(&digest).cloned() else {
        return error(404, "MANIFEST_UNKNOWN", &format!("Failed to fetch \"{reference}\""));
    };
    bytes_of(request, bytes, &media_type, &digest)
}

/// The tags of an image.
pub(super) fn tags(world: &World, target: &Target) -> Answer {
    let prefix = prefix(target);
    let all = world.below(&prefix).flat_map(|(_, thing)| thing.body["tags"].as_array().into_iter().flatten().cloned());
    let mut tags: Vec<Value> = all.collect();
    tags.sort_by_key(ToString::to_string);
    if world.below(&prefix).next().is_none() {
        return error(404, "NAME_UNKNOWN", &format!("Package \"{}\" not found", target.image));
    }
    let parts: Vec<&str> = target.repository.split('/').collect();
    let name = format!("{}/{}/{}", parts[2], parts[6], target.image);
    Answer::json(200, &json!({"name": name, "tags": tags}))
}

fn prefix(target: &Target) -> String {
    format!("{}/dockerImages/{}@", target.repository, target.image)
}

/// The key of the image that a reference means.
fn find(world: &World, target: &Target, reference: &str) -> Option<String> {
    let prefix = prefix(target);
    if reference.starts_with("sha256:") {
        let key = format!("{prefix}{reference}");
        return world.has(&key).then_some(key);
    }
    let tagged = |value: &Value| value.as_array().is_some_and(|tags| tags.iter().any(|tag| tag == reference));
    let mut all = world.things.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
    all.find(|(_, thing)| tagged(&thing.body["tags"])).map(|(key, _)| key.clone())
}

fn put(world: &mut World, request: &Request, target: &Target, reference: &str) -> Answer {
    let Ok(manifest) = serde_json::from_slice::<Value>(&request.body) else {
        return error(400, "MANIFEST_INVALID", "manifest invalid");
    };
    let digest = digest(&request.body);
    if reference.starts_with("sha256:") && reference != digest {
        return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    let image = target.whole();
    let parts = manifest["layers"].as_array().into_iter().flatten().chain(std::iter::once(&manifest["config"]));
    let parts: Vec<&Value> = parts.filter(|part| part["digest"].is_string()).collect();
    for part in &parts {
        let needed = part["digest"].as_str().unwrap_or_default().to_owned();
        if !world.store.links.contains(&(image.clone(), needed.clone())) {
            return error(400, "MANIFEST_BLOB_UNKNOWN", &format!("blob unknown to registry: {needed}"));
        }
    }
    for inner in manifest["manifests"].as_array().into_iter().flatten() {
        let needed = inner["digest"].as_str().unwrap_or_default();
        if find(world, target, needed).is_none() {
            return error(400, "MANIFEST_BLOB_UNKNOWN", &format!("manifest unknown to registry: {needed}"));
        }
    }
    let size: u64 = parts.iter().filter_map(|part| part["size"].as_u64()).sum();
    let kind = request.header(header::CONTENT_TYPE).to_owned();
    let kind = if kind.is_empty() { manifest["mediaType"].as_str().unwrap_or_default().to_owned() } else { kind };
    keep(world, target, reference, &digest, &kind, size);
    world.store.manifests.insert(digest.clone(), (kind, request.body.clone()));
    let root = request.path.rsplit_once('/').map(|parts| parts.0).unwrap_or_default();
    Answer::empty(201).with("location", format!("{root}/{digest}")).with("docker-content-digest", digest)
}

/// Writes an image down, with its tag, which no other image of that name has any more.
fn keep(world: &mut World, target: &Target, reference: &str, digest: &str, media_type: &str, size: u64) {
    let now = world.clock.timestamp(world.now);
    let tag = (!reference.starts_with("sha256:")).then(|| reference.to_owned());
    if let (Some(tag), Some(before)) = (&tag, find(world, target, reference)) {
        world.change(&before, |body| untag(body, tag));
    }
    let key = format!("{}{digest}", prefix(target));
    if !world.has(&key) {
        let parts: Vec<&str> = target.repository.split('/').collect();
        let uri = format!("{}-docker.pkg.dev/{}/{}/{}@{digest}", parts[4], parts[2], parts[6], target.image);
        let body = json!({"uri": uri, "tags": [], "imageSizeBytes": size.to_string(), "uploadTime": now, "mediaType": media_type,
            "updateTime": now});
        world.insert(&key, "dockerImages", body);
    }
    world.change(&key, |body| {
        body["updateTime"] = json!(now);
        if let (Some(tag), Some(tags)) = (tag, body["tags"].as_array_mut()) {
            tags.push(json!(tag));
        }
    });
}
