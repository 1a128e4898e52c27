//! Volumes of pods.

use super::environment::{field_reference, resource_reference};
use crate::cause::Causes;
use crate::checks::{amount, choice, file_mode, local_path, no_backsteps, required_name, required_text};
use crate::names;
use crate::node::Node;

const HOST_PATHS: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
/// What a volume in the downward API can show of the pod.
const FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Sources in the order of the checks; the second one is told of when there are two.
const SOURCES: [&str; 7] =
    ["emptyDir", "hostPath", "secret", "persistentVolumeClaim", "downwardAPI", "configMap", "projected"];

/// Checks the volumes and gives the names of those that are good.
pub(super) fn validate<'v>(spec: &Node<'_, 'v>, causes: &mut Causes) -> Vec<&'v str> {
    let volumes = spec.get("volumes");
    let mut known: Vec<&'v str> = Vec::new();
    for volume in volumes.items() {
        let (name, before) = (volume.get("name"), causes.0.len());
        source(&volume, causes);
        required_name(&name, names::dns_label, causes);
        if known.contains(&name.text()) {
            causes.duplicate(&name);
        }
        if causes.0.len() == before {
            known.push(name.text());
        }
    }
    known
}

fn source(volume: &Node, causes: &mut Causes) {
    let mut sources = 0;
    for name in SOURCES {
        let at = volume.get(name);
        if !at.is_set() {
            continue;
        }
        sources += 1;
        if sources > 1 {
            causes.forbidden(&at, "may not specify more than 1 volume type");
            continue;
        }
        match name {
            "emptyDir" => empty_folder(&at, causes),
            "hostPath" => host_path(&at, causes),
            "secret" => files(&at, "secretName", causes),
            "configMap" => files(&at, "name", causes),
            "persistentVolumeClaim" => {
                required_text(&at.get("claimName"), causes);
            }
            "downwardAPI" => {
                file_mode(&at.get("defaultMode"), causes);
                // The API server's path has neither `items` nor a number.
                at.get("items").items().for_each(|item| downward_file(&at.with(item.value), causes));
            }
            _ => projected(&at, causes),
        }
    }
    for (field, at) in volume.fields().filter(|(field, _)| *field != "name" && !SOURCES.contains(field)) {
        sources += 1;
        let text = format!(
            "the sandbox has no {field} volumes; use emptyDir, configMap, secret, projected, downwardAPI, hostPath or \
             persistentVolumeClaim"
        );
        causes.forbidden(&at, &text);
    }
    if sources == 0 {
        causes.required(volume, "must specify a volume type");
    }
}

fn empty_folder(at: &Node, causes: &mut Causes) {
    let limit = at.get("sizeLimit");
    if limit.is_set() && amount(&limit, causes).is_some_and(crate::quantity::Quantity::is_negative) {
        causes.forbidden(&limit, "SizeLimit field must be a valid resource quantity");
    }
    let medium = at.get("medium");
    if medium.text().starts_with("HugePages") {
        causes.forbidden(&medium, "the sandbox has no huge pages; use \"Memory\" or leave it out");
    }
}

fn host_path(at: &Node, causes: &mut Causes) {
    if required_text(&at.get("path"), causes) {
        no_backsteps(&at.get("path"), causes);
        choice(&at.get("type"), HOST_PATHS, causes);
    }
}

fn files(at: &Node, name: &str, causes: &mut Causes) {
    required_text(&at.get(name), causes);
    file_mode(&at.get("defaultMode"), causes);
    at.get("items").items().for_each(|item| key_to_path(&item, causes));
}

fn key_to_path(item: &Node, causes: &mut Causes) {
    required_text(&item.get("key"), causes);
    required_text(&item.get("path"), causes);
    local_path(&item.get("path"), causes);
    file_mode(&item.get("mode"), causes);
}

fn downward_file(item: &Node, causes: &mut Causes) {
    required_text(&item.get("path"), causes);
    local_path(&item.get("path"), causes);
    let (field, resource) = (item.get("fieldRef"), item.get("resourceFieldRef"));
    match (field.is_set(), resource.is_set()) {
        (true, both) => {
            field_reference(&field, FIELDS, causes);
            if both {
                let text = "fieldRef and resourceFieldRef can not be specified simultaneously";
                causes.invalid_value(item, "resource", text);
            }
        }
        (false, true) => resource_reference(&resource, true, causes),
        (false, false) => causes.required(item, "one of fieldRef and resourceFieldRef is required"),
    }
    file_mode(&item.get("mode"), causes);
}

fn projected(at: &Node, causes: &mut Causes) {
    file_mode(&at.get("defaultMode"), causes);
    let sources = at.get("sources");
    let mut paths: Vec<String> = Vec::new();
    for each in sources.items() {
        let mut kinds = 0;
        for kind in ["secret", "configMap", "downwardAPI", "serviceAccountToken"] {
            let source = each.get(kind);
            if !source.is_set() {
                continue;
            }
            kinds += 1;
            projection(at, &source, kind, causes);
            for item in source.get("items").items() {
                let path = item.get("path").text().to_owned();
                if !path.is_empty() && paths.contains(&path) {
                    let shown = if kind == "downwardAPI" { path.as_str() } else { source.get("name").text() };
                    causes.invalid_value(at, shown, "conflicting duplicate paths");
                }
                paths.push(path);
            }
        }
        for kind in ["clusterTrustBundle", "podCertificate"] {
            if each.get(kind).is_set() {
                causes.forbidden(&each.get(kind), &format!("the sandbox has no {kind}; use a configMap or a secret"));
            }
        }
        if kinds > 1 {
            causes.forbidden(&each, "may not specify more than 1 volume type per source");
        }
    }
}

fn projection(volume: &Node, source: &Node, kind: &str, causes: &mut Causes) {
    let items = source.get("items");
    match kind {
        "serviceAccountToken" => {
            let seconds = source.get("expirationSeconds");
            if seconds.integer().is_some_and(|seconds| seconds < 600) {
                causes.invalid(&seconds, "may not specify a duration less than 10 minutes");
            }
            if seconds.integer().is_some_and(|seconds| seconds > 1 << 32) {
                causes.invalid(&seconds, "may not specify a duration larger than 2^32 seconds");
            }
            let path = volume.get("path").with(source.get("path").value);
            if required_text(&path, causes) {
                local_path(&path, causes);
            }
        }
        "downwardAPI" => items.items().for_each(|item| downward_file(&source.with(item.value), causes)),
        _ => {
            required_text(&source.get("name"), causes);
            items.items().for_each(|item| key_to_path(&item, causes));
        }
    }
}

/// Without a service account there are no tokens.
pub(super) fn no_tokens(spec: &Node, causes: &mut Causes) {
    let volumes = spec.get("volumes");
    for volume in volumes.items() {
        let projected = volume.get("projected");
        let sources = projected.get("sources");
        for source in sources.items() {
            let token = source.get("serviceAccountToken");
            if token.is_set() {
                causes.forbidden(&token, "must not be specified when serviceAccountName is not set");
            }
        }
    }
}
