//! From a request to an upgraded connection: which protocol, and the answer that switches to it.

use std::future::Future;

use hyper::header::SEC_WEBSOCKET_PROTOCOL;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{Body, empty};
use crate::Status;

/// An upgraded connection.
pub(crate) type Connection = TokioIo<Upgraded>;

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// What a resource speaks once upgraded, best first.
pub(crate) struct Spoken {
    /// Subprotocols of a WebSocket; an empty one stands for none.
    pub(crate) web_socket: &'static [&'static str],
    /// Protocols on top of SPDY/3.1.
    pub(crate) spdy: &'static [&'static str],
}

/// What client and server agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreed {
    /// A WebSocket with this subprotocol.
    WebSocket(&'static str),
    /// SPDY/3.1 with this protocol on top.
    Spdy(&'static str),
}

/// Finds the protocol that the client likes best of those that are spoken.
pub(crate) fn agree(headers: &HeaderMap, spoken: &Spoken) -> Result<Agreed, Status> {
    let is_upgrade = words(headers, &CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade"));
    let wanted = words(headers, &UPGRADE).next().filter(|_| is_upgrade).unwrap_or_default();
    if wanted.eq_ignore_ascii_case("websocket") {
        let offered: Vec<&str> = words(headers, &SEC_WEBSOCKET_PROTOCOL).collect();
        let offered_or_none = if offered.is_empty() { &[""][..] } else { &offered };
        let agreed = choose(offered_or_none, spoken.web_socket).map(Agreed::WebSocket);
        return agreed.ok_or_else(|| {
            let (offered, spoken) = (offered.join(" "), spoken.web_socket.join(" "));
            Status::bad_request(format!("requested protocol(s) are not supported: [{offered}]; supports [{spoken}]"))
        });
    }
    if wanted.eq_ignore_ascii_case("SPDY/3.1") {
        let offered: Vec<&str> = words(headers, &STREAM_PROTOCOL).collect();
        if offered.is_empty() {
            return Err(Status::bad_request("unable to upgrade: X-Stream-Protocol-Version is required"));
        }
        return choose(&offered, spoken.spdy).map(Agreed::Spdy).ok_or_else(|| {
            let (offered, spoken) = (offered.join(" "), spoken.spdy.join(" "));
            let why = format!("unable to negotiate protocol: client supports [{offered}], server accepts [{spoken}]");
            Status::new(403, "Forbidden", format!("unable to upgrade: {why}"))
        });
    }
    Err(Status::bad_request("Upgrade request required"))
}

/// The first of the client's protocols that is spoken.
fn choose(offered: &[&str], spoken: &[&'static str]) -> Option<&'static str> {
    offered.iter().find_map(|each| spoken.iter().find(|it| *it == each).copied())
}

/// The comma-separated words of a header.
fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

/// Answers that the protocol is switched, and hands the connection over once it is.
pub(crate) fn switch<F>(
    mut request: Request<impl Send>,
    agreed: Agreed,
    then: impl FnOnce(Connection) -> F + Send + 'static,
) -> Result<Response<Body>, Status>
where
    F: Future<Output = ()> + Send,
{
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    match agreed {
        Agreed::WebSocket(protocol) => {
            let key = request.headers().get(SEC_WEBSOCKET_KEY);
            let key = key.ok_or_else(|| Status::bad_request("a WebSocket needs a Sec-WebSocket-Key"))?;
            let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept.map_err(Status::internal)?);
            if !protocol.is_empty() {
                headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
            }
        }
        Agreed::Spdy(protocol) => {
            headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
            headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
        }
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // A client that leaves before the switch has nothing to be told.
        if let Ok(connection) = upgrade.await {
            then(TokioIo::new(connection)).await;
        }
    });
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOKEN: Spoken =
        Spoken { web_socket: &["v5.channel.k8s.io", "v4.channel.k8s.io", ""], spdy: &["v4.channel.k8s.io"] };

    fn ask(lines: &[(&'static str, &'static str)]) -> Result<Agreed, Status> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        agree(&headers, &SPOKEN)
    }

    #[test]
    fn the_first_protocol_of_the_client_that_is_spoken_is_taken() {
        let web_socket = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
        let with = |protocols| ask(&[&web_socket[..], &[("sec-websocket-protocol", protocols)]].concat());
        assert_eq!(with("v6.x, v4.channel.k8s.io,v5.channel.k8s.io"), Ok(Agreed::WebSocket("v4.channel.k8s.io")));
        assert_eq!(ask(&web_socket), Ok(Agreed::WebSocket("")));
        let spdy = [
            ("connection", "Upgrade"),
            ("upgrade", "SPDY/3.1"),
            ("x-stream-protocol-version", "v5.channel.k8s.io"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
        ];
        assert_eq!(ask(&spdy), Ok(Agreed::Spdy("v4.channel.k8s.io")));
    }

    #[test]
    fn what_cannot_be_upgraded_is_refused_with_the_reason() {
        let upgrade = |to, more| ask(&[("connection", "upgrade"), ("upgrade", to), more]);
        let table = [
            (ask(&[]), 400, "Upgrade request required"),
            (ask(&[("upgrade", "websocket")]), 400, "Upgrade request required"),
            (upgrade("h2c", ("a", "b")), 400, "Upgrade request required"),
            (
                upgrade("websocket", ("sec-websocket-protocol", "a, b")),
                400,
                "requested protocol(s) are not supported: [a b]; supports [v5.channel.k8s.io v4.channel.k8s.io ]",
            ),
            (upgrade("SPDY/3.1", ("a", "b")), 400, "unable to upgrade: X-Stream-Protocol-Version is required"),
            (
                upgrade("SPDY/3.1", ("x-stream-protocol-version", "v3.channel.k8s.io")),
                403,
                "unable to upgrade: unable to negotiate protocol: client supports [v3.channel.k8s.io], \
                 server accepts [v4.channel.k8s.io]",
            ),
        ];
        for (given, code, message) in table {
            let refused = given.unwrap_err();
            assert_eq!((refused.code, refused.message.as_str()), (code, message));
        }
    }
}
