//! Slices of a service's endpoints.

use crate::cause::Causes;
use crate::checks::{endpoint_address, immutable, named_if_set, protocol, required_choice};
use crate::edit::{fill, items, list};
use crate::names;
use crate::node::Node;
use crate::rules::Rules;
use crate::shown::{self, AGE, NAME, column};
use crate::table_columns::Column;
use jiff::Timestamp;
use serde_json::Value;

pub(crate) static RULES: Rules = Rules {
    default,
    has_generation: true,
    is_new_generation,
    columns: COLUMNS,
    cells,
    validate,
    validate_update,
    ..Rules::NONE
};

const COLUMNS: &[Column] = &[
    NAME,
    column("AddressType", "Kind of addresses."),
    column("Ports", "Ports of the endpoints."),
    column("Endpoints", "Addresses of the endpoints."),
    AGE,
];

fn default(slice: &mut Value) {
    for port in items(slice, "ports") {
        fill(port, "name", "");
        fill(port, "protocol", "TCP");
    }
}

fn is_new_generation(old: &Value, new: &Value) -> bool {
    let changed = |field: &str| old.get(field) != new.get(field);
    changed("endpoints") || changed("ports") || old["metadata"].get("labels") != new["metadata"].get("labels")
}

fn cells(slice: &Value, now: Timestamp) -> Vec<Value> {
    let port = |port: &Value| match (port["port"].as_i64(), port.get("name").and_then(Value::as_str)) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    };
    let ports: Vec<String> = list(slice, "ports").iter().map(port).collect();
    let addresses = list(slice, "endpoints").iter().flat_map(|endpoint| list(endpoint, "addresses"));
    let addresses: Vec<String> = addresses.filter_map(Value::as_str).map(str::to_owned).collect();
    vec![
        shown::name(slice),
        slice["addressType"].clone(),
        shown::first_three(&ports).into(),
        shown::first_three(&addresses).into(),
        shown::age(slice, now),
    ]
}

fn validate(slice: &Node, causes: &mut Causes) {
    let (kind, ports, endpoints) = (slice.get("addressType"), slice.get("ports"), slice.get("endpoints"));
    required_choice(&kind, &["FQDN", "IPv4", "IPv6"], causes);
    let mut seen: Vec<&str> = Vec::new();
    for port in ports.items() {
        let name = port.get("name");
        named_if_set(&name, names::dns_label, causes);
        if seen.contains(&name.text()) {
            causes.duplicate(&name);
        }
        seen.push(name.text());
        protocol(&port.get("protocol"), causes);
    }
    if endpoints.items().count() > 1000 {
        causes.too_many(&endpoints, 1000);
        return;
    }
    for endpoint in endpoints.items() {
        let addresses = endpoint.get("addresses");
        if addresses.is_empty() {
            causes.required(&addresses, "must contain at least 1 address");
        }
        if kind.text() != "FQDN" {
            addresses.items().for_each(|each| endpoint_address(&each, causes));
        }
        named_if_set(&endpoint.get("nodeName"), names::subdomain, causes);
        named_if_set(&endpoint.get("hostname"), names::dns_label, causes);
    }
}

fn validate_update(old: &Node, new: &Node, causes: &mut Causes) {
    immutable(&old.get("addressType"), &new.get("addressType"), causes);
}
