//! The processes that this program becomes besides itself: which, and how they are started.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};

use crate::{agent, exec, init, keeper};

const PREFIX: &str = "infra-sandbox-";

/// One of the node's own processes. Each starts with a socket to who started it as its standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Outside of the node's PID namespace: starts the agent and removes what is left of it.
    Keeper,
    /// The first process of the node's PID namespace.
    Agent,
    /// Becomes the first process of a container.
    Init,
    /// Becomes a further process of a container.
    Exec,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Keeper => "infra-sandbox-keeper",
            Self::Agent => "infra-sandbox-agent",
            Self::Init => "infra-sandbox-init",
            Self::Exec => "infra-sandbox-exec",
        }
    }

    /// This program again, in a role. It has nothing of this process but its errors' place and a socket.
    pub fn start(self, arguments: &[OsString], errors: Stdio) -> io::Result<(Child, UnixStream)> {
        let (here, there) = UnixStream::pair()?;
        // The program itself, even if its file was replaced or removed since it was started.
        let child = Command::new("/proc/self/exe")
            .arg0(self.name())
            .args(arguments)
            .env_clear()
            .stdin(OwnedFd::from(there))
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()?;
        Ok((child, here))
    }
}

/// Must be the first thing in `main`, before any thread is started: when this process was started as one of the node's
/// own, does that work and returns its exit code.
pub fn entry() -> Option<ExitCode> {
    let name = std::env::args_os().next()?;
    let name = name.to_str()?;
    if !name.starts_with(PREFIX) {
        return None;
    }
    let roles = [Role::Keeper, Role::Agent, Role::Init, Role::Exec];
    let role = roles.into_iter().find(|role| role.name() == name)?;
    let ready = if role == Role::Keeper { close_inherited() } else { Ok(()) };
    let done = ready.and_then(|()| socket()).and_then(|socket| match role {
        Role::Keeper => keeper::run(&socket),
        Role::Agent => agent::run(socket),
        Role::Init => init::run(&socket),
        Role::Exec => exec::run(&socket),
    });
    Some(done.unwrap_or_else(|error| {
        note(format_args!("{name}: {error}"));
        ExitCode::FAILURE
    }))
}

/// Closes all that was open in whoever started the node's owner and is nobody's business here: a folder among it would
/// be a way out of every container.
fn close_inherited() -> io::Result<()> {
    let names = std::fs::read_dir("/proc/self/fd")?.flatten().map(|entry| entry.file_name());
    let open: Vec<i32> = names.filter_map(|name| name.to_str()?.parse().ok()).filter(|number| *number > 2).collect();
    for descriptor in open {
        // The one that the numbers were read with is closed already.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}

/// Writes a line to where such a process has its errors: the node's own log, or a container's.
pub fn note(line: std::fmt::Arguments<'_>) {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr(), "{line}");
}

/// The socket that this process was started with, which is no longer its standard input.
fn socket() -> io::Result<UnixStream> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(null)?;
    Ok(socket.into())
}
