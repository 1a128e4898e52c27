//! Jobs: pods until enough of them have succeeded, or too many failed.

mod backoff;
mod indexes;
mod manage;
mod policy;
mod tally;
mod track;

pub use backoff::Pauses;

use crate::action::Action;
use crate::carry::About;
use crate::hub::{Controller, Hub, NOW, Round, rounds};
use crate::index::{Change, Id, Index};
use crate::meta::{self, condition_holds, has_finalizer, is_deleting, text};
use crate::ownership;
use crate::pods::is_terminating;
use apiserver::{DeleteOptions, Propagation, Status};
use backoff::Failures;
use futures::future::{BoxFuture, FutureExt};
use jiff::SignedDuration;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tally::{TRACKING, View};

/// The controller of jobs.
#[derive(Debug, Default)]
pub struct Jobs {
    pauses: Pauses,
    failures: Mutex<HashMap<String, Failures>>,
}

impl Jobs {
    /// With these pauses between failed pods.
    pub fn new(pauses: Pauses) -> Self {
        Self { pauses, failures: Mutex::default() }
    }

    fn failures(&self, uid: &str) -> Failures {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).get(uid).copied().unwrap_or_default()
    }

    fn remember(&self, uid: &str, failures: Option<Failures>) {
        let mut known = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failures {
            Some(failures) => drop(known.insert(uid.to_owned(), failures)),
            None => drop(known.remove(uid)),
        }
    }

    async fn sync_job(&self, hub: &Hub, key: &Id) -> Result<Option<Duration>, Status> {
        let Some(job) = hub.get(key) else { return Ok(None) };
        if !is_ours(&job) {
            return Ok(None);
        }
        if is_finished(&job) {
            self.remember(meta::uid(&job), None);
            return expire(hub, key, &job).await;
        }
        ownership::claim(hub, kinds::JOBS, &job, kinds::PODS, Some(TRACKING)).await?;
        let managed = self.round(hub, key, |view, tally| manage::manage(view, tally, self.pauses)).await;
        // What failed to be created or deleted must not keep the status from telling what is there.
        let tracked = rounds(|| self.round(hub, key, track::track)).await;
        let again = match managed? {
            Round::Done(again) => again,
            Round::More => None,
        };
        let next = tracked?;
        let later = [again, next].into_iter().flatten().min();
        Ok([later, self.deadline(hub, key)].into_iter().flatten().min())
    }

    async fn round(
        &self,
        hub: &Hub,
        key: &Id,
        decide: impl Fn(&View<'_>, &tally::Tally) -> Vec<Action>,
    ) -> Result<Round, Status> {
        let Some(job) = hub.get(key) else { return Ok(Round::Done(None)) };
        if is_finished(&job) {
            return Ok(Round::Done(Some(NOW)));
        }
        let pods = hub.look(|index| index.controlled_by(meta::uid(&job), kinds::PODS));
        let view = View { job: &job, pods: &pods, now: hub.now() };
        let tally = view.tally(self.failures(meta::uid(&job)));
        let actions = decide(&view, &tally);
        let counts = actions.iter().any(|action| matches!(action, Action::Status(..)));
        let about = About { component: "job-controller", resource: kinds::JOBS, object: &job };
        let done = hub.carry_out(about, actions).await?;
        if counts {
            self.remember(meta::uid(&job), Some(tally.failures));
        }
        Ok(done)
    }

    fn deadline(&self, hub: &Hub, key: &Id) -> Option<Duration> {
        let job = hub.get(key)?;
        let view = View { job: &job, pods: &[], now: hub.now() };
        let left = view.tally(self.failures(meta::uid(&job))).deadline_in?;
        Some(Duration::try_from(left.max(SignedDuration::from_millis(1))).unwrap_or_default())
    }
}

impl Controller for Jobs {
    fn route(&self, index: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        if change.id.resource == kinds::JOBS {
            wake(change.id.clone(), NOW);
        } else if change.id.resource == kinds::PODS {
            let tracked = change.new.as_ref().filter(|pod| has_finalizer(pod, TRACKING));
            if let Some(pod) = tracked
                && is_orphan(index, pod)
            {
                wake(change.id.clone(), NOW);
            }
            ownership::wake_owners(index, change, kinds::JOBS, wake);
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        async move {
            if key.resource == kinds::JOBS {
                return self.sync_job(hub, key).await;
            }
            let orphan = hub.get(key).filter(|pod| hub.look(|index| is_orphan(index, pod)));
            if let Some(pod) = orphan.filter(|pod| has_finalizer(pod, TRACKING)) {
                let about = About { component: "job-controller", resource: kinds::PODS, object: &pod };
                hub.carry_out(about, vec![Action::Release(vec![key.clone()], TRACKING)]).await?;
            }
            Ok(None)
        }
        .boxed()
    }

    fn first_pause(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// Whether no unfinished job counts this pod any more.
fn is_orphan(index: &Index, pod: &Value) -> bool {
    let Some(owner) = meta::controller_of(pod) else { return true };
    if text(owner, "/kind") != "Job" || text(owner, "/apiVersion") != "batch/v1" {
        return false;
    }
    let job = index.by_uid(text(owner, "/uid")).and_then(|id| index.get(id));
    job.is_none_or(|job| is_ours(job) && is_finished(job))
}

fn is_ours(job: &Value) -> bool {
    matches!(text(job, "/spec/managedBy"), "" | "kubernetes.io/job-controller")
}

/// Whether it has come to its end.
pub fn is_finished(job: &Value) -> bool {
    condition_holds(job, "Complete") || condition_holds(job, "Failed")
}

/// Deletes a finished job when its time has come; frees what pods it may still hold.
async fn expire(hub: &Hub, key: &Id, job: &Arc<Value>) -> Result<Option<Duration>, Status> {
    let pods = hub.look(|index| index.controlled_by(meta::uid(job), kinds::PODS));
    let held = pods.iter().filter(|pod| has_finalizer(pod, TRACKING) && !is_terminating(pod));
    let held: Vec<Id> = held.map(|pod| Id::of(kinds::PODS, pod)).collect();
    let about = About { component: "job-controller", resource: kinds::JOBS, object: job };
    if !held.is_empty() {
        hub.carry_out(about, vec![Action::Release(held, TRACKING)]).await?;
    }
    let Some(left) = time_to_live(job, hub.now()).filter(|_| !is_deleting(job)) else { return Ok(None) };
    if left > SignedDuration::ZERO {
        return Ok(Some(Duration::try_from(left).unwrap_or_default()));
    }
    let options = DeleteOptions {
        uid: Some(meta::uid(job).to_owned()),
        resource_version: Some(text(job, "/metadata/resourceVersion").to_owned()),
        propagation: Some(Propagation::Foreground),
        ..DeleteOptions::default()
    };
    hub.delete(key, &options).await?;
    Ok(None)
}

/// What is left of a finished job's time to live, if it has one.
fn time_to_live(job: &Value, now: jiff::Timestamp) -> Option<SignedDuration> {
    let seconds = meta::number(job, "/spec/ttlSecondsAfterFinished")?;
    let condition = ["Complete", "Failed"]
        .into_iter()
        .find_map(|kind| meta::condition(job, kind).filter(|condition| text(condition, "/status") == "True"))?;
    let ended = meta::time(condition, "/lastTransitionTime")?;
    Some(SignedDuration::from_secs(seconds) - now.duration_since(ended))
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)]
mod tests;
