//! Addresses and node ports of services. What is taken is what the services there are have: nothing is kept besides.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use kinds::{Cause, service};
use serde_json::{Value, json};

use super::{Attempt, items};
use crate::{Api, ListOptions, Status, metadata};

/// The network of the addresses, 10.96.0.0/16.
const NETWORK: [u8; 2] = [10, 96];
/// Addresses below this one are left to those who ask for one by number, such as the name server's 10.96.0.10.
const FIRST_GIVEN: u16 = 256;
const NODE_PORTS: std::ops::RangeInclusive<u64> = 30000..=32767;
/// Ports below this one are left to those who ask for one by number.
const FIRST_PORT_GIVEN: u64 = 30086;

/// Gives the service the address and ports that it has no wish for, and refuses those that are taken.
pub(super) fn allocate(api: &Api, attempt: &Attempt<'_>, service: &mut Value) -> Result<(), Status> {
    let uid = metadata::text(service, "uid");
    let mut others = api.list(kinds::SERVICES, None, &ListOptions::default())?.items;
    others.retain(|other| metadata::text(other, "uid") != uid);
    let had = |field: &str| attempt.old.map(|old| old["spec"][field].clone()).unwrap_or_default();
    if service::wants_address(service) {
        let address = free_address(&others, metadata::text(service, "uid"))?;
        service::set_address(service, &address);
    } else if service["spec"]["clusterIP"] != had("clusterIP") {
        check_address(service, &others, attempt.dry_run)?;
    }
    if attempt.old.is_none_or(|old| {
        old["spec"]["ports"] != service["spec"]["ports"] || old["spec"]["type"] != service["spec"]["type"]
    }) {
        let may_give = service::needs_node_ports(service);
        allocate_ports(service, &others, may_give, attempt.dry_run)?;
    }
    Ok(())
}

fn addresses(others: &[Arc<Value>]) -> HashSet<&str> {
    others.iter().filter_map(|other| other["spec"]["clusterIP"].as_str()).collect()
}

/// A free address; where the search begins depends on the service, so that a new one rarely gets an old one's address.
fn free_address(others: &[Arc<Value>], uid: &str) -> Result<String, Status> {
    let taken = addresses(others);
    let start = seed(uid);
    let candidates = (FIRST_GIVEN..u16::MAX).chain(1..FIRST_GIVEN);
    let turn = usize::from(start % (u16::MAX - FIRST_GIVEN));
    let in_turn = (FIRST_GIVEN..u16::MAX).skip(turn).chain(candidates);
    let mut texts = in_turn.map(|host| {
        let [high, low] = host.to_be_bytes();
        Ipv4Addr::new(NETWORK[0], NETWORK[1], high, low).to_string()
    });
    let found = texts.find(|address| !taken.contains(address.as_str()));
    found.ok_or_else(|| Status::internal("failed to allocate a serviceIP: range is full"))
}

/// A number from the hexadecimal digits of a uid.
fn seed(uid: &str) -> u16 {
    uid.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// Checks the address that a service asks for; what is no IPv4 address is refused by validation. The real server has other
/// words in a dry run, and does not ask there whether the address is taken.
fn check_address(service: &Value, others: &[Arc<Value>], dry_run: bool) -> Result<(), Status> {
    let wanted = service["spec"]["clusterIP"].as_str().unwrap_or_default();
    let Ok(address) = wanted.parse::<Ipv4Addr>() else { return Ok(()) };
    let [first, second, rest @ ..] = address.octets();
    let is_outside = [first, second] != NETWORK || rest == [0, 0] || rest == [255, 255];
    let why = if is_outside && dry_run {
        &format!("the provided IP ({wanted}) is not in the valid range. The range of valid IPs is 10.96.0.0/16")
    } else if is_outside {
        "the provided network does not match the current range"
    } else if !dry_run && addresses(others).contains(wanted) {
        "provided IP is already allocated"
    } else {
        return Ok(());
    };
    let message = format!("Invalid value: {}: failed to allocate IP {wanted}: {why}", json!([wanted]));
    Err(invalid(service, "spec.clusterIPs".to_owned(), message))
}

fn invalid(service: &Value, field: String, message: String) -> Status {
    let cause = Cause { reason: "FieldValueInvalid", field, message };
    Status::invalid(kinds::SERVICES, metadata::text(service, "name"), vec![cause])
}

/// Ports of one number share a node port, whatever their protocols. A dry run takes ports out of range, as with the real
/// server: it asks only whether they are taken.
fn allocate_ports(service: &mut Value, others: &[Arc<Value>], may_give: bool, dry_run: bool) -> Result<(), Status> {
    let ports = |service: &Value| -> Vec<Value> { items(&service["spec"], "ports").cloned().collect() };
    let mut taken: HashSet<u64> = others
        .iter()
        .flat_map(|other| {
            let ports = items(&other["spec"], "ports").filter_map(|port| port["nodePort"].as_u64());
            ports.chain(other["spec"]["healthCheckNodePort"].as_u64()).collect::<Vec<_>>()
        })
        .collect();
    let own = ports(service);
    let wished = |port: &Value| port["nodePort"].as_u64().filter(|wished| *wished > 0);
    for (place, port) in own.iter().enumerate() {
        let Some(wished) = wished(port) else { continue };
        let why = if !dry_run && !NODE_PORTS.contains(&wished) {
            "provided port is not in the valid range. The range of valid ports is 30000-32767"
        } else if taken.contains(&wished) {
            "provided port is already allocated"
        } else {
            continue;
        };
        let message = format!("Invalid value: {wished}: {why}");
        return Err(invalid(service, format!("spec.ports[{place}].nodePort"), message));
    }
    taken.extend(own.iter().filter_map(wished));
    let mut given: Vec<(Value, u64)> =
        own.iter().filter_map(|port| Some((port["port"].clone(), wished(port)?))).collect();
    let start = u64::from(seed(metadata::text(service, "uid")));
    for (place, port) in own.iter().enumerate().filter(|(_, port)| may_give && wished(port).is_none()) {
        let shared = given.iter().find(|(number, _)| *number == port["port"]).map(|(_, node_port)| *node_port);
        let node_port = match shared {
            Some(node_port) => node_port,
            None => free_port(&taken, start)
                .ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))?,
        };
        taken.insert(node_port);
        given.push((port["port"].clone(), node_port));
        service["spec"]["ports"][place]["nodePort"] = json!(node_port);
    }
    Ok(())
}

fn free_port(taken: &HashSet<u64>, start: u64) -> Option<u64> {
    let usual = FIRST_PORT_GIVEN..=*NODE_PORTS.end();
    let turn = usize::try_from(start % (NODE_PORTS.end() - FIRST_PORT_GIVEN)).unwrap_or_default();
    let mut in_turn = usual.clone().skip(turn).chain(usual).chain(NODE_PORTS);
    in_turn.find(|port| !taken.contains(port))
}
