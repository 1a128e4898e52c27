//! Streams into and out of pods.

use crate::Kubelet;
use crate::logs;
use crate::read::{list, name, text, uid};
use apiserver::Status;
use apiserver::streams::{Duplex, ExecOptions, ExecSession, LogOptions, LogStream, PodStreams};
use async_trait::async_trait;
use runtime::{ExecConfig, ExecHandle};
use serde_json::Value;
use std::net::SocketAddrV4;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

#[async_trait]
impl PodStreams for Kubelet {
    async fn logs(&self, pod: &Value, container: &str, options: LogOptions) -> Result<LogStream, Status> {
        let told = status_of(pod, container);
        let restarts = told.and_then(|told| told["restartCount"].as_u64()).and_then(|count| u32::try_from(count).ok());
        let known = self.shared().instance(uid(pod), container);
        let began = told.is_some_and(|told| told["containerID"].is_string());
        let latest = match (&known, restarts) {
            (Some(instance), _) => instance.attempt,
            (None, Some(restarts)) if began => restarts,
            _ => {
                let reason = told.and_then(|told| told["state"]["waiting"]["reason"].as_str());
                // One that never started before its pod ended is still told to wait, for what it waited for.
                let has_init = !list(&pod["spec"]["initContainers"]).is_empty();
                let reason = reason.unwrap_or(if has_init { "PodInitializing" } else { "ContainerCreating" });
                return Err(Status::bad_request(format!(
                    "container \"{container}\" in pod \"{}\" is waiting to start: {}",
                    name(pod),
                    waiting_text(reason)
                )));
            }
        };
        let attempt = if options.previous { previous(told, latest) } else { Some(latest) };
        let path = attempt.map(|attempt| self.shared().log(uid(pod), container, attempt));
        let Some((attempt, path)) = attempt.zip(path).filter(|(_, path)| !options.previous || path.exists()) else {
            return Err(Status::bad_request(format!(
                "previous terminated container \"{container}\" in pod \"{}\" not found",
                name(pod)
            )));
        };
        let (shared, pod, container) = (self.shared().clone(), uid(pod).to_owned(), container.to_owned());
        let runs = move || {
            let instance = shared.instance(&pod, &container);
            instance.is_some_and(|instance| instance.attempt == attempt && instance.runs)
        };
        Ok(logs::stream(path, &options, runs))
    }

    async fn exec(&self, pod: &Value, container: &str, options: ExecOptions) -> Result<ExecSession, Status> {
        let instance = self.shared().instance(uid(pod), container).filter(|instance| instance.runs);
        let Some(instance) = instance else {
            return Err(Status::internal(format!(
                "unable to upgrade connection: container not found (\"{container}\")"
            )));
        };
        let config = ExecConfig {
            arguments: options.command,
            tty: options.tty,
            stdin: options.stdin,
            stdout: options.stdout,
            stderr: options.stderr && !options.tty,
        };
        let handle = self.shared().node.exec(&instance.id, config).await;
        let handle = handle.map_err(|error| {
            let id = &instance.id;
            // Each of the two that hand this on says first whose fault it is.
            Status::internal(format!(
                "Internal error occurred: error executing command in container: failed to exec in container: failed to \
                 start exec \"{id}\": {error}"
            ))
        })?;
        let ExecHandle { stdin, stdout, stderr, terminal, mut exit } = handle;
        let resize = terminal.map(|terminal| {
            let (sender, mut sizes) = mpsc::channel::<(u16, u16)>(4);
            tokio::spawn(async move {
                while let Some((columns, rows)) = sizes.recv().await {
                    // The terminal is gone when its program is.
                    let _ = terminal.resize(columns, rows);
                }
            });
            sender
        });
        Ok(ExecSession {
            stdin: stdin.map(|stream| Box::new(stream) as Box<dyn AsyncWrite + Send + Unpin>),
            stdout: stdout.map(|stream| Box::new(stream) as Box<dyn AsyncRead + Send + Unpin>),
            stderr: stderr.map(|stream| Box::new(stream) as Box<dyn AsyncRead + Send + Unpin>),
            resize,
            exit: Box::pin(async move {
                exit.wait().await.map(|exit| exit.code).map_err(|error| Status::internal(error.to_string()))
            }),
        })
    }

    async fn connect(&self, pod: &Value, port: u16) -> Result<Box<dyn Duplex>, Status> {
        let address = text(&pod["status"], "podIP").parse();
        let address = address.map_err(|_| Status::internal(format!("pod {} has no address yet", name(pod))))?;
        let socket = SocketAddrV4::new(address, port);
        let stream = self.shared().node.connect(socket).await;
        let stream = stream.map_err(|error| {
            let why = crate::http::dial_error(socket, &error);
            Status::internal(format!("error forwarding port {port} to pod {}: {why}", uid(pod)))
        })?;
        Ok(Box::new(stream))
    }
}

fn status_of<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    let status = &pod["status"];
    let all = list(&status["initContainerStatuses"]).iter().chain(list(&status["containerStatuses"]));
    all.into_iter().find(|told| text(told, "name") == container)
}

/// The instance that a container's last state tells of: of one that waits for its next instance it is the latest.
fn previous(told: Option<&Value>, latest: u32) -> Option<u32> {
    let told = told.filter(|told| !text(&told["lastState"]["terminated"], "containerID").is_empty())?;
    if told["state"]["waiting"].is_object() { Some(latest) } else { latest.checked_sub(1) }
}

fn waiting_text(reason: &str) -> String {
    match reason {
        "ImagePullBackOff" | "ErrImagePull" => "trying and failing to pull image".to_owned(),
        "ErrImageNeverPull" => "image is not present with pull policy of Never".to_owned(),
        other => other.to_owned(),
    }
}
