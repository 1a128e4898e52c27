//! Streams into and out of pods: logs, commands, ports.
//!
//! A node implements [`PodStreams`]; the rest is how clients reach it: plain HTTP for logs, WebSocket and SPDY/3.1 for
//! commands and ports.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

use crate::Status;

mod channels;
mod container;
mod exec;
mod logs;
mod port_forward;
pub(crate) mod query;
mod spdy;
mod spdy_connection;
mod spdy_headers;
mod upgrade;
mod web_socket;

use query::Query;

/// What an answer holds.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;

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

    /// Joins the container's main process. Unless a node can do more: its output from now on, and no input.
    async fn attach(&self, pod: &Value, container: &str, options: ExecOptions) -> Result<ExecSession, Status> {
        if options.stdin || options.tty {
            let why = "the sandbox attaches to output only: start the command with exec to give it input or a terminal";
            return Err(Status::bad_request(why));
        }
        let from_now_on = LogOptions { follow: true, tail_lines: Some(0), ..LogOptions::default() };
        let log = self.logs(pod, container, from_now_on).await?;
        Ok(output_only(log))
    }

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

/// A session that is over when its output is.
fn output_only(log: LogStream) -> ExecSession {
    let exit = Box::pin(async { Ok(0) });
    ExecSession { stdin: None, stdout: Some(Box::new(StreamReader::new(log))), stderr: None, resize: None, exit }
}

/// Answers a request for `log`, `exec`, `attach` or `portforward` of a pod. The caller has found the pod and allowed the
/// request.
pub(crate) async fn serve(
    streams: &Arc<dyn PodStreams>,
    pod: Arc<Value>,
    subresource: &str,
    request: Request<impl Send>,
) -> Result<Response<Body>, Status> {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    match subresource {
        "log" => logs::serve(streams, &pod, &query).await,
        "exec" | "attach" => serve_session(streams, pod, subresource == "attach", &query, request),
        "portforward" => {
            container::on_node(&pod)?;
            let agreed = upgrade::agree(request.headers(), &port_forward::SPOKEN)?;
            let ports = port_forward::ports(agreed, &query)?;
            let target = port_forward::Target { streams: streams.clone(), pod };
            upgrade::switch(request, agreed, move |connection| port_forward::run(connection, agreed, target, ports))
        }
        _ => Err(Status::no_such_path()),
    }
}

fn serve_session(
    streams: &Arc<dyn PodStreams>,
    pod: Arc<Value>,
    attach: bool,
    query: &Query,
    request: Request<impl Send>,
) -> Result<Response<Body>, Status> {
    let container = container::choose(&pod, query.first("container"))?;
    container::on_node(&pod)?;
    let options = session_options(query, attach)?;
    let agreed = upgrade::agree(request.headers(), &exec::SPOKEN)?;
    let streams = streams.clone();
    upgrade::switch(request, agreed, move |connection| async move {
        let start = async {
            let options = options.clone();
            if attach {
                streams.attach(&pod, &container, options).await
            } else {
                streams.exec(&pod, &container, options).await
            }
        };
        exec::run(connection, agreed, options.clone(), start).await;
    })
}

fn session_options(query: &Query, attach: bool) -> Result<ExecOptions, Status> {
    let tty = query.flag("tty");
    let options = ExecOptions {
        command: query.all("command").map(str::to_owned).collect(),
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        // A terminal has one output.
        stderr: query.flag("stderr") && !tty,
        tty,
    };
    if !options.stdin && !options.stdout && !options.stderr {
        return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    if !attach && options.command.is_empty() {
        return Err(Status::bad_request("you must specify at least one command for the container"));
    }
    Ok(options)
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}
