//! Which port of this machine, and which port of every node, leads to which port of a `LoadBalancer` Service.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use cluster::PortMapping;
use serde_json::Value;
use sha2::{Digest, Sha256};
use workloads::NodePort;

use super::ServiceAddress;
use crate::manifest::Manifest;
use crate::scenario::{Scenario, ServicePort};

/// The range that Kubernetes takes node ports from.
const NODE_PORTS: RangeInclusive<u16> = 30000..=32767;
/// Ports below this one need privileges on many machines.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;
/// What is added to such a port: 80 becomes 8080.
const OFFSET: u16 = 8000;

/// What was decided.
#[derive(Debug)]
pub(super) struct Ports {
    /// What the cluster shall have; what it has, where there is one.
    pub pairs: Vec<PortMapping>,
    /// By the Service's port: the pair that leads there.
    mapped: BTreeMap<ServicePort, PortMapping>,
    /// What is different from what the scenario says.
    pub warnings: Vec<String>,
    /// Whether the cluster opens the local ports itself, without node ports.
    pub on_this_machine: bool,
}

impl Ports {
    /// No ports of this machine: where each Service has an address of its own.
    pub fn none() -> Self {
        Self { pairs: Vec::new(), mapped: BTreeMap::new(), warnings: Vec::new(), on_this_machine: false }
    }

    /// What the manifests of the Services take.
    pub fn node_ports(&self) -> Vec<NodePort> {
        let mapped = self.mapped.iter().map(|(target, pair)| NodePort {
            namespace: target.namespace.clone(),
            service: target.service.clone(),
            port: target.port,
            node_port: (!self.on_this_machine).then_some(pair.node_port),
            local_port: pair.local_port,
        });
        mapped.collect()
    }

    /// Where the Services answer.
    pub fn addresses(&self) -> Vec<ServiceAddress> {
        let several =
            |target: &ServicePort| self.mapped.keys().filter(|other| is_same_service(target, other)).count() > 1;
        let addresses = self.mapped.iter().map(|(target, pair)| ServiceAddress {
            service: if several(target) {
                format!("{}:{}", target.service, target.port)
            } else {
                target.service.clone()
            },
            namespace: target.namespace.clone(),
            port: target.port,
            url: format!("http://127.0.0.1:{}", pair.local_port),
        });
        addresses.collect()
    }
}

fn is_same_service(one: &ServicePort, other: &ServicePort) -> bool {
    one.namespace == other.namespace && one.service == other.service
}

/// Decides on ports. A cluster that exists keeps the pairs that it has: a Service that needs another one is left without.
pub(super) fn assign(scenario: &Scenario, held: Option<&[PortMapping]>) -> Ports {
    let wanted = wanted(scenario);
    let node_ports = node_ports(&wanted, scenario);
    let asked: BTreeMap<&ServicePort, u16> =
        scenario.local_ports.iter().map(|port| (&port.target, port.local_port)).collect();
    let Some(held) = held else {
        let local_ports = local_ports(&wanted, &asked);
        let mapped: BTreeMap<ServicePort, PortMapping> = wanted
            .into_keys()
            .map(|target| (PortMapping { local_port: local_ports[&target], node_port: node_ports[&target] }, target))
            .map(|(pair, target)| (target, pair))
            .collect();
        return Ports {
            pairs: mapped.values().copied().collect(),
            mapped,
            warnings: Vec::new(),
            on_this_machine: false,
        };
    };
    let mut mapped = BTreeMap::new();
    let mut warnings = Vec::new();
    for target in wanted.into_keys() {
        let ServicePort { service, port, .. } = &target;
        let pair = held.iter().find(|pair| pair.node_port == node_ports[&target]).copied();
        match (pair, asked.get(&target)) {
            (Some(pair), Some(asked)) if pair.local_port != *asked => warnings.push(format!(
                "the Service {service} stays at the local port {}: a cluster gets its ports when it is made, so destroy it to move to {asked}",
                pair.local_port
            )),
            (None, _) => warnings.push(format!(
                "the port {port} of the Service {service} has no local port: a cluster gets its ports when it is made; use `infra open`"
            )),
            _ => {}
        }
        mapped.extend(pair.map(|pair| (target, pair)));
    }
    Ports { pairs: held.to_vec(), mapped, warnings, on_this_machine: false }
}

/// The ports of all `LoadBalancer` Services, each with the node port that its manifest gives.
fn wanted(scenario: &Scenario) -> BTreeMap<ServicePort, Option<u16>> {
    let mut wanted = BTreeMap::new();
    for manifest in services(scenario).filter(|manifest| manifest.value["spec"]["type"] == "LoadBalancer") {
        for port in ports(manifest).filter(|port| port["protocol"].as_str().unwrap_or("TCP") == "TCP") {
            let (Some(namespace), Some(number)) = (&manifest.identity.namespace, number(&port["port"])) else {
                continue;
            };
            let service = manifest.identity.name.clone();
            wanted.insert(ServicePort { namespace: namespace.clone(), service, port: number }, number_of_node(port));
        }
    }
    wanted
}

fn services(scenario: &Scenario) -> impl Iterator<Item = &Manifest> {
    let manifests = scenario.steps.iter().flat_map(|step| &step.manifests);
    manifests.filter(|manifest| manifest.identity.kind == "Service" && manifest.identity.api_version == "v1")
}

fn ports(manifest: &Manifest) -> impl Iterator<Item = &Value> {
    manifest.value["spec"]["ports"].as_array().into_iter().flatten()
}

fn number(value: &Value) -> Option<u16> {
    u16::try_from(value.as_u64()?).ok()
}

fn number_of_node(port: &Value) -> Option<u16> {
    number(&port["nodePort"])
}

/// A node port for each Service port: the one that its manifest gives, or one that depends only on what it is for. Where two
/// would get the same one, the later takes the next that is free.
fn node_ports(wanted: &BTreeMap<ServicePort, Option<u16>>, scenario: &Scenario) -> BTreeMap<ServicePort, u16> {
    let mut taken: BTreeSet<u16> = services(scenario).flat_map(ports).filter_map(number_of_node).collect();
    let size = u32::from(NODE_PORTS.end() - NODE_PORTS.start()) + 1;
    let mut chosen = BTreeMap::new();
    for (target, given) in wanted {
        let port = given.unwrap_or_else(|| {
            let ServicePort { namespace, service, port } = target;
            let hash = Sha256::digest(format!("{namespace}/{service}/{port}"));
            let start = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) % size;
            let all =
                (0..size).filter_map(|step| u16::try_from(u32::from(*NODE_PORTS.start()) + (start + step) % size).ok());
            let mut free = all.filter(|port| !taken.contains(port));
            free.next().unwrap_or(*NODE_PORTS.start())
        });
        taken.insert(port);
        chosen.insert(target.clone(), port);
    }
    chosen
}

/// A local port for each Service port: the one that the scenario asks for, or the Service's own port, moved up where it needs
/// privileges, and further up where it is taken by another Service.
fn local_ports(
    wanted: &BTreeMap<ServicePort, Option<u16>>,
    asked: &BTreeMap<&ServicePort, u16>,
) -> BTreeMap<ServicePort, u16> {
    let mut taken: BTreeSet<u16> = asked.values().copied().collect();
    let mut chosen = BTreeMap::new();
    for target in wanted.keys() {
        let port = asked.get(target).copied().unwrap_or_else(|| {
            let own = if target.port < FIRST_UNPRIVILEGED_PORT { target.port + OFFSET } else { target.port };
            let mut free = (own..=u16::MAX).chain(FIRST_UNPRIVILEGED_PORT..own).filter(|port| !taken.contains(port));
            free.next().unwrap_or(own)
        });
        taken.insert(port);
        chosen.insert(target.clone(), port);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// A scenario with a `LoadBalancer` Service for each name, with these ports, and with more fields.
    fn scenario(services: &[(&str, &str)], more: &str) -> Scenario {
        let folder = tempfile::tempdir().expect("a folder");
        let mut manifests = String::new();
        for (name, ports) in services {
            let metadata = format!("metadata: {{ name: {name} }}");
            let _ = writeln!(
                manifests,
                "---\napiVersion: v1\nkind: Service\n{metadata}\nspec: {{ type: LoadBalancer, ports: [{ports}] }}"
            );
        }
        std::fs::create_dir(folder.path().join("manifests")).expect("a folder");
        std::fs::write(folder.path().join("manifests/services.yaml"), manifests).expect("a file");
        std::fs::write(folder.path().join("scenario.yaml"), format!("version: 1\nname: demo\n{more}")).expect("a file");
        crate::load(folder.path()).unwrap_or_else(|report| panic!("{report}"))
    }

    fn local_ports(ports: &Ports) -> Vec<(String, u16)> {
        ports
            .mapped
            .iter()
            .map(|(target, pair)| (format!("{}:{}", target.service, target.port), pair.local_port))
            .collect()
    }

    #[test]
    fn a_service_gets_its_own_port_or_that_one_moved_up() {
        let ports = assign(&scenario(&[("high", "{ port: 9000 }"), ("low", "{ port: 80 }")], ""), None);
        assert_eq!(local_ports(&ports), [("high:9000".to_owned(), 9000), ("low:80".to_owned(), 8080)]);
    }

    #[test]
    fn a_port_that_another_service_has_or_asks_for_is_passed_over() {
        let services = [("a", "{ port: 80 }"), ("b", "{ port: 8080 }"), ("c", "{ port: 8080 }")];
        let ports = assign(&scenario(&services, "local_ports: { c: 8080 }"), None);
        let expected = [("a:80".to_owned(), 8081), ("b:8080".to_owned(), 8082), ("c:8080".to_owned(), 8080)];
        assert_eq!(local_ports(&ports), expected);
    }

    #[test]
    fn the_highest_port_is_followed_by_the_first_that_needs_no_privileges() {
        let ports = assign(&scenario(&[("a", "{ port: 65535 }"), ("b", "{ port: 65535 }")], ""), None);
        assert_eq!(local_ports(&ports), [("a:65535".to_owned(), 65535), ("b:65535".to_owned(), 1024)]);
    }

    #[test]
    fn a_node_port_of_a_manifest_is_kept_and_given_to_nobody_else() {
        let free = assign(&scenario(&[("a", "{ port: 80 }")], ""), None).pairs[0].node_port;
        assert!(NODE_PORTS.contains(&free));
        let taken = format!("{{ port: 81, nodePort: {free} }}");
        let ports = assign(&scenario(&[("a", "{ port: 80 }"), ("b", &taken)], ""), None);
        let next = if free == *NODE_PORTS.end() { *NODE_PORTS.start() } else { free + 1 };
        assert_eq!(ports.pairs.iter().map(|pair| pair.node_port).collect::<Vec<_>>(), [next, free]);
    }

    #[test]
    fn a_port_that_is_not_tcp_is_left_alone() {
        let ports = assign(&scenario(&[("a", "{ name: dns, port: 53, protocol: UDP }")], ""), None);
        assert_eq!(ports.pairs, []);
    }
}
