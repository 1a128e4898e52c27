//! Further programs in running containers.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, pidfd_send_signal};

use super::Agent;
use super::children::{self, Place};
use crate::config::ExecConfig;
use crate::error::StartContainerError;
use crate::messages::{ExecSetup, Message};
use crate::role::Role;
use crate::wire::Frame;

/// A program that runs in a container besides its first.
#[derive(Debug)]
pub struct Exec {
    process: Rc<OwnedFd>,
}

/// Pipes for those streams that are wanted: the program's ends and the other ones.
fn pipes(config: &ExecConfig) -> rustix::io::Result<(Vec<OwnedFd>, Vec<OwnedFd>)> {
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for (wanted, is_input) in [(config.stdin, true), (config.stdout, false), (config.stderr, false)] {
        if wanted && !config.tty {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
            let (their, our) = if is_input { (reader, writer) } else { (writer, reader) };
            theirs.push(their);
            ours.push(our);
        }
    }
    Ok((theirs, ours))
}

impl Agent {
    pub(super) async fn exec(
        self: &Rc<Self>,
        id: &str,
        config: ExecConfig,
    ) -> Result<(u64, Vec<OwnedFd>), StartContainerError> {
        let container = self.container(id)?;
        let setup = |what: &str, error: std::io::Error| StartContainerError::Setup(format!("{what}: {error}"));
        let (theirs, mut ours) = pipes(&config).map_err(|error| setup("cannot make pipes", error.into()))?;
        let child = self.children.start(Role::Exec, Place::Of(&container.process)).map_err(|error| {
            // Its namespaces are gone with its last process.
            if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) {
                return StartContainerError::Program("container not running".to_owned());
            }
            setup("cannot start a process in the container", error)
        })?;
        let process = container.process.try_clone().map_err(|error| setup("cannot hand the container on", error))?;
        let descriptors = std::iter::once(process).chain(theirs).collect();
        let exec_setup = ExecSetup { container: (*container.config).clone(), config, many_users: self.many_users };
        let frame =
            Frame::new(&exec_setup, descriptors).map_err(|error| setup("cannot describe the program", error))?;
        drop(exec_setup);
        match self.see_off(child.socket, frame, &container.config, child.pid).await {
            Ok(terminal) => ours.extend(terminal),
            Err(error) => {
                let _ = pidfd_send_signal(&child.process, Signal::KILL);
                let _ = child.end.await;
                return Err(error);
            }
        }
        let exec = self.exec_count.get() + 1;
        self.exec_count.set(exec);
        self.execs.borrow_mut().insert(exec, Exec { process: child.process });
        let (agent, end) = (self.clone(), child.end);
        tokio::task::spawn_local(async move {
            if let Ok(status) = end.await {
                agent.execs.borrow_mut().remove(&exec);
                agent.tell(&Message::ExecEnded { exec, exit: children::exit(status, false) }, Vec::new());
            }
        });
        Ok((exec, ours))
    }

    /// Kills a program, if it still runs.
    pub(super) fn kill_exec(&self, exec: u64) {
        if let Some(exec) = self.execs.borrow().get(&exec) {
            let _ = pidfd_send_signal(&exec.process, Signal::KILL);
        }
    }
}
