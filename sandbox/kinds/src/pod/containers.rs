//! Containers of pods.

use super::{environment, probes};
use crate::cause::Causes;
use crate::checks::{
    choice, container_resource_name, descending_path, identity, port_number, protocol, required_choice, required_name,
    required_text, resource_amount,
};
use crate::names;
use crate::node::Node;
use crate::quantity;

const MESSAGE_POLICIES: &[&str] = &["File", "FallbackToLogsOnError"];
const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
const PROPAGATIONS: &[&str] = &["Bidirectional", "HostToContainer", "None"];
const NOT_FOR_INIT: &str = "may not be set for init containers without restartPolicy=Always";

/// Checks containers and init containers; these volumes can be mounted.
pub(super) fn validate(spec: &Node, volumes: &[&str], causes: &mut Causes) {
    let (containers, initial) = (spec.get("containers"), spec.get("initContainers"));
    let grace_seconds = spec.get("terminationGracePeriodSeconds").integer().unwrap_or(30);
    if containers.is_empty() {
        causes.required(&containers, "");
    }
    let mut seen: Vec<&str> = Vec::new();
    for container in containers.items() {
        common(&container, volumes, causes);
        unique_name(&container, container.get("name").text(), &mut seen, causes);
        probes::validate(&container, grace_seconds, causes);
    }
    for container in initial.items() {
        common(&container, volumes, causes);
        unique_name(&container, container.get("name").text(), &mut seen, causes);
        if container.get("restartPolicy").text() == "Always" {
            probes::validate(&container, grace_seconds, causes);
            continue;
        }
        for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
            if container.get(field).is_set() {
                causes.forbidden(&container.get(field), NOT_FOR_INIT);
            }
        }
    }
}

fn unique_name<'a>(container: &Node, name: &'a str, seen: &mut Vec<&'a str>, causes: &mut Causes) {
    if seen.contains(&name) && !name.is_empty() {
        causes.duplicate(&container.get("name"));
    }
    seen.push(name);
}

fn common(container: &Node, volumes: &[&str], causes: &mut Causes) {
    required_name(&container.get("name"), names::dns_label, causes);
    required_text(&container.get("image"), causes);
    required_choice(&container.get("terminationMessagePolicy"), MESSAGE_POLICIES, causes);
    ports(&container.get("ports"), causes);
    environment::variables(&container.get("env"), causes);
    environment::sources(&container.get("envFrom"), causes);
    mounts(container, volumes, causes);
    let devices = container.get("volumeDevices");
    if !devices.is_empty() {
        causes.forbidden(&devices, "the sandbox's volumes are folders; use volumeMounts");
    }
    required_choice(&container.get("imagePullPolicy"), PULL_POLICIES, causes);
    resources(&container.get("resources"), causes);
    security(&container.get("securityContext"), causes);
}

fn ports(at: &Node, causes: &mut Causes) {
    let mut seen: Vec<&str> = Vec::new();
    for port in at.items() {
        let (name, number, host) = (port.get("name"), port.get("containerPort"), port.get("hostPort"));
        if !name.is_empty() {
            let wrong = names::port(name.text());
            for text in &wrong {
                causes.invalid(&name, text);
            }
            if seen.contains(&name.text()) {
                causes.duplicate(&name);
            } else if wrong.is_empty() {
                seen.push(name.text());
            }
        }
        if number.integer().unwrap_or_default() == 0 {
            causes.required(&number, "");
        } else {
            port_number(&number, causes);
        }
        if host.is_set() {
            port_number(&host, causes);
            causes.forbidden(&host, "the sandbox's pods have no ports on the node; use a Service of type NodePort");
        }
        protocol(&port.get("protocol"), causes);
    }
}

fn mounts(container: &Node, volumes: &[&str], causes: &mut Causes) {
    let mounts = container.get("volumeMounts");
    let mut paths: Vec<&str> = Vec::new();
    for mount in mounts.items() {
        let (name, path) = (mount.get("name"), mount.get("mountPath"));
        required_text(&name, causes);
        if !volumes.contains(&name.text()) {
            causes.not_found(&name);
        }
        required_text(&path, causes);
        if paths.contains(&path.text()) {
            causes.invalid(&path, "must be unique");
        }
        paths.push(path.text());
        // The API server's paths of these have no number.
        for field in ["subPath", "subPathExpr"] {
            descending_path(&mounts.get(field).with(mount.get(field).value), causes);
        }
        if !mount.get("subPath").is_empty() && !mount.get("subPathExpr").is_empty() {
            causes.invalid(&mount.get("subPathExpr"), "subPathExpr and subPath are mutually exclusive");
        }
        let propagation = mounts.get("mountPropagation").with(mount.get("mountPropagation").value);
        choice(&propagation, PROPAGATIONS, causes);
        if matches!(propagation.text(), "Bidirectional" | "HostToContainer") {
            causes.forbidden(&propagation, "the sandbox's mounts stay in their container; leave it out");
        }
    }
}

fn resources(at: &Node, causes: &mut Causes) {
    let (limits, requests) = (at.get("limits"), at.get("requests"));
    for (name, amount) in limits.entries() {
        container_resource_name(&amount, name, causes);
        resource_amount(name, &amount, causes);
    }
    for (name, amount) in requests.entries() {
        container_resource_name(&amount, name, causes);
        let Some(request) = resource_amount(name, &amount, causes) else { continue };
        let overcommits = !name.contains('/') && !name.starts_with("hugepages-");
        match limits.value.get(name).map(quantity::from_value) {
            Some(Ok(limit)) if !overcommits && request != limit => {
                causes.invalid_value(
                    &requests,
                    request.to_string(),
                    &format!("must be equal to {name} limit of {limit}"),
                );
            }
            Some(Ok(limit)) if request > limit => {
                let text = format!("must be less than or equal to {name} limit of {limit}");
                causes.invalid_value(&requests, request.to_string(), &text);
            }
            None if !overcommits => causes.required(&limits, "Limit must be set for non overcommitable resources"),
            _ => {}
        }
    }
}

fn security(at: &Node, causes: &mut Causes) {
    identity(&at.get("runAsUser"), causes);
    identity(&at.get("runAsGroup"), causes);
    if at.get("privileged").truth() {
        let text = "the sandbox's pods have no rights on the machine; leave it out";
        causes.forbidden(&at.get("privileged"), text);
    }
    let (seccomp, mount) = (at.get("seccompProfile"), at.get("procMount"));
    choice(&seccomp.get("type"), &["Localhost", "RuntimeDefault", "Unconfined"], causes);
    choice(&mount, &["Default", "Unmasked"], causes);
    let capabilities = at.get("capabilities");
    let added = capabilities.get("add");
    if at.get("allowPrivilegeEscalation").value == false && added.items().any(|each| each.text() == "CAP_SYS_ADMIN") {
        let text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        causes.invalid(at, text);
    }
    for field in ["windowsOptions", "seLinuxOptions"] {
        if at.get(field).is_set() {
            causes.forbidden(&at.get(field), &format!("the sandbox has no {field}; leave it out"));
        }
    }
}
