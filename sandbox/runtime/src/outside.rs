//! What the node's owner does for pods beyond the cluster, where that was asked for.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

const CONNECTING: Duration = Duration::from_secs(30);
const LOOKING_UP: Duration = Duration::from_secs(10);

/// A connection of this machine's network. The machine's own loopback is not outside.
pub async fn reach(address: SocketAddrV4) -> io::Result<OwnedFd> {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let stream = timeout(CONNECTING, TcpStream::connect(SocketAddr::V4(address))).await??;
    stream.set_nodelay(true)?;
    Ok(stream.into_std()?.into())
}

/// The addresses of a name, as this machine knows it.
pub async fn resolve(name: &str) -> Vec<Ipv4Addr> {
    let found = timeout(LOOKING_UP, lookup_host((name, 0))).await;
    let Ok(Ok(addresses)) = found else { return Vec::new() };
    let addresses =
        addresses.filter_map(|address| if let SocketAddr::V4(v4) = address { Some(*v4.ip()) } else { None });
    addresses.collect()
}
