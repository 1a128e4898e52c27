//! Channels: several streams of bytes over one upgraded connection, whichever protocol carries them.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::spdy_headers::Headers;

/// Number of a channel: the stream of SPDY, or the first byte of a WebSocket's messages.
pub(crate) type Channel = u32;

/// What happens on a channel, in either direction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The client opened it (SPDY only; the channels of a WebSocket are there from its beginning).
    Opened(Channel, Headers),
    /// Bytes.
    Data(Channel, Bytes),
    /// Its sender has no more bytes.
    Ended(Channel),
    /// It is over, both ways.
    Reset(Channel),
}

/// The near end of an upgraded connection. A task carries the events; it ends, and closes the connection, when both halves
/// are dropped, and what was sent until then is still delivered.
pub(crate) struct Channels {
    /// From the client; ends with the connection.
    pub(crate) incoming: mpsc::Receiver<Event>,
    /// To the client; fails after the connection's end. It waits while the client takes nothing.
    pub(crate) outgoing: mpsc::Sender<Event>,
}

/// The far end, for the task that carries the events.
pub(crate) struct Carrier {
    pub(crate) incoming: mpsc::Sender<Event>,
    pub(crate) outgoing: mpsc::Receiver<Event>,
}

/// Both ends; few events are held in between, so that a slow side slows the other one down.
pub(crate) fn pair() -> (Channels, Carrier) {
    let (to_server, incoming) = mpsc::channel(8);
    let (outgoing, to_client) = mpsc::channel(8);
    (Channels { incoming, outgoing }, Carrier { incoming: to_server, outgoing: to_client })
}

/// Takes what the client still sends on a connection that is closed from this side: closing it with bytes unread would
/// throw away what is on its way to the client.
pub(crate) async fn linger(taking: impl Future) {
    // A client that never closes is let go.
    let _ = tokio::time::timeout(Duration::from_secs(5), taking).await;
}
