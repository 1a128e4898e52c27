//! Frames over a unix socket: a length, a number of descriptors, JSON, and the descriptors themselves beside it.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// At most so many descriptors go with one frame.
pub const DESCRIPTORS: usize = 8;

const HEADER_BYTES: usize = 8;

/// A message and the descriptors that belong to it, ready to be sent.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
    sent: usize,
    descriptors: Vec<OwnedFd>,
}

impl Frame {
    /// Packs a message.
    pub fn new(message: &impl Serialize, descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        debug_assert!(descriptors.len() <= DESCRIPTORS);
        let mut bytes = vec![0; HEADER_BYTES];
        serde_json::to_writer(&mut bytes, message)?;
        let length = u32::try_from(bytes.len() - HEADER_BYTES).map_err(io::Error::other)?;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4] = u8::try_from(descriptors.len()).map_err(io::Error::other)?;
        Ok(Self { bytes, sent: 0, descriptors })
    }

    fn is_sent(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Sends as much as the socket takes at once.
    fn send_some(&mut self, socket: impl AsFd) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<BorrowedFd<'_>> = self.descriptors.iter().map(AsFd::as_fd).collect();
        if self.sent == 0 && !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        let slices = [IoSlice::new(&self.bytes[self.sent..])];
        self.sent += rustix::net::sendmsg(socket, &slices, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// What has arrived and was not yet taken.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Reads what is there; `false` at the end of the stream.
    fn receive_some(&mut self, socket: impl AsFd) -> io::Result<bool> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffer = [0; 4096];
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let received = rustix::net::recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        self.bytes.extend_from_slice(&buffer[..received.bytes]);
        Ok(received.bytes > 0)
    }

    fn take<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let Some((length, rest)) = self.bytes.split_first_chunk::<4>() else { return Ok(None) };
        let end = HEADER_BYTES + u32::from_le_bytes(*length) as usize;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let wanted = usize::from(rest[0]).min(self.descriptors.len());
        let message = serde_json::from_slice(&self.bytes[HEADER_BYTES..end])?;
        self.bytes.drain(..end);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        Ok(Some((message, self.descriptors.drain(..wanted).collect())))
    }

    /// The next message of a socket that blocks; `None` at its end.
    pub fn receive<T: DeserializeOwned>(&mut self, socket: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            if !self.receive_some(&socket)? {
                return Ok(None);
            }
        }
    }

    /// The next message of a socket of tokio's; `None` at its end.
    pub async fn next<T: DeserializeOwned>(&mut self, socket: &UnixStream) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            socket.readable().await?;
            match socket.try_io(Interest::READABLE, || self.receive_some(socket)) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Sends a message through a socket that blocks.
pub fn send(socket: impl AsFd, message: &impl Serialize, descriptors: Vec<OwnedFd>) -> io::Result<()> {
    let mut frame = Frame::new(message, descriptors)?;
    while !frame.is_sent() {
        frame.send_some(&socket)?;
    }
    Ok(())
}

/// Sends a frame through a socket of tokio's. Must not be given up half way.
pub async fn send_frame(socket: &UnixStream, mut frame: Frame) -> io::Result<()> {
    while !frame.is_sent() {
        socket.writable().await?;
        match socket.try_io(Interest::WRITABLE, || frame.send_some(socket)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_arrive_with_the_message_that_they_were_sent_with() {
        let (here, there) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        send(&here, &"a".repeat(10_000), Vec::new()).expect("sent");
        send(&here, &"b", vec![writer]).expect("sent");
        let mut inbox = Inbox::default();
        let (first, none): (String, _) = inbox.receive(&there).expect("received").expect("a message");
        assert_eq!((first.len(), none.len()), (10_000, 0));
        let (_, mut descriptors): (String, _) = inbox.receive(&there).expect("received").expect("a message");
        rustix::io::write(descriptors.remove(0), b"x").expect("written");
        assert_eq!(rustix::io::read(reader, &mut [0; 2]), Ok(1));
        drop(here);
        assert!(inbox.receive::<String>(&there).expect("an end").is_none());
    }
}
