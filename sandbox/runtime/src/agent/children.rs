//! The agent's processes: started in the right PID namespace, reaped, their ends told.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;

use nix::sched::{CloneFlags, setns, unshare};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::config::Exit;
use crate::role::Role;

/// In which PID namespace a process starts.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// As the first of a new one.
    New,
    /// In that of another process.
    Of(&'a OwnedFd),
}

/// A process that was started.
#[derive(Debug)]
pub struct Started {
    pub pid: u32,
    pub process: Rc<OwnedFd>,
    pub socket: UnixStream,
    pub end: oneshot::Receiver<ExitStatus>,
}

/// All processes of the agent.
#[derive(Debug)]
pub struct Children {
    own: OwnedFd,
    waiting: RefCell<HashMap<u32, oneshot::Sender<ExitStatus>>>,
}

impl Children {
    /// Must be called before any process is started, inside the agent's runtime.
    pub fn new() -> io::Result<Self> {
        Ok(Self { own: File::open("/proc/self/ns/pid")?.into(), waiting: RefCell::default() })
    }

    /// Starts a role in a PID namespace.
    pub fn start(&self, role: Role, place: Place<'_>) -> io::Result<Started> {
        match place {
            Place::New => unshare(CloneFlags::CLONE_NEWPID)?,
            Place::Of(process) => setns(process, CloneFlags::CLONE_NEWPID)?,
        }
        let child = role.start(&[], Stdio::inherit());
        setns(&self.own, CloneFlags::CLONE_NEWPID)?;
        let (child, socket) = child?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        // The number cannot have been used again: nobody but `reap` takes the process's end.
        let process = Rc::new(pidfd_open(pid, PidfdFlags::empty())?);
        let (sender, end) = oneshot::channel();
        self.waiting.borrow_mut().insert(child.id(), sender);
        socket.set_nonblocking(true)?;
        Ok(Started { pid: child.id(), process, socket: UnixStream::from_std(socket)?, end })
    }

    /// Takes the ends of processes for as long as the agent lives.
    pub async fn reap(&self) -> io::Result<()> {
        let mut ends = signal(SignalKind::child())?;
        loop {
            while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
                let waiting = self.waiting.borrow_mut().remove(&pid.as_raw_nonzero().get().unsigned_abs());
                if let Some(waiting) = waiting {
                    // Nobody waits for a program that could not be started.
                    let _ = waiting.send(ExitStatus::from_raw(status.as_raw()));
                }
            }
            ends.recv().await;
        }
    }
}

/// How a process ended, just now.
pub fn exit(status: ExitStatus, oom_killed: bool) -> Exit {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Exit {
        code,
        signal: status.signal(),
        oom_killed,
        finished_at: (i64::try_from(now.as_secs()).unwrap_or(i64::MAX), now.subsec_nanos()),
    }
}
