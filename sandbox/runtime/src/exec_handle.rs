//! A further program in a container, as its owner sees it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::termios::{Winsize, tcsetwinsize};
use tokio::sync::oneshot;

use crate::config::Exit;
use crate::error::NodeError;
use crate::link::{Link, WeakLink};
use crate::stream::Stream;

/// A program that was started in a running container. Dropping it kills the program, unless it has ended.
#[derive(Debug)]
pub struct ExecHandle {
    /// To write to it, if that was asked for. Dropping it ends its input (without a terminal).
    pub stdin: Option<Stream>,
    /// Its output (with a terminal: errors, too), if asked for.
    pub stdout: Option<Stream>,
    /// Its errors, if asked for and there is no terminal.
    pub stderr: Option<Stream>,
    /// Its terminal, if it has one.
    pub terminal: Option<Terminal>,
    /// Its end.
    pub exit: ExecExit,
}

/// The end of a program that was started in a running container. Dropping it kills the program, unless it has ended.
#[derive(Debug)]
pub struct ExecExit {
    exec: u64,
    end: oneshot::Receiver<Exit>,
    ended: Option<Exit>,
    link: WeakLink,
}

impl ExecExit {
    pub(crate) fn new(exec: u64, end: oneshot::Receiver<Exit>, link: &Link) -> Self {
        Self { exec, end, ended: None, link: link.weak() }
    }

    /// How the program ended.
    pub async fn wait(&mut self) -> Result<Exit, NodeError> {
        if self.ended.is_none() {
            self.ended = Some((&mut self.end).await.map_err(|_| NodeError::Stopped)?);
        }
        self.ended.clone().ok_or(NodeError::Stopped)
    }
}

impl Drop for ExecExit {
    fn drop(&mut self) {
        if self.ended.is_none() && self.end.try_recv().is_err() {
            self.link.kill_exec(self.exec);
        }
    }
}

/// The terminal of a program.
#[derive(Debug)]
pub struct Terminal {
    file: OwnedFd,
}

impl Terminal {
    pub(crate) fn new(file: OwnedFd) -> Self {
        Self { file }
    }

    /// Tells the program how large its window is.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(&self.file, size)?)
    }
}
