//! A sandbox in the foreground, and its control from other processes.

use crate::folder::{self, FolderError, Ready, State};
use crate::{NodeShape, Notice, Options, Sandbox, Settings, SettingsError, StartError};
use rustix::process::{Pid, Signal, kill_process};
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// How often a process that was told to stop is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long it may take before it is killed: pods' grace and what comes after.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nodes may take to come and go: pods' grace, twice where two changes come together, and what comes after.
const RELOADING: Duration = Duration::from_secs(90);

/// Why a sandbox did not run, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It could not be started.
    #[error("start the sandbox")]
    Start(#[from] StartError),
    /// The process cannot have threads, or signals.
    #[error("prepare the process")]
    Process(#[source] io::Error),
    /// The node died, and all pods with it. The objects are safe.
    #[error("the sandbox's node has died, and its pods with it; start the sandbox again")]
    NodeDied,
}

/// Why a sandbox was not stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// Its folder cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The process cannot be told.
    #[error("tell process {pid} to stop")]
    Signal {
        /// The process.
        pid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It did not end in time, even when killed.
    #[error("process {pid} of the sandbox in {folder} does not end", folder = folder.display())]
    Stays {
        /// The process.
        pid: u32,
        /// The folder.
        folder: PathBuf,
    },
}

/// Why a sandbox has not the nodes that it was told to have.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetNodesError {
    /// They cannot be, or its folder cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Its folder cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The process cannot be told.
    #[error("tell process {pid} of its nodes")]
    Signal {
        /// The process.
        pid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It did not have them in time; its log may tell why. It has them after its next start.
    #[error("process {pid} of the sandbox in {folder} does not take its nodes", folder = folder.display())]
    Late {
        /// The process.
        pid: u32,
        /// The folder.
        folder: PathBuf,
    },
}

/// Runs a sandbox until SIGTERM, SIGINT or [`stop`]; a second signal ends it at once. At SIGHUP it has the nodes that its folder
/// says. Must not be called inside a runtime of tokio's.
pub fn run(options: Options) -> Result<(), RunError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().map_err(RunError::Process)?;
    let done = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Process)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Process)?;
        let mut reload = signal(SignalKind::hangup()).map_err(RunError::Process)?;
        let notice = options.notice.clone();
        let sandbox = tokio::select! {
            sandbox = crate::start(options) => sandbox?,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        let died = tokio::select! {
            () = sandbox.node_stopped() => true,
            never = follow(&sandbox, &mut reload, &notice) => match never {},
            _ = terminate.recv() => false,
            _ = interrupt.recv() => false,
        };
        tokio::select! {
            () = sandbox.stop() => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if died { Err(RunError::NodeDied) } else { Ok(()) }
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

/// Has the nodes that the folder says, each time that it is told to.
async fn follow(sandbox: &Sandbox, reload: &mut tokio::signal::unix::Signal, notice: &Notice) -> Infallible {
    while reload.recv().await.is_some() {
        if let Err(error) = sandbox.reload().await {
            notice.tell(&format!("cannot have the nodes that are wanted: {}", described(&error)));
        }
    }
    std::future::pending().await
}

/// Has the sandbox in this folder have these nodes from now on, and waits until it has, pods of nodes that go included. Without
/// any said it is one node that has all that the machine has. A sandbox that does not run has them at its next start. For one caller at a time.
pub fn set_nodes(folder: &Path, nodes: Option<Vec<NodeShape>>) -> Result<(), SetNodesError> {
    let mut settings = Settings::read(folder)?;
    if settings.nodes != nodes {
        settings.generation += 1;
        settings.nodes = nodes;
        settings.write(folder)?;
    }
    let (begin, mut told) = (Instant::now(), None);
    loop {
        let pid = match folder::state(folder)? {
            State::Stopped => return Ok(()),
            State::Running(ready) if ready.generation >= settings.generation => return Ok(()),
            State::Running(Ready { pid, .. }) if told == Some(pid) => pid,
            State::Running(Ready { pid, .. }) => {
                match signal_process(pid, Signal::HUP) {
                    Ok(()) | Err(rustix::io::Errno::SRCH) => told = Some(pid),
                    Err(error) => return Err(SetNodesError::Signal { pid, source: error.into() }),
                }
                pid
            }
            // One that starts has read its settings before or after; that is seen when it has started.
            State::Busy { pid } => pid,
        };
        if begin.elapsed() > RELOADING {
            return Err(SetNodesError::Late { pid, folder: folder.to_owned() });
        }
        std::thread::sleep(LOOK);
    }
}

/// An error with its causes.
fn described(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
    std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ")
}

fn signal_process(pid: u32, signal: Signal) -> Result<(), rustix::io::Errno> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    process.ok_or(rustix::io::Errno::SRCH).and_then(|process| kill_process(process, signal))
}

/// What is known of the sandbox in this folder.
pub fn status(folder: &Path) -> Result<State, FolderError> {
    folder::state(folder)
}

/// Stops the sandbox in this folder and waits until it has; false when none was running.
pub fn stop(folder: &Path) -> Result<bool, StopError> {
    let pid = match folder::state(folder)? {
        State::Stopped => return Ok(false),
        State::Busy { pid } | State::Running(Ready { pid, .. }) => pid,
    };
    for (sent, patience) in [(Signal::TERM, PATIENCE), (Signal::KILL, Duration::from_secs(5))] {
        match signal_process(pid, sent) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(StopError::Signal { pid, source: error.into() }),
        }
        let begin = Instant::now();
        while begin.elapsed() < patience {
            if folder::state(folder)? == State::Stopped {
                return Ok(true);
            }
            std::thread::sleep(LOOK);
        }
    }
    Err(StopError::Stays { pid, folder: folder.to_owned() })
}
