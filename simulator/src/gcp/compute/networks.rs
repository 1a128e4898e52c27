//! Networks with their subnetworks and routes.

use serde_json::{Value, json};

use super::check::Range;
use super::insert::{completed, required};
use super::{dressed, link, make};
use crate::gcp::call::Call;
use crate::gcp::catalog::{self, REGIONS};
use crate::gcp::prices::last;
use crate::gcp::refusal::Refusal;
use crate::gcp::world::World;
use crate::hash;

/// The first two numbers of the subnetworks that a network makes for itself, with the third: a /20 for each region.
fn automatic_range(index: usize) -> String {
    let place = index * 16;
    format!("10.{}.{}.0/20", 128 + place / 256, place % 256)
}

/// Makes the network `default` of a project, with its subnetworks, rules and routes. It was there before anybody came.
pub(crate) fn default_network(world: &mut World, project: &str) {
    let path = format!("projects/{project}/global/networks/default");
    let network = json!({"autoCreateSubnetworks": true, "description": "Default network for the project", "mtu": 1460});
    let found = |world: &mut World, path: &str, kind: &'static str, body: Value| {
        let body = completed(world, path, kind, body);
        let body = dressed(world, path, kind, body);
        world.found(&format!("compute/{path}"), kind, body);
    };
    found(world, &path, "networks", network);
    for (path, body) in automatic_subnetworks(project, "default") {
        found(world, &path, "subnetworks", body);
    }
    let rule = |allowed: Value, ranges: &str| json!({"network": link(&path), "sourceRanges": [ranges], "priority": 65534, "allowed": allowed});
    for (name, allowed, ranges) in [
        ("default-allow-icmp", json!([{"IPProtocol": "icmp"}]), "0.0.0.0/0"),
        (
            "default-allow-internal",
            json!([{"IPProtocol": "tcp", "ports": ["0-65535"]}, {"IPProtocol": "udp", "ports": ["0-65535"]},
            {"IPProtocol": "icmp"}]),
            "10.128.0.0/9",
        ),
        ("default-allow-rdp", json!([{"IPProtocol": "tcp", "ports": ["3389"]}]), "0.0.0.0/0"),
        ("default-allow-ssh", json!([{"IPProtocol": "tcp", "ports": ["22"]}]), "0.0.0.0/0"),
    ] {
        found(world, &format!("projects/{project}/global/firewalls/{name}"), "firewalls", rule(allowed, ranges));
    }
    let (route, body) = gateway_route(project, "default");
    found(world, &route, "routes", body);
}

fn automatic_subnetworks(project: &str, network: &str) -> Vec<(String, Value)> {
    let each = REGIONS.iter().enumerate().map(|(index, (region, _))| {
        let path = format!("projects/{project}/regions/{region}/subnetworks/{network}");
        let network = link(&format!("projects/{project}/global/networks/{network}"));
        (path, json!({"network": network, "ipCidrRange": automatic_range(index)}))
    });
    each.collect()
}

/// The route to the internet that every network has.
fn gateway_route(project: &str, network: &str) -> (String, Value) {
    let name = format!("default-route-{}", hash::hex(0, &["route", project, network], 16));
    let body = json!({
        "network": link(&format!("projects/{project}/global/networks/{network}")),
        "destRange": "0.0.0.0/0",
        "nextHopGateway": link(&format!("projects/{project}/global/gateways/default-internet-gateway")),
        "description": "Default route to the Internet.",
    });
    (format!("projects/{project}/global/routes/{name}"), body)
}

/// What comes with a network that was made.
pub(super) fn complete_network(world: &mut World, key: &str) {
    let (project, name) = (key.split('/').nth(2).unwrap_or_default().to_owned(), last(&json!(key)).to_owned());
    let (route, body) = gateway_route(&project, &name);
    if !world.has(&format!("compute/{route}")) {
        make(world, &route, "routes", body);
    }
    if world.things[key].body["autoCreateSubnetworks"] == true {
        for (path, body) in automatic_subnetworks(&project, &name) {
            make(world, &path, "subnetworks", body);
        }
    }
}

/// What goes with a network: its own routes, and the subnetworks that it made for itself.
pub(super) fn with_network(world: &World, key: &str) -> Vec<String> {
    let (project, name) = (key.split('/').nth(2).unwrap_or_default(), last(&json!(key)).to_owned());
    let mut all = vec![format!("compute/{}", gateway_route(project, &name).0)];
    if world.things[key].body["autoCreateSubnetworks"] == true {
        all.extend(automatic_subnetworks(project, &name).into_iter().map(|(path, _)| format!("compute/{path}")));
    }
    all
}

/// The rules for a new subnetwork: a range that is one, and free.
pub(super) fn check_subnetwork(world: &World, call: &Call, body: &Value) -> Result<(), Refusal> {
    let Some(text) = body["ipCidrRange"].as_str() else { return Err(required("ipCidrRange")) };
    if body["network"].is_null() {
        return Err(required("network"));
    }
    let mut mine = vec![(text.to_owned(), "ipCidrRange".to_owned())];
    for (index, second) in body["secondaryIpRanges"].as_array().into_iter().flatten().enumerate() {
        let field = format!("secondaryIpRanges[{index}].ipCidrRange");
        mine.push((second["ipCidrRange"].as_str().unwrap_or_default().to_owned(), field));
    }
    let prefix = format!("compute/projects/{}/regions/", call.project());
    let others = world.things.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
    let others: Vec<(&String, Vec<Range>)> = others
        .filter(|(_, thing)| thing.kind == "subnetworks" && thing.body["network"] == body["network"])
        .map(|(key, thing)| (key, ranges(&thing.body)))
        .collect();
    for (text, field) in mine {
        let Some(range) = Range::parse(&text) else {
            let message = format!("Invalid value for field 'resource.{field}': '{text}'. Must be a valid CIDR range.");
            return Err(Refusal::invalid(message));
        };
        for (key, taken) in &others {
            if taken.iter().any(|taken| taken.overlaps(range)) {
                let (name, region) =
                    (last(&json!(key)).to_owned(), catalog::region_of(key.split('/').nth(4).unwrap_or_default()));
                return Err(Refusal::invalid(format!(
                    "Invalid IPCidrRange: {text} conflicts with existing subnetwork '{name}' in region '{region}'."
                )));
            }
        }
    }
    Ok(())
}

fn ranges(subnetwork: &Value) -> Vec<Range> {
    let seconds = subnetwork["secondaryIpRanges"].as_array().into_iter().flatten().map(|second| &second["ipCidrRange"]);
    let all = std::iter::once(&subnetwork["ipCidrRange"]).chain(seconds);
    all.filter_map(|range| Range::parse(range.as_str()?)).collect()
}
