//! The services' addresses: what connects there is handed to a backend.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::{Protocol, ServiceAddress};
use crate::error::NodeError;
use crate::messages::ServiceKey;

const BUFFER_BYTES: usize = 16 << 10;
const CONNECTING: Duration = Duration::from_secs(10);
/// As long as kube-proxy keeps what belongs together in UDP.
const CONVERSATION: Duration = Duration::from_mins(2);
const DATAGRAM_BYTES: usize = 65_536;

/// The services that there are.
#[derive(Debug, Default)]
pub struct Services {
    ports: RefCell<BTreeMap<ServiceKey, Port>>,
    /// Where the node's owner listens itself.
    taken: RefCell<HashSet<SocketAddrV4>>,
}

/// A port that is listened on. Connections that are open outlive it.
#[derive(Debug)]
struct Port {
    backends: Rc<RefCell<Backends>>,
    listening: JoinHandle<()>,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Who answers.
#[derive(Debug, Default)]
struct Backends {
    all: Vec<SocketAddrV4>,
    next: usize,
    affinity: Option<Duration>,
    last: HashMap<Ipv4Addr, (SocketAddrV4, Instant)>,
}

impl Backends {
    fn set(&mut self, service: &ServiceAddress) {
        self.all.clone_from(&service.backends);
        self.affinity = service.affinity_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        if self.affinity.is_none() {
            self.last = HashMap::new();
        }
    }

    /// All backends in the order in which they are to be tried for a client.
    fn order(&mut self, client: Ipv4Addr, now: Instant) -> Vec<SocketAddrV4> {
        if self.all.is_empty() {
            return Vec::new();
        }
        if let Some(affinity) = self.affinity {
            self.last.retain(|_, (backend, since)| now.duration_since(*since) < affinity && self.all.contains(backend));
            if let Some((backend, since)) = self.last.get_mut(&client) {
                *since = now;
                return vec![*backend];
            }
        }
        let start = self.next % self.all.len();
        self.next = start + 1;
        [&self.all[start..], &self.all[..start]].concat()
    }

    fn chosen(&mut self, client: Ipv4Addr, backend: SocketAddrV4, now: Instant) {
        if self.affinity.is_some() {
            self.last.insert(client, (backend, now));
        }
    }
}

impl Services {
    /// Replaces the services that there were. Those that stay keep listening.
    pub fn set(&self, services: Vec<ServiceAddress>) -> Result<(), NodeError> {
        let mut ports = self.ports.borrow_mut();
        let taken = self.taken.borrow();
        let key = |service: &ServiceAddress| ServiceKey {
            address: SocketAddrV4::new(service.address, service.port),
            protocol: service.protocol,
        };
        // Without backends nobody listens: so the kernel itself refuses connections.
        let wanted: BTreeMap<ServiceKey, ServiceAddress> = services
            .into_iter()
            .filter(|service| !service.backends.is_empty())
            .map(|service| (key(&service), service))
            .filter(|(key, _)| key.protocol == Protocol::Udp || !taken.contains(&key.address))
            .collect();
        ports.retain(|key, _| wanted.contains_key(key));
        let mut problem = Ok(());
        for (key, service) in wanted {
            if let Some(port) = ports.get(&key) {
                port.backends.borrow_mut().set(&service);
                continue;
            }
            match Port::open(key, &service) {
                Ok(port) => drop(ports.insert(key, port)),
                Err(error) => {
                    problem = Err(super::failed(format!("listen on the service address {}", key.address))(error));
                }
            }
        }
        problem
    }

    /// Listens for the node's owner, who is preferred over a service at the same address.
    pub fn listen(&self, address: SocketAddrV4) -> io::Result<OwnedFd> {
        self.ports.borrow_mut().remove(&ServiceKey { address, protocol: Protocol::Tcp });
        let listener = std::net::TcpListener::bind(address)?;
        self.taken.borrow_mut().insert(address);
        Ok(listener.into())
    }
}

/// A socket of the node's network that is not connected yet.
pub fn new_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?)
}

impl Port {
    fn open(key: ServiceKey, service: &ServiceAddress) -> io::Result<Self> {
        let backends = Rc::new(RefCell::new(Backends::default()));
        backends.borrow_mut().set(service);
        let theirs = backends.clone();
        let listening = match key.protocol {
            Protocol::Tcp => {
                let listener = std::net::TcpListener::bind(key.address)?;
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                tokio::task::spawn_local(accept(listener, theirs))
            }
            Protocol::Udp => {
                let socket = std::net::UdpSocket::bind(key.address)?;
                socket.set_nonblocking(true)?;
                tokio::task::spawn_local(converse(UdpSocket::from_std(socket)?, theirs))
            }
        };
        Ok(Self { backends, listening })
    }
}

async fn accept(listener: TcpListener, backends: Rc<RefCell<Backends>>) {
    loop {
        match listener.accept().await {
            Ok((client, address)) => {
                tokio::task::spawn_local(hand_on(client, address, backends.clone()));
            }
            // Too many connections at once: some are closed soon.
            Err(_) => tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_millis(20)).await,
        }
    }
}

async fn hand_on(mut client: TcpStream, address: SocketAddr, backends: Rc<RefCell<Backends>>) {
    let SocketAddr::V4(address) = address else { return };
    let order = backends.borrow_mut().order(*address.ip(), Instant::now());
    for backend in order {
        if let Ok(Ok(mut server)) = timeout(CONNECTING, TcpStream::connect(SocketAddr::V4(backend))).await {
            backends.borrow_mut().chosen(*address.ip(), backend, Instant::now());
            let _ = client.set_nodelay(true);
            let _ = server.set_nodelay(true);
            let copied = copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER_BYTES, BUFFER_BYTES).await;
            if copied.is_err() {
                refuse(&client);
                refuse(&server);
            }
            return;
        }
    }
    refuse(&client);
}

/// Has a connection end as if nobody had listened.
pub fn refuse(client: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO));
}

/// Hands datagrams on, and what is answered to them back.
async fn converse(socket: UdpSocket, backends: Rc<RefCell<Backends>>) {
    let socket = Rc::new(socket);
    let conversations: Rc<RefCell<HashMap<SocketAddr, Rc<UdpSocket>>>> = Rc::default();
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let known = conversations.borrow().get(&client).cloned();
        let server = match known {
            Some(server) => server,
            None => match connect(client, &backends).await {
                Some(server) => {
                    conversations.borrow_mut().insert(client, server.clone());
                    tokio::task::spawn_local(answer(socket.clone(), server.clone(), client, conversations.clone()));
                    server
                }
                None => continue,
            },
        };
        // A datagram may be lost on any network.
        let _ = server.send(&buffer[..length]).await;
    }
}

async fn connect(client: SocketAddr, backends: &RefCell<Backends>) -> Option<Rc<UdpSocket>> {
    let SocketAddr::V4(address) = client else { return None };
    let backend = *backends.borrow_mut().order(*address.ip(), Instant::now()).first()?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    socket.connect(backend).await.ok()?;
    backends.borrow_mut().chosen(*address.ip(), backend, Instant::now());
    Some(Rc::new(socket))
}

async fn answer(
    socket: Rc<UdpSocket>,
    server: Rc<UdpSocket>,
    client: SocketAddr,
    conversations: Rc<RefCell<HashMap<SocketAddr, Rc<UdpSocket>>>>,
) {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    while let Ok(Ok(length)) = timeout(CONVERSATION, server.recv(&mut buffer)).await {
        let _ = socket.send_to(&buffer[..length], client).await;
    }
    conversations.borrow_mut().remove(&client);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends(affinity_seconds: Option<u32>) -> Backends {
        let mut backends = Backends::default();
        backends.set(&ServiceAddress {
            address: Ipv4Addr::new(10, 96, 0, 9),
            port: 80,
            protocol: Protocol::Tcp,
            backends: (2..5).map(|last| SocketAddrV4::new(Ipv4Addr::new(10, 244, 0, last), 80)).collect(),
            affinity_seconds,
        });
        backends
    }

    #[test]
    fn backends_take_turns_and_the_others_come_next() {
        let mut backends = backends(None);
        let (client, now) = (Ipv4Addr::LOCALHOST, Instant::now());
        let firsts: Vec<u8> = (0..4).map(|_| backends.order(client, now)[0].ip().octets()[3]).collect();
        assert_eq!(firsts, [2, 3, 4, 2]);
        assert_eq!(backends.order(client, now).len(), 3);
    }

    #[test]
    fn with_affinity_a_client_stays_with_its_backend_until_it_was_away_for_long() {
        let mut backends = backends(Some(10));
        let (client, now) = (Ipv4Addr::LOCALHOST, Instant::now());
        let first = backends.order(client, now)[0];
        backends.chosen(client, first, now);
        assert_eq!(backends.order(client, now + Duration::from_secs(9)), [first]);
        assert_eq!(backends.order(client, now + Duration::from_secs(18)), [first]);
        assert_ne!(backends.order(client, now + Duration::from_secs(30))[0], first);
    }
}
