//! WebSocket connections as channels, and as a tunnel for another protocol.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{self, Message};

use super::channels::{Carrier, Channels, Event, linger, pair};

/// How messages name their channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Binary messages; the first byte is the channel.
    Binary,
    /// The same, and a message on channel 255 ends the channel that it names.
    BinaryWithClose,
    /// Text messages; a digit is the channel, base64 follows.
    Base64,
}

/// The channel on which [`Form::BinaryWithClose`] ends others.
const CLOSE: u8 = 255;

/// Takes an upgraded connection over.
pub(crate) async fn connect<T>(transport: T, form: Form) -> Channels
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sink, mut stream) = accept(transport).await;
    let (channels, Carrier { incoming, outgoing }) = pair();
    tokio::spawn(async move {
        tokio::join!(read(&mut stream, form, incoming), write(sink, form, outgoing));
        linger(async { while let Some(Ok(_)) = stream.next().await {} }).await;
    });
    channels
}

/// Carries plain bytes in binary messages, for a protocol that is tunnelled.
pub(crate) async fn tunnel<T>(transport: T) -> DuplexStream
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sink, mut stream) = accept(transport).await;
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let (mut from_server, mut to_server) = tokio::io::split(far);
        let inwards = async {
            while let Some(Ok(message)) = stream.next().await {
                let Message::Binary(data) = message else { continue };
                if to_server.write_all(&data).await.is_err() {
                    return;
                }
            }
            // The server sees the end as that of a connection.
            let _ = to_server.shutdown().await;
        };
        let outwards = async {
            let mut buffer = bytes::BytesMut::new();
            while from_server.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
                if sink.send(Message::Binary(buffer.split().freeze())).await.is_err() {
                    return;
                }
                buffer.reserve(16 * 1024);
            }
            let _ = sink.close().await;
        };
        tokio::join!(inwards, outwards);
    });
    near
}

type Sink<T> = SplitSink<WebSocketStream<T>, Message>;
type Source<T> = SplitStream<WebSocketStream<T>>;

async fn accept<T: AsyncRead + AsyncWrite + Unpin>(transport: T) -> (Sink<T>, Source<T>) {
    WebSocketStream::from_raw_socket(transport, Role::Server, None).await.split()
}

async fn read<T>(from: &mut Source<T>, form: Form, to: mpsc::Sender<Event>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let message = tokio::select! {
            () = to.closed() => return,
            message = from.next() => message,
        };
        let Some(Ok(message)) = message else { return };
        if let Some(event) = event(form, message)
            && to.send(event).await.is_err()
        {
            return;
        }
    }
}

/// What a message says; `None` for those that say nothing here.
fn event(form: Form, message: Message) -> Option<Event> {
    let mut data = match (form, message) {
        (Form::Base64, message @ (Message::Text(_) | Message::Binary(_))) => {
            let text = message.into_data();
            let (channel, text) = text.split_first()?;
            let data = STANDARD.decode(text).ok()?;
            return Some(Event::Data(u32::from(channel.checked_sub(b'0')?), data.into()));
        }
        (_, Message::Text(text)) => Bytes::from(text),
        (_, Message::Binary(data)) => data,
        _ => return None,
    };
    let channel = *data.first()?;
    let data = data.split_off(1);
    match form {
        Form::BinaryWithClose if channel == CLOSE => data.first().map(|channel| Event::Ended(u32::from(*channel))),
        _ => Some(Event::Data(u32::from(channel), data)),
    }
}

async fn write<T>(mut to: Sink<T>, form: Form, mut events: mpsc::Receiver<Event>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(event) = events.recv().await {
        // Nothing tells a client that a single channel has ended: the connection's end does.
        let Event::Data(channel, data) = event else { continue };
        let message = message(form, u8::try_from(channel).unwrap_or(u8::MAX), &data);
        if to.send(message).await.is_err() {
            return;
        }
    }
    let normal = tungstenite::protocol::frame::coding::CloseCode::Normal;
    let close = tungstenite::protocol::CloseFrame { code: normal, reason: "".into() };
    // The client may be gone already.
    let _ = to.send(Message::Close(Some(close))).await;
    let _ = to.close().await;
}

fn message(form: Form, channel: u8, data: &[u8]) -> Message {
    if form == Form::Base64 {
        return Message::text(format!("{}{}", char::from(b'0' + channel % 10), STANDARD.encode(data)));
    }
    let mut message = Vec::with_capacity(1 + data.len());
    message.push(channel);
    message.extend_from_slice(data);
    Message::binary(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_their_channel_in_each_form() {
        let data = |channel, data: &'static [u8]| Some(Event::Data(channel, Bytes::from_static(data)));
        let table = [
            (Form::Binary, Message::binary(vec![0, 104, 105]), data(0, b"hi")),
            (Form::Binary, Message::binary(vec![255, 0]), data(255, b"\0")),
            (Form::BinaryWithClose, Message::binary(vec![255, 0]), Some(Event::Ended(0))),
            (Form::BinaryWithClose, Message::binary(vec![255]), None),
            (Form::BinaryWithClose, Message::text("\u{4}{}"), data(4, b"{}")),
            (Form::Base64, Message::text("0aGk="), data(0, b"hi")),
            (Form::Base64, Message::text("0?"), None),
            (Form::Base64, Message::text("\u{1}aGk="), None),
            (Form::Binary, Message::binary(vec![]), None),
            (Form::Binary, Message::Ping(Bytes::new()), None),
        ];
        for (form, given, expected) in table {
            assert_eq!(event(form, given.clone()), expected, "{form:?} {given:?}");
        }
    }

    #[test]
    fn what_is_written_in_a_form_is_read_in_it() {
        for form in [Form::Binary, Form::BinaryWithClose, Form::Base64] {
            let read = event(form, message(form, 3, b"\xffdone"));
            assert_eq!(read, Some(Event::Data(3, Bytes::from_static(b"\xffdone"))), "{form:?}");
        }
    }
}
