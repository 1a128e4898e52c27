//! Ports of the machine that lead to services: node ports and load balancers.
//!
//! Node ports are on 127.0.0.1. A load balancer is on 127.0.0.1, too, when all its ports are free there, and otherwise on the
//! first free one of 127.0.0.2 to 127.0.0.254, which the machine reaches as well.

use apiserver::{Api, User, WriteOptions};
use controllers::Controllers;
use runtime::Node;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Holds the machine's ports that lead to services.
pub(crate) struct HostPorts {
    api: Api,
    node: Node,
    services: Mutex<HashMap<Key, Open>>,
    controllers: OnceLock<Weak<Controllers>>,
}

type Key = (String, String);

/// What is open for one service.
struct Open {
    wanted: Wanted,
    balancer: Option<Ipv4Addr>,
    tasks: Vec<JoinHandle<()>>,
}

/// What a service wants of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    cluster: Option<Ipv4Addr>,
    /// The machine's port, and the service's.
    node_ports: Vec<(u16, u16)>,
    balancer: Vec<u16>,
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
        let balancer = if kind == "LoadBalancer" {
            ports.iter().filter_map(|port| number(&port["port"])).collect()
        } else {
            Vec::new()
        };
        Self {
            cluster: spec["clusterIP"].as_str().and_then(|address| address.parse().ok()),
            node_ports: ports.iter().filter_map(node_port).collect(),
            balancer,
        }
    }
}

impl HostPorts {
    pub(crate) fn new(api: Api, node: Node) -> Arc<Self> {
        Arc::new(Self { api, node, services: Mutex::default(), controllers: OnceLock::new() })
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
            open.retain(|key, open| wanted.get(key) == Some(&open.wanted));
            for service in services {
                let key = key(service);
                if let Some(wanted) = wanted.get(&key).filter(|_| !open.contains_key(&key)) {
                    let opened = self.open(service, wanted);
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

    fn open(&self, service: &Value, wanted: &Wanted) -> Open {
        let mut open = Open { wanted: wanted.clone(), balancer: None, tasks: Vec::new() };
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
            match bind_all(&wanted.balancer) {
                Ok((address, listeners)) => {
                    if address != Ipv4Addr::LOCALHOST {
                        let ports = wanted.balancer.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
                        let message = format!("port {ports} of 127.0.0.1 is taken: the load balancer is at {address}");
                        self.warn(service, "LoadBalancerAddress", &message);
                    }
                    open.balancer = Some(address);
                    let inside = wanted.balancer.iter().map(|port| SocketAddrV4::new(cluster, *port));
                    open.tasks.extend(listeners.into_iter().zip(inside).map(|(one, to)| self.forward(one, to)));
                }
                Err(error) => {
                    let message = format!("no loopback address can listen for the load balancer: {error}");
                    self.warn(service, "SyncLoadBalancerFailed", &message);
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

/// All ports on the first loopback address that has them free.
fn bind_all(ports: &[u16]) -> io::Result<(Ipv4Addr, Vec<TcpListener>)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for part in 1..255 {
        let address = Ipv4Addr::new(127, 0, 0, part);
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
        assert_eq!(Wanted::read(&service("LoadBalancer")).balancer, [80]);
    }

    #[tokio::test]
    async fn a_load_balancer_whose_port_is_taken_gets_another_address() {
        let taken = bind(Ipv4Addr::LOCALHOST, 0).expect("a free port");
        let port = taken.local_addr().expect("an address").port();
        let (address, listeners) = bind_all(&[port]).expect("another address");
        assert_ne!(address, Ipv4Addr::LOCALHOST);
        assert_eq!(listeners.len(), 1);
    }
}
