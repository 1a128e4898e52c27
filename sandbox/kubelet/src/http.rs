//! The little of HTTP that probes and hooks need.

use crate::read::{list, text};
use crate::shared::Shared;
use serde_json::Value;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How much of an answer's head is read, in bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// What is asked, and where.
pub struct Target {
    /// Where to.
    pub socket: SocketAddrV4,
    host: String,
    path: String,
    headers: Vec<(String, String)>,
}

impl Target {
    /// Reads an `httpGet`.
    ///
    /// # Errors
    /// A port that the container does not have, or what the sandbox cannot do.
    pub fn read(action: &Value, container: &Value, address: Ipv4Addr) -> Result<Self, String> {
        let port = port(&action["port"], container)?;
        if text(action, "scheme") == "HTTPS" {
            return Err(
                "httpGet with scheme HTTPS is not supported by the sandbox; use a tcpSocket or exec probe".into()
            );
        }
        let address = match text(action, "host") {
            "" => address,
            host => host.parse().map_err(|_| format!("the host {host} of httpGet is no IPv4 address"))?,
        };
        let header = |header: &Value| (text(header, "name").to_owned(), text(header, "value").to_owned());
        let path = text(action, "path");
        Ok(Self {
            socket: SocketAddrV4::new(address, port),
            host: format!("{address}:{port}"),
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
            headers: list(&action["httpHeaders"]).iter().map(header).collect(),
        })
    }

    /// As messages show it.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.host, self.path)
    }

    fn request(&self, agent: &str) -> String {
        let given = |name: &str| self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let host = given("Host").map_or(self.host.as_str(), |(_, value)| value);
        let mut out = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n", self.path);
        if given("User-Agent").is_none() {
            out.extend(["User-Agent: ", agent, "\r\n"]);
        }
        if given("Accept").is_none() {
            out.push_str("Accept: */*\r\n");
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Host")) {
            out.extend([name, ": ", value, "\r\n"]);
        }
        out.push_str("Connection: close\r\n\r\n");
        out
    }
}

/// A port by number or by its name in the container.
pub fn port(port: &Value, container: &Value) -> Result<u16, String> {
    if let Some(number) = port.as_u64() {
        return u16::try_from(number).map_err(|_| format!("invalid port number: {number}"));
    }
    let name = port.as_str().unwrap_or_default();
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let known = list(&container["ports"]).iter().find(|port| text(port, "name") == name);
    let number = known.and_then(|port| port["containerPort"].as_u64()).and_then(|port| u16::try_from(port).ok());
    number.ok_or_else(|| format!("couldn't find port: {name} in the container's ports"))
}

/// Asks, and returns the answer's status code.
///
/// # Errors
/// The words of the kubelet's own client.
pub async fn get(shared: &Shared, target: &Target, agent: &str) -> Result<u16, String> {
    let failed = |error: &str| format!("Get \"{}\": {error}", target.url());
    let stream = shared.node.connect(target.socket).await;
    let mut stream = stream.map_err(|error| failed(&dial_error(target.socket, &error)))?;
    let place = format!("{}->{}", shared.node.address(), target.socket);
    let broken = |error: &io::Error| failed(&format!("read tcp {place}: read: {}", plain(error)));
    stream.write_all(target.request(agent).as_bytes()).await.map_err(|error| broken(&error))?;
    let mut head = Vec::new();
    while !head.windows(2).any(|pair| pair == b"\r\n") && head.len() < HEAD_BYTES {
        match stream.read_buf(&mut head).await {
            Ok(0) => return Err(failed("EOF")),
            Ok(_) => {}
            Err(error) => return Err(broken(&error)),
        }
    }
    let line = String::from_utf8_lossy(&head);
    let line = line.lines().next().unwrap_or_default();
    let code = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let code = code.ok_or_else(|| {
        failed(&format!("net/http: HTTP/1.x transport connection broken: malformed HTTP response {line:?}"))
    })?;
    drain(&mut stream).await;
    Ok(code)
}

/// Reads the rest, so that the server is not broken off in the middle of a short answer.
async fn drain(stream: &mut tokio::net::TcpStream) {
    let mut rest = [0_u8; 4096];
    let mut left = HEAD_BYTES;
    while let Ok(length @ 1..) = stream.read(&mut rest).await {
        match left.checked_sub(length) {
            Some(less) => left = less,
            None => return,
        }
    }
}

/// A failed connection in the words of Go.
pub fn dial_error(socket: SocketAddrV4, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => format!("dial tcp {socket}: i/o timeout"),
        _ => format!("dial tcp {socket}: connect: {}", plain(error)),
    }
}

fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_are_numbers_or_names() {
        let container = json!({ "name": "c", "ports": [{ "name": "http", "containerPort": 8080 }] });
        assert_eq!(port(&json!(80), &container), Ok(80));
        assert_eq!(port(&json!("81"), &container), Ok(81));
        assert_eq!(port(&json!("http"), &container), Ok(8080));
        assert!(port(&json!("other"), &container).expect_err("unknown").contains("couldn't find port: other"));
    }

    #[test]
    fn a_request_has_the_headers_that_were_asked_for() {
        let action = json!({ "path": "x?y=1", "port": 80, "httpHeaders": [{ "name": "Host", "value": "h" }, { "name": "A", "value": "b" }] });
        let target = Target::read(&action, &json!({}), [10, 0, 0, 1].into()).expect("fine");
        assert_eq!(target.url(), "http://10.0.0.1:80/x?y=1");
        let request = target.request("kube-probe/1.34");
        assert!(request.starts_with("GET /x?y=1 HTTP/1.1\r\nHost: h\r\nUser-Agent: kube-probe/1.34\r\n"), "{request}");
        assert!(request.contains("\r\nA: b\r\n") && request.ends_with("\r\n\r\n"));
    }
}
