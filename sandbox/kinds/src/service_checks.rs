//! What a service may be.

use crate::cause::Causes;
use crate::checks::{
    self, choice, endpoint_address, labels, named, named_if_set, port, port_number, protocol, required_choice,
};
use crate::names;
use crate::node::Node;
use crate::service::has_external_addresses;
use serde_json::json;

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const POLICIES: &[&str] = &["Cluster", "Local"];
const FAMILY_POLICIES: &[&str] = &["PreferDualStack", "RequireDualStack", "SingleStack"];

pub(crate) fn validate(service: &Node, causes: &mut Causes) {
    let spec = service.get("spec");
    let (kind, ports) = (spec.get("type").text(), spec.get("ports"));
    let headless = is_headless(&spec);
    if ports.is_empty() && !headless && kind != "ExternalName" {
        causes.required(&ports, "");
    }
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let text = format!("may not be set to 'None' for {kind} services");
            causes.invalid(&spec.get("clusterIPs").index(0), &text);
        }
        "ExternalName" => external_name(&spec, causes),
        _ => {}
    }
    service_ports(&ports, causes);
    labels(&spec.get("selector"), causes);
    required_choice(&spec.get("sessionAffinity"), &["ClientIP", "None"], causes);
    session_timeout(&spec, causes);
    if kind != "ExternalName" {
        addresses(&spec, causes);
    }
    let external = spec.get("externalIPs");
    external.items().for_each(|each| endpoint_address(&each, causes));
    required_choice(&spec.get("type"), TYPES, causes);
    node_ports(&ports, kind, causes);
    same_ports(&ports, causes);
    balancing(&spec, causes);
    policies(&spec, causes);
}

fn is_headless(spec: &Node) -> bool {
    spec.get("clusterIP").text() == "None"
}

fn external_name(spec: &Node, causes: &mut Causes) {
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if !spec.get(field).is_empty() {
            causes.forbidden(&spec.get(field), "may not be set for ExternalName services");
        }
    }
    let name = spec.get("externalName");
    let without_dot = name.text().trim_end_matches('.');
    if without_dot.is_empty() {
        causes.required(&name, "");
    }
    for wrong in names::subdomain(without_dot).iter().filter(|_| !without_dot.is_empty()) {
        causes.invalid_value(&name, without_dot, wrong);
    }
}

fn service_ports(ports: &Node, causes: &mut Causes) {
    let several = ports.items().count() > 1;
    let mut seen: Vec<&str> = Vec::new();
    for each in ports.items() {
        let name = each.get("name");
        if name.is_empty() {
            if several {
                causes.required(&name, "");
            }
        } else {
            named(&name, names::dns_label, causes);
            if seen.contains(&name.text()) {
                causes.duplicate(&name);
            }
            seen.push(name.text());
        }
        port_number(&each.get("port"), causes);
        protocol(&each.get("protocol"), causes);
        port(&each.get("targetPort"), causes);
        named_if_set(&each.get("appProtocol"), names::qualified, causes);
    }
}

fn session_timeout(spec: &Node, causes: &mut Causes) {
    let config = spec.get("sessionAffinityConfig");
    let client = config.get("clientIP");
    let timeout = client.get("timeoutSeconds");
    if timeout.integer().is_some_and(|seconds| seconds <= 0 || seconds > 86_400) {
        causes.invalid(&timeout, "must be greater than 0 and less than 86400");
    }
}

fn addresses(spec: &Node, causes: &mut Causes) {
    let (address, all) = (spec.get("clusterIP"), spec.get("clusterIPs"));
    match (address.is_empty(), all.is_empty()) {
        (false, true) => causes.required(&all, ""),
        (false, false) if all.index(0).value != address.value => {
            causes.invalid(&all, "first value must match `clusterIP`");
        }
        (true, false) => causes.invalid(&all, "must be empty when `clusterIP` is not specified"),
        _ => {}
    }
    families(spec, causes);
    let none_and_more = is_headless(spec) && all.items().count() > 1;
    if none_and_more {
        causes.invalid(&all, "'None' must be the first and only value");
    }
    for (place, each) in all.items().enumerate() {
        if place > 0 || each.text() != "None" {
            checks::address(&each, causes);
        }
    }
    if all.items().count() > 2 {
        causes.invalid(&all, "may only hold up to 2 values");
    }
}

fn families(spec: &Node, causes: &mut Causes) {
    let (families, policy) = (spec.get("ipFamilies"), spec.get("ipFamilyPolicy"));
    let mut seen: Vec<&str> = Vec::new();
    for family in families.items() {
        choice(&family, &["IPv4", "IPv6"], causes);
        if seen.contains(&family.text()) {
            causes.duplicate(&family);
        }
        seen.push(family.text());
    }
    choice(&policy, FAMILY_POLICIES, causes);
    if !is_headless(spec) && (seen.contains(&"IPv6") || policy.text() == "RequireDualStack") {
        causes.forbidden(&families, "the sandbox has IPv4 alone; leave ipFamilies and ipFamilyPolicy out");
    }
}

fn node_ports(ports: &Node, kind: &str, causes: &mut Causes) {
    let set = |each: &Node| each.get("nodePort").integer().is_some_and(|number| number != 0);
    if kind == "ClusterIP" {
        for each in ports.items().filter(set) {
            causes.forbidden(&each.get("nodePort"), "may not be used when `type` is 'ClusterIP'");
        }
    }
    let mut seen = Vec::new();
    for each in ports.items().filter(set) {
        let key = (each.get("protocol").text(), each.get("nodePort").integer());
        if seen.contains(&key) {
            causes.duplicate(&each.get("nodePort"));
        }
        seen.push(key);
    }
}

fn same_ports(ports: &Node, causes: &mut Causes) {
    let mut seen = Vec::new();
    for each in ports.items() {
        let key = (each.get("protocol").text(), each.get("port").integer());
        if seen.contains(&key) {
            let shown = json!({
                "Name": "", "Protocol": key.0, "AppProtocol": null, "Port": key.1, "TargetPort": 0, "NodePort": 0,
            });
            causes.duplicate_value(&each, shown);
        }
        seen.push(key);
    }
}

fn balancing(spec: &Node, causes: &mut Causes) {
    const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
    let balancer = spec.get("type").text() == "LoadBalancer";
    let (ranges, allocate) = (spec.get("loadBalancerSourceRanges"), spec.get("allocateLoadBalancerNodePorts"));
    if !ranges.is_empty() && !balancer {
        causes.forbidden(&spec.get("LoadBalancerSourceRanges"), ONLY);
    }
    if allocate.is_set() && !balancer {
        causes.forbidden(&allocate, ONLY);
    }
    let class = spec.get("loadBalancerClass");
    if class.is_set() && !balancer {
        causes.forbidden(&class, "may only be used when `type` is 'LoadBalancer'");
    } else {
        named_if_set(&class, names::qualified, causes);
    }
}

fn policies(spec: &Node, causes: &mut Causes) {
    let (external, health) = (spec.get("externalTrafficPolicy"), spec.get("healthCheckNodePort"));
    let outside = matches!(spec.get("type").text(), "NodePort" | "LoadBalancer") || has_external_addresses(spec.value);
    if outside {
        required_choice(&external, POLICIES, causes);
    } else if !external.is_empty() {
        causes.invalid(&external, "may only be set for externally-accessible services");
    }
    let checked = spec.get("type").text() == "LoadBalancer" && external.text() == "Local";
    if health.is_set() && !checked {
        let text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        causes.invalid(&health, text);
    }
    choice(&spec.get("internalTrafficPolicy"), POLICIES, causes);
    choice(&spec.get("trafficDistribution"), &["PreferClose", "PreferSameZone", "PreferSameNode"], causes);
}

pub(crate) fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    let (before, after) = (old.get("spec"), new.get("spec"));
    let named_outside = |spec: &Node| spec.get("type").text() == "ExternalName";
    if named_outside(&before) || named_outside(&after) || (is_headless(&before) && is_headless(&after)) {
        return;
    }
    let (had, has) = (before.get("clusterIPs"), after.get("clusterIPs"));
    if had.is_empty() {
        return;
    }
    if has.is_empty() {
        causes.invalid_value(&has.index(0), has.value.clone(), "primary clusterIP can not be unset");
    } else if had.index(0).value != has.index(0).value {
        causes.invalid_value(&has.index(0), has.value.clone(), "may not change once set");
    }
}
