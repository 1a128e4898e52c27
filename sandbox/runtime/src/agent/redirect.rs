//! One rule of the kernel's packet filter: what pods send beyond the cluster arrives at the agent instead.

use std::io;

use rustix::net::netlink::NETFILTER;

use super::netlink::{Netlink, Packet, Prefix};

const TABLES: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = TABLES;
const NEW_CHAIN: u16 = TABLES | 3;
const NEW_RULE: u16 = TABLES | 6;

const INTERNET: u8 = 2;
const REGISTER: u32 = 1;
const TCP: u8 = 6;

/// Where a destination's address stands in a packet of the internet's protocol.
const DESTINATION_OFFSET: u32 = 16;

/// Has all connections that pods open beyond the given networks arrive at a port of this machine's.
pub fn redirect(within: &[Prefix], port: u16) -> io::Result<()> {
    let netlink = Netlink::of(NETFILTER)?;
    let mut table = message(INTERNET, 0);
    table.text(1, "outside");
    let mut chain = message(INTERNET, 0);
    chain.text(1, "outside").text(3, "pods");
    chain.group(4, |hook| {
        const BEFORE_ROUTING: u32 = 0;
        const AS_ADDRESSES_ARE_CHANGED: i32 = -100;
        hook.number(1, BEFORE_ROUTING).attribute(2, &AS_ADDRESSES_ARE_CHANGED.to_be_bytes());
    });
    chain.text(7, "nat");
    let mut rule = message(INTERNET, 0);
    rule.text(1, "outside").text(2, "pods");
    rule.group(4, |steps| {
        only_tcp(steps);
        for prefix in within {
            only_beyond(steps, *prefix);
        }
        to_port(steps, port);
    });
    netlink.batch([
        (BATCH_BEGIN, message(0, 10)),
        (NEW_TABLE, table),
        (NEW_CHAIN, chain),
        (NEW_RULE, rule),
        (BATCH_END, message(0, 10)),
    ])
}

/// What starts each message to the packet filter.
fn message(family: u8, resource: u16) -> Packet {
    let mut packet = Packet::new();
    packet.bytes(&[family, 0]).bytes(&resource.to_be_bytes());
    packet
}

fn step(steps: &mut Packet, name: &str, fill: impl FnOnce(&mut Packet)) {
    steps.group(1, |element| {
        element.text(1, name).group(2, fill);
    });
}

fn compare(steps: &mut Packet, operation: u32, value: &[u8]) {
    step(steps, "cmp", |data| {
        data.number(1, REGISTER).number(2, operation).group(3, |wanted| {
            wanted.attribute(1, value);
        });
    });
}

fn only_tcp(steps: &mut Packet) {
    const PROTOCOL: u32 = 16;
    const EQUAL: u32 = 0;
    step(steps, "meta", |data| {
        data.number(1, REGISTER).number(2, PROTOCOL);
    });
    compare(steps, EQUAL, &[TCP]);
}

fn only_beyond(steps: &mut Packet, prefix: Prefix) {
    const NETWORK_HEADER: u32 = 1;
    const UNEQUAL: u32 = 1;
    step(steps, "payload", |data| {
        data.number(1, REGISTER).number(2, NETWORK_HEADER).number(3, DESTINATION_OFFSET).number(4, 4);
    });
    step(steps, "bitwise", |data| {
        data.number(1, REGISTER).number(2, REGISTER).number(3, 4);
        data.group(4, |mask| {
            mask.attribute(1, &prefix.mask().to_be_bytes());
        });
        data.group(5, |flip| {
            flip.attribute(1, &[0; 4]);
        });
    });
    compare(steps, UNEQUAL, &prefix.address.octets());
}

fn to_port(steps: &mut Packet, port: u16) {
    step(steps, "immediate", |data| {
        data.number(1, REGISTER).group(2, |value| {
            value.attribute(1, &port.to_be_bytes());
        });
    });
    step(steps, "redir", |data| {
        data.number(1, REGISTER);
    });
}
