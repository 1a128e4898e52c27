//! Who holds a deployment: a chain of numbered claims, of which the last one counts.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use engine::{Claim, Owner};
use jiff::Timestamp;
use providers::blobs::{self, Blobs};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex as Turns;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{READS, SharedError, Terms, number_of, numbered};

/// The claims of a deployment.
#[derive(Clone, Debug)]
pub struct Chain {
    blobs: Blobs,
    folder: String,
}

/// A claim as it is stored.
#[derive(Serialize, Deserialize)]
struct Link {
    #[serde(flatten)]
    claim: Claim,
    /// Whom it was taken from, where that run did not give it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken_from: Option<Owner>,
}

/// What came of an attempt to take a deployment.
pub enum Take {
    /// It is ours.
    Taken(Lease),
    /// Somebody else holds it.
    Held(Claim),
}

/// Since when the last claim stays as it is.
#[derive(Default)]
pub struct Watch(Mutex<Option<(u64, Instant)>>);

/// Exclusive use of a deployment. A task renews it; it is given up when this is dropped.
pub struct Lease {
    held: Arc<Held>,
    heart: JoinHandle<()>,
    was_taken_over: bool,
    is_removed: bool,
}

/// Why a lease does not count any more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Lost {
    /// Somebody took it.
    #[error("this run was taken for dead, and the deployment was taken over: {0}")]
    TakenOver(String),
    /// The place does not answer.
    #[error("the lease of the deployment cannot be renewed: {0}")]
    Unreachable(String),
}

struct Held {
    chain: Chain,
    lease: Duration,
    beat: Turns<Beat>,
}

struct Beat {
    number: u64,
    /// The number that is never deleted: the run that it was taken from would use it next.
    kept: Option<u64>,
    claim: Claim,
    renewed: Moment,
    lost: Option<Lost>,
}

/// A moment by both clocks of this machine: the one that a person sets goes on while the machine sleeps.
#[derive(Clone, Copy)]
struct Moment(Instant, SystemTime);

impl Moment {
    fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    fn elapsed(self) -> Duration {
        self.0.elapsed().max(self.1.elapsed().unwrap_or_default())
    }
}

/// Whether an owner should have been heard of since, as far as the clocks of two machines can be compared.
pub fn is_overdue(claim: &Claim) -> bool {
    Timestamp::now().duration_since(claim.renewed).unsigned_abs() > claim.lease()
}

impl Watch {
    /// Whether the claim of this number was seen first so long ago.
    fn has_lapsed(&self, number: u64, lease: Duration) -> bool {
        let mut seen = self.0.lock().expect("no look panics");
        match *seen {
            Some((before, since)) if before == number => since.elapsed() > lease,
            _ => {
                *seen = Some((number, Instant::now()));
                false
            }
        }
    }
}

impl Chain {
    pub fn new(blobs: &Blobs, name: &str) -> Self {
        Self { blobs: blobs.clone(), folder: format!("deployments/{name}/lock") }
    }

    /// The claim that counts.
    pub async fn latest(&self) -> Result<Option<(u64, Claim)>, SharedError> {
        // One that is gone was followed by another since the list was made.
        for _ in 0..READS {
            let Some(number) = self.numbers().await?.pop() else { return Ok(None) };
            if let Some(link) = self.read(number).await? {
                return Ok(Some((number, link.claim)));
            }
        }
        Err(SharedError::Changing(self.blobs.place(&self.folder)))
    }

    /// Takes the deployment where nobody holds it, or who holds it is dead.
    pub async fn take(&self, terms: &Terms<'_>, watch: &Watch) -> Result<Take, SharedError> {
        let (last, taken_from) = match self.latest().await? {
            None => (0, None),
            Some((last, claim)) if claim.released => (last, None),
            Some((last, claim)) => {
                let is_dead = terms.dead == Some(&claim.owner) || watch.has_lapsed(last, claim.lease());
                if !is_dead {
                    return Ok(Take::Held(claim));
                }
                (last, Some(claim.owner))
            }
        };
        let (number, began) = (last + 1, Moment::now());
        let claim = Claim::new(terms.owner.clone(), terms.lease);
        let kept = taken_from.as_ref().map(|_| number);
        if !self.create(number, Link { claim: claim.clone(), taken_from }).await? {
            let quicker = self.latest().await?.map_or(claim, |(_, claim)| claim);
            return Ok(Take::Held(quicker));
        }
        self.tidy(number).await?;
        let beat = Beat { number, kept, claim, renewed: began, lost: None };
        Ok(Take::Taken(Lease::new(
            Held { chain: self.clone(), lease: terms.lease, beat: Turns::new(beat) },
            kept.is_some(),
        )))
    }

    /// Deletes what came before a claim, except those numbers that a run which was taken for dead would use next.
    async fn tidy(&self, number: u64) -> Result<(), SharedError> {
        for before in self.numbers().await?.into_iter().filter(|before| *before < number) {
            if self.read(before).await?.is_some_and(|link| link.taken_from.is_none()) {
                self.delete(before).await?;
            }
        }
        Ok(())
    }

    async fn numbers(&self) -> Result<Vec<u64>, blobs::Error> {
        Ok(self.blobs.list(&self.folder).await?.iter().filter_map(|blob| number_of(&blob.name)).collect())
    }

    async fn read(&self, number: u64) -> Result<Option<Link>, SharedError> {
        let name = self.name(number);
        let Some(content) = self.blobs.get(&name).await? else { return Ok(None) };
        let read = serde_json::from_slice(&content);
        read.map(Some).map_err(|source| SharedError::Content { place: self.blobs.place(&name), source })
    }

    async fn create(&self, number: u64, link: Link) -> Result<bool, blobs::Error> {
        let text = serde_json::to_string(&link).expect("a claim has only string keys") + "\n";
        self.blobs.create(&self.name(number), text).await
    }

    async fn delete(&self, number: u64) -> Result<(), blobs::Error> {
        self.blobs.delete(&self.name(number)).await
    }

    fn name(&self, number: u64) -> String {
        numbered(&self.folder, number, "json")
    }
}

impl Lease {
    fn new(held: Held, was_taken_over: bool) -> Self {
        let held = Arc::new(held);
        let beating = held.clone();
        let heart = tokio::spawn(async move {
            let mut ticks = interval(beating.lease / 4);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                let mut beat = beating.beat.lock().await;
                // A call that fails is made again at the next tick; what was taken over is known to the next write.
                if let Err(Lost::TakenOver(_)) = beating.renew(&mut beat).await {
                    return;
                }
            }
        });
        Self { held, heart, was_taken_over, is_removed: false }
    }

    /// Whether it was taken from a run that did not give it up.
    pub fn was_taken_over(&self) -> bool {
        self.was_taken_over
    }

    /// Gives no more signs of life, as a run that hangs.
    #[cfg(test)]
    pub fn stop_heart(&self) {
        self.heart.abort();
    }

    /// A hand on it for those who write.
    pub fn guard(&self) -> Guard {
        Guard(self.held.clone())
    }

    /// Removes all claims. To be called when nothing else of the deployment is left.
    pub async fn remove(mut self) -> Result<(), SharedError> {
        self.is_removed = true;
        self.heart.abort();
        self.held.release().await;
        let last = self.held.beat.lock().await.number;
        for number in self.held.chain.numbers().await?.into_iter().filter(|number| *number <= last) {
            self.held.chain.delete(number).await?;
        }
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heart.abort();
        if !self.is_removed {
            let held = self.held.clone();
            // The runtime has other threads; nobody else could use the deployment before this is done.
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(held.release()));
        }
    }
}

/// What a writer asks before it writes.
#[derive(Clone)]
pub struct Guard(Arc<Held>);

impl Guard {
    /// For how long the deployment certainly stays ours. Renews the lease where much of it is over.
    pub async fn remaining(&self) -> Result<Duration, Lost> {
        let mut beat = self.0.beat.lock().await;
        if let Some(lost) = &beat.lost {
            return Err(lost.clone());
        }
        let renewed = if beat.renewed.elapsed() > self.0.lease / 2 { self.0.renew(&mut beat).await } else { Ok(()) };
        match (renewed, self.0.lease.checked_sub(beat.renewed.elapsed())) {
            (Err(lost @ Lost::TakenOver(_)), _) | (Err(lost), None) => Err(lost),
            (_, Some(remaining)) => Ok(remaining),
            (Ok(()), None) => Err(Lost::Unreachable("it takes longer than the lease".to_owned())),
        }
    }

    /// Says that somebody else has written what only the holder may write.
    pub async fn taken_over(&self) -> Lost {
        let mut beat = self.0.beat.lock().await;
        self.0.lose(&mut beat).await
    }
}

impl Held {
    async fn renew(&self, beat: &mut Beat) -> Result<(), Lost> {
        self.follow(beat, beat.claim.renewed()).await
    }

    /// Puts the next claim on the chain.
    async fn follow(&self, beat: &mut Beat, claim: Claim) -> Result<(), Lost> {
        if let Some(lost) = &beat.lost {
            return Err(lost.clone());
        }
        let (began, next) = (Moment::now(), beat.number + 1);
        let link = Link { claim, taken_from: None };
        match timeout(self.lease / 4, self.chain.create(next, link)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Err(self.lose(beat).await),
            Ok(Err(error)) => return Err(Lost::Unreachable(with_causes(&error))),
            Err(_) => return Err(Lost::Unreachable("no answer in time".to_owned())),
        }
        let before = std::mem::replace(&mut beat.number, next);
        beat.renewed = began;
        if Some(before) != beat.kept {
            // One that stays is deleted by the next holder.
            let _ = timeout(self.lease / 4, self.chain.delete(before)).await;
        }
        Ok(())
    }

    async fn lose(&self, beat: &mut Beat) -> Lost {
        let by = match self.chain.latest().await {
            Ok(Some((_, claim))) => claim.describe(),
            _ => "by somebody who has given it up since".to_owned(),
        };
        beat.lost.insert(Lost::TakenOver(by)).clone()
    }

    async fn release(&self) {
        let mut beat = self.beat.lock().await;
        let claim = beat.claim.released();
        // Where it cannot be given up, it runs out.
        let _ = self.follow(&mut beat, claim).await;
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
