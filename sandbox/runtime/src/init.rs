//! The first process of a container, until it becomes the container's program.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sched::{CloneFlags, setns, unshare};
use rustix::mount::{MountPropagationFlags, mount_change};

use crate::container::{self, Person};
use crate::error::StartContainerError;
use crate::messages::{InitConfig, Progress};
use crate::wire::{self, Inbox};

/// Becomes the program that is asked for, or says why not.
pub fn run(socket: &UnixStream) -> io::Result<ExitCode> {
    let mut inbox = Inbox::default();
    let Some((config, descriptors)) = inbox.receive::<InitConfig>(socket)? else { return Ok(ExitCode::FAILURE) };
    match become_program(socket, &mut inbox, &config, descriptors) {
        Ok(code) => Ok(code),
        Err(error) => {
            wire::send(socket, &Progress::Failed(error), Vec::new())?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn setup(what: &str) -> impl FnOnce(io::Error) -> StartContainerError {
    let what = what.to_owned();
    move |error| StartContainerError::Setup(format!("{what}: {error}"))
}

fn become_program(
    socket: &UnixStream,
    inbox: &mut Inbox,
    config: &InitConfig,
    descriptors: Vec<OwnedFd>,
) -> Result<ExitCode, StartContainerError> {
    let [network, ipc, uts, output, errors] = <[OwnedFd; 5]>::try_from(descriptors)
        .map_err(|_| StartContainerError::Setup("a starting process was not given its files".to_owned()))?;
    let container = &config.container;
    let _ = rustix::process::setsid();
    enter(&network, &ipc, &uts).map_err(setup("cannot enter the pod's namespaces"))?;
    drop((network, ipc, uts));
    container::assemble(config).map_err(StartContainerError::Setup)?;
    let person = Person::new(container, config.many_users)?;
    let wants_ids = person.take_user_namespace().map_err(setup("cannot make the container's user namespace"))?;
    wire::send(socket, &Progress::Prepared { wants_ids }, Vec::new()).map_err(setup("cannot tell the agent"))?;
    inbox.receive::<()>(socket).map_err(setup("cannot hear the agent"))?;
    // From here on its own control groups are the whole tree that it sees. Where there are none, nothing is lost.
    let _ = unshare(CloneFlags::CLONE_NEWCGROUP);
    rustix::stdio::dup2_stdout(&output)
        .and_then(|()| rustix::stdio::dup2_stderr(&errors))
        .map_err(|error| setup("cannot take the container's output")(error.into()))?;
    drop((output, errors));
    person.assume()?;
    let program = container::find(container, &container.arguments)
        .map_err(|cause| StartContainerError::Program(container::lookup_failed(&cause)))?;
    Ok(container::run(container, &container.arguments, &program, None))
}

fn enter(network: &OwnedFd, ipc: &OwnedFd, uts: &OwnedFd) -> io::Result<()> {
    setns(network, CloneFlags::CLONE_NEWNET)?;
    setns(ipc, CloneFlags::CLONE_NEWIPC)?;
    setns(uts, CloneFlags::CLONE_NEWUTS)?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(())
}
