//! Ports of a pod, forwarded over channels: pairs of one that carries bytes and one that tells why it cannot.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::channels::{Channel, Channels, Event};
use super::query::Query;
use super::spdy_headers::Headers;
use super::upgrade::{Agreed, Connection, Spoken};
use super::{PodStreams, spdy_connection, web_socket};
use crate::Status;

/// What portforward speaks.
pub(crate) const SPOKEN: Spoken = Spoken {
    web_socket: &[TUNNELLED, "v4.channel.k8s.io", "v4.base64.channel.k8s.io", ""],
    spdy: &["portforward.k8s.io"],
};

/// SPDY/3.1 within a WebSocket.
const TUNNELLED: &str = "SPDY/3.1+portforward.k8s.io";

/// The ports of a WebSocket's query; a client of SPDY names them later.
pub(crate) fn ports(agreed: Agreed, query: &Query) -> Result<Vec<u16>, Status> {
    if !matches!(agreed, Agreed::WebSocket(protocol) if protocol != TUNNELLED) {
        return Ok(Vec::new());
    }
    let texts: Vec<&str> = query.all("ports").chain(query.all("port")).flat_map(|text| text.split(',')).collect();
    if texts.is_empty() {
        return Err(Status::bad_request("query parameter \"port\" is required"));
    }
    texts.into_iter().map(|text| port(text).map_err(Status::bad_request)).collect()
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) => Err(format!("port \"{text}\" must be > 0")),
        Ok(port) => Ok(port),
        Err(_) => Err(format!("unable to parse \"{text}\" as a port")),
    }
}

/// Where the forwarded connections go.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) streams: Arc<dyn PodStreams>,
    pub(crate) pod: Arc<Value>,
}

/// Carries connections until the client leaves, or the only ones it can have are done.
pub(crate) async fn run(connection: Connection, agreed: Agreed, target: Target, ports: Vec<u16>) {
    match agreed {
        Agreed::Spdy(_) => run_spdy(spdy_connection::connect(connection), target).await,
        Agreed::WebSocket(TUNNELLED) => {
            let tunnel = web_socket::tunnel(connection).await;
            run_spdy(spdy_connection::connect(tunnel), target).await;
        }
        Agreed::WebSocket(protocol) => {
            let is_base64 = protocol.contains("base64");
            let form = if is_base64 { web_socket::Form::Base64 } else { web_socket::Form::Binary };
            run_web_socket(web_socket::connect(connection, form).await, target, &ports).await;
        }
    }
}

/// The connections of one client.
struct Forwards {
    target: Target,
    outgoing: mpsc::Sender<Event>,
    /// By data channel: what the client sends. Dropping a sender tells the pod that no more comes.
    inputs: HashMap<Channel, mpsc::Sender<Bytes>>,
    tasks: JoinSet<Channel>,
}

impl Forwards {
    fn new(target: Target, outgoing: mpsc::Sender<Event>) -> Self {
        Self { target, outgoing, inputs: HashMap::new(), tasks: JoinSet::new() }
    }

    fn start(&mut self, port: u16, data: Channel, error: Channel) {
        let (input, from_client) = mpsc::channel(64);
        self.inputs.insert(data, input);
        self.tasks.spawn(forward(self.target.clone(), port, data, error, from_client, self.outgoing.clone()));
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Data(channel, bytes) => {
                if let Some(input) = self.inputs.get(&channel) {
                    // Fails when the pod has closed: then the bytes are for nobody.
                    let _ = input.send(bytes).await;
                }
            }
            Event::Ended(channel) | Event::Reset(channel) => drop(self.inputs.remove(&channel)),
            Event::Opened(..) => {}
        }
    }
}

async fn run_web_socket(channels: Channels, target: Target, ports: &[u16]) {
    let Channels { mut incoming, outgoing } = channels;
    let mut forwards = Forwards::new(target, outgoing);
    for (port, data) in ports.iter().zip((0..).step_by(2)) {
        for channel in [data, data + 1] {
            let number = Bytes::copy_from_slice(&port.to_le_bytes());
            if forwards.outgoing.send(Event::Data(channel, number)).await.is_err() {
                return;
            }
        }
        forwards.start(*port, data, data + 1);
    }
    loop {
        tokio::select! {
            event = incoming.recv() => match event {
                Some(event) => forwards.take(event).await,
                None => return,
            },
            done = forwards.tasks.join_next() => if done.is_none() { return },
        }
    }
}

/// The two streams of a connection find each other by the number that the client gave them.
#[derive(Default)]
struct Half {
    data: Option<Channel>,
    error: Option<Channel>,
}

async fn run_spdy(channels: Channels, target: Target) {
    let Channels { mut incoming, outgoing } = channels;
    let mut forwards = Forwards::new(target, outgoing);
    let mut halves: HashMap<String, Half> = HashMap::new();
    loop {
        let event = tokio::select! {
            event = incoming.recv() => event,
            Some(done) = forwards.tasks.join_next() => {
                forwards.inputs.remove(&done.unwrap_or_default());
                continue;
            }
        };
        match event {
            None => return,
            Some(Event::Opened(channel, headers)) => match open(&mut halves, channel, &headers) {
                Ok(Some((port, data, error))) => forwards.start(port, data, error),
                Ok(None) => {}
                Err(_) => drop(forwards.outgoing.send(Event::Reset(channel)).await),
            },
            Some(event) => forwards.take(event).await,
        }
    }
}

/// Takes a new stream in; gives port, data and error stream once both are there.
fn open(
    halves: &mut HashMap<String, Half>,
    channel: Channel,
    headers: &Headers,
) -> Result<Option<(u16, Channel, Channel)>, String> {
    let header = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        found.ok_or_else(|| format!("\"{wanted}\" header is required"))
    };
    let port = port(header("port")?)?;
    let kind = header("streamtype")?;
    let request = header("requestid")?;
    let half = halves.entry(request.to_owned()).or_default();
    let place = match kind {
        "data" => &mut half.data,
        "error" => &mut half.error,
        other => return Err(format!("invalid stream type \"{other}\"")),
    };
    if place.replace(channel).is_some() {
        return Err(format!("{kind} stream already assigned"));
    }
    let Half { data: Some(data), error: Some(error) } = *half else { return Ok(None) };
    halves.remove(request);
    Ok(Some((port, data, error)))
}

/// Carries one connection; gives its data channel when it is over.
async fn forward(
    target: Target,
    port: u16,
    data: Channel,
    error: Channel,
    from_client: mpsc::Receiver<Bytes>,
    outgoing: mpsc::Sender<Event>,
) -> Channel {
    if let Err(refused) = exchange(&target, port, data, from_client, &outgoing).await {
        let name = target.pod["metadata"]["name"].as_str().unwrap_or_default();
        let uid = target.pod["metadata"]["uid"].as_str().unwrap_or_default();
        let told = format!("error forwarding port {port} to pod {name}, uid {uid}: {refused}");
        let _ = outgoing.send(Event::Data(error, told.into())).await;
    }
    for channel in [error, data] {
        let _ = outgoing.send(Event::Ended(channel)).await;
    }
    data
}

/// Copies both ways until the pod has no more to say.
async fn exchange(
    target: &Target,
    port: u16,
    data: Channel,
    mut from_client: mpsc::Receiver<Bytes>,
    outgoing: &mpsc::Sender<Event>,
) -> Result<(), Status> {
    let connection = target.streams.connect(&target.pod, port).await?;
    let (mut reader, mut writer) = tokio::io::split(connection);
    let to_pod = async {
        while let Some(bytes) = from_client.recv().await {
            if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                break;
            }
        }
        let _ = writer.shutdown().await;
        std::future::pending::<()>().await;
    };
    let from_pod = async {
        let mut buffer = BytesMut::with_capacity(16 * 1024);
        while reader.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
            if outgoing.send(Event::Data(data, buffer.split().freeze())).await.is_err() {
                return;
            }
            buffer.reserve(16 * 1024);
        }
    };
    tokio::select! {
        () = to_pod => {}
        () = from_pod => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_from_the_query_of_a_web_socket() {
        let plain = Agreed::WebSocket("v4.channel.k8s.io");
        let table = [
            (plain, "ports=80,8080&ports=443", Ok(vec![80, 8080, 443])),
            (plain, "", Err("query parameter \"port\" is required")),
            (plain, "ports=0", Err("port \"0\" must be > 0")),
            (plain, "ports=http", Err("unable to parse \"http\" as a port")),
            (Agreed::WebSocket(TUNNELLED), "", Ok(vec![])),
            (Agreed::Spdy("portforward.k8s.io"), "", Ok(vec![])),
        ];
        for (agreed, query, expected) in table {
            let read = ports(agreed, &Query::parse(query)).map_err(|status| status.message);
            assert_eq!(read, expected.map_err(str::to_owned), "{query}");
        }
    }

    #[test]
    fn streams_find_each_other_by_their_request() {
        let mut halves = HashMap::new();
        let mut opened = |channel, texts: &[(&str, &str)]| {
            let headers = texts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            open(&mut halves, channel, &headers)
        };
        let request = |id, kind| [("port", "80"), ("streamtype", kind), ("requestid", id)];
        assert_eq!(opened(1, &request("0", "error")), Ok(None));
        assert_eq!(opened(3, &request("1", "error")), Ok(None));
        assert_eq!(opened(5, &request("1", "data")), Ok(Some((80, 5, 3))));
        assert_eq!(opened(7, &request("0", "data")), Ok(Some((80, 7, 1))));
        assert_eq!(opened(9, &request("2", "both")), Err("invalid stream type \"both\"".to_owned()));
        assert_eq!(opened(11, &[("port", "80")]), Err("\"streamtype\" header is required".to_owned()));
    }
}
