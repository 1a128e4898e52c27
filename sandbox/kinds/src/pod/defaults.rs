//! What a pod gets when it does not say otherwise.

use crate::edit::{self, fill, has, items, object, part, text};
use serde_json::{Value, json};

/// Defaults of a pod: those of its specification, and those that a template does not get.
pub(super) fn default_pod(pod: &mut Value) {
    let Some(spec) = object(pod, "spec") else { return };
    default_specification(spec);
    for field in ["containers", "initContainers"] {
        items(spec, field).for_each(requests_from_limits);
    }
    fill(spec, "enableServiceLinks", true);
}

/// Defaults of `spec.template` of whatever makes pods.
pub(crate) fn default_template(object: &mut Value) {
    let template = edit::part(object, "spec").and_then(|spec| edit::part(spec, "template"));
    if let Some(spec) = template.and_then(|template| edit::object(template, "spec")) {
        default_specification(spec);
    }
}

fn default_specification(spec: &mut Value) {
    fill(spec, "restartPolicy", "Always");
    fill(spec, "terminationGracePeriodSeconds", 30);
    fill(spec, "dnsPolicy", "ClusterFirst");
    fill(spec, "securityContext", json!({}));
    fill(spec, "schedulerName", "default-scheduler");
    same_service_account(spec);
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        for container in items(spec, field) {
            without_restart_rules(container, field == "initContainers");
            default_container(container);
        }
    }
    items(spec, "volumes").for_each(default_volume);
}

/// Version 1.34 restarts by the pod's policy alone, and drops what containers say of it; only sidecars stay.
fn without_restart_rules(container: &mut Value, is_initial: bool) {
    edit::remove(container, "restartPolicyRules");
    if !is_initial || text(container, "restartPolicy") != "Always" {
        edit::remove(container, "restartPolicy");
    }
}

/// The old name of the field is kept in step with the new one.
fn same_service_account(spec: &mut Value) {
    let name = match (text(spec, "serviceAccountName"), text(spec, "serviceAccount")) {
        ("", old) => old.to_owned(),
        (new, old) if new == old => return,
        (new, _) => new.to_owned(),
    };
    if !name.is_empty() {
        edit::set(spec, "serviceAccountName", name.clone());
        edit::set(spec, "serviceAccount", name);
    }
}

fn default_container(container: &mut Value) {
    if !has(container, "imagePullPolicy") {
        let policy = if is_latest(text(container, "image")) { "Always" } else { "IfNotPresent" };
        fill(container, "imagePullPolicy", policy);
    }
    fill(container, "terminationMessagePath", "/dev/termination-log");
    fill(container, "terminationMessagePolicy", "File");
    items(container, "ports").for_each(|port| fill(port, "protocol", "TCP"));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = part(container, probe) {
            default_probe(probe);
        }
    }
    if let Some(lifecycle) = part(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = part(lifecycle, hook) {
                default_http_get(hook);
            }
        }
    }
    for variable in items(container, "env") {
        if let Some(source) = part(variable, "valueFrom") {
            default_field_reference(source);
        }
    }
}

fn default_probe(probe: &mut Value) {
    default_http_get(probe);
    if let Some(grpc) = part(probe, "grpc") {
        fill(grpc, "service", "");
    }
    let numbers = [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)];
    for (name, number) in numbers {
        fill(probe, name, number);
    }
}

fn default_http_get(holder: &mut Value) {
    if let Some(action) = part(holder, "httpGet") {
        fill(action, "path", "/");
        fill(action, "scheme", "HTTP");
    }
}

fn default_field_reference(holder: &mut Value) {
    if let Some(reference) = part(holder, "fieldRef") {
        fill(reference, "apiVersion", "v1");
    }
}

/// Whether the image has the tag `latest`, written or implied. Without a tag but with a digest it has none.
fn is_latest(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[start..].split_once(':') {
        Some((_, tag)) => tag == "latest",
        // What is no image name has no tag.
        None => !digest && !name.is_empty() && !name[start..].bytes().any(|byte| byte.is_ascii_uppercase()),
    }
}

/// A pod that names limits alone asks for as much; a template stays as it is.
fn requests_from_limits(container: &mut Value) {
    let Some(resources) = part(container, "resources") else { return };
    let Some(limits) = resources.get("limits").filter(|limits| limits.is_object()).cloned() else { return };
    let Some(requests) = object(resources, "requests") else { return };
    for (name, amount) in limits.as_object().into_iter().flatten() {
        fill(requests, name, amount.clone());
    }
}

const SOURCES_WITH_MODE: [&str; 4] = ["secret", "configMap", "downwardAPI", "projected"];

fn default_volume(volume: &mut Value) {
    let Some(fields) = volume.as_object() else { return };
    if fields.keys().all(|name| name == "name") {
        fill(volume, "emptyDir", json!({}));
        return;
    }
    for source in SOURCES_WITH_MODE {
        if let Some(source) = part(volume, source) {
            fill(source, "defaultMode", 0o644);
        }
    }
    if let Some(source) = part(volume, "downwardAPI") {
        items(source, "items").for_each(default_field_reference);
    }
    if let Some(source) = part(volume, "projected") {
        items(source, "sources").for_each(default_projection);
    }
    if let Some(source) = part(volume, "hostPath") {
        fill(source, "type", "");
    }
}

fn default_projection(projection: &mut Value) {
    if let Some(source) = part(projection, "downwardAPI") {
        items(source, "items").for_each(default_field_reference);
    }
    if let Some(source) = part(projection, "serviceAccountToken") {
        fill(source, "expirationSeconds", 3600);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_tag_and_digest_is_the_latest() {
        for image in ["busybox", "busybox:latest", "host:5000/a/b", "host:5000/b:latest", "b:latest@sha256:00"] {
            assert!(is_latest(image), "{image}");
        }
        for image in ["", "busybox:1", "host:5000/b:1", "busybox@sha256:00", "Busybox"] {
            assert!(!is_latest(image), "{image}");
        }
    }
}
