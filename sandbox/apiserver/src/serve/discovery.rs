//! What there is: versions, groups, resources, health.

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::ACCEPT;
use hyper::{Request, Response};
use kinds::Resource;
use serde_json::{Map, Value, json};

use super::{Server, answer};
use crate::Status;
use crate::streams::Body;

/// The Kubernetes version whose behaviour this is.
const GIT_VERSION: &str = "v1.34.4+sandbox";

/// Answers what everybody may know.
pub(super) fn open(server: &Server, path: &str) -> Option<Response<Body>> {
    match path {
        "/healthz" | "/livez" | "/readyz" => {
            Some(answer::bytes_of(200, "text/plain; charset=utf-8", Bytes::from_static(b"ok")))
        }
        "/version" | "/version/" => Some(answer::json(200, &version(server.api.version().unwrap_or(GIT_VERSION)))),
        _ => None,
    }
}

fn version(git_version: &str) -> Value {
    let mut numbers = git_version.trim_start_matches('v').split('.');
    json!({
        "major": numbers.next().unwrap_or_default(), "minor": numbers.next().unwrap_or_default(),
        "gitVersion": git_version, "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc",
        "platform": format!("linux/{}", architecture()),
    })
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Answers what is asked about the API itself.
pub(super) fn answer(request: &Request<Incoming>) -> Response<Body> {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let aggregated = accept.split(',').any(|entry| {
        let has = |part: &str| entry.split(';').any(|each| each.trim() == part);
        has("g=apidiscovery.k8s.io") && has("v=v2") && has("as=APIGroupDiscoveryList")
    });
    let parts: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).collect();
    let found = match parts.as_slice() {
        ["api"] if aggregated => return all_of(&[""]),
        ["apis"] if aggregated => return all_of(&groups()),
        ["api"] => Some(json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
        })),
        ["apis"] => Some(json!({
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": groups().into_iter().map(group).collect::<Vec<_>>(),
        })),
        ["api", "v1"] => Some(resources("", "v1")),
        ["apis", name] if groups().contains(name) => {
            let mut found = group(name);
            found["kind"] = json!("APIGroup");
            found["apiVersion"] = json!("v1");
            Some(found)
        }
        ["apis", group, version] if in_group(group).any(|each| each.version == *version) => {
            Some(resources(group, version))
        }
        ["openapi", "v2"] if accept.contains("protobuf") => return empty_document(),
        ["openapi", "v2"] => Some(json!({
            "swagger": "2.0", "info": {"title": "Kubernetes", "version": GIT_VERSION}, "paths": {},
        })),
        ["openapi", "v3"] => Some(json!({"paths": documents()})),
        ["openapi", "v3", "api", version] => schema::openapi_v3(version),
        ["openapi", "v3", "apis", group, version] => schema::openapi_v3(&format!("{group}/{version}")),
        [] => Some(json!({"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]})),
        _ => None,
    };
    match (found, parts.as_slice()) {
        (Some(found), _) => answer::json(200, &found),
        (None, ["api", ..]) => answer::status(&Status::no_such_path()),
        (None, ["apis", name, ..]) if groups().contains(name) => answer::status(&Status::no_such_path()),
        _ => answer::plain(404, "404 page not found\n"),
    }
}

/// A document of the older form in which nothing is described: with it kubectl leaves validation to the server for what the
/// newer form does not have, such as lists.
fn empty_document() -> Response<Body> {
    // One field: `swagger`, which is "2.0".
    let document = Bytes::from_static(b"\x0a\x032.0");
    answer::bytes_of(200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", document)
}

fn documents() -> Map<String, Value> {
    let core = ("api/v1".to_owned(), json!({"serverRelativeURL": "/openapi/v3/api/v1"}));
    let others = groups().into_iter().map(|group| {
        let path = format!("apis/{group}/{}", version_of(group));
        let url = json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
        (path, url)
    });
    std::iter::once(core).chain(others).collect()
}

/// The groups besides the core group, each once, in order.
fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = kinds::all().iter().map(|resource| resource.group).collect();
    groups.sort_unstable();
    groups.dedup();
    groups.retain(|group| !group.is_empty());
    groups
}

fn in_group(group: &str) -> impl Iterator<Item = &'static Resource> {
    let group = group.to_owned();
    kinds::all().iter().filter(move |resource| resource.group == group)
}

fn version_of(group: &str) -> &'static str {
    in_group(group).map(|resource| resource.version).next().unwrap_or("v1")
}

fn group(name: &str) -> Value {
    let version = version_of(name);
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

/// `/api/v1` and its like.
fn resources(group: &str, version: &str) -> Value {
    let mut list = Vec::new();
    for resource in in_group(group).filter(|resource| resource.version == version) {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": resource.verbs,
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        list.push(entry);
        for below in resource.subresources {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, below.name), "singularName": "",
                "namespaced": resource.namespaced,
            });
            if below.kind.is_empty() {
                entry["kind"] = json!(resource.kind);
            } else {
                entry["kind"] = json!(below.kind);
                // What is of the list's own group and version does not repeat them.
                if (below.group, below.version) != (group, version) {
                    entry["group"] = json!(below.group);
                    entry["version"] = json!(below.version);
                }
            }
            entry["verbs"] = json!(below.verbs);
            list.push(entry);
        }
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list})
}

/// Everything in these groups at once.
fn all_of(groups: &[&str]) -> Response<Body> {
    let items: Vec<Value> = groups
        .iter()
        .map(|group| {
            let resources: Vec<Value> = in_group(group).map(aggregated).collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            let version = json!({"version": version_of(group), "resources": resources, "freshness": "Current"});
            json!({"metadata": metadata, "versions": [version]})
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    });
    match serde_json::to_vec(&list) {
        Ok(bytes) => {
            answer::bytes_of(200, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", bytes.into())
        }
        Err(cause) => answer::status(&Status::internal(cause)),
    }
}

fn aggregated(resource: &'static Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let scope = if resource.namespaced { "Namespaced" } else { "Cluster" };
    let below: Vec<Value> = resource
        .subresources
        .iter()
        .map(|below| {
            let response = match below.kind {
                "" => kind("", "", resource.kind),
                name => kind(below.group, below.version, name),
            };
            json!({"subresource": below.name, "responseKind": response, "verbs": below.verbs})
        })
        .collect();
    let mut entry = json!({
        "resource": resource.plural, "responseKind": kind("", "", resource.kind),
        "scope": scope, "singularResource": resource.singular, "verbs": resource.verbs,
    });
    let lists = [("shortNames", json!(resource.short_names)), ("categories", json!(resource.categories))];
    for (name, list) in lists.into_iter().chain([("subresources", json!(below))]) {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            entry[name] = list;
        }
    }
    entry
}
