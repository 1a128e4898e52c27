//! Streams into and out of pods: logs, commands, ports.

use std::io;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use crate::Status;

/// Bytes of a log as they come.
pub type LogStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A connection, both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What the node does for the streams of its pods.
#[async_trait]
pub trait PodStreams: Send + Sync {
    /// The container's log.
    async fn logs(&self, pod: &Value, container: &str, options: LogOptions) -> Result<LogStream, Status>;

    /// Runs a command in the container.
    async fn exec(&self, pod: &Value, container: &str, options: ExecOptions) -> Result<ExecSession, Status>;

    /// A connection to a port that the pod listens on at its loopback address.
    async fn connect(&self, pod: &Value, port: u16) -> Result<Box<dyn Duplex>, Status>;
}

/// Which part of a log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LogOptions {
    /// Stay and tell what comes.
    pub follow: bool,
    /// The log of the container's run before this one.
    pub previous: bool,
    /// Only the last lines.
    pub tail_lines: Option<u64>,
    /// Only what is younger than this.
    pub since_seconds: Option<u64>,
    /// Only what is younger than this time (RFC 3339).
    pub since_time: Option<String>,
    /// At most this many bytes.
    pub limit_bytes: Option<u64>,
    /// Each line begins with its time.
    pub timestamps: bool,
}

/// A command to run in a container.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "the wire's own flags")]
pub struct ExecOptions {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The caller sends input.
    pub stdin: bool,
    /// The caller takes output.
    pub stdout: bool,
    /// The caller takes error output.
    pub stderr: bool,
    /// On a terminal.
    pub tty: bool,
}

/// A command that runs.
pub struct ExecSession {
    /// Its input, when asked for.
    pub stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// Its output, when asked for.
    pub stdout: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// Its error output, when asked for and not on a terminal.
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// Takes the terminal's new width and height.
    pub resize: Option<mpsc::Sender<(u16, u16)>>,
    /// Ends with the exit code.
    pub exit: BoxFuture<'static, Result<i32, Status>>,
}
