//! The way out of the cluster, if there is one: the node's owner opens the connections and looks the names up, with the
//! machine's own network; pods never see that network itself.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::netlink::Prefix;
use super::{proxy, redirect};
use crate::messages::Message;
use crate::wire::Frame;

/// What the owner was asked for and has not answered yet.
#[derive(Debug)]
pub struct Outside {
    outgoing: mpsc::UnboundedSender<Frame>,
    count: Cell<u64>,
    reaching: RefCell<HashMap<u64, oneshot::Sender<OwnedFd>>>,
    resolving: RefCell<HashMap<u64, oneshot::Sender<Vec<Ipv4Addr>>>>,
}

impl Outside {
    /// Opens the way out for what pods send beyond the given networks.
    pub fn open(outgoing: mpsc::UnboundedSender<Frame>, gateway: Ipv4Addr, within: &[Prefix]) -> io::Result<Rc<Self>> {
        let listener = std::net::TcpListener::bind((gateway, 0))?;
        listener.set_nonblocking(true)?;
        redirect::redirect(within, listener.local_addr()?.port())?;
        let listener = TcpListener::from_std(listener)?;
        let (reaching, resolving) = (RefCell::default(), RefCell::default());
        let outside = Rc::new(Self { outgoing, count: Cell::new(0), reaching, resolving });
        let theirs = outside.clone();
        tokio::task::spawn_local(async move {
            loop {
                if let Ok((client, _)) = listener.accept().await {
                    tokio::task::spawn_local(hand_on(theirs.clone(), client));
                }
            }
        });
        Ok(outside)
    }

    fn ask(&self, message: impl FnOnce(u64) -> Message) -> u64 {
        let number = self.count.get() + 1;
        self.count.set(number);
        if let Ok(frame) = Frame::new(&message(number), Vec::new()) {
            // Without an owner, the agent ends in a moment.
            let _ = self.outgoing.send(frame);
        }
        number
    }

    /// The owner's answer to a connection: a socket of the machine's network, or none.
    pub fn reached(&self, number: u64, socket: Option<OwnedFd>) {
        let waiting = self.reaching.borrow_mut().remove(&number);
        if let (Some(waiting), Some(socket)) = (waiting, socket) {
            let _ = waiting.send(socket);
        }
    }

    /// The owner's answer to a name.
    pub fn resolved(&self, number: u64, addresses: Vec<Ipv4Addr>) {
        if let Some(waiting) = self.resolving.borrow_mut().remove(&number) {
            let _ = waiting.send(addresses);
        }
    }

    /// The addresses of a name outside; none if there is no such name.
    pub async fn resolve(&self, name: &str) -> Vec<Ipv4Addr> {
        let (sender, answer) = oneshot::channel();
        let number = self.ask(|number| Message::Resolve { number, name: name.to_owned() });
        self.resolving.borrow_mut().insert(number, sender);
        answer.await.unwrap_or_default()
    }

    async fn reach(&self, address: SocketAddrV4) -> Option<TcpStream> {
        let (sender, answer) = oneshot::channel();
        let number = self.ask(|number| Message::Reach { number, address });
        self.reaching.borrow_mut().insert(number, sender);
        let socket: std::net::TcpStream = answer.await.ok()?.into();
        socket.set_nonblocking(true).ok()?;
        TcpStream::from_std(socket).ok()
    }
}

async fn hand_on(outside: Rc<Outside>, mut client: TcpStream) {
    let server = match rustix::net::sockopt::ip_original_dst(&client) {
        Ok(address) => outside.reach(address).await,
        Err(_) => None,
    };
    let Some(mut server) = server else { return proxy::refuse(&client) };
    if copy_bidirectional(&mut client, &mut server).await.is_err() {
        proxy::refuse(&client);
    }
}
