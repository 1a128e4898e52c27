//! What the tests share: a trained model, carried digits, and a plain HTTP client.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use datasets::{Examples, Name, Split, find};

/// The folder of a model that the trainer made with its default flags.
pub fn model_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model")
}

/// The first test digits that the project carries.
pub fn digits(count: usize) -> Examples {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data");
    let located = find(Name::Mnist, &[folder]).expect("the project carries MNIST");
    let mut examples = located.read(Split::Test).expect("the files are whole");
    examples.truncate(count);
    examples
}

/// Sends one request on its own connection; gives the status and the body.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    kind: &str,
    body: &[u8],
) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    // By the announced length: a driver may keep the connection open whatever it is told.
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let mut length = 0;
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line)?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((status, body))
}
