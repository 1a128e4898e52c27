//! What programs write, line by line, in files as container runtimes keep them.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use jiff::Timestamp;
use tokio::net::unix::pipe::Receiver;

/// A file that has become longer than this is put aside.
const FILE_BYTES: u64 = 10 << 20;
/// A longer line is written in parts.
const PART_BYTES: usize = 16 << 10;

/// A container's log, shared by its streams.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Log {
    /// Goes on with a file, or begins it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, length })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.length > 0 && self.length + bytes.len() as u64 > FILE_BYTES {
            let mut aside = self.path.clone().into_os_string();
            aside.push(".1");
            std::fs::rename(&self.path, aside)?;
            *self = Self::open(&self.path)?;
        }
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Copies what comes out of a pipe until its other end is closed. What cannot be written is lost, as with a full disk
/// everywhere: a program must not stand still for its log.
pub async fn copy(log: Rc<RefCell<Log>>, stream: &'static str, pipe: OwnedFd) -> io::Result<()> {
    let pipe = Receiver::from_owned_fd(pipe)?;
    let mut rest = Vec::new();
    loop {
        pipe.readable().await?;
        // One buffer for a moment only: hundreds of silent programs cost next to nothing.
        let mut buffer = [0; PART_BYTES];
        match pipe.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                let lines = format(&mut rest, &buffer[..length], stream, Timestamp::now());
                let _ = log.borrow_mut().write(&lines);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    if !rest.is_empty() {
        let mut line = head(stream, 'F', Timestamp::now()).into_bytes();
        line.append(&mut rest);
        line.push(b'\n');
        let _ = log.borrow_mut().write(&line);
    }
    Ok(())
}

fn head(stream: &str, tag: char, now: Timestamp) -> String {
    let mut head = String::with_capacity(48);
    let _ = write!(head, "{now:.9} {stream} {tag} ");
    head
}

/// The lines that are whole now, and parts of those that are too long. What is left of the last one is kept in `rest`.
fn format(rest: &mut Vec<u8>, read: &[u8], stream: &str, now: Timestamp) -> Vec<u8> {
    let mut lines = Vec::with_capacity(read.len() + 64);
    for piece in read.split_inclusive(|byte| *byte == b'\n') {
        rest.extend_from_slice(piece);
        let is_whole = rest.ends_with(b"\n");
        while rest.len() > PART_BYTES + usize::from(is_whole) {
            lines.extend_from_slice(head(stream, 'P', now).as_bytes());
            lines.extend(rest.drain(..PART_BYTES));
            lines.push(b'\n');
        }
        if is_whole {
            lines.extend_from_slice(head(stream, 'F', now).as_bytes());
            lines.append(rest);
        }
    }
    if rest.is_empty() {
        *rest = Vec::new();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1).expect("a time")
    }

    #[test]
    fn each_line_carries_its_time_its_stream_and_whether_it_is_whole() {
        let mut rest = Vec::new();
        let lines = format(&mut rest, b"one\ntw", "stdout", now());
        assert_eq!(lines, b"1970-01-01T00:00:01.000000000Z stdout F one\n");
        let lines = format(&mut rest, b"o\n", "stdout", now());
        assert_eq!(lines, b"1970-01-01T00:00:01.000000000Z stdout F two\n");
    }

    #[test]
    fn a_line_that_is_too_long_is_written_in_parts() {
        let mut rest = Vec::new();
        let lines = format(&mut rest, &vec![b'x'; PART_BYTES + 1], "stderr", now());
        assert!(lines.starts_with(b"1970-01-01T00:00:01.000000000Z stderr P xxx") && lines.ends_with(b"x\n"));
        assert_eq!(rest, b"x");
    }

    #[test]
    fn a_long_log_is_put_aside() {
        let folder = std::env::temp_dir().join(format!("runtime-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut log = Log::open(&folder.join("0.log")).expect("a log");
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..11 {
            log.write(&piece).expect("written");
        }
        let length = |name: &str| std::fs::metadata(folder.join(name)).expect("there").len();
        assert_eq!((length("0.log"), length("0.log.1")), (1 << 20, 10 << 20));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
