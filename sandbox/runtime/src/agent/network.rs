//! The node's network: a bridge with all pods, the services' addresses, nothing else.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::{CloneFlags, setns, unshare};

use super::netlink::{Netlink, Prefix, Route, hardware_address};
use crate::config::{NodeOptions, PodConfig};
use crate::role::note;

const LOOPBACK: u32 = 1;
const BRIDGE: u32 = 100;

/// The namespaces that a pod's containers share. They live as long as these are open, or a process is in them.
#[derive(Debug)]
pub struct PodNamespaces {
    pub network: OwnedFd,
    pub ipc: OwnedFd,
    pub uts: OwnedFd,
}

impl PodNamespaces {
    /// Those that this process is in.
    fn current() -> io::Result<Self> {
        let open = |name: &str| File::open(format!("/proc/self/ns/{name}")).map(OwnedFd::from);
        Ok(Self { network: open("net")?, ipc: open("ipc")?, uts: open("uts")? })
    }

    fn enter(&self) -> io::Result<()> {
        setns(&self.network, CloneFlags::CLONE_NEWNET)?;
        setns(&self.ipc, CloneFlags::CLONE_NEWIPC)?;
        setns(&self.uts, CloneFlags::CLONE_NEWUTS)?;
        Ok(())
    }
}

/// A pod's place in the network.
#[derive(Debug)]
pub struct Connection {
    pub namespaces: PodNamespaces,
    pub address: Ipv4Addr,
}

/// The node's network.
#[derive(Debug)]
pub struct Network {
    own: PodNamespaces,
    netlink: Netlink,
    pods: Prefix,
    services: Prefix,
    used: Vec<bool>,
    /// Where the search for a free address goes on: one that was given back is not used again at once.
    next: u32,
    cables: u64,
}

impl Network {
    /// Sets the network of this process's namespace up.
    pub fn make(options: &NodeOptions) -> io::Result<Self> {
        let prefix = |text: &str| Prefix::parse(text).ok_or_else(|| io::Error::other(format!("{text} is no network")));
        let (pods, services) = (prefix(&options.pod_network)?, prefix(&options.service_network)?);
        let gateway = pods.at(1);
        let netlink = Netlink::open()?;
        netlink.set_up(LOOPBACK)?;
        without_version_6();
        // What crosses the bridge is nobody's business; a kernel without this setting has none of the trouble either.
        let _ = fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
        netlink.add_bridge("pods", BRIDGE, hardware_address(gateway))?;
        netlink.add_address(BRIDGE, Prefix { address: gateway, length: pods.length })?;
        netlink.add_route(LOOPBACK, Route::Local(services))?;
        let mut used = vec![false; pods.size().min(1 << 16) as usize];
        let last = used.len() - 1;
        for place in [0, 1, last] {
            used[place] = true;
        }
        Ok(Self { own: PodNamespaces::current()?, netlink, pods, services, used, next: 2, cables: 0 })
    }

    /// All networks of the cluster.
    pub fn prefixes(&self) -> [Prefix; 2] {
        [self.pods, self.services]
    }

    /// The node's own address.
    pub fn gateway(&self) -> Ipv4Addr {
        self.pods.at(1)
    }

    fn take_address(&mut self) -> io::Result<u32> {
        let count = u32::try_from(self.used.len()).map_err(io::Error::other)?;
        let free = (0..count).map(|step| (self.next + step) % count).find(|place| !self.used[*place as usize]);
        let place = free.ok_or_else(|| io::Error::other("all addresses of the pod network are in use"))?;
        self.used[place as usize] = true;
        self.next = place + 1;
        Ok(place)
    }

    /// Makes a pod's namespaces and plugs them in.
    pub fn connect(&mut self, config: &PodConfig) -> io::Result<Connection> {
        let place = self.take_address()?;
        let address = self.pods.at(place);
        self.cables += 1;
        let cable = format!("pod{}", self.cables);
        let made = self.make_namespaces(config).and_then(|(namespaces, inside)| {
            let hardware = hardware_address(address);
            self.netlink.add_cable(&cable, BRIDGE, namespaces.network.as_fd(), hardware)?;
            self.netlink.add_neighbour(BRIDGE, address)?;
            inside.set_up(LOOPBACK)?;
            inside.set_up(2)?;
            inside.add_address(2, Prefix { address, length: self.pods.length })?;
            inside.add_route(2, Route::Default(self.gateway()))?;
            inside.add_neighbour(2, self.gateway())?;
            Ok(namespaces)
        });
        match made {
            Ok(namespaces) => Ok(Connection { namespaces, address }),
            Err(error) => {
                let _ = self.netlink.remove(&cable);
                self.used[place as usize] = false;
                Err(error)
            }
        }
    }

    /// New namespaces for a pod. This thread, which does everything but work on files, visits them for a moment.
    fn make_namespaces(&self, config: &PodConfig) -> io::Result<(PodNamespaces, Netlink)> {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS)?;
        let made = furnish(config);
        if let Err(error) = self.own.enter() {
            // Whatever this process would do from now on would happen in a pod.
            note(format_args!("the agent cannot return from a pod's namespaces: {error}"));
            std::process::exit(1);
        }
        made
    }

    /// Gives a pod's address back. Its namespaces go with its last process, and with them its cable, in the kernel's
    /// own time: to remove a cable takes it some hundredths of a second, for which nobody needs to wait.
    pub fn disconnect(&mut self, connection: &Connection) {
        let place = connection.address.to_bits() - self.pods.address.to_bits();
        self.used[place as usize] = false;
    }
}

fn furnish(config: &PodConfig) -> io::Result<(PodNamespaces, Netlink)> {
    rustix::system::sethostname(config.hostname.as_bytes())?;
    without_version_6();
    // As container runtimes set them for Kubernetes: any user may take any port.
    fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")?;
    for (name, value) in &config.sysctls {
        let path = sysctl(name).ok_or_else(|| io::Error::other(format!("the sysctl {name} is not a pod's own")))?;
        fs::write(path, value).map_err(|error| io::Error::other(format!("the sysctl {name} is refused: {error}")))?;
    }
    Ok((PodNamespaces::current()?, Netlink::open()?))
}

/// The cluster has version 4 of the internet's protocol only; the loopback interface, which is there already, has both.
fn without_version_6() {
    // A kernel that has no version 6 has nothing to turn off.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}

/// Where a setting is written, if it is one of a pod's own namespaces: all others are the machine's.
fn sysctl(name: &str) -> Option<String> {
    let own = ["net.", "kernel.shm", "kernel.msg", "fs.mqueue."];
    let is_own = name == "kernel.sem" || own.iter().any(|prefix| name.starts_with(prefix));
    let is_plain = name.split('.').all(|part| !part.is_empty()) && !name.contains('/');
    (is_own && is_plain).then(|| format!("/proc/sys/{}", name.replace('.', "/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_of_a_pods_own_namespaces_can_be_changed() {
        assert_eq!(sysctl("net.core.somaxconn").as_deref(), Some("/proc/sys/net/core/somaxconn"));
        assert!(sysctl("kernel.shm_rmid_forced").is_some());
        for refused in
            ["kernel.core_pattern", "net.../kernel", "net.ipv4/../../kernel/core_pattern", "net..x", "vm.swappiness"]
        {
            assert_eq!(sysctl(refused), None, "{refused}");
        }
    }
}
