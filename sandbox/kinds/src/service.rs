//! Services.

use crate::edit::{fill, has, items, list, object, part, remove, set, text};
use crate::rules::{Label, Rules};
use crate::shown::{self, AGE, NAME, SELECTOR, column, or};
use crate::table_columns::Column;
use crate::{names, service_checks};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) static RULES: Rules = Rules {
    default,
    prepare_create,
    prepare_update,
    has_status: true,
    columns: COLUMNS,
    cells,
    field_labels: &[Label("spec.clusterIP", "spec.clusterIP", ""), Label("spec.type", "spec.type", "")],
    name: names::service_name,
    validate: service_checks::validate,
    validate_update: service_checks::validate_update,
    ..Rules::NONE
};

const COLUMNS: &[Column] = &[
    NAME,
    column("Type", "How the service is reached."),
    column("Cluster-IP", "Address inside the cluster."),
    column("External-IP", "Addresses outside of it."),
    column("Port(s)", "Ports of the service."),
    AGE,
    SELECTOR,
];

fn default(service: &mut Value) {
    if let Some(status) = part(service, "status")
        && let Some(balancer) = part(status, "loadBalancer")
    {
        items(balancer, "ingress").filter(|it| has(it, "ip")).for_each(|it| fill(it, "ipMode", "VIP"));
    }
    let Some(spec) = object(service, "spec") else { return };
    default_affinity(spec);
    fill(spec, "type", "ClusterIP");
    for port in items(spec, "ports") {
        fill(port, "protocol", "TCP");
        if matches!(&port["targetPort"], Value::Null) || port["targetPort"] == 0 || port["targetPort"] == "" {
            let number = port["port"].clone();
            set(port, "targetPort", number);
        }
    }
    let kind = text(spec, "type").to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || has_external_addresses(spec) {
        fill(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        fill(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        fill(spec, "allocateLoadBalancerNodePorts", true);
    }
}

fn default_affinity(spec: &mut Value) {
    fill(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "None" => {
            remove(spec, "sessionAffinityConfig");
        }
        "ClientIP" => {
            let config = object(spec, "sessionAffinityConfig").and_then(|config| object(config, "clientIP"));
            if let Some(config) = config {
                fill(config, "timeoutSeconds", 10_800);
            }
        }
        _ => {}
    }
}

pub(crate) fn has_external_addresses(spec: &Value) -> bool {
    text(spec, "type") == "ClusterIP" && !list(spec, "externalIPs").is_empty()
}

/// Whether the service has an address of its own, `None` included.
fn needs_address(spec: &Value) -> bool {
    text(spec, "type") != "ExternalName"
}

/// Whether its ports are also ports of the node.
pub fn needs_node_ports(service: &Value) -> bool {
    match text(&service["spec"], "type") {
        "NodePort" => true,
        "LoadBalancer" => service["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

/// Whether it still has to be given an address.
pub fn wants_address(service: &Value) -> bool {
    needs_address(&service["spec"]) && text(&service["spec"], "clusterIP").is_empty()
}

/// Gives the service its address.
pub fn set_address(service: &mut Value, address: &str) {
    if let Some(spec) = part(service, "spec") {
        set(spec, "clusterIP", address);
        set(spec, "clusterIPs", json!([address]));
    }
}

fn prepare_create(service: &mut Value) {
    let Some(spec) = part(service, "spec") else { return };
    let address = text(spec, "clusterIP").to_owned();
    if !address.is_empty() {
        fill(spec, "clusterIPs", json!([address]));
    }
    fill_address_family(spec);
}

/// The sandbox has IPv4 alone.
fn fill_address_family(spec: &mut Value) {
    if !needs_address(spec) {
        return;
    }
    let address = text(spec, "clusterIP").to_owned();
    if !address.is_empty() {
        fill(spec, "clusterIPs", json!([address]));
    }
    let any_family = address == "None" && !has(spec, "selector");
    let (families, policy) =
        if any_family { (json!(["IPv4", "IPv6"]), "RequireDualStack") } else { (json!(["IPv4"]), "SingleStack") };
    if !has(spec, "ipFamilies") || !has(spec, "ipFamilyPolicy") {
        fill(spec, "ipFamilyPolicy", policy);
        fill(spec, "ipFamilies", families);
    }
}

/// What the server gave stays when a request leaves it out, and goes when the new type has no use for it.
fn prepare_update(old: &Value, new: &mut Value) {
    let (had_ports, needs_ports) = (needs_node_ports(old), needs_node_ports(new));
    let Some(before) = old.get("spec") else { return };
    let Some(spec) = part(new, "spec") else { return };
    let (needed, needs) = (needs_address(before), needs_address(spec));
    if needed && needs {
        keep_addresses(before, spec);
    }
    if had_ports && needs_ports {
        keep_node_ports(before, spec);
    }
    if needed && !needs {
        drop_unchanged(
            before,
            spec,
            &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"],
        );
    }
    if had_ports && !needs_ports && node_ports(before) == node_ports(spec) {
        items(spec, "ports").for_each(|port| {
            remove(port, "nodePort");
        });
    }
    let was = |kind: &str| text(before, "type") == kind;
    if was("LoadBalancer") && text(spec, "type") != "LoadBalancer" {
        drop_unchanged(before, spec, &["allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort"]);
    }
    let external =
        |spec: &Value| matches!(text(spec, "type"), "NodePort" | "LoadBalancer") || has_external_addresses(spec);
    if external(before) && !external(spec) {
        drop_unchanged(before, spec, &["externalTrafficPolicy"]);
    }
    fill_address_family(spec);
}

fn keep_addresses(before: &Value, spec: &mut Value) {
    if text(spec, "clusterIP").is_empty() && has(before, "clusterIP") {
        set(spec, "clusterIP", before["clusterIP"].clone());
    }
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if has(before, field) && text(spec, "clusterIP") == text(before, "clusterIP") {
            fill(spec, field, before[field].clone());
        }
    }
}

fn keep_node_ports(before: &Value, spec: &mut Value) {
    let (old, new) = (node_ports(before), node_ports(spec));
    for port in items(spec, "ports").filter(|port| !has(port, "nodePort")) {
        let same = list(before, "ports").iter().find(|each| text(each, "name") == text(port, "name"));
        let number = same.and_then(|each| each["nodePort"].as_i64());
        if let Some(number) = number.filter(|number| !(old.contains(number) && new.contains(number))) {
            set(port, "nodePort", number);
        }
    }
}

fn node_ports(spec: &Value) -> Vec<i64> {
    list(spec, "ports").iter().filter_map(|port| port["nodePort"].as_i64()).collect()
}

fn drop_unchanged(before: &Value, spec: &mut Value, fields: &[&str]) {
    for field in fields {
        if before.get(field) == spec.get(field) {
            remove(spec, field);
        }
    }
}

fn cells(service: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &service["spec"];
    let port = |port: &Value| {
        let (number, protocol) = (port["port"].as_i64().unwrap_or_default(), text(port, "protocol"));
        match port["nodePort"].as_i64() {
            Some(node) => format!("{number}:{node}/{protocol}"),
            None => format!("{number}/{protocol}"),
        }
    };
    let ports: Vec<String> = list(spec, "ports").iter().map(port).collect();
    let address = list(spec, "clusterIPs").first().and_then(Value::as_str).unwrap_or("<none>");
    vec![
        shown::name(service),
        text(spec, "type").into(),
        address.into(),
        external_addresses(service).into(),
        or(&ports.join(","), "<none>").into(),
        shown::age(service, now),
        shown::labels(&spec["selector"]),
    ]
}

fn external_addresses(service: &Value) -> String {
    let spec = &service["spec"];
    let given = list(spec, "externalIPs").iter().filter_map(Value::as_str);
    match text(spec, "type") {
        "ExternalName" => text(spec, "externalName").to_owned(),
        "LoadBalancer" => {
            let ingress = list(&service["status"]["loadBalancer"], "ingress").iter();
            let mut found: Vec<&str> = ingress.map(|it| or(text(it, "ip"), text(it, "hostname"))).collect();
            found.retain(|address| !address.is_empty());
            found.extend(given);
            or(&found.join(","), "<pending>").to_owned()
        }
        "ClusterIP" | "NodePort" => or(&given.collect::<Vec<_>>().join(","), "<none>").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}
