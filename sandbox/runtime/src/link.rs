//! The owner's side of the socket to the agent: requests, answers and news.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::{Capabilities, Exit, NodeOptions};
use crate::error::{NodeError, StartError};
use crate::forbidden::failed;
use crate::launch::{self, Launched};
use crate::messages::{Answer, Call, Message, Request};
use crate::outside;
use crate::wire::{self, Frame, Inbox};

/// The agent's answer.
#[derive(Debug)]
pub struct Reply {
    pub answer: Answer,
    pub descriptors: Vec<OwnedFd>,
    /// Of the program, if one was started in a running container.
    pub end: Option<oneshot::Receiver<Exit>>,
}

/// What the writer does next.
#[derive(Debug)]
enum Outgoing {
    Frame(Frame),
    HangUp,
}

/// A connection to an agent. It is closed when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Link {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    state: Arc<State>,
    gone: watch::Receiver<bool>,
}

/// The same, which does not hold it open.
#[derive(Debug, Clone)]
pub struct WeakLink {
    outgoing: mpsc::WeakUnboundedSender<Outgoing>,
}

#[derive(Debug, Default)]
struct State {
    count: AtomicU64,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    closed: bool,
    answers: HashMap<u64, oneshot::Sender<Reply>>,
    ends: HashMap<String, watch::Sender<Option<Exit>>>,
    execs: HashMap<u64, oneshot::Sender<Exit>>,
}

impl State {
    /// Nothing panics with the lock held; if it did, the tables would still be whole.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// Starts a node.
    pub async fn make(options: NodeOptions) -> Result<(Self, (Capabilities, Ipv4Addr)), StartError> {
        let outside = options.outside_network;
        let (ready, launched) = oneshot::channel();
        let (gone_sender, gone) = watch::channel(false);
        std::thread::Builder::new()
            .name("sandbox-keeper".to_owned())
            .stack_size(256 << 10)
            .spawn(move || launch::launch(options, ready, &gone_sender))
            .map_err(failed("start a thread"))?;
        let nobody = |_| StartError::Option("the sandbox's keeper was lost".to_owned());
        let Launched { socket, inbox, capabilities, address } = launched.await.map_err(nobody)??;
        socket.set_nonblocking(true).map_err(failed("use a socket"))?;
        let socket = Arc::new(UnixStream::from_std(socket).map_err(failed("use a socket"))?);
        let (outgoing, frames) = mpsc::unbounded_channel();
        let state = Arc::new(State::default());
        let link = Self { outgoing, state: state.clone(), gone };
        tokio::spawn(write(socket.clone(), frames));
        tokio::spawn(read(socket, inbox, state, link.weak(), outside));
        Ok((link, (capabilities, address)))
    }

    /// A link that does not hold the connection open.
    pub fn weak(&self) -> WeakLink {
        WeakLink { outgoing: self.outgoing.downgrade() }
    }

    /// Asks the agent for something and waits for its answer.
    pub async fn ask(&self, request: Request) -> Result<Reply, NodeError> {
        let number = self.state.count.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, answer) = oneshot::channel();
        {
            let mut tables = self.state.tables();
            if tables.closed {
                return Err(NodeError::Stopped);
            }
            tables.answers.insert(number, sender);
        }
        let frame = Frame::new(&Call { number, request }, Vec::new());
        let frame =
            frame.map_err(|error| NodeError::Failed { what: "ask the agent".into(), cause: error.to_string() })?;
        self.outgoing.send(Outgoing::Frame(frame)).map_err(|_| NodeError::Stopped)?;
        answer.await.map_err(|_| NodeError::Stopped)
    }

    /// Before a container is started: its end may come at any time. Whether nobody expected it before.
    pub fn expect_end(&self, container: &str) -> bool {
        let mut tables = self.state.tables();
        let is_new = !tables.closed && !tables.ends.contains_key(container);
        if is_new {
            tables.ends.insert(container.to_owned(), watch::Sender::new(None));
        }
        is_new
    }

    /// After a container was removed, or could not be started.
    pub fn forget_end(&self, container: &str) {
        self.state.tables().ends.remove(container);
    }

    /// How a container ended.
    pub async fn end(&self, container: &str) -> Result<Exit, NodeError> {
        let ends = {
            let tables = self.state.tables();
            if tables.closed && !tables.ends.contains_key(container) {
                return Err(NodeError::Stopped);
            }
            tables.ends.get(container).map(watch::Sender::subscribe)
        };
        let unknown = || NodeError::Unknown { kind: "container".to_owned(), id: container.to_owned() };
        let mut ends = ends.ok_or_else(unknown)?;
        let end = ends.wait_for(Option::is_some).await.map(|exit| exit.clone());
        match end {
            Ok(Some(exit)) => Ok(exit),
            _ if self.state.tables().closed => Err(NodeError::Stopped),
            _ => Err(unknown()),
        }
    }

    /// Closes the connection, whatever clones there are.
    pub fn hang_up(&self) {
        let _ = self.outgoing.send(Outgoing::HangUp);
    }

    /// Resolves when all of the node is gone.
    pub async fn gone(&self) {
        // The sender's end comes with the same.
        let _ = self.gone.clone().wait_for(|gone| *gone).await;
    }
}

impl WeakLink {
    /// Has a program killed, without waiting for it.
    pub fn kill_exec(&self, exec: u64) {
        self.tell(Request::KillExec { exec }, Vec::new());
    }

    async fn reach(self, number: u64, address: SocketAddrV4) {
        let socket = outside::reach(address).await.ok();
        self.tell(Request::Reached { number }, socket.into_iter().collect());
    }

    async fn resolve(self, number: u64, name: String) {
        let addresses = outside::resolve(&name).await;
        self.tell(Request::Resolved { number, addresses }, Vec::new());
    }

    /// Asks for something whose answer nobody waits for.
    fn tell(&self, request: Request, descriptors: Vec<OwnedFd>) {
        const NOBODY: u64 = 0;
        let frame = Frame::new(&Call { number: NOBODY, request }, descriptors);
        if let (Some(outgoing), Ok(frame)) = (self.outgoing.upgrade(), frame) {
            let _ = outgoing.send(Outgoing::Frame(frame));
        }
    }
}

/// Writes until nobody has anything to say any more, and then closes the connection.
async fn write(socket: Arc<UnixStream>, mut frames: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(Outgoing::Frame(frame)) = frames.recv().await {
        if wire::send_frame(&socket, frame).await.is_err() {
            break;
        }
    }
    let _ = rustix::net::shutdown(&*socket, rustix::net::Shutdown::Write);
}

/// Reads until the agent is gone.
async fn read(socket: Arc<UnixStream>, mut inbox: Inbox, state: Arc<State>, link: WeakLink, outside: bool) {
    while let Ok(Some((message, descriptors))) = inbox.next::<Message>(&socket).await {
        match message {
            Message::Reach { number, address } if outside => drop(tokio::spawn(link.clone().reach(number, address))),
            Message::Resolve { number, name } if outside => drop(tokio::spawn(link.clone().resolve(number, name))),
            other => hear(other, descriptors, &state, &link),
        }
    }
    let mut tables = state.tables();
    tables.closed = true;
    tables.answers.clear();
    tables.execs.clear();
    // What is known of those that ended before stays known.
    tables.ends.retain(|_, end| end.borrow().is_some());
}

fn hear(message: Message, descriptors: Vec<OwnedFd>, state: &State, link: &WeakLink) {
    let mut tables = state.tables();
    match message {
        Message::Answer { number, answer } => {
            let exec = if let Answer::Exec { exec } = answer { Some(exec) } else { None };
            let end = exec.map(|exec| {
                let (sender, end) = oneshot::channel();
                tables.execs.insert(exec, sender);
                end
            });
            let waiting = tables.answers.remove(&number);
            drop(tables);
            let unheard = waiting.is_none_or(|waiting| waiting.send(Reply { answer, descriptors, end }).is_err());
            if let (true, Some(exec)) = (unheard, exec) {
                link.kill_exec(exec);
            }
        }
        Message::Ended { container, exit } => {
            if let Some(end) = tables.ends.get(&container) {
                end.send_replace(Some(exit));
            }
        }
        Message::ExecEnded { exec, exit } => {
            if let Some(end) = tables.execs.remove(&exec) {
                let _ = end.send(exit);
            }
        }
        // Said only while a node starts, or by one that has a way out.
        Message::Reach { .. }
        | Message::Resolve { .. }
        | Message::Unshared
        | Message::Forbidden { .. }
        | Message::Ready { .. } => {}
    }
}
