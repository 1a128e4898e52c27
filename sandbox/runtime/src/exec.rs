//! A further process of a container, until it becomes the program that is wanted.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sched::{CloneFlags, setns};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};

use crate::container::{self, Person};
use crate::error::StartContainerError;
use crate::messages::{ExecSetup, Progress};
use crate::wire::{self, Inbox};

/// Becomes the program that is asked for, or says why not.
pub fn run(socket: &UnixStream) -> io::Result<ExitCode> {
    let mut inbox = Inbox::default();
    let Some((setup, descriptors)) = inbox.receive::<ExecSetup>(socket)? else { return Ok(ExitCode::FAILURE) };
    match become_program(socket, &mut inbox, &setup, descriptors) {
        Ok(code) => Ok(code),
        Err(error) => {
            wire::send(socket, &Progress::Failed(error), Vec::new())?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> StartContainerError {
    let what = what.to_owned();
    move |error| StartContainerError::Setup(format!("{what}: {error}"))
}

fn become_program(
    socket: &UnixStream,
    inbox: &mut Inbox,
    setup: &ExecSetup,
    mut descriptors: Vec<OwnedFd>,
) -> Result<ExitCode, StartContainerError> {
    let container = &setup.container;
    let _ = rustix::process::setsid();
    let streams = descriptors.split_off(1);
    let first = descriptors.remove(0);
    let person = Person::new(container, setup.many_users)?;
    let shared =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    setns(&first, shared | CloneFlags::CLONE_NEWCGROUP)
        .and_then(|()| if person.has_user_namespace() { setns(&first, CloneFlags::CLONE_NEWUSER) } else { Ok(()) })
        .map_err(|errno| failed("cannot enter the container")(errno.into()))?;
    drop(first);
    let (streams, terminal) = if setup.config.tty {
        let (ours, theirs) = terminal().map_err(|error| failed("cannot make a terminal")(error.into()))?;
        (vec![theirs], vec![ours])
    } else {
        (streams, Vec::new())
    };
    wire::send(socket, &Progress::Prepared { wants_ids: false }, terminal).map_err(failed("cannot tell the agent"))?;
    inbox.receive::<()>(socket).map_err(failed("cannot hear the agent"))?;
    take_streams(setup, streams).map_err(failed("cannot take the program's streams"))?;
    person.assume()?;
    let program = container::find(container, &setup.config.arguments).map_err(|cause| {
        StartContainerError::Program(format!(
            "OCI runtime exec failed: exec failed: unable to start container process: {cause}: unknown"
        ))
    })?;
    let terminal = setup.config.tty.then_some("xterm");
    Ok(container::run(container, &setup.config.arguments, &program, terminal))
}

/// A terminal of the container's own: its other side and the program's.
fn terminal() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    unlockpt(&ours)?;
    let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    Ok((ours, theirs))
}

fn take_streams(setup: &ExecSetup, streams: Vec<OwnedFd>) -> io::Result<()> {
    let config = &setup.config;
    if config.tty {
        let theirs = streams.first().ok_or(io::ErrorKind::InvalidData)?;
        rustix::process::ioctl_tiocsctty(theirs)?;
        rustix::stdio::dup2_stdin(theirs)?;
        rustix::stdio::dup2_stdout(theirs)?;
        return Ok(rustix::stdio::dup2_stderr(theirs)?);
    }
    let null = OwnedFd::from(std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?);
    let mut streams = streams.into_iter();
    let mut next = |wanted: bool| match wanted.then(|| streams.next()).flatten() {
        Some(stream) => Ok(stream),
        None => null.try_clone(),
    };
    rustix::stdio::dup2_stdin(next(config.stdin)?)?;
    rustix::stdio::dup2_stdout(next(config.stdout)?)?;
    Ok(rustix::stdio::dup2_stderr(next(config.stderr)?)?)
}
