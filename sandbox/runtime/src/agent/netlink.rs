//! The few words of the kernel's routing socket that a node needs.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const NEW_NEIGHBOUR: u16 = 28;

const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;
const CREATE: u16 = 0x400;
const CREATE_EXCLUSIVELY: u16 = 0x200 | CREATE;
const HEADER_BYTES: usize = 16;
const IS_UP: u32 = 1;
const INTERNET: u8 = 2;
const PERMANENT: u16 = 0x80;

/// A network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    pub address: Ipv4Addr,
    pub length: u8,
}

impl Prefix {
    /// Reads `10.244.0.0/16`; the address must be the network's own and leave room for others.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let prefix = Self { address: address.parse().ok()?, length: length.parse().ok()? };
        ((8..=30).contains(&prefix.length) && prefix.address.to_bits() & !prefix.mask() == 0).then_some(prefix)
    }

    /// Its bits in each of its addresses.
    pub fn mask(self) -> u32 {
        u32::MAX << (32 - u32::from(self.length))
    }

    /// How many addresses it has, all counted.
    pub fn size(self) -> u32 {
        1 << (32 - u32::from(self.length))
    }

    /// Whether an address is in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask() == self.address.to_bits()
    }

    /// The address at a place, the network's own being at 0.
    pub fn at(self, place: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() + place)
    }
}

/// The hardware address of an interface that has an address: neighbours need not be asked for it.
pub fn hardware_address(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x0a, 0x58, a, b, c, d]
}

/// What is at the other side of a route.
#[derive(Debug, Clone, Copy)]
pub enum Route {
    /// This machine itself, for a whole prefix.
    Local(Prefix),
    /// Everything, by a gateway.
    Default(Ipv4Addr),
}

/// A routing socket: it speaks for the network namespace it was made in, wherever its owner is now.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
}

impl Netlink {
    /// For the network namespace that this process is in. Routing is the protocol of number 0, which stands for none.
    pub fn open() -> io::Result<Self> {
        Self::make(None)
    }

    /// The same with another part of the kernel.
    pub fn of(protocol: Protocol) -> io::Result<Self> {
        Self::make(Some(protocol))
    }

    fn make(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self { socket })
    }

    /// Sends one request and waits for the kernel's answer to it, which comes at once.
    fn request(&self, kind: u16, flags: u16, body: Packet) -> io::Result<()> {
        self.transact(&body.finish(kind, flags | REQUEST_AND_ACKNOWLEDGE))
    }

    /// Sends requests that are done together or not at all; the last but one, before the end, is answered for all.
    pub fn batch<const COUNT: usize>(&self, requests: [(u16, Packet); COUNT]) -> io::Result<()> {
        const REQUEST: u16 = 1;
        let mut bytes = Vec::new();
        for (index, (kind, packet)) in requests.into_iter().enumerate() {
            let is_answered = index + 2 == COUNT;
            let is_limit = index == 0 || index + 1 == COUNT;
            let flags = if is_answered { REQUEST_AND_ACKNOWLEDGE } else { REQUEST };
            bytes.append(&mut packet.finish(kind, flags | if is_limit { 0 } else { CREATE }));
        }
        self.transact(&bytes)
    }

    fn transact(&self, bytes: &[u8]) -> io::Result<()> {
        rustix::net::send(&self.socket, bytes, SendFlags::empty())?;
        let mut answer = [0; 1024];
        let (length, _) = rustix::net::recv(&self.socket, &mut answer, RecvFlags::empty())?;
        match answer[..length].get(HEADER_BYTES..).and_then(<[u8]>::first_chunk::<4>) {
            Some(code) => match i32::from_ne_bytes(*code) {
                0 => Ok(()),
                code => Err(io::Error::from_raw_os_error(-code)),
            },
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Makes a bridge, up, with this index and hardware address.
    pub fn add_bridge(&self, name: &str, index: u32, hardware: [u8; 6]) -> io::Result<()> {
        let mut packet = Packet::link(index, true);
        packet.text(3, name).attribute(1, &hardware);
        packet.nested(18, |info| {
            info.text(1, "bridge");
        });
        self.request(NEW_LINK, CREATE_EXCLUSIVELY, packet)
    }

    /// Makes a cable: one end, up, in a bridge here, the other, down, as interface 2 `eth0` in another namespace.
    pub fn add_cable(&self, name: &str, bridge: u32, pod: BorrowedFd<'_>, hardware: [u8; 6]) -> io::Result<()> {
        let mut packet = Packet::link(0, true);
        packet.text(3, name).attribute(10, &bridge.to_ne_bytes());
        packet.nested(18, |info| {
            info.text(1, "veth");
            info.nested(2, |data| {
                data.nested(1, |peer| {
                    peer.bytes(&link_message(2, false));
                    peer.text(3, "eth0").attribute(1, &hardware).attribute(28, &pod.as_raw_fd().to_ne_bytes());
                });
            });
        });
        self.request(NEW_LINK, CREATE_EXCLUSIVELY, packet)
    }

    /// Turns an interface on.
    pub fn set_up(&self, index: u32) -> io::Result<()> {
        self.request(NEW_LINK, 0, Packet::link(index, true))
    }

    /// Removes an interface, and so its other end.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let mut packet = Packet::link(0, false);
        packet.text(3, name);
        self.request(DELETE_LINK, 0, packet)
    }

    /// Gives an interface an address, the length being that of its network.
    pub fn add_address(&self, index: u32, address: Prefix) -> io::Result<()> {
        let mut packet = Packet::new();
        packet.bytes(&[INTERNET, address.length, 0, 0]).bytes(&index.to_ne_bytes());
        packet.attribute(1, &address.address.octets()).attribute(2, &address.address.octets());
        self.request(NEW_ADDRESS, CREATE_EXCLUSIVELY, packet)
    }

    /// Adds a route by an interface.
    pub fn add_route(&self, index: u32, route: Route) -> io::Result<()> {
        const MAIN: u8 = 254;
        const LOCAL: u8 = 255;
        let mut packet = Packet::new();
        match route {
            Route::Local(prefix) => {
                packet.bytes(&[INTERNET, prefix.length, 0, 0, LOCAL, 4, 254, 2, 0, 0, 0, 0]);
                packet.attribute(1, &prefix.address.octets());
            }
            Route::Default(gateway) => {
                packet.bytes(&[INTERNET, 0, 0, 0, MAIN, 4, 0, 1, 0, 0, 0, 0]);
                packet.attribute(5, &gateway.octets());
            }
        }
        packet.attribute(4, &index.to_ne_bytes());
        self.request(NEW_ROUTE, CREATE_EXCLUSIVELY, packet)
    }

    /// Says once and for all which hardware address a neighbour has. The kernel's table of those it had to ask for is
    /// short, and shared by all namespaces.
    pub fn add_neighbour(&self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        let mut packet = Packet::new();
        packet.bytes(&[INTERNET, 0, 0, 0]).bytes(&index.to_ne_bytes()).bytes(&PERMANENT.to_ne_bytes()).bytes(&[0, 0]);
        packet.attribute(1, &address.octets()).attribute(2, &hardware_address(address));
        // A pod may have had the address before.
        self.request(NEW_NEIGHBOUR, 0x400 | 0x100, packet)
    }
}

/// A request under construction, with room for its header.
#[derive(Debug)]
pub struct Packet(Vec<u8>);

/// What starts a message about an interface.
fn link_message(index: u32, up: bool) -> Vec<u8> {
    let flags = if up { IS_UP } else { 0 };
    let mut bytes = vec![0; 4];
    for number in [index, flags, flags] {
        bytes.extend_from_slice(&number.to_ne_bytes());
    }
    bytes
}

impl Packet {
    /// An empty one.
    pub fn new() -> Self {
        Self(vec![0; HEADER_BYTES])
    }

    fn finish(self, kind: u16, flags: u16) -> Vec<u8> {
        let mut bytes = self.0;
        // No request here comes near the limit.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes
    }

    /// Adds a number in the order of bytes that the packet filter wants.
    pub fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Adds attributes below one that is marked as such.
    pub fn group(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        const NESTED: u16 = 0x8000;
        self.nested(kind | NESTED, fill)
    }

    fn link(index: u32, up: bool) -> Self {
        let mut packet = Self::new();
        packet.bytes(&link_message(index, up));
        packet
    }

    /// Adds what is no attribute.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.nested(kind, |packet| {
            packet.bytes(value);
        })
    }

    /// Adds an attribute that is a text.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.attribute(kind, &[value.as_bytes(), &[0]].concat())
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.0.len();
        self.bytes(&[0; 4]);
        fill(self);
        // No attribute here comes near the limit of 64 KiB.
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_must_be_a_network_of_several_addresses() {
        let prefix = Prefix::parse("10.244.0.0/16").expect("a prefix");
        assert_eq!((prefix.size(), prefix.at(257)), (65_536, Ipv4Addr::new(10, 244, 1, 1)));
        assert!(prefix.contains(Ipv4Addr::new(10, 244, 255, 255)) && !prefix.contains(Ipv4Addr::new(10, 245, 0, 0)));
        for wrong in ["10.244.0.1/16", "10.244.0.0", "10.244.0.0/33", "10.0.0.0/31", "::/8", ""] {
            assert_eq!(Prefix::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn attributes_are_padded_but_tell_their_own_length() {
        let mut packet = Packet::new();
        packet.text(3, "eth0");
        assert_eq!(packet.0[HEADER_BYTES..], [9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0]);
    }
}
