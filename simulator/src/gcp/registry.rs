//! The OCI registry behind Artifact Registry: the distribution specification's `/v2/`, with tokens.
//!
//! Images are below `PROJECT/REPOSITORY/IMAGE`. Google has one host for each location; here the host in the request decides
//! where it is one of those, or else the first repository of that name.

mod manifests;
mod uploads;

use std::sync::Arc;

use bytes::Bytes;
use hyper::header;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Gcp;
use super::book::Maker;
use super::serve::Request;
use super::world::World;
use crate::faults::FaultKind;
use crate::ledger::Call;
use crate::server::{Answer, Reply};

/// What a request is for.
struct Target<'a> {
    /// The key of the repository.
    repository: String,
    /// The image's name within it.
    image: String,
    /// What comes after: `blobs/sha256:...`, `manifests/latest`, `tags/list`.
    rest: &'a str,
}

impl Target<'_> {
    /// The image, as the store has it.
    fn whole(&self) -> String {
        format!("{}/{}", self.repository, self.image)
    }
}

/// Answers a request below `/v2/`.
pub(crate) fn answer(gcp: &Arc<Gcp>, request: &Request) -> Reply {
    let mut world = gcp.world();
    let path = request.path.trim_start_matches("/v2").trim_start_matches('/').to_owned();
    let kind = ["/blobs/uploads", "/blobs/", "/manifests/", "/tags/"]
        .into_iter()
        .find(|kind| path.contains(kind))
        .unwrap_or("/");
    let method = format!("registry.{}{}", request.verb.to_lowercase(), kind.trim_end_matches('/').replace('/', "."));
    let changes = !matches!(request.verb.as_str(), "GET" | "HEAD");
    let fault = world.faults.meet(&method, &path, changes);
    let answer = match fault {
        Some(FaultKind::LostRequest) => None,
        Some(FaultKind::TooManyRequests) => Some(error(429, "TOOMANYREQUESTS", "Quota exceeded.")),
        Some(FaultKind::Unavailable | FaultKind::Internal) => {
            Some(error(503, "UNAVAILABLE", "The service is currently unavailable."))
        }
        _ => {
            world.maker = Maker { by: request.header(header::USER_AGENT).to_owned(), purpose: method.clone() };
            Some(one(&mut world, request, &path))
        }
    };
    let lost = matches!(fault, Some(FaultKind::LostReply | FaultKind::LostRequest));
    let status = answer.as_ref().map_or(0, |answer| if lost { 0 } else { answer.status });
    let at = world.clock.timestamp(world.now);
    world.book.call(Call { at, method, target: path, status, fault: fault.map(|fault| format!("{fault:?}")) });
    match answer {
        Some(answer) if !lost => Reply::Answer(answer.with("docker-distribution-api-version", "registry/2.0")),
        _ => Reply::Lost,
    }
}

fn one(world: &mut World, request: &Request, path: &str) -> Answer {
    let who = world.accounts.principal(request.authorization().as_deref(), world.now);
    if path == "token" {
        return token(world, request);
    }
    match who {
        Ok(user) => world.user = user,
        Err(refusal) => {
            let scope = scope(path);
            let host = request.header(header::HOST);
            let challenge = format!("Bearer realm=\"{}/v2/token\",service=\"{host}\"{scope}", world.base);
            return error(401, "UNAUTHORIZED", &refusal.message).with("www-authenticate", challenge);
        }
    }
    if path.is_empty() {
        return Answer::json(200, &json!({}));
    }
    let Some(target) = target(world, request, path) else {
        return error(404, "NAME_UNKNOWN", &format!("Repository of \"{path}\" not found"));
    };
    if let Some(refused) = denied(world, &target, request) {
        return refused;
    }
    let parts: Vec<&str> = target.rest.splitn(2, '/').collect();
    match (parts[0], parts.get(1).copied().unwrap_or_default()) {
        ("blobs", rest) if rest == "uploads" || rest.starts_with("uploads/") => {
            uploads::answer(world, request, &target.whole(), rest.trim_start_matches("uploads").trim_matches('/'))
        }
        ("blobs", digest) => blob(world, request, &target.whole(), digest),
        ("manifests", reference) => manifests::answer(world, request, &target, reference),
        ("tags", "list") => manifests::tags(world, &target),
        _ => error(404, "UNSUPPORTED", "The operation is unsupported."),
    }
}

/// The scope that a challenge asks for.
fn scope(path: &str) -> String {
    let name =
        ["/blobs/", "/manifests/", "/tags/"].into_iter().find_map(|kind| path.split_once(kind)).map(|parts| parts.0);
    name.map(|name| format!(",scope=\"repository:{name}:push,pull\"")).unwrap_or_default()
}

/// Gives a token for the registry: the one that was shown, which is good for everything.
fn token(world: &World, request: &Request) -> Answer {
    use base64::Engine;
    let header = request.authorization().unwrap_or_default();
    if let Err(refusal) = world.accounts.principal(Some(&header), world.now) {
        return error(401, "UNAUTHORIZED", &refusal.message);
    }
    let shown = header.split_once(' ').map(|parts| parts.1).unwrap_or_default();
    let basic =
        base64::engine::general_purpose::STANDARD.decode(shown).ok().and_then(|text| String::from_utf8(text).ok());
    let token = basic.as_deref().and_then(|pair| pair.split_once(':')).map_or(shown, |pair| pair.1);
    Answer::json(200, &json!({"token": token, "access_token": token, "expires_in": 3600}))
}

/// What the path of a request is for, if the repository is there.
fn target<'a>(world: &World, request: &Request, path: &'a str) -> Option<Target<'a>> {
    let kinds = ["/blobs/", "/manifests/", "/tags/"];
    let at = kinds.into_iter().find_map(|kind| path.find(kind))?;
    let (name, rest) = (&path[..at], &path[at + 1..]);
    let (project, name) = name.split_once('/')?;
    let (repository, image) = name.split_once('/')?;
    let location = request.header(header::HOST).split(':').next()?.strip_suffix("-docker.pkg.dev").map(str::to_owned);
    let prefix = format!("artifactregistry/projects/{project}/locations/");
    let end = format!("/repositories/{repository}");
    let mut found = world.below(&prefix).map(|(key, _)| key).filter(|key| key.ends_with(&end));
    let repository = found
        .find(|key| location.as_ref().is_none_or(|location| key[prefix.len()..].starts_with(location)))?
        .to_owned();
    Some(Target { repository, image: image.to_owned(), rest })
}

fn denied(world: &World, target: &Target, request: &Request) -> Option<Answer> {
    let project = target.repository.split('/').nth(2)?;
    let state = world.projects.get(project)?;
    let action = match request.verb.as_str() {
        "GET" | "HEAD" => "download",
        "DELETE" => "delete",
        _ => "upload",
    };
    let permission = format!("artifactregistry.repositories.{action}Artifacts");
    let resource = target.repository.trim_start_matches("artifactregistry/");
    if !state.permits(&permission) {
        let message = format!("Permission \"{permission}\" denied on resource \"{resource}\" (or it may not exist)");
        return Some(error(403, "DENIED", &message));
    }
    state.check_enabled("artifactregistry", world.now).err().map(|refusal| error(403, "DENIED", &refusal.message))
}

fn blob(world: &mut World, request: &Request, image: &str, digest: &str) -> Answer {
    let linked = (image.to_owned(), digest.to_owned());
    let known = world.store.links.contains(&linked).then(|| world.store.blobs.get(digest).cloned()).flatten();
    let Some(bytes) = known else { return error(404, "BLOB_UNKNOWN", "blob unknown to registry") };
    if request.verb == "DELETE" {
        world.store.links.remove(&linked);
        return Answer::empty(202);
    }
    bytes_of(request, bytes, "application/octet-stream", digest)
}

/// An answer with bytes, or only with their length.
fn bytes_of(request: &Request, bytes: Bytes, media_type: &str, digest: &str) -> Answer {
    let length = bytes.len().to_string();
    let body = if request.verb == "HEAD" { Bytes::new() } else { bytes };
    Answer { status: 200, headers: Vec::new(), body }
        .with("content-type", media_type)
        .with("content-length", length)
        .with("docker-content-digest", digest)
}

/// An error in the words of the specification.
fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"errors": [{"code": code, "message": message}]}))
}

/// The digest of bytes.
fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let digits: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", digits.concat())
}

/// A parameter of a query.
fn parameter(request: &Request, name: &str) -> Option<String> {
    let pairs = request.query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(known, _)| *known == name).map(|(_, value)| super::fields::decode(value)).next()
}
