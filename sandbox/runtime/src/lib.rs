//! Processes in namespaces: containers, their network, their limits. Nothing of Kubernetes.
//!
//! A [`Node`] is a process tree below the program that starts it. Nothing here is unsafe code, so nothing forks: the
//! program starts itself again in roles, which [`entry`] recognises by the name they are started with.
//!
//! - The *keeper* makes the user, mount, network, IPC, UTS and PID namespaces, starts the agent in them, and removes the
//!   control groups when the agent is gone. It ends when the node's owner does, however that happens.
//! - The *agent* is the first process of the PID namespace, so that nothing outlives it. In one thread (but for work on many
//!   files) it makes pods (open
//!   namespaces, no processes), starts and reaps containers, copies their output to logs, answers for the services'
//!   addresses and for DNS, and makes sockets for its owner.
//! - *Init* sets a container up from inside and becomes its program: process 1 of the container is the program itself.
//! - *Exec* does the same in a container that runs.
//!
//! As root the ids in containers are those of the machine, so that images and volumes keep their owners; containers with
//! the capability to mount are locked into a further user namespace, since the machine's root must not be within reach.
//! As an ordinary user the ids come from `/etc/subuid`, or there is one only, which is then whoever a container wants.
//!
//! Why not `libcontainer` 0.7: as an ordinary user it fails on machines with cgroup v1, and it forks inside of the calling
//! process, which has threads here; what a pod shares, its network above all, would be left to do anyway.

mod agent;
mod config;
mod container;
mod error;
mod exec;
mod exec_handle;
mod forbidden;
mod init;
mod keeper;
mod launch;
mod limits;
mod link;
mod messages;
mod node;
mod outside;
mod role;
mod stream;
mod user;
mod wire;

pub use config::{
    Availability, Capabilities, ContainerConfig, ExecConfig, Exit, Mount, MountKind, NodeOptions, PodConfig, PodHandle,
    Privileges, Protocol, ServiceAddress, Started,
};
pub use error::{NodeError, StartContainerError, StartError};
pub use exec_handle::{ExecExit, ExecHandle, Terminal};
pub use node::{Node, preflight};
pub use role::entry;
pub use stream::Stream;
pub use user::{Identity, find_user};
