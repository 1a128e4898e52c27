//! Ports of the machine that lead to services: node ports and load balancers.
//!
//! Node ports are on 127.0.0.1. A load balancer is on 127.0.0.1, too, when all its ports are free there, and otherwise on the
//! first free one of 127.0.0.2 to 127.0.0.254, which the machine reaches as well. The annotation `infra/local-port.PORT` asks for
//! another port of 127.0.0.1 in place of `PORT`; while that is taken the service waits for it.
//!
//! With a network for load balancers each of them has an address of its own there: the one that `spec.loadBalancerIP` or the
//! annotation `infra/load-balancer-address` asks for, or the one that it had before, or a free one. An address of the internet is
//! stood in for by the loopback address that ends like it.

use crate::loopback::LoopbackNetwork;
use apiserver::{Api, User, WriteOptions};
use controllers::Controllers;
use runtime::Node;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Holds the machine's ports that lead to services.
pub(crate) struct HostPorts {
    api: Api,
    node: Node,
    network: Option<LoopbackNetwork>,
    services: Mutex<HashMap<Key, Open>>,
    controllers: OnceLock<Weak<Controllers>>,
}

/// How many addresses of a network are tried for a load balancer.
const MOST_TRIES: usize = 254;
/// The annotation of a service that asks for a port of this machine, before the service's port.
const LOCAL_PORT: &str = "infra/local-port.";

/// The annotation of a service that asks for an address of its load balancer.
const ADDRESS: &str = "infra/load-balancer-address";

type Key = (String, String);

/// What is open for one service.
struct Open {
    wanted: Wanted,
    balancer: Option<Ipv4Addr>,
    tasks: Vec<JoinHandle<()>>,
    /// Why the load balancer is to be tried again.
    failed: Option<String>,
}

/// What a service wants of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    cluster: Option<Ipv4Addr>,
    /// The machine's port, and the service's.
    node_ports: Vec<(u16, u16)>,
    /// The machine's port, and the service's.
    balancer: Vec<(u16, u16)>,
    /// Whether somebody asked for ports of the machine by name: then it is these, and no others.
    asked: bool,
    /// The address that the load balancer is asked to have; an error when that is none.
    address: Option<Result<Ipv4Addr, String>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Wanted {
    fn read(service: &Value) -> Self {
        let spec = &service["spec"];
        let kind = spec["type"].as_str().unwrap_or_default();
        let number = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
        let is_tcp = |port: &&Value| matches!(port["protocol"].as_str(), None | Some("TCP"));
        let ports = spec["ports"].as_array().into_iter().flatten().filter(is_tcp).collect::<Vec<_>>();
        if !matches!(kind, "NodePort" | "LoadBalancer") {
            return Self::default();
        }
        let node_port =
            |port: &&Value| Some((number(&port["nodePort"]).filter(|port| *port > 0)?, number(&port["port"])?));
        let asked = |port: u16| {
            let annotation = &service["metadata"]["annotations"][format!("{LOCAL_PORT}{port}")];
            annotation.as_str().and_then(|local| local.parse::<u16>().ok())
        };
        let inside: Vec<u16> = if kind == "LoadBalancer" {
            ports.iter().filter_map(|port| number(&port["port"])).collect()
        } else {
            Vec::new()
        };
        let balancer = inside.iter().map(|port| (asked(*port).unwrap_or(*port), *port)).collect();
        Self {
            asked: inside.iter().any(|port| asked(*port).is_some()),
            cluster: spec["clusterIP"].as_str().and_then(|address| address.parse().ok()),
            node_ports: ports.iter().filter_map(node_port).collect(),
            balancer,
            address: asked_address(service).filter(|_| kind == "LoadBalancer"),
        }
    }

    /// The addresses that the load balancer may have, best first. `before` is the one that it had, `taken` are those of others.
    fn addresses(
        &self,
        network: Option<LoopbackNetwork>,
        before: Option<Ipv4Addr>,
        taken: &HashSet<Ipv4Addr>,
    ) -> Result<Vec<Ipv4Addr>, String> {
        let Some(network) = network else {
            let last = if self.asked { 1 } else { 254 };
            return Ok((1..=last).map(|part| Ipv4Addr::new(127, 0, 0, part)).collect());
        };
        match &self.address {
            Some(Ok(address)) if taken.contains(&stand_in(*address)) => {
                Err(format!("{address} is in use by another load balancer"))
            }
            Some(Ok(address)) => Ok(vec![stand_in(*address)]),
            Some(Err(why)) => Err(why.clone()),
            None => {
                let before = before.filter(|address| network.contains(*address) && !taken.contains(address));
                let free = network.hosts().filter(|host| Some(*host) != before && !taken.contains(host));
                Ok(before.into_iter().chain(free.take(MOST_TRIES)).collect())
            }
        }
    }
}

/// The address that a service's load balancer is asked to have.
fn asked_address(service: &Value) -> Option<Result<Ipv4Addr, String>> {
    let asked = [&service["spec"]["loadBalancerIP"], &service["metadata"]["annotations"][ADDRESS]];
    let text = asked.into_iter().filter_map(Value::as_str).find(|text| !text.is_empty())?;
    Some(text.parse().map_err(|_| format!("{text:?} is no address of IPv4")))
}

/// The loopback address that stands in for an address: the one that ends like it. This machine cannot have any other.
fn stand_in(address: Ipv4Addr) -> Ipv4Addr {
    let [_, second, third, fourth] = address.octets();
    Ipv4Addr::new(127, second, third, fourth)
}

/// The address that a service's load balancer had, by its status.
fn address_before(service: &Value) -> Option<Ipv4Addr> {
    service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str()?.parse().ok()
}

impl HostPorts {
    pub(crate) fn new(api: Api, node: Node, network: Option<LoopbackNetwork>) -> Arc<Self> {
        Arc::new(Self { api, node, network, services: Mutex::default(), controllers: OnceLock::new() })
    }

    /// Who is to hear when a load balancer has got its address.
    pub(crate) fn tell(&self, controllers: &Arc<Controllers>) {
        let _ = self.controllers.set(Arc::downgrade(controllers));
    }

    /// The address of a load balancer that listens.
    pub(crate) fn balancer_address(&self, service: &Value) -> Option<IpAddr> {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.get(&key(service)).and_then(|open| open.balancer).map(IpAddr::V4)
    }

    /// Opens and closes ports as these services want.
    pub(crate) fn keep(&self, services: &[Arc<Value>]) {
        let mut fresh = Vec::new();
        {
            let mut open = self.services.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = services.iter().map(|service| (key(service), Wanted::read(service)));
            let wanted = wanted.filter(|(_, wanted)| *wanted != Wanted::default()).collect::<HashMap<_, _>>();
            let mut failed: HashMap<Key, String> = HashMap::new();
            open.retain(|key, open| {
                failed.extend(open.failed.take().map(|why| (key.clone(), why)));
                wanted.get(key) == Some(&open.wanted) && !failed.contains_key(key)
            });
            for service in services {
                let key = key(service);
                if let Some(wanted) = wanted.get(&key).filter(|_| !open.contains_key(&key)) {
                    let taken = open.values().filter_map(|open| open.balancer).collect();
                    let opened = self.open(service, wanted, &taken, failed.get(&key));
                    if opened.balancer.is_some() {
                        fresh.push(key.clone());
                    }
                    open.insert(key, opened);
                }
            }
        }
        let controllers = self.controllers.get().and_then(Weak::upgrade);
        for (namespace, name) in fresh {
            if let Some(controllers) = &controllers {
                controllers.look_again(kinds::SERVICES, &namespace, &name);
            }
        }
    }

    /// Whether a load balancer waits for ports that are taken.
    pub(crate) fn lacks(&self) -> bool {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).values().any(|open| open.failed.is_some())
    }

    /// Opens what is wanted. What went wrong the last time too is not told again.
    fn open(&self, service: &Value, wanted: &Wanted, taken: &HashSet<Ipv4Addr>, failed: Option<&String>) -> Open {
        let mut open = Open { wanted: wanted.clone(), balancer: None, tasks: Vec::new(), failed: None };
        let Some(cluster) = wanted.cluster else { return open };
        for (outside, inside) in &wanted.node_ports {
            match bind(Ipv4Addr::LOCALHOST, *outside) {
                Ok(listener) => open.tasks.push(self.forward(listener, SocketAddrV4::new(cluster, *inside))),
                Err(error) => {
                    let message = format!("cannot listen on 127.0.0.1:{outside} for the node port: {error}");
                    self.warn(service, "NodePortUnavailable", &message);
                }
            }
        }
        if !wanted.balancer.is_empty() {
            let outside: Vec<u16> = wanted.balancer.iter().map(|(outside, _)| *outside).collect();
            let addresses = wanted.addresses(self.network, address_before(service), taken);
            match addresses.and_then(|all| bind_all(&outside, &all).map_err(|error| error.to_string())) {
                Ok((address, listeners)) => {
                    if address != Ipv4Addr::LOCALHOST && self.network.is_none() {
                        let ports = outside.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
                        let message = format!("port {ports} of 127.0.0.1 is taken: the load balancer is at {address}");
                        self.warn(service, "LoadBalancerAddress", &message);
                    }
                    open.balancer = Some(address);
                    let inside = wanted.balancer.iter().map(|(_, inside)| SocketAddrV4::new(cluster, *inside));
                    open.tasks.extend(listeners.into_iter().zip(inside).map(|(one, to)| self.forward(one, to)));
                }
                Err(error) => {
                    let message = match (&wanted.address, wanted.asked) {
                        (Some(_), _) if self.network.is_some() => {
                            format!("the load balancer waits for its address: {error}")
                        }
                        (_, true) => format!("the load balancer waits for a port of 127.0.0.1 ({outside:?}): {error}"),
                        _ => format!("no loopback address can listen for the load balancer: {error}"),
                    };
                    if failed != Some(&message) {
                        self.warn(service, "SyncLoadBalancerFailed", &message);
                    }
                    open.failed = Some(message);
                }
            }
        }
        open
    }

    fn forward(&self, listener: TcpListener, to: SocketAddrV4) -> JoinHandle<()> {
        let node = self.node.clone();
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let node = node.clone();
                tokio::spawn(async move {
                    // A connection that breaks ends; its client sees that by itself.
                    if let Ok(mut inside) = node.connect(to).await {
                        let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                    }
                });
            }
        })
    }

    fn warn(&self, service: &Value, reason: &'static str, message: &str) {
        let (namespace, name) = key(service);
        let now = jiff::Timestamp::now();
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": { "name": format!("{name}.{:016x}", now.as_nanosecond()), "namespace": namespace },
            "involvedObject": { "apiVersion": "v1", "kind": "Service", "name": name, "namespace": namespace,
                                "uid": service["metadata"]["uid"] },
            "reason": reason, "message": message, "type": "Warning", "source": { "component": "sandbox" },
            "firstTimestamp": now.round(jiff::Unit::Second).unwrap_or(now).to_string(),
            "lastTimestamp": now.round(jiff::Unit::Second).unwrap_or(now).to_string(),
            "count": 1, "reportingComponent": "sandbox", "reportingInstance": "",
        });
        let api = self.api.clone();
        tokio::spawn(async move {
            // An event that cannot be written is nobody's loss.
            let by = User::system("sandbox");
            let _ = api.create(&by, kinds::EVENTS, &namespace, event, &WriteOptions::default()).await;
        });
    }
}

fn key(service: &Value) -> Key {
    let text = |field: &str| service["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

fn bind(address: Ipv4Addr, port: u16) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(SocketAddrV4::new(address, port))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// All ports on the first of these addresses that has them free.
fn bind_all(ports: &[u16], addresses: &[Ipv4Addr]) -> io::Result<(Ipv4Addr, Vec<TcpListener>)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for address in addresses.iter().copied() {
        match ports.iter().map(|port| bind(address, *port)).collect::<io::Result<Vec<_>>>() {
            Ok(listeners) => return Ok((address, listeners)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_node_ports_and_load_balancers_want_ports_of_the_machine() {
        let service = |kind: &str| {
            json!({ "spec": { "type": kind, "clusterIP": "10.96.0.7", "ports": [
                { "port": 80, "nodePort": 30080, "protocol": "TCP" }, { "port": 53, "nodePort": 30053, "protocol": "UDP" }] } })
        };
        assert_eq!(Wanted::read(&service("ClusterIP")), Wanted::default());
        let node_port = Wanted::read(&service("NodePort"));
        assert_eq!((node_port.node_ports, node_port.balancer), (vec![(30080, 80)], vec![]));
        assert_eq!(Wanted::read(&service("LoadBalancer")).balancer, [(80, 80)]);
    }

    #[test]
    fn an_annotation_asks_for_another_port_of_the_machine() {
        let ports = json!([{ "port": 80 }, { "port": 81 }]);
        let wanted = Wanted::read(&json!({
            "metadata": { "annotations": { "infra/local-port.80": "8080" } },
            "spec": { "type": "LoadBalancer", "clusterIP": "10.96.0.7", "ports": ports } }));
        assert_eq!((wanted.balancer, wanted.asked), (vec![(8080, 80), (81, 81)], true));
    }

    #[tokio::test]
    async fn a_load_balancer_whose_port_is_taken_gets_another_address() {
        let taken = bind(Ipv4Addr::LOCALHOST, 0).expect("a free port");
        let port = taken.local_addr().expect("an address").port();
        let all = |asked| Wanted { asked, ..Wanted::default() }.addresses(None, None, &HashSet::new()).expect("some");
        let (address, listeners) = bind_all(&[port], &all(false)).expect("another address");
        assert_ne!(address, Ipv4Addr::LOCALHOST);
        assert_eq!(listeners.len(), 1);
        assert!(bind_all(&[port], &all(true)).is_err(), "who asks for this one gets no other");
    }

    #[test]
    fn in_a_network_each_load_balancer_has_an_address_of_its_own() {
        let network = LoopbackNetwork::parse("127.20.0.0/29");
        let address = |last| Ipv4Addr::new(127, 20, 0, last);
        let taken = HashSet::from([address(1)]);
        let first = |wanted: &Wanted, before| wanted.addresses(network, before, &taken).map(|all| all[0]);
        let plain = Wanted::default();
        assert_eq!(first(&plain, None), Ok(address(2)));
        assert_eq!(first(&plain, Some(address(5))), Ok(address(5)), "it keeps what it had");
        assert_eq!(first(&plain, Some(address(1))), Ok(address(2)), "unless somebody else has it");
        let asks = |field: &str, key: &str, text: &str| {
            let mut service =
                json!({ "spec": { "type": "LoadBalancer", "clusterIP": "10.96.0.7", "ports": [{ "port": 80 }] } });
            service[field][key] = text.into();
            Wanted::read(&service)
        };
        assert_eq!(first(&asks("spec", "loadBalancerIP", "127.9.9.9"), None), Ok(Ipv4Addr::new(127, 9, 9, 9)));
        let outside = asks("spec", "loadBalancerIP", "34.64.0.5");
        assert_eq!(
            first(&outside, None),
            Ok(Ipv4Addr::new(127, 64, 0, 5)),
            "an address of the internet has a stand-in"
        );
        let by_annotation =
            json!({ "metadata": { "annotations": { ADDRESS: "127.20.0.6" } }, "spec": { "type": "LoadBalancer" } });
        assert_eq!(first(&Wanted::read(&by_annotation), None), Ok(address(6)));
        for (text, why) in [("127.20.0.1", "in use"), ("34.20.0.1", "in use"), ("x", "no address")] {
            let refused = first(&asks("spec", "loadBalancerIP", text), None).expect_err(text);
            assert!(refused.contains(why), "{refused}");
        }
    }
}
