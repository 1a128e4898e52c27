//! Logs of containers, as the runtime writes them: `TIME STREAM F TEXT`.

use apiserver::streams::{LogOptions, LogStream};
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a follower looks.
const LOOK: Duration = Duration::from_millis(100);
/// How much is read at a time, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// One record of a log file.
struct Record<'a> {
    time: &'a str,
    whole: bool,
    text: &'a [u8],
}

fn record(line: &[u8]) -> Option<Record<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let _stream = parts.next()?;
    let tag = parts.next()?;
    Some(Record { time, whole: tag.starts_with(b"F"), text: parts.next().unwrap_or_default() })
}

/// Turns records into what is asked for.
struct Filter {
    since: Option<Timestamp>,
    timestamps: bool,
    limit: Option<u64>,
    middle: bool,
}

impl Filter {
    fn new(options: &LogOptions) -> Self {
        let seconds = options.since_seconds.and_then(|seconds| i64::try_from(seconds).ok());
        let ago = |seconds| Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(seconds)).ok();
        let time = options.since_time.as_ref().and_then(|time| time.parse().ok());
        Self {
            since: time.or_else(|| seconds.and_then(ago)),
            timestamps: options.timestamps,
            limit: options.limit_bytes,
            middle: false,
        }
    }

    fn wants(&self, record: &Record<'_>) -> bool {
        match (self.since, record.time.parse::<Timestamp>()) {
            (Some(since), Ok(time)) => time >= since,
            _ => true,
        }
    }

    /// Adds a line's text; whether more is wanted.
    fn add(&mut self, line: &[u8], out: &mut BytesMut) -> bool {
        let Some(record) = record(line).filter(|record| self.wants(record)) else { return true };
        let before = out.len();
        if self.timestamps && !self.middle {
            out.extend_from_slice(record.time.as_bytes());
            out.extend_from_slice(b" ");
        }
        out.extend_from_slice(record.text);
        if record.whole {
            out.extend_from_slice(b"\n");
        }
        self.middle = !record.whole;
        if let Some(limit) = &mut self.limit {
            let added = u64::try_from(out.len() - before).unwrap_or(u64::MAX);
            if added >= *limit {
                out.truncate(before + usize::try_from(*limit).unwrap_or(usize::MAX));
                *limit = 0;
                return false;
            }
            *limit -= added;
        }
        true
    }
}

/// Reads whole lines of a log as it grows.
struct Lines {
    path: PathBuf,
    file: Option<File>,
    rest: Vec<u8>,
}

impl Lines {
    /// The next whole lines; none when there are no more for now.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.file.is_none() {
            self.file = match File::open(&self.path) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        let Some(file) = &mut self.file else { return Ok(None) };
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let length = file.read(&mut piece)?;
            if length == 0 {
                // The file may have been renamed, and another one taken its place.
                if is_replaced(file, &self.path) {
                    *file = File::open(&self.path)?;
                    continue;
                }
                return Ok(None);
            }
            self.rest.extend_from_slice(&piece[..length]);
            if let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') {
                let rest = self.rest.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.rest, rest)));
            }
        }
    }
}

fn is_replaced(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.ino() != named.ino(),
        _ => false,
    }
}

/// The log with the part that was rotated away.
fn rotated(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// The log as asked for; it is followed for as long as `runs` says that the instance does.
pub fn stream(path: PathBuf, options: &LogOptions, runs: impl Fn() -> bool + Send + 'static) -> LogStream {
    let filter = Filter::new(options);
    let (follow, tail) = (options.follow, options.tail_lines.and_then(|tail| usize::try_from(tail).ok()));
    let state = (Reader::new(path, filter, tail), runs, false);
    Box::pin(futures::stream::unfold(state, move |(mut reader, runs, mut last)| async move {
        loop {
            match reader.next() {
                Ok(Some(bytes)) => return Some((Ok(bytes), (reader, runs, last))),
                Err(error) => {
                    reader.over = true;
                    return Some((Err(error), (reader, runs, last)));
                }
                Ok(None) if reader.over || last || !follow => return None,
                Ok(None) => {}
            }
            // Once it has ended everything is in its log: one more look.
            last = !runs();
            if !last {
                tokio::time::sleep(LOOK).await;
            }
        }
    }))
}

struct Reader {
    lines: Lines,
    old: Option<Lines>,
    filter: Filter,
    tail: Option<usize>,
    over: bool,
}

impl Reader {
    fn new(path: PathBuf, filter: Filter, tail: Option<usize>) -> Self {
        let lines = |path: PathBuf| Lines { path, file: None, rest: Vec::new() };
        let old = Some(lines(rotated(&path)));
        Self { lines: lines(path), old, filter, tail, over: false }
    }

    fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.over {
            return Ok(None);
        }
        if let Some(tail) = self.tail.take() {
            let bytes = self.last(tail)?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        loop {
            let Some(piece) = self.piece()? else { return Ok(None) };
            let bytes = self.filtered(&piece);
            if !bytes.is_empty() || self.over {
                return Ok(Some(bytes).filter(|bytes| !bytes.is_empty()));
            }
        }
    }

    /// The next whole lines: of what was rotated away first.
    fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(old) = &mut self.old {
            if let Some(piece) = old.next()? {
                return Ok(Some(piece));
            }
            self.old = None;
        }
        self.lines.next()
    }

    fn filtered(&mut self, piece: &[u8]) -> Bytes {
        let mut out = BytesMut::new();
        for line in piece.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if !self.filter.add(line, &mut out) {
                self.over = true;
                break;
            }
        }
        out.freeze()
    }

    /// The last lines of what there is now; everything before them is skipped.
    fn last(&mut self, tail: usize) -> io::Result<Bytes> {
        let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
        let mut whole = 0;
        while let Some(piece) = self.piece()? {
            for line in piece.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let Some(read) = record(line) else { continue };
                if !self.filter.wants(&read) {
                    continue;
                }
                whole += usize::from(read.whole);
                kept.push_back(line.to_vec());
                while whole > tail || (tail == 0 && !kept.is_empty()) {
                    let Some(first) = kept.pop_front() else { break };
                    whole -= usize::from(record(&first).is_some_and(|record| record.whole));
                }
            }
        }
        let mut all = Vec::new();
        for line in kept {
            all.extend_from_slice(&line);
            all.push(b'\n');
        }
        Ok(self.filtered(&all))
    }
}

/// The last lines of a log in a few bytes.
pub fn last_lines(path: &Path, lines: usize, bytes: usize) -> String {
    let Ok(mut file) = File::open(path) else { return String::new() };
    let length = file.metadata().map_or(0, |about| about.len());
    let from = length.saturating_sub(64 * 1024);
    let mut tail = Vec::new();
    if file.seek(SeekFrom::Start(from)).and_then(|_| file.read_to_end(&mut tail)).is_err() {
        return String::new();
    }
    let mut out = BytesMut::new();
    let mut filter = Filter::new(&LogOptions::default());
    let all = tail.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect::<Vec<_>>();
    for line in &all[all.len().saturating_sub(lines)..] {
        filter.add(line, &mut out);
    }
    String::from_utf8_lossy(&out[out.len().saturating_sub(bytes)..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    const LOG: &str = "2026-01-01T00:00:01Z stdout F one\n2026-01-01T00:00:02Z stderr P tw\n\
                       2026-01-01T00:00:02Z stderr F o\n2026-01-01T00:00:03Z stdout F three\n";

    async fn read(options: LogOptions) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.log");
        std::fs::write(&path, LOG).expect("written");
        std::fs::write(rotated(&path), "2025-01-01T00:00:00Z stdout F zero\n").expect("written");
        let pieces = stream(path, &options, || false).collect::<Vec<_>>().await;
        let bytes = pieces.into_iter().flat_map(|piece| piece.expect("readable"));
        String::from_utf8(bytes.collect()).expect("text")
    }

    #[tokio::test]
    async fn logs_are_cut_as_asked() {
        let none = LogOptions::default;
        assert_eq!(read(none()).await, "zero\none\ntwo\nthree\n");
        assert_eq!(read(LogOptions { tail_lines: Some(2), ..none() }).await, "two\nthree\n");
        assert_eq!(read(LogOptions { tail_lines: Some(0), ..none() }).await, "");
        assert_eq!(read(LogOptions { tail_lines: Some(9), ..none() }).await, "zero\none\ntwo\nthree\n");
        assert_eq!(read(LogOptions { limit_bytes: Some(7), ..none() }).await, "zero\non");
        let since = LogOptions { since_time: Some("2026-01-01T00:00:02Z".into()), ..none() };
        assert_eq!(read(since).await, "two\nthree\n");
        let stamped = LogOptions { timestamps: true, tail_lines: Some(2), ..none() };
        assert_eq!(read(stamped).await, "2026-01-01T00:00:02Z two\n2026-01-01T00:00:03Z three\n");
    }

    #[tokio::test]
    async fn a_follower_hears_what_comes_and_stops_with_the_instance() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.log");
        std::fs::write(&path, LOG).expect("written");
        let runs = Arc::new(AtomicBool::new(true));
        let flag = runs.clone();
        let options = LogOptions { follow: true, tail_lines: Some(1), ..LogOptions::default() };
        let mut stream = stream(path.clone(), &options, move || flag.load(Ordering::SeqCst));
        assert_eq!(stream.next().await.expect("a piece").expect("readable"), "three\n");
        let mut log = std::fs::OpenOptions::new().append(true).open(&path).expect("open");
        io::Write::write_all(&mut log, b"2026-01-01T00:00:04Z stdout F four\n").expect("written");
        assert_eq!(stream.next().await.expect("a piece").expect("readable"), "four\n");
        runs.store(false, Ordering::SeqCst);
        assert!(stream.next().await.is_none());
    }

    #[test]
    fn the_last_lines_stand_for_a_message() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.log");
        std::fs::write(&path, LOG).expect("written");
        assert_eq!(last_lines(&path, 80, 2048), "one\ntwo\nthree\n");
        assert_eq!(last_lines(&path, 1, 4), "ree\n");
    }
}
