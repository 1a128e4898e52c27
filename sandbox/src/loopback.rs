//! Networks of the machine's loopback addresses.

use std::net::Ipv4Addr;

/// A network within 127.0.0.0/8. The whole machine, and nobody else, reaches each of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoopbackNetwork {
    first: u32,
    length: u32,
}

impl LoopbackNetwork {
    /// Reads `127.20.0.0/16`; bits behind the prefix do not count.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let (address, length) = (address.parse::<Ipv4Addr>().ok()?, length.parse::<u32>().ok()?);
        if !address.is_loopback() || !(8..=30).contains(&length) {
            return None;
        }
        Some(Self { first: address.to_bits() & (u32::MAX << (32 - length)), length })
    }

    /// The addresses that a load balancer can have, in their order.
    pub fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        let last = self.first | (u32::MAX >> self.length);
        (self.first + 1..last).map(Ipv4Addr::from_bits)
    }

    /// Whether an address is in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & (u32::MAX << (32 - self.length)) == self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_between_its_first_and_its_last() {
        let network = LoopbackNetwork::parse("127.20.7.9/30").expect("a network");
        let hosts: Vec<String> = network.hosts().map(|host| host.to_string()).collect();
        assert_eq!(hosts, ["127.20.7.9", "127.20.7.10"]);
        assert!(network.contains(Ipv4Addr::new(127, 20, 7, 11)) && !network.contains(Ipv4Addr::new(127, 20, 7, 12)));
        let largest = LoopbackNetwork::parse("127.0.0.0/8").expect("a network");
        assert_eq!(largest.hosts().last(), Some(Ipv4Addr::new(127, 255, 255, 254)));
    }
}
