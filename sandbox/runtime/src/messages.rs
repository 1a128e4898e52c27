//! What the node and its processes say to one another.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{
    Availability, Capabilities, ContainerConfig, ExecConfig, Exit, NodeOptions, PodConfig, PodHandle, Protocol,
    ServiceAddress, Started,
};
use crate::error::{NodeError, StartContainerError};
use crate::limits::Limits;

/// From the node to the keeper, once its user namespace has its ids.
#[derive(Debug, Serialize, Deserialize)]
pub struct Setup {
    pub options: NodeOptions,
    /// Whether containers can be users other than root of the namespace.
    pub many_users: Availability,
}

/// From the keeper to the agent.
#[derive(Debug, Serialize, Deserialize)]
pub struct AgentSetup {
    pub setup: Setup,
    pub limits: Limits,
}

/// From the keeper and the agent to the node.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// The keeper is in its own namespaces and wants its ids.
    Unshared,
    /// It was not let. `what` and the error's number.
    Forbidden { what: String, errno: i32, cause: String },
    /// The agent takes requests.
    Ready { capabilities: Capabilities, address: Ipv4Addr },
    /// To a request.
    Answer { number: u64, answer: Answer },
    /// A container's program has ended.
    Ended { container: String, exit: Exit },
    /// A pod wants a connection beyond the cluster; answered by `Request::Reached`.
    Reach { number: u64, address: SocketAddrV4 },
    /// A pod wants to know a name beyond the cluster; answered by `Request::Resolved`.
    Resolve { number: u64, name: String },
    /// A program that was started in a running container has ended.
    ExecEnded { exec: u64, exit: Exit },
}

/// From the node to the agent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Call {
    pub number: u64,
    pub request: Request,
}

/// What the agent can do.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    StartPod(PodConfig),
    StopPod {
        id: String,
    },
    StartContainer(Box<ContainerConfig>),
    Signal {
        container: String,
        signal: i32,
    },
    RemoveContainer {
        id: String,
    },
    Exec {
        container: String,
        config: ExecConfig,
    },
    KillExec {
        exec: u64,
    },
    Socket,
    /// With a socket that is connected, or without.
    Reached {
        number: u64,
    },
    Resolved {
        number: u64,
        addresses: Vec<Ipv4Addr>,
    },
    Listen {
        address: SocketAddrV4,
    },
    SetServices(Vec<ServiceAddress>),
    SetNames(BTreeMap<String, Vec<Ipv4Addr>>),
    Give {
        path: PathBuf,
        user: Option<u32>,
        group: Option<u32>,
        mode: Option<u32>,
    },
    RemoveFolder {
        path: PathBuf,
    },
    KeepMemory {
        path: PathBuf,
        size_bytes: Option<u64>,
    },
}

/// What the agent answers. Descriptors come beside it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Done,
    Pod(PodHandle),
    Started(Started),
    /// The program's standard streams, as many as were asked for, or its terminal.
    Exec {
        exec: u64,
    },
    /// One socket.
    Socket,
    /// One folder.
    Folder,
    NotDone(NodeError),
    NotStarted(StartContainerError),
    /// A socket could not be had; the error's number.
    NoSocket(i32),
}

/// How root file systems are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layering {
    /// A layer in the container's folder over the image.
    Folder,
    /// A layer in memory over the image.
    Memory,
    /// A copy of the image.
    Copy,
}

/// To a container's first process. Descriptors: the pod's network, IPC and UTS namespaces, output, errors.
#[derive(Debug, Serialize, Deserialize)]
pub struct InitConfig {
    pub container: ContainerConfig,
    pub layering: Layering,
    pub many_users: bool,
    /// The container's own folder, for what it writes to its root.
    pub folder: PathBuf,
    /// Where the root is put together: an empty folder, the same for all.
    pub assembly: PathBuf,
    /// Its control groups, each with its folder below `/sys/fs/cgroup`; of version 2 the one that is that folder.
    pub groups: Vec<(String, PathBuf)>,
    /// With `hosts`, `hostname` and `resolv.conf`.
    pub pod_folder: PathBuf,
}

/// To a further program in a container. Descriptors: the first process, then input, output, errors without a terminal.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExecSetup {
    pub container: ContainerConfig,
    pub config: ExecConfig,
    pub many_users: bool,
}

/// From a program's process, before it becomes the program. The end of the socket says that it did.
#[derive(Debug, Serialize, Deserialize)]
pub enum Progress {
    /// It waits to be put under its limits, and for the ids of a user namespace of its own if it made one. The other
    /// side of its terminal, if it has one, comes beside this.
    Prepared {
        wants_ids: bool,
    },
    Failed(StartContainerError),
}

/// A service's port, as a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    pub address: SocketAddrV4,
    pub protocol: Protocol,
}
