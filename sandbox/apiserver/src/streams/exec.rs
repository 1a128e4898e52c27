//! Commands in containers: exec and attach, over any kind of channels.

use std::future::Future;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::channels::{Channel, Channels, Event};
use super::upgrade::{Agreed, Connection, Spoken};
use super::{ExecOptions, ExecSession, spdy_connection, web_socket};
use crate::Status;

/// What exec and attach speak.
pub(crate) const SPOKEN: Spoken = Spoken {
    web_socket: &[
        "v5.channel.k8s.io",
        "v4.channel.k8s.io",
        "v4.base64.channel.k8s.io",
        "channel.k8s.io",
        "base64.channel.k8s.io",
        "",
    ],
    spdy: &["v4.channel.k8s.io"],
};

/// Which channel carries what.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Wires {
    stdin: Option<Channel>,
    stdout: Option<Channel>,
    stderr: Option<Channel>,
    status: Option<Channel>,
    resize: Option<Channel>,
}

/// How the end is told on the status channel.
#[derive(Debug, Clone, Copy, PartialEq)]
enum StatusForm {
    /// A `metav1.Status`, also when all went well.
    Object,
    /// Only a refusal's text (the oldest protocols).
    Text,
}

/// Starts the session and carries it over the connection until the command ends or the client leaves.
pub(crate) async fn run(
    connection: Connection,
    agreed: Agreed,
    options: ExecOptions,
    start: impl Future<Output = Result<ExecSession, Status>> + Send,
) {
    match agreed {
        Agreed::WebSocket(protocol) => {
            let form = match protocol {
                "v5.channel.k8s.io" => web_socket::Form::BinaryWithClose,
                name if name.contains("base64") => web_socket::Form::Base64,
                _ => web_socket::Form::Binary,
            };
            let status_form = if protocol.starts_with('v') { StatusForm::Object } else { StatusForm::Text };
            let channels = web_socket::connect(connection, form).await;
            let wires = web_socket_wires(&options);
            // An empty message on the first channel tells the client that the connection stands.
            let first = wires.stdout.or(wires.stderr).or(wires.status).unwrap_or_default();
            let _ = channels.outgoing.send(Event::Data(first, Bytes::new())).await;
            carry(channels, wires, status_form, start).await;
        }
        Agreed::Spdy(_) => {
            let mut channels = spdy_connection::connect(connection);
            if let Some(wires) = spdy_wires(&options, &mut channels.incoming).await {
                carry(channels, wires, StatusForm::Object, start).await;
            }
        }
    }
}

fn web_socket_wires(options: &ExecOptions) -> Wires {
    Wires {
        stdin: options.stdin.then_some(0),
        stdout: options.stdout.then_some(1),
        stderr: options.stderr.then_some(2),
        status: Some(3),
        resize: options.tty.then_some(4),
    }
}

/// Waits until the client has opened every stream that its options ask for; `None` when it leaves before.
async fn spdy_wires(options: &ExecOptions, incoming: &mut mpsc::Receiver<Event>) -> Option<Wires> {
    let mut wires = Wires::default();
    loop {
        let missing = (options.stdin && wires.stdin.is_none())
            || (options.stdout && wires.stdout.is_none())
            || (options.stderr && wires.stderr.is_none())
            || (options.tty && wires.resize.is_none())
            || wires.status.is_none();
        if !missing {
            return Some(wires);
        }
        // Clients write only when all their streams stand.
        let Event::Opened(channel, headers) = incoming.recv().await? else { continue };
        let kind = headers.iter().find(|(name, _)| name == "streamtype").map(|(_, value)| value.as_str());
        let wire = match kind {
            Some("stdin") => &mut wires.stdin,
            Some("stdout") => &mut wires.stdout,
            Some("stderr") => &mut wires.stderr,
            Some("error") => &mut wires.status,
            Some("resize") => &mut wires.resize,
            _ => continue,
        };
        *wire = Some(channel);
    }
}

async fn carry(
    channels: Channels,
    wires: Wires,
    status_form: StatusForm,
    start: impl Future<Output = Result<ExecSession, Status>>,
) {
    let Channels { mut incoming, outgoing } = channels;
    let ended = match start.await {
        Err(refused) => Err(refused),
        Ok(session) => {
            let ExecSession { stdin, stdout, stderr, resize, exit } = session;
            let outputs = async {
                let copies = (copy(stdout, wires.stdout, &outgoing), copy(stderr, wires.stderr, &outgoing));
                let (exit, (), ()) = tokio::join!(exit, copies.0, copies.1);
                exit
            };
            tokio::select! {
                ended = outputs => ended,
                () = feed(&mut incoming, wires, stdin, resize) => return,
            }
        }
    };
    let Some(channel) = wires.status else { return };
    let told = match status_form {
        StatusForm::Object => status_object(&ended).to_string(),
        StatusForm::Text => status_text(&ended),
    };
    if !told.is_empty() {
        // The client may have left: then nobody needs to know.
        let _ = outgoing.send(Event::Data(channel, told.into())).await;
    }
    let _ = outgoing.send(Event::Ended(channel)).await;
}

/// Sends all that a process writes, then the end.
async fn copy(from: Option<Box<dyn AsyncRead + Send + Unpin>>, to: Option<Channel>, outgoing: &mpsc::Sender<Event>) {
    let Some(channel) = to else { return };
    if let Some(mut from) = from {
        let mut buffer = BytesMut::with_capacity(8 * 1024);
        // A terminal whose process is gone reads as an error: it is the end just the same.
        while from.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
            if outgoing.send(Event::Data(channel, buffer.split().freeze())).await.is_err() {
                return;
            }
            buffer.reserve(8 * 1024);
        }
    }
    let _ = outgoing.send(Event::Ended(channel)).await;
}

/// Gives the process what the client sends; ends when the client has left.
async fn feed(
    incoming: &mut mpsc::Receiver<Event>,
    wires: Wires,
    mut stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    resize: Option<mpsc::Sender<(u16, u16)>>,
) {
    while let Some(event) = incoming.recv().await {
        match event {
            Event::Data(channel, data) if Some(channel) == wires.stdin => {
                if let Some(open) = &mut stdin
                    && (open.write_all(&data).await.is_err() || open.flush().await.is_err())
                {
                    // The process takes no more input; it may still write.
                    stdin = None;
                }
            }
            Event::Ended(channel) | Event::Reset(channel) if Some(channel) == wires.stdin => {
                if let Some(mut open) = stdin.take() {
                    let _ = open.shutdown().await;
                }
            }
            Event::Data(channel, data) if Some(channel) == wires.resize => {
                for size in sizes(&data) {
                    if let Some(resize) = &resize {
                        let _ = resize.send(size).await;
                    }
                }
            }
            _ => {}
        }
    }
}

/// Widths and heights, as clients send them.
fn sizes(data: &[u8]) -> impl Iterator<Item = (u16, u16)> {
    let objects = serde_json::Deserializer::from_slice(data).into_iter::<Value>();
    objects.map_while(Result::ok).filter_map(|size| {
        let side = |name: &str| u16::try_from(size[name].as_u64()?).ok();
        Some((side("Width")?, side("Height")?))
    })
}

fn status_object(ended: &Result<i32, Status>) -> Value {
    match ended {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {}, "status": "Failure",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(refused) => refused.to_value(),
    }
}

fn status_text(ended: &Result<i32, Status>) -> String {
    match ended {
        Ok(0) => String::new(),
        Ok(code) => format!("command terminated with non-zero exit code: exit status {code}"),
        Err(refused) => refused.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::channels::{Carrier, pair};
    use super::*;

    #[test]
    fn sizes_are_read_one_after_the_other() {
        let data = br#"{"Width":80,"Height":24}
            {"Width":100,"Height":30}{"Width":-1,"Height":3} nonsense"#;
        assert_eq!(sizes(data).collect::<Vec<_>>(), [(80, 24), (100, 30)]);
    }

    #[tokio::test]
    async fn a_session_over_spdy_begins_when_all_its_streams_are_open() {
        let (to, mut incoming) = mpsc::channel(9);
        let kinds = ["error", "unheard-of", "stdin", "stdout", "resize"];
        for (number, kind) in (1..).step_by(2).zip(kinds) {
            to.send(Event::Opened(number, vec![("streamtype".to_owned(), kind.to_owned())])).await.unwrap();
        }
        let options = ExecOptions { stdin: true, stdout: true, tty: true, ..ExecOptions::default() };
        let expected = Wires { status: Some(1), stdin: Some(5), stdout: Some(7), resize: Some(9), stderr: None };
        assert_eq!(spdy_wires(&options, &mut incoming).await, Some(expected));
        drop(to);
        assert_eq!(spdy_wires(&options, &mut incoming).await, None);
    }

    /// A process that gives back what it reads and then ends.
    fn echo(code: i32) -> ExecSession {
        let (near, far) = tokio::io::duplex(16);
        let (stdout, stdin) = tokio::io::split(near);
        let exit = Box::pin(async move {
            let (mut reader, mut writer) = tokio::io::split(far);
            let copied = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
            copied.map(|_| code).map_err(Status::internal)
        });
        ExecSession { stdin: Some(Box::new(stdin)), stdout: Some(Box::new(stdout)), stderr: None, resize: None, exit }
    }

    async fn talk(code: i32, form: StatusForm) -> (String, String) {
        let (channels, Carrier { incoming, mut outgoing }) = pair();
        let wires = web_socket_wires(&ExecOptions { stdin: true, stdout: true, ..ExecOptions::default() });
        let task = tokio::spawn(carry(channels, wires, form, async move { Ok(echo(code)) }));
        incoming.send(Event::Data(0, Bytes::from("hello, ".repeat(9)))).await.unwrap();
        incoming.send(Event::Ended(0)).await.unwrap();
        let (mut output, mut status) = (String::new(), String::new());
        while let Some(event) = outgoing.recv().await {
            match event {
                Event::Data(1, data) => output.push_str(std::str::from_utf8(&data).unwrap()),
                Event::Data(3, data) => status.push_str(std::str::from_utf8(&data).unwrap()),
                _ => {}
            }
        }
        task.await.unwrap();
        (output, status)
    }

    #[tokio::test]
    async fn output_comes_before_the_status_and_both_are_whole() {
        let hello = "hello, ".repeat(9);
        let success = r#"{"metadata":{},"status":"Success"}"#;
        assert_eq!(talk(0, StatusForm::Object).await, (hello.clone(), success.to_owned()));
        let failure = json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": "command terminated with non-zero exit code: exit status 3",
            "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
        });
        let (output, status) = talk(3, StatusForm::Object).await;
        assert_eq!((output, serde_json::from_str(&status).ok()), (hello.clone(), Some(failure)));
        assert_eq!(talk(0, StatusForm::Text).await, (hello, String::new()));
    }
}
