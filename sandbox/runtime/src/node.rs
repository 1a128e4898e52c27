//! The node as its owner sees it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::config::{
    Capabilities, ContainerConfig, ExecConfig, Exit, NodeOptions, PodConfig, PodHandle, ServiceAddress, Started,
};
use crate::error::{NodeError, StartContainerError, StartError};
use crate::stream::Stream;

/// A running node. Clones are the same node; when the last one is dropped, or this process dies in whatever way,
/// everything that ran on it is gone.
#[derive(Debug, Clone)]
pub struct Node {
    capabilities: Capabilities,
}

/// A program that was started in a running container. Dropping it kills the program, unless it has ended.
#[derive(Debug)]
pub struct ExecHandle {
    /// To write to it, if that was asked for. Dropping it ends its input (without a terminal).
    pub stdin: Option<Stream>,
    /// Its output (with a terminal: errors, too), if asked for.
    pub stdout: Option<Stream>,
    /// Its errors, if asked for and there is no terminal.
    pub stderr: Option<Stream>,
    /// Its terminal, if it has one.
    pub terminal: Option<Terminal>,
    /// Its end.
    pub exit: ExecExit,
}

/// The end of a program that was started in a running container. Dropping it kills the program, unless it has ended.
#[derive(Debug)]
pub struct ExecExit {}

impl ExecExit {
    /// How the program ended.
    pub async fn wait(&mut self) -> Result<Exit, NodeError> {
        Err(NodeError::Stopped)
    }
}

/// The terminal of a program.
#[derive(Debug)]
pub struct Terminal {}

impl Terminal {
    /// Tells the program how large its window is.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        let _ = (columns, rows);
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[allow(clippy::unused_async)]
impl Node {
    /// Starts the node's agent: the first process of its own PID namespace and root of its own user namespace.
    ///
    /// # Errors
    /// What the machine does not allow, with the setting that would.
    pub async fn start(options: NodeOptions) -> Result<Self, StartError> {
        Err(StartError::Option(format!("not built yet: {options:?}")))
    }

    /// What this machine lets the node have.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The node's own address in the pod network.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::UNSPECIFIED
    }

    /// Makes a pod's network and gives it its address.
    pub async fn start_pod(&self, config: PodConfig) -> Result<PodHandle, NodeError> {
        let _ = config;
        Err(NodeError::Stopped)
    }

    /// Kills what still runs in a pod and removes its network and its containers. A pod that is not there is no error.
    pub async fn stop_pod(&self, id: &str) -> Result<(), NodeError> {
        let _ = id;
        Err(NodeError::Stopped)
    }

    /// Starts a program in a pod. When this returns, the program itself runs.
    pub async fn start_container(&self, config: ContainerConfig) -> Result<Started, StartContainerError> {
        let _ = config;
        Err(NodeError::Stopped.into())
    }

    /// How a container ended, as soon as it has; its output is in its log by then.
    pub async fn wait(&self, container: &str) -> Result<Exit, NodeError> {
        let _ = container;
        Err(NodeError::Stopped)
    }

    /// Sends a signal to a container's program. One that has ended is no error.
    pub async fn signal(&self, container: &str, signal: i32) -> Result<(), NodeError> {
        let _ = (container, signal);
        Err(NodeError::Stopped)
    }

    /// Sends `signal` (usually 15), after `grace` 9, and tells how it ended.
    pub async fn stop_container(&self, container: &str, signal: i32, grace: Duration) -> Result<Exit, NodeError> {
        let _ = (container, signal, grace);
        Err(NodeError::Stopped)
    }

    /// Kills a container if it still runs and removes what it wrote to its root. Its log stays.
    pub async fn remove_container(&self, container: &str) -> Result<(), NodeError> {
        let _ = container;
        Err(NodeError::Stopped)
    }

    /// Starts a further program in a running container, as its user and with its environment.
    pub async fn exec(&self, container: &str, config: ExecConfig) -> Result<ExecHandle, StartContainerError> {
        let _ = (container, config);
        Err(NodeError::Stopped.into())
    }

    /// A connection from the node's own address to one in the cluster.
    pub async fn connect(&self, address: SocketAddrV4) -> io::Result<TcpStream> {
        let _ = address;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Listens inside the cluster, at the node's own address or any of the service network, for this process.
    pub async fn listen_in_cluster(&self, address: SocketAddrV4) -> io::Result<TcpListener> {
        let _ = address;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Says which services there are; replaces what was said before. Connections that are open stay.
    pub async fn set_services(&self, services: Vec<ServiceAddress>) -> Result<(), NodeError> {
        let _ = services;
        Err(NodeError::Stopped)
    }

    /// Says which names there are (whole, without a dot at the end); replaces what was said before.
    pub async fn set_names(&self, names: BTreeMap<String, Vec<Ipv4Addr>>) -> Result<(), NodeError> {
        let _ = names;
        Err(NodeError::Stopped)
    }

    /// Gives a file or folder, with all below it, to users as containers see them, which this process may not be
    /// allowed to do itself; `None` leaves as it is. With `mode`, its bits are added to all of them (for folders also
    /// `x` where there is `r`, and setgid).
    pub async fn give(
        &self,
        path: &Path,
        user: Option<u32>,
        group: Option<u32>,
        mode: Option<u32>,
    ) -> Result<(), NodeError> {
        let _ = (path, user, group, mode);
        Err(NodeError::Stopped)
    }

    /// Removes a folder with files that containers' users own. One that is not there is no error.
    pub async fn remove_folder(&self, path: &Path) -> Result<(), NodeError> {
        let _ = path;
        Err(NodeError::Stopped)
    }

    /// Resolves when the node has stopped for whatever reason.
    pub async fn stopped(&self) {}

    /// Kills everything; when this returns nothing is left of it but its folder.
    pub async fn stop(&self) {}
}
