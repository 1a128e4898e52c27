//! A made-up node: programs, logs and ports in this process.

use std::io;
use std::time::Duration;

use apiserver::Status;
use apiserver::streams::{Duplex, ExecOptions, ExecSession, LogOptions, LogStream, PodStreams};
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Programs take a while to start. kubectl throws away what comes before it listens to its streams.
const START: Duration = Duration::from_millis(50);

pub struct Node;

#[async_trait::async_trait]
impl PodStreams for Node {
    /// Three lines, and one more when it is followed.
    async fn logs(&self, _: &Value, container: &str, options: LogOptions) -> Result<LogStream, Status> {
        let mut lines = vec!["one", "two", "three"];
        let skipped = options.tail_lines.and_then(|last| lines.len().checked_sub(usize::try_from(last).ok()?));
        lines.drain(..skipped.unwrap_or_default());
        if options.follow {
            lines.push("from now on");
        }
        let line = |text: &str| io::Result::Ok(Bytes::from(format!("{container}: {text}\n")));
        let lines: Vec<_> = lines.into_iter().map(line).collect();
        Ok(futures::stream::iter(lines).boxed())
    }

    /// `say WORDS`, `fail CODE` and `cat`.
    async fn exec(&self, _: &Value, _: &str, options: ExecOptions) -> Result<ExecSession, Status> {
        let words: Vec<&str> = options.command.iter().map(String::as_str).collect();
        let (near_input, mut input) = tokio::io::duplex(1024);
        let (mut output, near_output) = tokio::io::duplex(1024);
        let (mut errors, near_errors) = tokio::io::duplex(1024);
        let task = match words.as_slice() {
            ["say", words @ ..] => {
                let words = format!("{}\n", words.join(" "));
                tokio::spawn(async move {
                    tokio::time::sleep(START).await;
                    output.write_all(words.as_bytes()).await.map(|()| 0)
                })
            }
            ["fail", code] => {
                let code = code.parse().map_err(Status::internal)?;
                tokio::spawn(async move {
                    tokio::time::sleep(START).await;
                    errors.write_all(b"it failed\n").await.map(|()| code)
                })
            }
            ["cat"] => tokio::spawn(async move { tokio::io::copy(&mut input, &mut output).await.map(|_| 0) }),
            _ => {
                let why = format!("error executing command in container: there is no program {}", words.join(" "));
                return Err(Status::internal(why));
            }
        };
        Ok(ExecSession {
            stdin: options.stdin.then(|| Box::new(near_input) as _),
            stdout: options.stdout.then(|| Box::new(near_output) as _),
            stderr: options.stderr.then(|| Box::new(near_errors) as _),
            resize: None,
            exit: Box::pin(async { task.await.map_err(Status::internal)?.map_err(Status::internal) }),
        })
    }

    /// Port 8080 sends everything back once it has all of it; nobody listens elsewhere.
    async fn connect(&self, _: &Value, port: u16) -> Result<Box<dyn Duplex>, Status> {
        if port != 8080 {
            return Err(Status::internal("connect: connection refused"));
        }
        let (near, mut far) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            let mut received = Vec::new();
            far.read_to_end(&mut received).await?;
            far.write_all(&received).await?;
            far.shutdown().await
        });
        Ok(Box::new(near))
    }
}
