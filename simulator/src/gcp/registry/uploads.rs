//! Uploads of blobs: at once, in pieces, or taken from another image.

use bytes::Bytes;

use super::{digest, error, parameter};
use crate::gcp::artifacts::upload_name;
use crate::gcp::serve::Request;
use crate::gcp::world::World;
use crate::server::Answer;

/// Answers a request for an upload; `name` is empty for a new one.
pub(super) fn answer(world: &mut World, request: &Request, image: &str, name: &str) -> Answer {
    match (request.verb.as_str(), name) {
        ("POST", "") => begin(world, request, image),
        ("PATCH", name) => piece(world, request, name),
        ("PUT", name) => {
            let Some(mut bytes) = world.store.uploads.remove(name) else { return unknown() };
            bytes.extend_from_slice(&request.body);
            finish(world, request, image, bytes.into())
        }
        ("GET", name) => match world.store.uploads.get(name) {
            Some(bytes) => progress(204, request, name, bytes.len()),
            None => unknown(),
        },
        ("DELETE", name) => match world.store.uploads.remove(name) {
            Some(_) => Answer::empty(204),
            None => unknown(),
        },
        _ => error(405, "UNSUPPORTED", "The operation is unsupported."),
    }
}

fn unknown() -> Answer {
    error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
}

fn begin(world: &mut World, request: &Request, image: &str) -> Answer {
    // From another image that is already here.
    if let Some(wanted) = parameter(request, "mount") {
        let from = parameter(request, "from").unwrap_or_default();
        let there = world.store.links.iter().any(|(known, digest)| *digest == wanted && ends_with_path(known, &from));
        if there {
            world.store.links.insert((image.to_owned(), wanted.clone()));
            return created(request, &wanted);
        }
    }
    if parameter(request, "digest").is_some() {
        return finish(world, request, image, request.body.clone());
    }
    let name = upload_name(world);
    world.store.uploads.insert(name.clone(), Vec::new());
    progress(202, request, &name, 0)
}

/// Whether the key of an image is for this path: `PROJECT/REPOSITORY/IMAGE`.
fn ends_with_path(key: &str, path: &str) -> bool {
    let mut parts = path.splitn(3, '/');
    let (project, repository, image) = (parts.next(), parts.next(), parts.next());
    let (Some(project), Some(repository), Some(image)) = (project, repository, image) else { return false };
    key.starts_with(&format!("artifactregistry/projects/{project}/"))
        && key.ends_with(&format!("/repositories/{repository}/{image}"))
}

fn piece(world: &mut World, request: &Request, name: &str) -> Answer {
    let Some(bytes) = world.store.uploads.get_mut(name) else { return unknown() };
    let range = request.headers.get("content-range").and_then(|range| range.to_str().ok());
    let from = range.and_then(|range| range.trim_start_matches("bytes ").split('-').next()?.parse::<usize>().ok());
    if from.is_some_and(|from| from != bytes.len()) {
        return progress(416, request, name, bytes.len());
    }
    bytes.extend_from_slice(&request.body);
    let length = bytes.len();
    progress(202, request, name, length)
}

fn progress(status: u16, request: &Request, name: &str, length: usize) -> Answer {
    let root = request.path.split("/blobs/uploads").next().unwrap_or_default();
    Answer::empty(status)
        .with("location", format!("{root}/blobs/uploads/{name}"))
        .with("range", format!("0-{}", length.saturating_sub(1)))
        .with("docker-upload-uuid", name)
}

fn finish(world: &mut World, request: &Request, image: &str, bytes: Bytes) -> Answer {
    let wanted = parameter(request, "digest").unwrap_or_default();
    if digest(&bytes) != wanted {
        return error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    world.store.blobs.insert(wanted.clone(), bytes);
    world.store.links.insert((image.to_owned(), wanted.clone()));
    created(request, &wanted)
}

fn created(request: &Request, digest: &str) -> Answer {
    let root = request.path.split("/blobs/uploads").next().unwrap_or_default();
    Answer::empty(201).with("location", format!("{root}/blobs/{digest}")).with("docker-content-digest", digest)
}
