//! Processes in namespaces: containers, their network, their limits.

mod config;
mod error;
mod node;
mod stream;
mod user;

use std::process::ExitCode;

pub use config::{
    Availability, Capabilities, ContainerConfig, ExecConfig, Exit, Mount, MountKind, NodeOptions, PodConfig, PodHandle,
    Privileges, Protocol, ServiceAddress, Started,
};
pub use error::{NodeError, StartContainerError, StartError};
pub use node::{ExecExit, ExecHandle, Node, Terminal};
pub use stream::Stream;
pub use user::{Identity, find_user};

/// Must be the first thing in `main`, before any thread is started: when this process was started as one of the node's
/// own, does that work and returns its exit code.
pub fn entry() -> Option<ExitCode> {
    None
}
