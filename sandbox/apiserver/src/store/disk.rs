//! Objects on disk: one embedded database, one thread that writes, and many writers in one commit.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde_json::Value;
use tokio::sync::watch;

use crate::Status;

/// Objects as JSON, by resource, namespace and name.
const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
/// The last revision, under the empty key.
const REVISION: TableDefinition<(), u64> = TableDefinition::new("revision");
/// An empty store's revision. What is before it is told to be forgotten, as revision 1 is by every real server.
const FIRST: u64 = 2;
/// Everything is in memory already: the database needs no cache of its own to speak of.
const CACHE_BYTES: usize = 1 << 20;

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The file cannot be made.
    #[error("open {path}", path = path.display())]
    File {
        /// The database file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Another sandbox has it open, or it is not such a database, or it cannot be read.
    #[error("open the database {path}", path = path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Box<redb::Error>,
    },
    /// An entry is not an object of a kind that the sandbox has.
    #[error("read the entry {key} of the database {path}", path = path.display())]
    Entry {
        /// The database file.
        path: PathBuf,
        /// The entry's key.
        key: String,
        /// Why.
        #[source]
        cause: Option<serde_json::Error>,
    },
}

/// One change on its way to the disk; an object that is gone has none.
pub(super) struct Write {
    pub place: usize,
    pub key: String,
    pub object: Option<Arc<Value>>,
    pub revision: u64,
}

/// The database and the thread that writes it.
pub(super) struct Disk {
    queue: Arc<Queue>,
    progress: watch::Receiver<Progress>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

#[derive(Default)]
struct Waiting {
    writes: Vec<Write>,
    closed: bool,
}

/// How far the disk is.
#[derive(Debug, Clone, Default)]
struct Progress {
    durable: u64,
    failed: Option<String>,
}

/// An object and its resource's place in `kinds::all()`.
type Loaded = (usize, Value);

impl Disk {
    /// Opens or makes the database; with it come its objects and the last revision.
    pub fn open(folder: &Path) -> Result<(Self, Vec<Loaded>, u64), DiskError> {
        let path = folder.join("objects.redb");
        let private = || {
            fs::create_dir_all(folder)?;
            OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path)
        };
        private().map_err(|cause| DiskError::File { path: path.clone(), cause })?;
        let (database, entries, revision) =
            load(&path).map_err(|cause| DiskError::Database { path: path.clone(), cause: Box::new(cause) })?;
        let objects = entries.into_iter().map(|(key, bytes)| object(&path, key, &bytes));
        let objects = objects.collect::<Result<_, _>>()?;
        let queue = Arc::new(Queue::default());
        let (told, progress) = watch::channel(Progress { durable: revision, failed: None });
        let theirs = Arc::clone(&queue);
        let writer = std::thread::Builder::new().name("store".to_owned()).stack_size(256 << 10);
        let writer =
            writer.spawn(move || write(&database, &theirs, &told)).map_err(|cause| DiskError::File { path, cause })?;
        Ok((Self { queue, progress, writer: Some(writer) }, objects, revision))
    }

    /// Takes a change. Changes must come in order of their revisions.
    pub fn queue(&self, write: Write) {
        self.queue.waiting.lock().unwrap_or_else(PoisonError::into_inner).writes.push(write);
        self.queue.bell.notify_one();
    }

    /// Returns once this revision is on disk.
    pub async fn durable(&self, revision: u64) -> Result<(), Status> {
        let mut progress = self.progress.clone();
        let reached = progress.wait_for(|it| it.durable >= revision || it.failed.is_some()).await;
        match reached {
            Ok(it) if it.durable >= revision => Ok(()),
            Ok(it) => Err(Status::internal(format!("write to disk: {}", it.failed.as_deref().unwrap_or_default()))),
            Err(_) => Err(Status::internal("the store is closed")),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.queue.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.queue.bell.notify_one();
        if let Some(writer) = self.writer.take() {
            // A panic there was told on the way; there is nobody left to tell.
            let _ = writer.join();
        }
    }
}

type Entries = Vec<(String, Vec<u8>)>;

fn load(path: &Path) -> Result<(Database, Entries, u64), redb::Error> {
    let database = Builder::new().set_cache_size(CACHE_BYTES).create(path)?;
    let transaction = database.begin_write()?;
    transaction.open_table(OBJECTS)?;
    let revision = transaction.open_table(REVISION)?.get(())?.map(|entry| entry.value());
    if revision.is_none() {
        transaction.open_table(REVISION)?.insert((), FIRST)?;
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    let mut entries = Vec::new();
    for entry in database.begin_read()?.open_table(OBJECTS)?.iter()? {
        let (key, bytes) = entry?;
        entries.push((key.value().to_owned(), bytes.value().to_owned()));
    }
    Ok((database, entries, revision.unwrap_or(FIRST)))
}

fn object(path: &Path, key: String, bytes: &[u8]) -> Result<Loaded, DiskError> {
    let place = key.split('/').next().and_then(|name| {
        let (plural, group) = name.split_once('.').unwrap_or((name, ""));
        kinds::all().iter().position(|each| each.plural == plural && each.group == group)
    });
    let Some(place) = place else {
        return Err(DiskError::Entry { path: path.to_owned(), key, cause: None });
    };
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok((place, value)),
        Err(cause) => Err(DiskError::Entry { path: path.to_owned(), key, cause: Some(cause) }),
    }
}

/// Writes whatever waits in one commit, again and again. Stops at the first failure: what comes after it is never
/// acknowledged.
fn write(database: &Database, queue: &Queue, told: &watch::Sender<Progress>) {
    while let Some(writes) = next(queue) {
        let revision = writes.last().map_or(0, |write| write.revision);
        match commit(database, writes, revision) {
            Ok(()) => told.send_modify(|progress| progress.durable = revision),
            Err(cause) => {
                told.send_modify(|progress| progress.failed = Some(cause.to_string()));
                return;
            }
        }
    }
}

fn next(queue: &Queue) -> Option<Vec<Write>> {
    let mut waiting = queue.waiting.lock().unwrap_or_else(PoisonError::into_inner);
    while waiting.writes.is_empty() {
        if waiting.closed {
            return None;
        }
        waiting = queue.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner);
    }
    Some(std::mem::take(&mut waiting.writes))
}

fn commit(database: &Database, writes: Vec<Write>, revision: u64) -> Result<(), redb::Error> {
    // Only the last state of an object matters.
    let mut last = HashMap::with_capacity(writes.len());
    for write in writes {
        last.insert((write.place, write.key), write.object);
    }
    let transaction = database.begin_write()?;
    {
        let mut objects = transaction.open_table(OBJECTS)?;
        for ((place, key), object) in last {
            let key = format!("{}/{key}", kinds::all()[place].qualified_plural());
            match object {
                None => {
                    objects.remove(key.as_str())?;
                }
                Some(object) => {
                    let bytes = serde_json::to_vec(&*object).map_err(io::Error::other)?;
                    objects.insert(key.as_str(), bytes.as_slice())?;
                }
            }
        }
    }
    transaction.open_table(REVISION)?.insert((), revision)?;
    transaction.commit()?;
    Ok(())
}
