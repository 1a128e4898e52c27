use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Docker, Error};

/// A program to run inside a container that runs.
pub struct Exec<'a> {
    command: Vec<String>,
    stdin: Option<BoxStream<'a, std::io::Result<Bytes>>>,
}

/// What a program in a container wrote, and its exit code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// Its exit code; 126 or 127 when it could not be started.
    pub exit_code: i64,
}

impl ExecOutput {
    /// Whether the program ended with exit code 0.
    pub fn success(&self) -> bool {
        self.exit_code == 0
    }

    /// What it wrote to its standard error, or to its standard output when that is all there is; for error messages.
    pub fn message(&self) -> String {
        let bytes = if self.stderr.trim_ascii().is_empty() { &self.stdout } else { &self.stderr };
        String::from_utf8_lossy(bytes).trim().to_owned()
    }
}

impl<'a> Exec<'a> {
    /// A program with its arguments, which reads nothing.
    pub fn new(command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { command: command.into_iter().map(Into::into).collect(), stdin: None }
    }

    /// Sends these bytes to its standard input, which ends after them.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Stream<Item = std::io::Result<Bytes>> + Send + 'a) -> Self {
        self.stdin = Some(bytes.boxed());
        self
    }
}

impl Docker {
    /// Runs a program in a container to its end. An exit code other than 0 is not an error here: see [`ExecOutput::exit_code`].
    ///
    /// Dropping the future ends the connection, and with it the program's input; the program itself may run on. When the program
    /// ends before it has read all of its input, the rest is not sent.
    pub async fn exec(&self, container: &str, exec: Exec<'_>) -> Result<ExecOutput, Error> {
        let action = format!("run {} in container {container}", exec.command.first().map_or("", String::as_str));
        let failed = |error| Error::new(&action, error);
        let client = self.client().await?;
        let configuration = ExecConfig {
            cmd: Some(exec.command),
            attach_stdin: Some(exec.stdin.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let id = client.create_exec(container, configuration).await.map_err(failed)?.id;
        let StartExecResults::Attached { mut output, input } =
            client.start_exec(&id, None::<StartExecOptions>).await.map_err(failed)?
        else {
            unreachable!("the program is not started detached");
        };
        let mut collected = ExecOutput::default();
        let read = async {
            while let Some(part) = output.try_next().await.map_err(failed)? {
                match part {
                    LogOutput::StdErr { message } => collected.stderr.extend_from_slice(&message),
                    part => collected.stdout.extend_from_slice(&part.into_bytes()),
                }
            }
            Ok(())
        };
        let write = async {
            match exec.stdin {
                Some(bytes) => send(bytes, input)
                    .await
                    .map_err(|source| Error::Lost { action: action.clone(), source: Box::new(source) }),
                None => Ok(()),
            }
        };
        tokio::pin!(read, write);
        // The program's end ends the output, whether or not it has read all of its input.
        tokio::select! {
            read = &mut read => read?,
            written = &mut write => { written?; read.await?; }
        }
        let code = client.inspect_exec(&id).await.map_err(failed)?.exit_code;
        collected.exit_code =
            code.ok_or_else(|| Error::Lost { action: action.clone(), source: "it has no exit code".into() })?;
        Ok(collected)
    }
}

/// Sends all bytes and then half-closes the connection, which is what ends the program's input. An error of the source is returned; a
/// program that no longer reads is not an error.
async fn send(
    mut bytes: BoxStream<'_, std::io::Result<Bytes>>,
    mut input: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    while let Some(part) = bytes.try_next().await? {
        if input.write_all(&part).await.is_err() {
            return Ok(());
        }
    }
    let _ = input.shutdown().await;
    Ok(())
}
