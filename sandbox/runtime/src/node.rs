//! The node as its owner sees it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::agent::Prefix;
use crate::config::{
    Capabilities, ContainerConfig, ExecConfig, Exit, NodeOptions, PodConfig, PodHandle, ServiceAddress, Started,
};
use crate::error::{NodeError, StartContainerError, StartError};
use crate::exec_handle::{ExecExit, ExecHandle, Terminal};
use crate::forbidden::failed;
use crate::link::{Link, Reply};
use crate::messages::{Answer, Request};
use crate::stream::Stream;

/// A running node. Clones are the same node; when the last one is dropped, or this process dies in whatever way,
/// everything that ran on it is gone.
#[derive(Debug, Clone)]
pub struct Node {
    link: Link,
    capabilities: Capabilities,
    address: Ipv4Addr,
}

impl Node {
    /// Starts the node's agent: the first process of its own PID namespace and root of its own user namespace. Works
    /// inside a runtime of tokio's; the node lives no longer than that.
    ///
    /// # Errors
    /// What the machine does not allow, with the setting that would.
    pub async fn start(mut options: NodeOptions) -> Result<Self, StartError> {
        check(&options)?;
        let folder = options.folder.display().to_string();
        std::fs::create_dir_all(&options.folder).map_err(failed(format!("make the folder {folder}")))?;
        options.folder = options.folder.canonicalize().map_err(failed(format!("find the folder {folder}")))?;
        let (link, launched) = Link::make(options).await?;
        Ok(Self { link, capabilities: launched.0, address: launched.1 })
    }

    /// What this machine lets the node have.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The node's own address in the pod network.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    async fn ask(&self, request: Request) -> Result<Reply, NodeError> {
        self.link.ask(request).await
    }

    async fn do_it(&self, request: Request) -> Result<(), NodeError> {
        match self.ask(request).await?.answer {
            Answer::Done => Ok(()),
            other => Err(wrong(other)),
        }
    }

    /// Makes a pod's network and gives it its address.
    pub async fn start_pod(&self, config: PodConfig) -> Result<PodHandle, NodeError> {
        match self.ask(Request::StartPod(config)).await?.answer {
            Answer::Pod(handle) => Ok(handle),
            other => Err(wrong(other)),
        }
    }

    /// Kills what still runs in a pod and removes its network and its containers. A pod that is not there is no error.
    pub async fn stop_pod(&self, id: &str) -> Result<(), NodeError> {
        self.do_it(Request::StopPod { id: id.to_owned() }).await
    }

    /// Starts a program in a pod. When this returns, the program itself runs.
    pub async fn start_container(&self, config: ContainerConfig) -> Result<Started, StartContainerError> {
        let id = config.id.clone();
        let is_new = self.link.expect_end(&id);
        let answer = self.ask(Request::StartContainer(Box::new(config))).await.map(|reply| reply.answer);
        let error = match answer {
            Ok(Answer::Started(started)) => return Ok(started),
            Ok(Answer::NotStarted(error)) => error,
            Ok(other) => wrong(other).into(),
            Err(error) => error.into(),
        };
        if is_new {
            self.link.forget_end(&id);
        }
        Err(error)
    }

    /// How a container ended, as soon as it has; its output is in its log by then.
    pub async fn wait(&self, container: &str) -> Result<Exit, NodeError> {
        self.link.end(container).await
    }

    /// Sends a signal to a container's program. One that has ended is no error.
    pub async fn signal(&self, container: &str, signal: i32) -> Result<(), NodeError> {
        self.do_it(Request::Signal { container: container.to_owned(), signal }).await
    }

    /// Sends `signal` (usually 15), after `grace` 9, and tells how it ended.
    pub async fn stop_container(&self, container: &str, signal: i32, grace: Duration) -> Result<Exit, NodeError> {
        const KILL: i32 = 9;
        self.signal(container, signal).await?;
        if let Ok(exit) = tokio::time::timeout(grace, self.wait(container)).await {
            return exit;
        }
        self.signal(container, KILL).await?;
        self.wait(container).await
    }

    /// Kills a container if it still runs and removes what it wrote to its root. Its log stays.
    pub async fn remove_container(&self, container: &str) -> Result<(), NodeError> {
        self.do_it(Request::RemoveContainer { id: container.to_owned() }).await?;
        self.link.forget_end(container);
        Ok(())
    }

    /// Starts a further program in a running container, as its user and with its environment.
    pub async fn exec(&self, container: &str, config: ExecConfig) -> Result<ExecHandle, StartContainerError> {
        let reply = self.ask(Request::Exec { container: container.to_owned(), config: config.clone() }).await?;
        let (exec, end) = match (reply.answer, reply.end) {
            (Answer::Exec { exec }, Some(end)) => (exec, end),
            (Answer::NotStarted(error), _) => return Err(error),
            (other, _) => return Err(wrong(other).into()),
        };
        let exit = ExecExit::new(exec, end, &self.link);
        let streams = ExecHandle::new(&config, reply.descriptors, exit);
        streams.map_err(|error| StartContainerError::Setup(format!("cannot use the program's streams: {error}")))
    }

    /// A connection from the node's own address to one in the cluster.
    pub async fn connect(&self, address: SocketAddrV4) -> io::Result<TcpStream> {
        let socket = self.socket(Request::Socket).await?;
        TcpSocket::from_std_stream(socket.into()).connect(SocketAddr::V4(address)).await
    }

    /// Listens inside the cluster, at the node's own address or any of the service network, for this process.
    pub async fn listen_in_cluster(&self, address: SocketAddrV4) -> io::Result<TcpListener> {
        let listener: std::net::TcpListener = self.socket(Request::Listen { address }).await?.into();
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }

    async fn socket(&self, request: Request) -> io::Result<OwnedFd> {
        let mut reply = self.ask(request).await.map_err(io::Error::other)?;
        match (reply.answer, reply.descriptors.pop()) {
            (Answer::Socket, Some(socket)) => Ok(socket),
            (Answer::NoSocket(errno), _) => Err(io::Error::from_raw_os_error(errno)),
            (other, _) => Err(io::Error::other(wrong(other))),
        }
    }

    /// Says which services there are; replaces what was said before. Connections that are open stay.
    pub async fn set_services(&self, services: Vec<ServiceAddress>) -> Result<(), NodeError> {
        self.do_it(Request::SetServices(services)).await
    }

    /// Says which names there are (whole, without a dot at the end); replaces what was said before.
    pub async fn set_names(&self, names: BTreeMap<String, Vec<Ipv4Addr>>) -> Result<(), NodeError> {
        self.do_it(Request::SetNames(names)).await
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
        self.do_it(Request::Give { path: path.to_owned(), user, group, mode }).await
    }

    /// Removes a folder with files that containers' users own. One that is not there is no error.
    pub async fn remove_folder(&self, path: &Path) -> Result<(), NodeError> {
        self.do_it(Request::RemoveFolder { path: path.to_owned() }).await
    }

    /// Has a folder be in memory, for the containers that it is mounted to and until it is removed; at most `size_bytes` of
    /// it, half of the machine's if not said. The machine sees an empty folder there: what is in memory is reached by the
    /// open folder that this returns. The same memory is returned for the same path.
    pub async fn keep_memory(&self, path: &Path, size_bytes: Option<u64>) -> Result<OwnedFd, NodeError> {
        let mut reply = self.ask(Request::KeepMemory { path: path.to_owned(), size_bytes }).await?;
        match (reply.answer, reply.descriptors.pop()) {
            (Answer::Folder, Some(folder)) => Ok(folder),
            (other, _) => Err(wrong(other)),
        }
    }

    /// Resolves when the node has stopped for whatever reason.
    pub async fn stopped(&self) {
        self.link.gone().await;
    }

    /// Kills everything; when this returns nothing is left of it but its folder.
    pub async fn stop(&self) {
        self.link.hang_up();
        self.link.gone().await;
    }
}

/// An answer to another question, or an error.
fn wrong(answer: Answer) -> NodeError {
    match answer {
        Answer::NotDone(error) => error,
        other => NodeError::Failed { what: "understand the agent".to_owned(), cause: format!("it says {other:?}") },
    }
}

fn check(options: &NodeOptions) -> Result<(), StartError> {
    let prefix = |name: &str, text: &str| {
        Prefix::parse(text).ok_or_else(|| {
            StartError::Option(format!(
                "{name} {text:?} is not a network: give one like 10.244.0.0/16, of length 8 to 30"
            ))
        })
    };
    let pods = prefix("the pod network", &options.pod_network)?;
    let services = prefix("the service network", &options.service_network)?;
    if pods.contains(services.address) || services.contains(pods.address) {
        return Err(StartError::Option("the pod network and the service network overlap".to_owned()));
    }
    if !services.contains(options.dns) {
        return Err(StartError::Option(format!("the DNS address {} is not in the service network", options.dns)));
    }
    Ok(())
}

/// Tries whether this machine lets a node be, at the cost of starting one in a folder of its own below the given one,
/// which is stopped and removed at once.
///
/// # Errors
/// What the machine does not allow, with the setting that would.
pub async fn preflight(folder: &Path) -> Result<Capabilities, StartError> {
    let own = folder.join("preflight");
    let node = Node::start(NodeOptions::new(&own)).await?;
    node.stop().await;
    std::fs::remove_dir_all(&own).map_err(failed(format!("remove {}", own.display())))?;
    Ok(node.capabilities)
}

impl ExecHandle {
    fn new(config: &ExecConfig, descriptors: Vec<OwnedFd>, exit: ExecExit) -> io::Result<Self> {
        let mut descriptors = descriptors.into_iter();
        let mut handle = Self { stdin: None, stdout: None, stderr: None, terminal: None, exit };
        if config.tty {
            let Some(terminal) = descriptors.next() else { return Err(io::ErrorKind::InvalidData.into()) };
            handle.stdin = config.stdin.then(|| terminal.try_clone().and_then(Stream::new)).transpose()?;
            handle.stdout = config.stdout.then(|| terminal.try_clone().and_then(Stream::new)).transpose()?;
            handle.terminal = Some(Terminal::new(terminal));
            return Ok(handle);
        }
        let mut next = |wanted: bool| wanted.then(|| descriptors.next()).flatten().map(Stream::new).transpose();
        handle.stdin = next(config.stdin)?;
        handle.stdout = next(config.stdout)?;
        handle.stderr = next(config.stderr)?;
        Ok(handle)
    }
}
