//! The agent: the first process of the node's PID namespace. It does what the node's owner asks for, in one thread
//! but for work on many files.

mod children;
mod containers;
mod dns;
mod execs;
mod files;
mod logs;
mod memory;
mod netlink;
mod network;
mod outside;
mod overlay;
mod pods;
mod proxy;
mod redirect;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use self::children::Children;
use self::containers::Container;
use self::execs::Exec;
use self::network::Network;
use self::outside::Outside;
use self::pods::Pod;
use self::proxy::Services;
use crate::config::Capabilities;
use crate::error::NodeError;
use crate::limits::Limits;
use crate::messages::{AgentSetup, Answer, Call, Layering, Message, Request};
use crate::role::note;
use crate::wire::{self, Frame, Inbox};

pub use self::netlink::Prefix;

/// What a way out is made of, for who is told that it cannot be had.
const OUTSIDE: &str = "let pods out of the cluster by nf_tables";

/// All that the agent knows.
#[derive(Debug)]
struct Agent {
    folder: PathBuf,
    /// Who can be more than one user says so to containers.
    many_users: bool,
    layering: Layering,
    limits: Limits,
    children: Children,
    network: RefCell<Network>,
    services: Services,
    names: dns::Names,
    outside: Option<Rc<Outside>>,
    pods: RefCell<HashMap<String, Rc<Pod>>>,
    containers: RefCell<HashMap<String, Rc<Container>>>,
    /// Containers that are not there yet: their pods, and whether they have been given up meanwhile.
    starting: RefCell<HashMap<String, (String, bool)>>,
    /// Folders that are in memory.
    memory: RefCell<HashSet<PathBuf>>,
    execs: RefCell<HashMap<u64, Exec>>,
    exec_count: Cell<u64>,
    /// The owner has hung up: what ends from now on does not end by itself, and that is not to be told.
    closing: Cell<bool>,
    outgoing: mpsc::UnboundedSender<Frame>,
}

impl Agent {
    fn tell(&self, message: &Message, descriptors: Vec<OwnedFd>) {
        if self.closing.get() {
            return;
        }
        match Frame::new(message, descriptors) {
            // Without anybody to tell it, the agent ends in a moment.
            Ok(frame) => drop(self.outgoing.send(frame)),
            Err(error) => note(format_args!("the agent cannot say {message:?}: {error}")),
        }
    }
}

/// Does the agent's work until the node's owner hangs up.
pub fn run(socket: StdStream) -> io::Result<ExitCode> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let argument = std::env::args().nth(1).unwrap_or_default();
    let setup: AgentSetup = serde_json::from_str(&argument)?;
    let prepared = Prepared::new(&setup);
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err((what, error)) => {
            let errno = error.raw_os_error().unwrap_or(0);
            let message = Message::Forbidden { what: what.to_owned(), errno, cause: error.to_string() };
            wire::send(&socket, &message, Vec::new())?;
            return Ok(ExitCode::FAILURE);
        }
    };
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(2)
        .thread_keep_alive(std::time::Duration::from_secs(1))
        .build()?;
    LocalSet::new().block_on(&runtime, serve(socket, setup, prepared))?;
    // All other processes of the node end with this one.
    std::process::exit(0);
}

/// What must be in place before the first request.
#[derive(Debug)]
struct Prepared {
    network: Network,
    layering: Layering,
    capabilities: Capabilities,
}

impl Prepared {
    fn new(setup: &AgentSetup) -> Result<Self, (&'static str, io::Error)> {
        let options = &setup.setup.options;
        // What the machine mounts and unmounts from now on is seen here, but not the other way round.
        mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
            .map_err(|error| ("separate its mounts from the machine's", error.into()))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("proc", "/proc", "proc", flags, None).map_err(|error| ("mount /proc", error.into()))?;
        let limit = getrlimit(Resource::Nofile);
        // Each container takes some descriptors.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        let network = Network::make(options).map_err(|error| ("make its network", error))?;
        for name in ["containers", "pods", "assembly"] {
            let folder = options.folder.join(name);
            files::remove(&folder).map_err(|error| ("clear its folder", error))?;
            fs::create_dir_all(&folder).map_err(|error| ("make its folder", error))?;
        }
        let (layering, overlay) = overlay::probe(&options.folder);
        let [cpu_limits, memory_limits, process_limits] = setup.limits.availability();
        let many_users = setup.setup.many_users.clone();
        let capabilities = Capabilities { cpu_limits, memory_limits, process_limits, many_users, overlay };
        Ok(Self { network, layering, capabilities })
    }
}

async fn serve(socket: StdStream, setup: AgentSetup, prepared: Prepared) -> io::Result<()> {
    let socket = Rc::new(UnixStream::from_std(socket)?);
    let (outgoing, mut frames) = mpsc::unbounded_channel();
    let options = setup.setup.options;
    let gateway = prepared.network.gateway();
    let outside = options.outside_network.then(|| {
        let opened = Outside::open(outgoing.clone(), gateway, &prepared.network.prefixes());
        opened.map_err(|error| {
            let (what, errno) = (OUTSIDE.to_owned(), error.raw_os_error().unwrap_or(0));
            Frame::new(&Message::Forbidden { what, errno, cause: error.to_string() }, Vec::new())
        })
    });
    let outside = match outside.transpose() {
        Ok(outside) => outside,
        Err(refused) => return wire::send_frame(&socket, refused?).await,
    };
    let agent = Rc::new(Agent {
        many_users: prepared.capabilities.many_users.is_there(),
        folder: options.folder,
        layering: prepared.layering,
        limits: setup.limits,
        children: Children::new()?,
        network: RefCell::new(prepared.network),
        services: Services::default(),
        names: dns::Names::default(),
        outside,
        pods: RefCell::default(),
        containers: RefCell::default(),
        starting: RefCell::default(),
        memory: RefCell::default(),
        execs: RefCell::default(),
        exec_count: Cell::new(0),
        closing: Cell::new(false),
        outgoing,
    });
    dns::serve(&agent.names, options.dns, agent.outside.as_ref()).await?;
    let reaper = agent.clone();
    tokio::task::spawn_local(async move { reaper.children.reap().await });
    let writer = socket.clone();
    tokio::task::spawn_local(async move {
        while let Some(frame) = frames.recv().await {
            if wire::send_frame(&writer, frame).await.is_err() {
                break;
            }
        }
    });
    agent.tell(&Message::Ready { capabilities: prepared.capabilities, address: gateway }, Vec::new());
    let mut inbox = Inbox::default();
    while let Some((Call { number, request }, descriptors)) = inbox.next(&socket).await? {
        let agent = agent.clone();
        tokio::task::spawn_local(async move {
            let (answer, descriptors) = answer(&agent, request, descriptors).await;
            agent.tell(&Message::Answer { number, answer }, descriptors);
        });
    }
    agent.closing.set(true);
    agent.clear().await;
    Ok(())
}

/// Does what is asked. What happens before the first `await` happens in the order of the requests.
async fn answer(agent: &Rc<Agent>, request: Request, given: Vec<OwnedFd>) -> (Answer, Vec<OwnedFd>) {
    let done = |result: Result<(), NodeError>| (result.map_or_else(Answer::NotDone, |()| Answer::Done), Vec::new());
    match request {
        Request::StartPod(config) => (agent.start_pod(&config).map_or_else(Answer::NotDone, Answer::Pod), Vec::new()),
        Request::StopPod { id } => done(agent.stop_pod(&id).await),
        Request::StartContainer(config) => {
            let started = agent.start_container(*config).await;
            (started.map_or_else(Answer::NotStarted, Answer::Started), Vec::new())
        }
        Request::Signal { container, signal } => done(agent.signal(&container, signal)),
        Request::RemoveContainer { id } => done(agent.remove_container(&id).await),
        Request::Exec { container, config } => match agent.exec(&container, config).await {
            Ok((exec, descriptors)) => (Answer::Exec { exec }, descriptors),
            Err(error) => (Answer::NotStarted(error), Vec::new()),
        },
        Request::KillExec { exec } => done({
            agent.kill_exec(exec);
            Ok(())
        }),
        Request::Socket => socket(proxy::new_socket()),
        Request::Listen { address } => socket(agent.services.listen(address)),
        Request::Reached { number } => done({
            if let Some(outside) = &agent.outside {
                outside.reached(number, given.into_iter().next());
            }
            Ok(())
        }),
        Request::Resolved { number, addresses } => done({
            if let Some(outside) = &agent.outside {
                outside.resolved(number, addresses);
            }
            Ok(())
        }),
        Request::SetServices(services) => done(agent.services.set(services)),
        Request::SetNames(names) => done({
            agent.names.set(names);
            Ok(())
        }),
        Request::Give { path, user, group, mode } => {
            // Where there is one user only, everything belongs to that one already.
            let known = |id: Option<u32>| id.filter(|_| agent.many_users);
            let (user, group, what) = (known(user), known(group), format!("change who owns {}", path.display()));
            done(files::aside(move || files::give(&path, user, group, mode)).await.map_err(failed(what)))
        }
        Request::RemoveFolder { path } => done(agent.remove_folder(path).await),
        Request::KeepMemory { path, size_bytes } => match agent.keep_memory(&path, size_bytes) {
            Ok(folder) => (Answer::Folder, vec![folder]),
            Err(error) => (Answer::NotDone(failed(format!("keep {} in memory", path.display()))(error)), Vec::new()),
        },
    }
}

fn socket(socket: io::Result<OwnedFd>) -> (Answer, Vec<OwnedFd>) {
    match socket {
        Ok(socket) => (Answer::Socket, vec![socket]),
        Err(error) => (Answer::NoSocket(error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error())), vec![]),
    }
}

/// An error of the system, with what was tried.
fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> NodeError {
    move |error| NodeError::Failed { what: what.into(), cause: error.to_string() }
}

fn unknown(kind: &str, id: &str) -> NodeError {
    NodeError::Unknown { kind: kind.to_owned(), id: id.to_owned() }
}

/// Names of pods and containers become names of folders.
fn check_id(id: &str) -> Result<(), NodeError> {
    let is_plain = |each: char| each.is_ascii_alphanumeric() || "-_.".contains(each);
    if !id.is_empty() && id.len() <= 200 && !id.starts_with('.') && id.chars().all(is_plain) {
        return Ok(());
    }
    Err(NodeError::Failed {
        what: format!("use {id:?} as a name"),
        cause: "only up to 200 letters, digits, `-`, `_` and `.` are allowed".to_owned(),
    })
}
