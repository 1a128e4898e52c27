//! State in a bucket or a folder that a team shares.
//!
//! ```text
//! deployments/NAME/lock/NUMBER.json      who holds it: the claim with the highest number counts
//! deployments/NAME/journal/NUMBER.jsonl  the journal, a segment for each append
//! deployments/NAME/home.json             whose machine a cluster that is local to a machine is on
//! ```
//!
//! One rule of every bucket and file system decides what happens at once: a name can be created once only. Who creates the claim
//! with the next number has the deployment, and who creates the next segment has written the journal. Whoever takes a deployment
//! over from a run that did not give it up also takes the next segment's number, so that this run, should it still live, cannot
//! write any more, and therefore not begin anything either.

mod lease;
mod segments;
#[cfg(all(test, feature = "shared"))]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use engine::{Claim, Journal, JournalError, Owner, StateError};
use providers::blobs::{self, Blobs};
use providers::wait::{self, Probe, WaitError};

pub use lease::Lease;

use lease::{Chain, Take, Watch};

/// A place that holds deployments.
#[derive(Clone, Debug)]
pub struct Shared {
    blobs: Blobs,
}

/// Why a shared deployment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// The place cannot be used.
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
    /// Somebody else holds it.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its journal is damaged, or of a newer version.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It was lost to somebody else.
    #[error(transparent)]
    Lost(#[from] lease::Lost),
    /// It is written so often that it cannot be read.
    #[error("read {0}: it changes faster than it can be read")]
    Changing(String),
    /// What is there was written by something else.
    #[error("read {place}")]
    Content {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Who wants a deployment, and how.
pub struct Terms<'a> {
    /// Who.
    pub owner: &'a Owner,
    /// How long a claim of this run counts without a sign of life.
    pub lease: Duration,
    /// How long to wait for another run.
    pub wait: Duration,
    /// Whose claim is taken over at once: a run of this machine that is certainly gone, or one that the person calls dead.
    pub dead: Option<&'a Owner>,
}

/// How often what changes while it is read is read anew.
const READS: usize = 10;

/// Longer than anybody waits.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);

impl Shared {
    /// The place of this name, for example `s3://bucket/prefix`. Calls nobody yet.
    pub fn new(place: &str, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, blobs::Error> {
        Ok(Self { blobs: Blobs::new(place, variables)? })
    }

    /// The deployments with a journal, by name.
    pub async fn names(&self) -> Result<Vec<String>, SharedError> {
        let all = self.blobs.list("deployments").await?;
        let with_journal = all.iter().filter(|blob| blob.bytes > 0).filter_map(|blob| {
            let mut parts = blob.name.split('/').skip(1);
            let name = parts.next()?;
            (parts.next() == Some("journal")).then(|| name.to_owned())
        });
        let mut names: Vec<String> = with_journal.collect();
        names.dedup();
        Ok(names)
    }

    /// What errors call a deployment's journal.
    pub fn journal_path(&self, name: &str) -> PathBuf {
        self.blobs.place(&segments::folder(name)).into()
    }

    /// The lines of a deployment's journal; none where it has no journal. Needs no lock.
    pub async fn journal(&self, name: &str) -> Result<Vec<u8>, SharedError> {
        Ok(segments::read(&self.blobs, name).await?.lines)
    }

    /// Opens the journal of a deployment that is held.
    pub async fn open(&self, name: &str, lease: &Lease) -> Result<Journal, SharedError> {
        let (log, lines) = segments::open(&self.blobs, name, lease).await?;
        Ok(Journal::on(&self.journal_path(name), &lines, Box::new(log))?)
    }

    /// Who holds a deployment.
    pub async fn holder(&self, name: &str) -> Result<Option<Claim>, SharedError> {
        let latest = Chain::new(&self.blobs, name).latest().await?;
        Ok(latest.map(|(_, claim)| claim).filter(|claim| !claim.released))
    }

    /// Takes a deployment for this process. Calls `waiting` with who holds it, before a wait.
    ///
    /// A claim that stays as it is for the time of its lease, by this machine's clock, is taken over. Where nobody waits, it is only
    /// watched for so long when the clocks of both machines say that its owner is overdue.
    pub async fn lock(&self, name: &str, terms: &Terms<'_>, waiting: impl FnOnce(&str)) -> Result<Lease, SharedError> {
        let chain = Chain::new(&self.blobs, name);
        let watch = Watch::default();
        let held = match chain.take(terms, &watch).await? {
            Take::Taken(lease) => return Ok(lease),
            Take::Held(claim) => claim,
        };
        let watched = if lease::is_overdue(&held) { held.lease() + held.lease() / 4 } else { Duration::ZERO };
        let limit = terms.wait.max(watched).min(FOR_EVER);
        let locked = |claim: &Claim| StateError::Locked { name: name.to_owned(), owner: claim.describe() };
        if limit.is_zero() {
            return Err(locked(&held).into());
        }
        let hope = if terms.wait.is_zero() { "; if nothing more is heard, it is dead" } else { "" };
        waiting(&format!("{}{hope}", held.describe()));
        let every = (held.lease() / 10).clamp(Duration::from_millis(100), Duration::from_secs(2));
        let look = || async {
            Ok::<_, SharedError>(match chain.take(terms, &watch).await? {
                Take::Taken(lease) => Probe::Ready(lease),
                Take::Held(claim) => Probe::Pending(claim.describe()),
            })
        };
        wait::until("the deployment", limit, every, look).await.map_err(|error| match error {
            WaitError::Stopped(error) => error,
            WaitError::TimedOut { missing: Some(owner), .. } => {
                StateError::Locked { name: name.to_owned(), owner }.into()
            }
            WaitError::TimedOut { .. } => locked(&held).into(),
        })
    }

    /// Removes a deployment that is held and of which nothing is left.
    pub async fn remove(&self, name: &str, lease: Lease) -> Result<(), SharedError> {
        segments::remove(&self.blobs, name, &lease).await?;
        self.blobs.delete(&home(name)).await?;
        lease.remove().await
    }

    /// The run that made the first thing of a deployment: its machine holds what is local to a machine.
    pub async fn home(&self, name: &str) -> Result<Option<Owner>, SharedError> {
        let Some(content) = self.blobs.get(&home(name)).await? else { return Ok(None) };
        let read = serde_json::from_slice(&content);
        read.map(Some).map_err(|source| SharedError::Content { place: self.blobs.place(&home(name)), source })
    }

    /// Says that this run makes the first thing of a deployment that it holds.
    pub async fn settle(&self, name: &str, owner: &Owner) -> Result<(), SharedError> {
        self.blobs.delete(&home(name)).await?;
        let content = serde_json::to_vec(owner).expect("an owner has only string keys");
        self.blobs.create(&home(name), content).await?;
        Ok(())
    }
}

fn home(name: &str) -> String {
    format!("deployments/{name}/home.json")
}

/// An object with a number in its name, so that names are in the order of their numbers.
fn numbered(folder: &str, number: u64, extension: &str) -> String {
    format!("{folder}/{number:010}.{extension}")
}

/// The number in a name; nothing for what is no numbered object.
fn number_of(name: &str) -> Option<u64> {
    name.rsplit('/').next()?.split_once('.')?.0.parse().ok()
}
