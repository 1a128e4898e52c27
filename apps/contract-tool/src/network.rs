//! Steps that use the network. A static program cannot ask the C library for names, so it asks the name server itself.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, thread};

use crate::{number, say};

/// Whether `/healthz` answers 200.
static HEALTHY: AtomicBool = AtomicBool::new(true);

const PATIENCE: Duration = Duration::from_secs(3);

/// Does the step, when it is one of these.
pub fn step(words: &[&str]) -> Option<io::Result<()>> {
    Some(match *words {
        ["serve", port] => number(port).and_then(|port| serve(port, "hello")),
        ["serve", port, text] => number(port).and_then(|port| serve(port, text)),
        ["serve-later", port, seconds] => number(seconds).and_then(|seconds| {
            thread::sleep(Duration::from_secs_f64(seconds));
            serve(number(port)?, "hello")
        }),
        ["unhealthy"] => {
            HEALTHY.store(false, Ordering::SeqCst);
            Ok(())
        }
        ["fetch", url] => {
            say(&fetch(url).unwrap_or_else(|error| format!("error: {}", kind(&error))));
            Ok(())
        }
        ["fetch-until", url, wanted] => fetch_until(url, wanted),
        ["connect", address] => {
            let done = addresses(address).and_then(|them| TcpStream::connect_timeout(&them, PATIENCE));
            say(&done.map_or_else(|error| format!("error: {}", kind(&error)), |_| "connected".to_owned()));
            Ok(())
        }
        ["resolve", name] => {
            let mut found = resolve(name).unwrap_or_default();
            found.sort();
            let found: Vec<String> = found.iter().map(Ipv4Addr::to_string).collect();
            say(&format!("{name}: {}", if found.is_empty() { "no such name".to_owned() } else { found.join(" ") }));
            Ok(())
        }
        ["serve-datagrams", port] => number(port).and_then(serve_datagrams),
        ["ask-datagram", address, text] => ask_datagram(address, text),
        _ => return None,
    })
}

/// What went wrong, in words that do not depend on the kernel's numbers.
fn kind(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "timed out".to_owned(),
        io::ErrorKind::NotFound => "no such name".to_owned(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => "unreachable".to_owned(),
        _ => error.to_string(),
    }
}

/// Serves pages until it is ended: `/` says the text, `/healthz` is 200 or 500, `/break` and `/heal` switch that,
/// `/headers` says what was asked with, `/caller` says who asked.
fn serve(port: u16, text: &str) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    for stream in listener.incoming() {
        let (stream, text) = (stream?, text.to_owned());
        // One caller's trouble is not the others'.
        thread::spawn(move || answer(&stream, &text));
    }
    Ok(())
}

fn answer(mut stream: &TcpStream, text: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut headers = Vec::new();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        headers.push(line.to_lowercase());
    }
    headers.sort();
    let path = request.split(' ').nth(1).unwrap_or("/");
    let (code, body) = match path {
        "/healthz" if HEALTHY.load(Ordering::SeqCst) => (200, "ok".to_owned()),
        "/healthz" => (500, "broken".to_owned()),
        "/break" | "/heal" => {
            HEALTHY.store(path == "/heal", Ordering::SeqCst);
            (200, "done".to_owned())
        }
        "/headers" => (200, headers.join("\n")),
        "/caller" => (200, stream.peer_addr()?.ip().to_string()),
        "/" => (200, text.to_owned()),
        _ => (404, "no such page".to_owned()),
    };
    if !matches!(path, "/healthz" | "/") {
        say(&format!("asked for {path}"));
    }
    write!(stream, "HTTP/1.1 {code} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// Asks for `http://HOST:PORT/PATH`: the code and the body.
fn fetch(url: &str) -> io::Result<String> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut stream = TcpStream::connect_timeout(&addresses(&host)?, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let code = answer.split(' ').nth(1).unwrap_or("no answer").to_owned();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(format!("{code} {body}"))
}

fn fetch_until(url: &str, wanted: &str) -> io::Result<()> {
    for _ in 0..300 {
        if fetch(url).is_ok_and(|answer| answer == wanted) {
            say(wanted);
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err(io::Error::other("it was never answered so"))
}

/// The first address of `HOST:PORT`.
fn addresses(address: &str) -> io::Result<SocketAddr> {
    if let Ok(address) = address.parse() {
        return Ok(address);
    }
    let (host, port) = address.rsplit_once(':').ok_or_else(|| io::Error::other("HOST:PORT is needed"))?;
    let found = resolve(host)?;
    let first = found.first().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok((*first, number(port)?).into())
}

/// The addresses of a name, by the rules of `/etc/resolv.conf`: search domains first for names with few dots.
fn resolve(name: &str) -> io::Result<Vec<Ipv4Addr>> {
    let rules = fs::read_to_string("/etc/resolv.conf")?;
    let word = |start: &str| rules.lines().filter_map(move |line| line.strip_prefix(start)).map(str::trim).next();
    let server = word("nameserver").ok_or_else(|| io::Error::other("no name server"))?.to_owned();
    let dots = rules.split("ndots:").nth(1).and_then(|rest| rest.split_whitespace().next());
    let dots: usize = dots.and_then(|text| text.parse().ok()).unwrap_or(1);
    let as_it_is = name.trim_end_matches('.').to_owned();
    let searched = word("search").unwrap_or_default().split_whitespace().map(|domain| format!("{name}.{domain}"));
    let mut candidates: Vec<String> = if name.ends_with('.') { Vec::new() } else { searched.collect() };
    let place = if name.matches('.').count() >= dots { 0 } else { candidates.len() };
    candidates.insert(place, as_it_is);
    for candidate in candidates {
        let found = ask(&server, &candidate)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Asks one name server for the A records of one name.
fn ask(server: &str, name: &str) -> io::Result<Vec<Ipv4Addr>> {
    let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).map_err(io::Error::other)?);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(&question, (server, 53))?;
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer)?;
    Ok(records(&answer[..length], question.len()))
}

/// The A records of an answer, whose records begin at `start`. Names in answers are skipped, not read.
fn records(answer: &[u8], start: usize) -> Vec<Ipv4Addr> {
    let count = answer.get(6..8).map_or(0, |it| u16::from_be_bytes([it[0], it[1]]));
    let (mut at, mut found) = (start, Vec::new());
    for _ in 0..count {
        while answer.get(at).is_some_and(|length| *length != 0 && *length < 0xc0) {
            at += usize::from(answer[at]) + 1;
        }
        at += if answer.get(at).is_some_and(|length| *length >= 0xc0) { 2 } else { 1 };
        let Some(head) = answer.get(at..at + 10) else { break };
        let (kind, length) = (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[8], head[9]]));
        at += 10;
        if let (1, Some(&[a, b, c, d])) = (kind, answer.get(at..at + 4)) {
            found.push(Ipv4Addr::new(a, b, c, d));
        }
        at += usize::from(length);
    }
    found
}

/// Sends each datagram back.
fn serve_datagrams(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    let mut buffer = [0; 2048];
    loop {
        let (length, caller) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..length], caller)?;
    }
}

fn ask_datagram(address: &str, text: &str) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(addresses(address)?)?;
    socket.send(text.as_bytes())?;
    let mut buffer = [0; 2048];
    let answer = socket.recv(&mut buffer);
    say(&answer.map_or_else(
        |error| format!("error: {}", kind(&error)),
        |length| String::from_utf8_lossy(&buffer[..length]).into_owned(),
    ));
    Ok(())
}
