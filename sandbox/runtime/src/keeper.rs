//! The keeper: makes the node's namespaces, starts the agent in them, and removes what stays when it is gone.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};

use nix::sched::{CloneFlags, unshare};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::limits::Limits;
use crate::messages::{AgentSetup, Message, Setup};
use crate::wire::{self, Inbox};

/// How long the agent may remove files after its owner has hung up.
const CLEARING: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Does the keeper's work until the node's owner or the agent is gone.
pub fn run(socket: &UnixStream) -> io::Result<ExitCode> {
    // Signals that a terminal sends to a whole group are not for the node.
    let _ = rustix::process::setsid();
    let flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWPID;
    if let Err(errno) = unshare(flags) {
        let what = "make user, mount, network, IPC, UTS and PID namespaces".to_owned();
        wire::send(socket, &Message::Forbidden { what, errno: errno as i32, cause: errno.desc().to_owned() }, vec![])?;
        return Ok(ExitCode::FAILURE);
    }
    wire::send(socket, &Message::Unshared, vec![])?;
    let Some((setup, _)) = Inbox::default().receive::<Setup>(socket)? else { return Ok(ExitCode::FAILURE) };
    become_root()?;
    let limits = Limits::make(std::process::id());
    let agent = start_agent(socket, &AgentSetup { setup, limits: limits.clone() });
    let watched = agent.and_then(|agent| watch(socket, agent));
    limits.remove_all();
    watched.map(|()| ExitCode::SUCCESS)
}

/// Root of the new user namespace, whose ids have been written by now.
fn become_root() -> io::Result<()> {
    let root = (rustix::process::Uid::ROOT, rustix::process::Gid::ROOT);
    rustix::thread::set_thread_res_gid(root.1, root.1, root.1)?;
    rustix::thread::set_thread_res_uid(root.0, root.0, root.0)?;
    Ok(())
}

fn start_agent(socket: &UnixStream, setup: &AgentSetup) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .arg0("infra-sandbox-agent")
        .arg(OsString::from(serde_json::to_string(setup)?))
        .env_clear()
        .stdin(OwnedFd::from(socket.try_clone()?))
        .stdout(Stdio::null())
        .spawn()
}

/// Waits until the owner hangs up or the agent ends. Then the agent and all processes of its namespace are no more: the
/// end of a namespace's first process is only told when the others are gone.
fn watch(socket: &UnixStream, mut agent: Child) -> io::Result<()> {
    let pid = i32::try_from(agent.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let ended = || PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN);
    // Of the socket nothing is asked for but to be told that its other side was closed.
    wait_for(&mut [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::empty()), ended()], None)?;
    // The agent was told the same, and removes what nobody else may be allowed to.
    wait_for(&mut [ended()], Some(&CLEARING))?;
    agent.kill()?;
    agent.wait().map(drop)
}

/// Waits until one of these has something to tell, or the time is over.
fn wait_for(watched: &mut [PollFd<'_>], limit: Option<&Timespec>) -> io::Result<()> {
    loop {
        match rustix::event::poll(watched, limit) {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}
