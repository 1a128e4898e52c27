//! A journal in segments: numbered objects, each with the lines of one append.
//!
//! A segment that begins with the first entry replaces all before it: that is what many small ones are merged into. An empty one
//! only takes a number away from a run that was taken for dead.

use std::io;

use async_trait::async_trait;
use engine::Log;
use futures::{StreamExt, TryStreamExt, stream};
use providers::blobs::{Blob, Blobs};
use serde::Deserialize;
use tokio::time::timeout;

use super::lease::{Guard, Lease, Lost};
use super::{READS, SharedError, number_of, numbered};

/// More segments than this are merged when a journal is opened.
const MANY: usize = 32;

/// How many segments are read at once.
const AT_ONCE: usize = 16;

/// A journal as it was read.
pub struct Read {
    /// All lines, in order.
    pub lines: Vec<u8>,
    blobs: Vec<Blob>,
}

impl Read {
    /// The next number that is free.
    fn next(&self) -> u64 {
        self.blobs.iter().filter_map(|blob| number_of(&blob.name)).max().unwrap_or(0) + 1
    }

    fn with_lines(&self) -> impl Iterator<Item = &Blob> {
        self.blobs.iter().filter(|blob| blob.bytes > 0)
    }
}

/// The folder of a deployment's segments.
pub fn folder(name: &str) -> String {
    format!("deployments/{name}/journal")
}

/// Reads a journal, with or without its lock.
pub async fn read(blobs: &Blobs, name: &str) -> Result<Read, SharedError> {
    for _ in 0..READS {
        let listed = blobs.list(&folder(name)).await?;
        let contents = stream::iter(listed.iter().filter(|blob| blob.bytes > 0).map(|blob| blobs.get(&blob.name)));
        let contents: Vec<_> = contents.buffered(AT_ONCE).try_collect().await?;
        // One that is gone was merged into another since the list was made.
        let Some(contents) = contents.into_iter().collect::<Option<Vec<_>>>() else { continue };
        let start = contents.iter().rposition(|lines| begins_anew(lines)).unwrap_or(0);
        return Ok(Read { lines: contents[start..].concat(), blobs: listed });
    }
    Err(SharedError::Changing(blobs.place(&folder(name))))
}

/// Whether a segment begins with the first entry of a journal.
fn begins_anew(lines: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Numbered {
        n: u64,
    }
    let first = lines.split(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice(first).is_ok_and(|Numbered { n }| n == 1)
}

/// Opens the journal of a deployment that is held: afterwards nobody else can write it.
pub async fn open(blobs: &Blobs, name: &str, lease: &Lease) -> Result<(Segments, Vec<u8>), SharedError> {
    let folder = folder(name);
    let mut read = self::read(blobs, name).await?;
    if lease.was_taken_over() {
        // Whoever held it may be about to write: either that is read here, or it cannot be written any more.
        while !blobs.create(&numbered(&folder, read.next(), "jsonl"), "").await? {
            read = self::read(blobs, name).await?;
        }
        read = self::read(blobs, name).await?;
    }
    let mut next = read.next();
    if read.with_lines().count() > MANY && merge(blobs, &folder, &read).await? {
        next += 1;
    }
    Ok((Segments { blobs: blobs.clone(), folder, next, guard: lease.guard() }, read.lines))
}

/// Writes all lines as one segment, then deletes those that it replaces. Killed between, both are there, and the last one counts.
/// Says whether it was written.
async fn merge(blobs: &Blobs, folder: &str, read: &Read) -> Result<bool, SharedError> {
    if !blobs.create(&numbered(folder, read.next(), "jsonl"), read.lines.clone()).await? {
        return Ok(false);
    }
    for blob in read.with_lines() {
        blobs.delete(&blob.name).await?;
    }
    Ok(true)
}

/// Removes the journal of a deployment that is held. Killed at any moment, either all of it is there or nothing.
pub async fn remove(blobs: &Blobs, name: &str, lease: &Lease) -> Result<(), SharedError> {
    let read = read(blobs, name).await?;
    lease.guard().remaining().await?;
    if read.with_lines().count() > 1 {
        merge(blobs, &folder(name), &read).await?;
    }
    for blob in blobs.list(&folder(name)).await? {
        blobs.delete(&blob.name).await?;
    }
    Ok(())
}

/// The end of a journal, where its holder writes.
pub struct Segments {
    blobs: Blobs,
    folder: String,
    next: u64,
    guard: Guard,
}

#[async_trait]
impl Log for Segments {
    async fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let remaining = self.guard.remaining().await.map_err(io::Error::other)?;
        let name = numbered(&self.folder, self.next, "jsonl");
        let written = timeout(remaining, self.blobs.create(&name, lines.to_vec())).await;
        let late = || io::Error::other(Lost::Unreachable("no answer in time".to_owned()));
        if !written.map_err(|_| late())?.map_err(io::Error::other)? {
            return Err(io::Error::other(self.guard.taken_over().await));
        }
        self.next += 1;
        Ok(())
    }
}
