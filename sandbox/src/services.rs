//! Addresses and names of services, told to the node.

use crate::ports::HostPorts;
use apiserver::{Api, ListOptions};
use runtime::{Node, Protocol, ServiceAddress};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// What changes within this time goes to the node together.
const TOGETHER: Duration = Duration::from_millis(10);
/// After how long taken ports are tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a client keeps its backend unless the service says otherwise, in seconds.
const AFFINITY_SECONDS: u32 = 10_800;

/// What the node is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// Ports of services.
    pub addresses: Vec<ServiceAddress>,
    /// Names, without a dot at the end.
    pub names: BTreeMap<String, Vec<Ipv4Addr>>,
}

/// Keeps the node's services and names, and the machine's ports, as the objects say.
pub(crate) async fn follow(api: Api, node: Node, ports: Arc<HostPorts>, dns: Ipv4Addr) {
    let mut changes = api.changes();
    let mut told = Table::default();
    loop {
        let list =
            |resource| api.list(resource, None, &ListOptions::default()).map(|list| list.items).unwrap_or_default();
        let services = list(kinds::SERVICES);
        let table = table(&services, &list(kinds::ENDPOINT_SLICES), dns);
        if table.names != told.names && node.set_names(table.names.clone()).await.is_err() {
            return;
        }
        if table.addresses != told.addresses && node.set_services(table.addresses.clone()).await.is_err() {
            return;
        }
        told = table;
        ports.keep(&services);
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = tokio::time::sleep(AGAIN), if ports.lacks() => break,
            };
            match change {
                Ok(change) if change.resource != kinds::SERVICES && change.resource != kinds::ENDPOINT_SLICES => {}
                Ok(_) | Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return,
            }
        }
        tokio::time::sleep(TOGETHER).await;
        // All that came meanwhile is in the next table.
        while !matches!(changes.try_recv(), Err(tokio::sync::broadcast::error::TryRecvError::Empty)) {
            if changes.is_closed() {
                return;
            }
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value) -> Option<u16> {
    value.as_u64().and_then(|number| u16::try_from(number).ok())
}

/// The table for these services and their endpoints; the node answers `dns` itself.
pub(crate) fn table(services: &[Arc<Value>], slices: &[Arc<Value>], dns: Ipv4Addr) -> Table {
    let mut by_service: HashMap<(&str, &str), Vec<&Value>> = HashMap::new();
    for slice in slices {
        let metadata = &slice["metadata"];
        let service = text(&metadata["labels"], "kubernetes.io/service-name");
        by_service.entry((text(metadata, "namespace"), service)).or_default().push(slice);
    }
    let mut table = Table::default();
    for service in services {
        let metadata = &service["metadata"];
        let (namespace, name) = (text(metadata, "namespace"), text(metadata, "name"));
        let own = by_service.get(&(namespace, name)).map_or(&[][..], Vec::as_slice);
        let full = format!("{name}.{namespace}.svc.cluster.local");
        add_endpoint_names(&mut table.names, &full, own);
        let spec = &service["spec"];
        match text(spec, "clusterIP").parse::<Ipv4Addr>() {
            Ok(address) => {
                table.names.insert(full, vec![address]);
                if address != dns {
                    table.addresses.extend(ports(spec, address, own));
                }
            }
            Err(_) if text(spec, "type") != "ExternalName" => {
                let addresses = own.iter().flat_map(|slice| ready(slice)).filter_map(address).collect::<Vec<_>>();
                table.names.insert(full, addresses);
            }
            Err(_) => {}
        }
    }
    table
}

fn ready(slice: &Value) -> impl Iterator<Item = &Value> {
    items(&slice["endpoints"]).iter().filter(|endpoint| endpoint["conditions"]["ready"] != false)
}

fn address(endpoint: &Value) -> Option<Ipv4Addr> {
    items(&endpoint["addresses"]).first()?.as_str()?.parse().ok()
}

/// Pods with a host name and a subdomain have names of their own.
fn add_endpoint_names(names: &mut BTreeMap<String, Vec<Ipv4Addr>>, full: &str, slices: &[&Value]) {
    for endpoint in slices.iter().flat_map(|slice| ready(slice)) {
        if let (Some(hostname), Some(address)) = (endpoint["hostname"].as_str(), address(endpoint)) {
            names.entry(format!("{hostname}.{full}")).or_default().push(address);
        }
    }
}

fn ports(spec: &Value, address: Ipv4Addr, slices: &[&Value]) -> Vec<ServiceAddress> {
    let affinity_seconds = (text(spec, "sessionAffinity") == "ClientIP").then(|| {
        let seconds = spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].as_u64();
        seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(AFFINITY_SECONDS)
    });
    let one = |port: &Value| {
        let protocol = match text(port, "protocol") {
            "UDP" => Protocol::Udp,
            "SCTP" => return None,
            _ => Protocol::Tcp,
        };
        let backends = slices.iter().flat_map(|slice| backends(slice, text(port, "name"))).collect();
        Some(ServiceAddress { address, port: number(&port["port"])?, protocol, backends, affinity_seconds })
    };
    items(&spec["ports"]).iter().filter_map(one).collect()
}

fn backends(slice: &Value, port_name: &str) -> Vec<SocketAddrV4> {
    let port = items(&slice["ports"]).iter().find(|port| text(port, "name") == port_name);
    let Some(port) = port.and_then(|port| number(&port["port"])) else { return Vec::new() };
    ready(slice).filter_map(address).map(|address| SocketAddrV4::new(address, port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn slice(name: &str, endpoints: &Value, ports: &Value) -> Arc<Value> {
        let labels = json!({ "kubernetes.io/service-name": name });
        Arc::new(json!({ "metadata": { "namespace": "n", "labels": labels }, "endpoints": endpoints, "ports": ports }))
    }

    fn service(name: &str, spec: &Value) -> Arc<Value> {
        Arc::new(json!({ "metadata": { "namespace": "n", "name": name }, "spec": spec }))
    }

    #[test]
    fn ready_endpoints_stand_behind_the_ports_of_their_name() {
        let ports = json!([{ "name": "http", "port": 80 }, { "name": "dns", "port": 53, "protocol": "UDP" }]);
        let services =
            [service("web", &json!({ "clusterIP": "10.96.0.7", "ports": ports, "sessionAffinity": "ClientIP" }))];
        let endpoints = json!([
            { "addresses": ["10.244.0.5"], "conditions": { "ready": true } },
            { "addresses": ["10.244.0.6"], "conditions": { "ready": false } },
        ]);
        let slices = [slice("web", &endpoints, &json!([{ "name": "http", "port": 8080 }]))];
        let table = table(&services, &slices, Ipv4Addr::new(10, 96, 0, 10));
        assert_eq!(table.names["web.n.svc.cluster.local"], [Ipv4Addr::new(10, 96, 0, 7)]);
        let [http, dns] = &table.addresses[..] else { panic!("{table:?}") };
        assert_eq!((http.port, http.protocol, http.affinity_seconds), (80, Protocol::Tcp, Some(10_800)));
        assert_eq!(http.backends, ["10.244.0.5:8080".parse().expect("an address")]);
        assert_eq!((dns.protocol, dns.backends.len()), (Protocol::Udp, 0));
    }

    #[test]
    fn headless_services_are_the_names_of_their_endpoints() {
        let services = [service("db", &json!({ "clusterIP": "None", "ports": [{ "port": 1 }] }))];
        let endpoints = json!([
            { "addresses": ["10.244.0.5"], "hostname": "db-0", "conditions": { "ready": true } },
            { "addresses": ["10.244.0.6"], "conditions": {} },
        ]);
        let slices = [slice("db", &endpoints, &json!([{ "name": "", "port": 1 }]))];
        let table = table(&services, &slices, Ipv4Addr::new(10, 96, 0, 10));
        assert_eq!(table.names["db.n.svc.cluster.local"].len(), 2);
        assert_eq!(table.names["db-0.db.n.svc.cluster.local"], [Ipv4Addr::new(10, 244, 0, 5)]);
        assert!(table.addresses.is_empty());
    }
}
