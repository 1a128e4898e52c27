use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{Address, Change, Entry, Illegal, Inventory};

/// The version of the format that this program writes and reads.
const VERSION: u32 = 2;

/// Where a journal's lines are kept: a file, or what several machines share.
#[async_trait]
pub trait Log: Send {
    /// Makes lines durable after all those before them.
    ///
    /// Guarantees that nobody else wrote any meanwhile: who has lost the deployment to somebody else gets an error.
    async fn append(&mut self, lines: &[u8]) -> io::Result<()>;
}

/// A file, with one `fdatasync` for each append.
#[async_trait]
impl Log for File {
    async fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.write_all(lines).and_then(|()| self.sync_data())
    }
}

/// The journal of a deployment: an append-only log of entries, one JSON object a line, each with a checksum.
///
/// # Guarantees
///
/// - When [`Journal::append`] returns, the entries are durable (in a file by `fdatasync`), all or none of them counted.
/// - Only entries that follow from what was written before can be appended.
/// - After a failed append the journal refuses every further one: what is on disk is then not known.
///
/// # Assumptions
///
/// The caller holds the deployment's lock, so that nobody else writes.
pub struct Journal {
    path: PathBuf,
    log: Box<dyn Log>,
    inventory: Inventory,
    staged: Vec<u8>,
    illegal: Option<Illegal>,
    broken: bool,
}

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened, read or written.
    #[error("{action} the journal {}", path.display())]
    File {
        /// `open`, `read`, `write`.
        action: &'static str,
        /// The journal's path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line other than a torn last one is damaged.
    #[error("read the journal {}, line {line}: {problem}", path.display())]
    Damaged {
        /// The journal's path.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// It was written by a newer version of this program.
    #[error("read the journal {}, which a newer version of this program wrote (format {found}, known is {VERSION})", path.display())]
    Newer {
        /// The journal's path.
        path: PathBuf,
        /// The format found.
        found: u64,
    },
    /// An entry does not follow from those before it.
    #[error("follow the journal {}", path.display())]
    Illegal {
        /// The journal's path.
        path: PathBuf,
        /// Which entry, and why.
        #[source]
        source: Box<Illegal>,
    },
    /// An earlier append failed.
    #[error("write the journal {} after an earlier write to it failed", .0.display())]
    Broken(PathBuf),
}

impl Journal {
    /// Opens a journal for writing, making it where it is missing. A torn last line, as a crash leaves it, is cut off.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |action: &'static str| move |source| JournalError::File { action, path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed("open"))?;
        let bytes = std::fs::read(path).map_err(failed("read"))?;
        // Whoever made the file may have been killed before its name was on disk.
        if bytes.is_empty()
            && let Some(folder) = path.parent()
        {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("open"))?;
        }
        let (inventory, whole) = replay(path, &bytes)?;
        if whole < bytes.len() {
            file.set_len(whole as u64).and_then(|()| file.sync_data()).map_err(failed("write"))?;
        }
        file.seek(SeekFrom::End(0)).map_err(failed("open"))?;
        Ok(Self::new(path, Box::new(file), inventory))
    }

    /// A journal whose lines so far are `lines`, all of them whole, and whose further ones go to `log`. Errors name it `path`.
    pub fn on(path: &Path, lines: &[u8], log: Box<dyn Log>) -> Result<Self, JournalError> {
        Ok(Self::new(path, log, Self::replay(path, lines)?))
    }

    /// What the lines of a journal say, all of which must be whole.
    pub fn replay(path: &Path, lines: &[u8]) -> Result<Inventory, JournalError> {
        let (inventory, whole) = replay(path, lines)?;
        if whole < lines.len() {
            let line = lines.split(|byte| *byte == b'\n').count();
            return Err(damaged(path, line, "it has no end"));
        }
        Ok(inventory)
    }

    fn new(path: &Path, log: Box<dyn Log>, inventory: Inventory) -> Self {
        Self { path: path.to_owned(), log, inventory, staged: Vec::new(), illegal: None, broken: false }
    }

    /// What a journal says, without changing it; empty where there is no file.
    pub fn read(path: &Path) -> Result<Inventory, JournalError> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(replay(path, &bytes)?.0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Inventory::default()),
            Err(source) => Err(JournalError::File { action: "read", path: path.to_owned(), source }),
        }
    }

    /// Everything that may exist, as of the last entry.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// Writes entries with one synchronisation for all of them.
    pub async fn append(&mut self, changes: Vec<(Address, Change)>) -> Result<(), JournalError> {
        for (address, change) in changes {
            self.stage(address, change);
        }
        self.write().await
    }

    /// Adds an entry that [`Journal::write`] writes: the inventory holds it at once. One that does not follow is refused there.
    pub(crate) fn stage(&mut self, address: Address, change: Change) {
        if self.broken || self.illegal.is_some() {
            return;
        }
        let number = self.inventory.last_number() + 1;
        let entry = Entry { version: change.version(), number, at: Timestamp::now(), address, change };
        match self.inventory.apply(&entry) {
            Ok(()) => write_line(&mut self.staged, &entry),
            Err(illegal) => self.illegal = Some(illegal),
        }
    }

    /// Writes what is staged, with one synchronisation for all of it.
    pub(crate) async fn write(&mut self) -> Result<(), JournalError> {
        if self.broken {
            return Err(JournalError::Broken(self.path.clone()));
        }
        // Until all of it is on disk, what the inventory says is ahead of the log: an early return leaves the journal broken.
        self.broken = true;
        if let Some(source) = self.illegal.take() {
            return Err(illegal(&self.path, source));
        }
        if !self.staged.is_empty() {
            self.log.append(&self.staged).await.map_err(|source| JournalError::File {
                action: "write",
                path: self.path.clone(),
                source,
            })?;
            self.staged.clear();
        }
        self.broken = false;
        Ok(())
    }
}

fn illegal(path: &Path, source: Illegal) -> JournalError {
    JournalError::Illegal { path: path.to_owned(), source: Box::new(source) }
}

/// One line: the entry as JSON with the checksum (CRC-32 of everything before it) as its last member.
fn write_line(lines: &mut Vec<u8>, entry: &Entry) {
    let json = serde_json::to_string(entry).expect("an entry has only string keys");
    let body = json.strip_suffix('}').expect("an entry is an object");
    let checksum = crc32fast::hash(body.as_bytes());
    lines.extend_from_slice(format!("{body},\"crc\":\"{checksum:08x}\"}}\n").as_bytes());
}

/// The fold of all whole lines, and how many bytes they take.
fn replay(path: &Path, bytes: &[u8]) -> Result<(Inventory, usize), JournalError> {
    let mut inventory = Inventory::default();
    let mut whole = 0;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let body = &line[..line.len() - 1];
        // Only a line without its end can be torn: lines are written in order and a file does not shrink in a crash. What is
        // whole up to another end was written, and counts.
        if !line.ends_with(b"\n") {
            return match read_line(path, index + 1, body) {
                Ok(_) => Err(damaged(path, index + 1, "its end is damaged")),
                Err(_) => Ok((inventory, whole)),
            };
        }
        let entry = read_line(path, index + 1, body)?;
        inventory.apply(&entry).map_err(|source| illegal(path, source))?;
        whole += line.len();
    }
    Ok((inventory, whole))
}

fn damaged(path: &Path, line: usize, problem: impl Into<String>) -> JournalError {
    JournalError::Damaged { path: path.to_owned(), line, problem: problem.into() }
}

fn read_line(path: &Path, line: usize, bytes: &[u8]) -> Result<Entry, JournalError> {
    let damaged = |problem: String| damaged(path, line, problem);
    let text = std::str::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
    let (body, checksum) = text
        .strip_suffix("\"}")
        .and_then(|text| text.rsplit_once(",\"crc\":\""))
        .ok_or_else(|| damaged("the line has no checksum".to_owned()))?;
    if format!("{:08x}", crc32fast::hash(body.as_bytes())) != checksum {
        return Err(damaged("the checksum does not match".to_owned()));
    }
    let json = format!("{body}}}");
    match serde_json::from_str::<Entry>(&json) {
        Ok(entry) if entry.version <= VERSION => Ok(entry),
        // A newer version may have other members: only the number of the format is read then.
        read => match serde_json::from_str(&json) {
            Ok(Format { version }) if version > u64::from(VERSION) => {
                Err(JournalError::Newer { path: path.to_owned(), found: version })
            }
            _ => read.map_err(|error| damaged(error.to_string())),
        },
    }
}

/// The part of an entry that no version changes.
#[derive(serde::Deserialize)]
struct Format {
    #[serde(rename = "v")]
    version: u64,
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::Node;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_the_journal_refuses_to_go_on() {
        // /dev/full answers every write with ENOSPC, as a full disk does.
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut journal = Journal::on(Path::new("journal.jsonl"), b"", Box::new(file)).unwrap();
        let address = Address::new("thing", "a");
        let node = Box::new(Node::new(address.clone(), "thing a", "things"));
        let began = Change::Began { operation: crate::Operation::Create, node: Some(node) };
        let error = block_on(journal.append(vec![(address.clone(), began.clone())])).unwrap_err();
        assert!(matches!(error, JournalError::File { action: "write", .. }), "{error}");
        assert!(matches!(block_on(journal.append(vec![(address, began)])).unwrap_err(), JournalError::Broken(_)));
    }
}
