//! A SPDY/3.1 connection as channels.
//!
//! No client of Kubernetes announces or counts flow control windows: waiting for one would stop after 64 KiB. So a slow
//! reader is felt through the connection itself, as with the real API server, and windows that a client does tell are read
//! over.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::channels::{Carrier, Channels, Event, linger, pair};
use super::spdy::{CANCEL, Decoder, Encoder, Frame, PROTOCOL_ERROR};
use super::spdy_headers::Headers;

/// Takes an upgraded connection over.
pub(crate) fn connect<T: AsyncRead + AsyncWrite + Send + 'static>(transport: T) -> Channels {
    let (channels, carrier) = pair();
    tokio::spawn(async move {
        let Carrier { incoming, outgoing } = carrier;
        let (mut reader, writer) = tokio::io::split(transport);
        let (replies, to_write) = mpsc::channel(8);
        tokio::join!(read(&mut reader, incoming, replies), write(writer, outgoing, to_write));
        linger(tokio::io::copy(&mut reader, &mut tokio::io::sink())).await;
    });
    channels
}

/// Reads until the connection ends, is no SPDY, or nobody listens.
async fn read<T: AsyncRead>(from: &mut ReadHalf<T>, to: mpsc::Sender<Event>, replies: mpsc::Sender<Frame>) {
    let (mut frames, mut buffer, mut newest) = (Decoder::new(), BytesMut::new(), 0);
    loop {
        // What is no SPDY ends the connection as its end does.
        let Ok(next) = frames.decode(&mut buffer) else { return };
        let Some(frame) = next else {
            buffer.reserve(16 * 1024);
            let read = tokio::select! {
                () = to.closed() => return,
                read = from.read_buf(&mut buffer) => read,
            };
            if !read.is_ok_and(|count| count > 0) {
                return;
            }
            continue;
        };
        if matches!(frame, Frame::GoAway { .. }) || deliver(frame, &mut newest, &to, &replies).await.is_none() {
            return;
        }
    }
}

/// `None` when nobody takes it any more.
async fn deliver(
    frame: Frame,
    newest: &mut u32,
    to: &mpsc::Sender<Event>,
    replies: &mpsc::Sender<Frame>,
) -> Option<()> {
    let (event, last) = match frame {
        Frame::Open { stream, .. } if stream % 2 == 0 || stream <= *newest => {
            return replies.send(Frame::Reset { stream, status: PROTOCOL_ERROR }).await.ok();
        }
        Frame::Open { stream, headers, last } => {
            *newest = stream;
            // The reply is on its way before anything that the listener sends on the stream.
            replies.send(Frame::Reply { stream, headers: Headers::new(), last: false }).await.ok()?;
            (Event::Opened(stream, headers), last.then_some(stream))
        }
        Frame::Data { stream, data, last } => (Event::Data(stream, data), last.then_some(stream)),
        Frame::Reset { stream, .. } => (Event::Reset(stream), None),
        Frame::Ping { id } if id % 2 == 1 => return replies.send(frame).await.ok(),
        _ => return Some(()),
    };
    if !matches!(&event, Event::Data(_, data) if data.is_empty()) {
        to.send(event).await.ok()?;
    }
    match last {
        Some(stream) => to.send(Event::Ended(stream)).await.ok(),
        None => Some(()),
    }
}

/// Writes until both sources are done, then says so.
async fn write<T: AsyncWrite>(
    mut to: WriteHalf<T>,
    mut events: mpsc::Receiver<Event>,
    mut replies: mpsc::Receiver<Frame>,
) {
    let mut encoder = Encoder::default();
    loop {
        // Replies first: a stream's reply goes before its data.
        let frame = tokio::select! {
            biased;
            Some(reply) = replies.recv() => reply,
            Some(event) = events.recv() => frame(event),
            else => break,
        };
        if send(&mut encoder, &frame, &mut to).await.is_err() {
            return;
        }
    }
    // The client may be gone already.
    let _ = send(&mut encoder, &Frame::GoAway { last_stream: 0, status: 0 }, &mut to).await;
    let _ = to.shutdown().await;
}

async fn send<T: AsyncWrite>(encoder: &mut Encoder, frame: &Frame, to: &mut WriteHalf<T>) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    encoder.encode(frame, &mut bytes);
    to.write_all(&bytes).await?;
    to.flush().await
}

fn frame(event: Event) -> Frame {
    match event {
        Event::Opened(stream, headers) => Frame::Open { stream, headers, last: false },
        Event::Data(stream, data) => Frame::Data { stream, data, last: false },
        Event::Ended(stream) => Frame::Data { stream, data: bytes::Bytes::new(), last: true },
        Event::Reset(stream) => Frame::Reset { stream, status: CANCEL },
    }
}
