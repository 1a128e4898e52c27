//! A sandbox in the foreground, and its control from other processes.

use crate::folder::{self, FolderError, Ready, State};
use crate::{Options, StartError};
use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// How often a process that was told to stop is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long it may take before it is killed: pods' grace and what comes after.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Runs a sandbox until SIGTERM, SIGINT or [`stop`]; a second signal ends it at once. Must not be called inside a runtime of
/// tokio's.
pub fn run(options: Options) -> Result<(), RunError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().map_err(RunError::Process)?;
    let done = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Process)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Process)?;
        let sandbox = tokio::select! {
            sandbox = crate::start(options) => sandbox?,
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        let died = tokio::select! {
            () = sandbox.node_stopped() => true,
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
        let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let told = process.ok_or(rustix::io::Errno::SRCH).and_then(|process| kill_process(process, sent));
        match told {
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
