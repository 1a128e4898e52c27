//! What is asked of the node, and what it answers: plain data, the same on both sides of the agent's socket.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How a node is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeOptions {
    /// The node's own folder, made if it is not there. What an earlier node left in it is removed.
    pub folder: PathBuf,
    /// The network of the pods, as `10.244.0.0/16`. Its first address is the node's own.
    pub pod_network: String,
    /// The network of the services' addresses, as `10.96.0.0/16`.
    pub service_network: String,
    /// Where names are asked for, an address of the service network.
    pub dns: Ipv4Addr,
    /// Whether pods reach addresses beyond the cluster: by TCP, and names by DNS, as the node's owner does.
    pub outside_network: bool,
}

impl NodeOptions {
    /// The usual networks, nothing beyond the cluster can be reached.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            pod_network: "10.244.0.0/16".to_owned(),
            service_network: "10.96.0.0/16".to_owned(),
            dns: Ipv4Addr::new(10, 96, 0, 10),
            outside_network: false,
        }
    }
}

/// What this machine lets the node have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Limits of processor time.
    pub cpu_limits: Availability,
    /// Limits of memory, and being told of kills for want of it.
    pub memory_limits: Availability,
    /// Limits of the number of processes.
    pub process_limits: Availability,
    /// Users other than root inside the containers are users of their own.
    pub many_users: Availability,
    /// Root file systems are layers over the image; without, the image is copied for each container.
    pub overlay: Availability,
}

/// Whether something can be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Availability {
    /// It works; the text says by what means, as `cgroup v1`.
    Yes(String),
    /// It does not; the text says why and which setting would change that.
    No(String),
}

impl Availability {
    /// Whether it can be had.
    pub fn is_there(&self) -> bool {
        matches!(self, Self::Yes(_))
    }
}

/// A pod: what its containers share.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PodConfig {
    /// Unique among the pods of the node; letters, digits, `-`, `_` and `.` only.
    pub id: String,
    /// The host name that its processes see.
    pub hostname: String,
    /// Further lines of `/etc/hosts`. Those of localhost and of the pod itself are always there.
    pub hosts: Vec<(Ipv4Addr, Vec<String>)>,
    /// The contents of `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Kernel settings of the pod's own network and IPC, as `net.ipv4.ip_unprivileged_port_start`.
    pub sysctls: Vec<(String, String)>,
}

/// A pod that has its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodHandle {
    /// Its address in the pod network.
    pub address: Ipv4Addr,
}

/// A container: one program with a root file system of its own, in a pod.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// Unique among the containers of the node; letters, digits, `-`, `_` and `.` only.
    pub id: String,
    /// The pod it belongs to.
    pub pod_id: String,
    /// The unpacked image. It is never written to.
    pub root: PathBuf,
    /// Whether the program may write outside its mounts.
    pub read_only_root: bool,
    /// The program and its arguments; a program without `/` is looked for in the container's own `PATH`.
    pub arguments: Vec<String>,
    /// The whole environment. `HOME` and `HOSTNAME` are added if missing.
    pub environment: Vec<(String, String)>,
    /// Made if it is not there; empty for `/`.
    pub working_directory: String,
    /// The numeric user (see [`crate::find_user`] for names).
    pub user: u32,
    /// The numeric group.
    pub group: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// What the program may do as its root.
    pub privileges: Privileges,
    /// In this order, after the usual `/proc`, `/dev`, `/sys`, `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`.
    pub mounts: Vec<Mount>,
    /// Thousandths of a processor.
    pub cpu_limit_millis: Option<u64>,
    /// Thousandths of a processor that it is sure of when processors are short.
    pub cpu_request_millis: Option<u64>,
    /// Bytes of memory. One process over it is killed.
    pub memory_limit_bytes: Option<u64>,
    /// Added to the machine's judgement whom to kill for want of memory: -1000 to 1000.
    pub oom_score_adjust: i32,
    /// Where its output goes, a line of `TIME STREAM F TEXT` for each of its own, as container runtimes write them.
    /// Rotated at 10 MiB to the same name with `.1` at the end.
    pub log: PathBuf,
}

/// What a program may do as its root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// Capabilities beyond the usual fourteen, as `NET_ADMIN` (or `ALL`).
    pub add: Vec<String>,
    /// Capabilities of the usual ones that are taken away (or `ALL`).
    pub drop: Vec<String>,
    /// Programs cannot gain anything by `setuid` files.
    pub no_new_privileges: bool,
    /// All that root of the node's own namespaces can do, and nothing masked in `/proc`. Still no root of the machine.
    pub privileged: bool,
}

/// Something of the machine, or fresh memory, at a place in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// What it is.
    pub kind: MountKind,
    /// An absolute path in the container, made if it is not there.
    pub target: String,
    /// Whether it can be written to.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A file or folder of the machine, with what is mounted below it.
    Bind {
        /// Must be there.
        source: PathBuf,
    },
    /// Memory.
    Tmpfs {
        /// At most this much; half of the machine's if not said.
        size_bytes: Option<u64>,
    },
}

/// A container whose program runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The process, as the node numbers it.
    pub pid: u32,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// As a shell tells it: the program's own code, or 128 and the signal.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// One of the container's processes was killed because the memory limit was reached.
    pub oom_killed: bool,
    /// Seconds and nanoseconds since 1970.
    pub finished_at: (i64, u32),
}

/// A program in a running container.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)]
pub struct ExecConfig {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// It has a terminal; then its errors come with its output.
    pub tty: bool,
    /// It can be written to; otherwise its input is empty.
    pub stdin: bool,
    /// Its output is wanted.
    pub stdout: bool,
    /// Its errors are wanted.
    pub stderr: bool,
}

/// TCP or UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One port of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAddress {
    /// In the service network.
    pub address: Ipv4Addr,
    /// The port clients use.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Who answers, in turn. With none, connections are refused.
    pub backends: Vec<SocketAddrV4>,
    /// The same client gets the same backend, for so long after its last connection.
    pub affinity_seconds: Option<u32>,
}
