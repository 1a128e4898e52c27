//! Environment variables, and references to fields and resources.

use crate::cause::Causes;
use crate::checks::{named, named_if_set, required_name, required_text};
use crate::names;
use crate::node::Node;

/// What a variable can show of the pod.
const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// All fields that a reference can be made of; others cannot be converted.
const CONVERTIBLE: &[&str] =
    &["metadata.annotations", "metadata.labels", "spec.restartPolicy", "status.phase", "spec.schedulerName"];
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const DIVISORS: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// Checks a container's `env`.
pub(super) fn variables(at: &Node, causes: &mut Causes) {
    for variable in at.items() {
        required_name(&variable.get("name"), names::variable, causes);
        let source = variable.get("valueFrom");
        if source.is_set() {
            value_from(&variable, &source, causes);
        }
    }
}

fn value_from(variable: &Node, at: &Node, causes: &mut Causes) {
    let (field, resource) = (at.get("fieldRef"), at.get("resourceFieldRef"));
    let (map, secret) = (at.get("configMapKeyRef"), at.get("secretKeyRef"));
    if field.is_set() {
        field_reference(&field, FIELDS, causes);
    }
    if resource.is_set() {
        resource_reference(&resource, false, causes);
    }
    for reference in [&map, &secret].iter().filter(|reference| reference.is_set()) {
        named(&reference.get("name"), names::subdomain, causes);
        required_name(&reference.get("key"), names::config_key, causes);
    }
    let sources = [&field, &resource, &map, &secret].iter().filter(|source| source.is_set()).count();
    if sources == 0 {
        let text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        causes.invalid_value(at, "", text);
    } else if !variable.get("value").is_empty() {
        causes.invalid_value(at, "", "may not be specified when `value` is not empty");
    } else if sources > 1 {
        causes.invalid_value(at, "", "may not have more than one field specified at a time");
    }
}

/// A reference to a field of the pod, of these or with a subscript.
pub(super) fn field_reference(at: &Node, supported: &[&str], causes: &mut Causes) {
    let path = at.get("fieldPath");
    if !required_text(&at.get("apiVersion"), causes) || !required_text(&path, causes) {
        return;
    }
    let subscripted = path.text().strip_suffix("']").and_then(|start| start.split_once("['"));
    if let Some((field, subscript)) = subscripted {
        let wrong = match field {
            "metadata.annotations" => names::qualified(&subscript.to_lowercase()),
            "metadata.labels" => names::qualified(subscript),
            _ => {
                let text = "error converting fieldPath: field label does not support subscript";
                causes.invalid(&path, text);
                return;
            }
        };
        for text in &wrong {
            causes.invalid_value(at, subscript, text);
        }
    } else if !supported.contains(&path.text()) {
        if FIELDS.contains(&path.text()) || CONVERTIBLE.contains(&path.text()) {
            causes.unsupported(&path, supported);
        } else {
            let text = format!("error converting fieldPath: field label not supported: {}", path.text());
            causes.invalid(&path, &text);
        }
    }
}

/// A reference to an amount of a container.
pub(super) fn resource_reference(at: &Node, in_volume: bool, causes: &mut Causes) {
    let resource = at.get("resource");
    if in_volume && at.get("containerName").is_empty() {
        causes.required(&at.get("containerName"), "");
    } else if required_text(&resource, causes) && !resource.text().contains(".hugepages-") {
        crate::checks::choice(&resource, RESOURCES, causes);
    }
    let divisor = at.get("divisor").text();
    if matches!(divisor, "" | "0") {
        return;
    }
    let shown = resource.text();
    let wrong = match shown.split_once('.').map_or("", |(_, name)| name) {
        "cpu" if !matches!(divisor, "1m" | "1") => {
            "only divisor's values 1m and 1 are supported with the cpu resource".to_owned()
        }
        "memory" if !DIVISORS.contains(&divisor) => told("memory"),
        "ephemeral-storage" if !DIVISORS.contains(&divisor) => told("local ephemeral storage"),
        _ => return,
    };
    causes.invalid_value(&at.get("divisor"), shown, &wrong);
}

fn told(resource: &str) -> String {
    format!("only divisor's values {} are supported with the {resource} resource", DIVISORS.join(", "))
}

/// Checks a container's `envFrom`.
pub(super) fn sources(at: &Node, causes: &mut Causes) {
    for each in at.items() {
        named_if_set(&each.get("prefix"), names::variable, causes);
        let (map, secret) = (each.get("configMapRef"), each.get("secretRef"));
        for reference in [&map, &secret].iter().filter(|reference| reference.is_set()) {
            required_name(&reference.get("name"), names::subdomain, causes);
        }
        match (map.is_set(), secret.is_set()) {
            (false, false) => causes.invalid_value(at, "", "must specify one of: `configMapRef` or `secretRef`"),
            (true, true) => causes.invalid_value(at, "", "may not have more than one field specified at a time"),
            _ => {}
        }
    }
}
