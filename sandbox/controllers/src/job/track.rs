//! A job's status, and the finalizers of its finished pods.
//!
//! A finished pod is counted in three steps, so that a crash between any two of them neither loses nor doubles it: its
//! id goes into the status, its finalizer goes, and the id in the status becomes a count. Each step is a decision of its
//! own, made from what is stored.

use super::policy::verdict;
use super::tally::{End, TRACKING, Tally, View};
use crate::action::{Action, Note};
use crate::index::Id;
use crate::meta::{self, has_finalizer, is_deleting, stamp, text, texts, uid};
use crate::pods::count_of;
use kinds::pod;
use serde_json::{Map, Value, json};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// At most so many pods are in the status at a time.
const MOST_UNCOUNTED: usize = 500;

/// Decides on a job's status and on the finalizers of its pods. Pods were created and deleted before.
pub fn track(view: &View<'_>, tally: &Tally) -> Vec<Action> {
    let end = tally.end.clone().or_else(|| complete(view, tally));
    let mut notes = Vec::new();
    let mut status = Map::new();
    let mut conditions = meta::list(view.job, "/status/conditions").to_vec();
    let resumed = if end.is_none() { suspension(view, &mut conditions, &mut notes) } else { false };
    if let Some(end) = &end {
        record_interim(view, end, &mut conditions);
    }
    let counting = Counting::of(view, tally, end.as_ref());
    // A deadline may have passed since pods were deleted: those that still run are first deleted, too.
    let pods_are_gone = tally.active.is_empty() && tally.terminating == 0;
    if let Some(end) = &end
        && counting.is_settled()
        && pods_are_gone
    {
        finish(view, tally, end, &mut conditions, &mut notes, &mut status);
    }
    if !conditions.is_empty() {
        status.insert("conditions".to_owned(), conditions.into());
    }
    write_counts(view, tally, &counting, resumed, &mut status);
    let mut actions = Vec::new();
    let mut job = view.job.clone();
    let status = in_order(status);
    if job.get("status") != Some(&status) {
        job["status"] = status;
        actions.push(Action::Status(kinds::JOBS, job));
    }
    if !counting.release.is_empty() {
        actions.push(Action::Release(counting.release, TRACKING));
    }
    actions.extend(notes.into_iter().map(Action::Tell));
    actions
}

fn complete(view: &View<'_>, tally: &Tally) -> Option<End> {
    if is_deleting(view.job) {
        return None;
    }
    let enough = view.completions().map_or(1, count_of);
    (tally.succeeded >= enough && tally.active.is_empty()).then(|| End {
        success: true,
        reason: "CompletionsReached".to_owned(),
        message: "Reached expected number of succeeded pods".to_owned(),
    })
}

/// Says whether the job rests; tells whether it has just been resumed.
fn suspension(view: &View<'_>, conditions: &mut Vec<Value>, notes: &mut Vec<Note>) -> bool {
    if is_deleting(view.job) {
        return false;
    }
    let suspended = view.is_suspended();
    let (status, reason, message, note) = if suspended {
        ("True", "JobSuspended", "Job suspended", "Suspended")
    } else {
        ("False", "JobResumed", "Job resumed", "Resumed")
    };
    let before = conditions.iter_mut().find(|each| text(each, "/type") == "Suspended");
    let new = condition(view, "Suspended", status, reason, message);
    match before {
        Some(before) if text(before, "/status") == status => return false,
        Some(before) => *before = new,
        None if suspended => conditions.push(new),
        None => return false,
    }
    notes.push(Note::normal(note, message));
    !suspended
}

fn condition(view: &View<'_>, kind: &str, status: &str, reason: &str, message: &str) -> Value {
    let now = stamp(view.now);
    json!({"type": kind, "status": status, "lastProbeTime": now, "lastTransitionTime": now, "reason": reason,
        "message": message})
}

fn record_interim(view: &View<'_>, end: &End, conditions: &mut Vec<Value>) {
    let kind = if end.success { "SuccessCriteriaMet" } else { "FailureTarget" };
    if !conditions.iter().any(|each| text(each, "/type") == kind && text(each, "/status") == "True") {
        conditions.push(condition(view, kind, "True", &end.reason, &end.message));
    }
}

fn finish(
    view: &View<'_>,
    tally: &Tally,
    end: &End,
    conditions: &mut Vec<Value>,
    notes: &mut Vec<Note>,
    status: &mut Map<String, Value>,
) {
    let kind = if end.success { "Complete" } else { "Failed" };
    conditions.push(condition(view, kind, "True", &end.reason, &end.message));
    if !end.success {
        notes.push(Note::warning(&end.reason, &end.message));
        return;
    }
    status.insert("completionTime".to_owned(), stamp(view.now).into());
    if view.completions().is_some_and(|completions| tally.succeeded > count_of(completions)) {
        let message = "Too many succeeded pods running after completion count reached";
        notes.push(Note::warning("TooManySucceededPods", message));
    }
    notes.push(Note::normal("Completed", "Job completed"));
}

/// What the three steps ask for now.
struct Counting {
    succeeded: i64,
    failed: i64,
    uncounted_succeeded: Vec<String>,
    uncounted_failed: Vec<String>,
    new_indexes: BTreeSet<usize>,
    release: Vec<Id>,
    pods_left: bool,
}

impl Counting {
    fn of(view: &View<'_>, tally: &Tally, end: Option<&End>) -> Self {
        let tracked: HashSet<&str> =
            view.pods.iter().filter(|pod| has_finalizer(pod, TRACKING)).map(|pod| uid(pod)).collect();
        let (succeeded, uncounted_succeeded) = settle(view, "succeeded", &tracked);
        let (failed, uncounted_failed) = settle(view, "failed", &tracked);
        let mut counting = Self {
            succeeded,
            failed,
            uncounted_succeeded,
            uncounted_failed,
            new_indexes: BTreeSet::new(),
            release: Vec::new(),
            pods_left: false,
        };
        for pod in view.pods.iter().filter(|pod| has_finalizer(pod, TRACKING)) {
            if !may_release(view, tally, end, pod) {
                continue;
            }
            counting.pods_left = true;
            if counting.new_indexes.len() + counting.uncounted_succeeded.len() + counting.uncounted_failed.len()
                >= MOST_UNCOUNTED
            {
                break;
            }
            counting.take(view, tally, end, pod);
        }
        counting
    }

    fn take(&mut self, view: &View<'_>, tally: &Tally, end: Option<&End>, pod: &Arc<Value>) {
        self.release.push(Id::of(kinds::PODS, pod));
        let id = uid(pod).to_owned();
        let index = view.index_of(pod);
        let known_failed = self.uncounted_failed.contains(&id);
        let ended_badly = end.is_some_and(|end| !end.success);
        if pod::phase(pod) == "Succeeded" && !known_failed {
            match (&tally.indexes, index) {
                (Some(indexes), Some(index)) if !indexes.before.has(index) => {
                    self.new_indexes.insert(index);
                }
                (None, _) if !self.uncounted_succeeded.contains(&id) => self.uncounted_succeeded.push(id),
                _ => {}
            }
        } else if (view.has_failed(pod) || ended_badly)
            && !known_failed
            && (tally.indexes.is_none() || index.is_some())
            && verdict(view.job, pod).counts()
        {
            self.uncounted_failed.push(id);
        }
    }

    fn is_settled(&self) -> bool {
        !self.pods_left && self.uncounted_succeeded.is_empty() && self.uncounted_failed.is_empty()
    }
}

/// Counts the pods of the status that have lost their finalizer; gives the sum and the rest.
fn settle(view: &View<'_>, outcome: &str, tracked: &HashSet<&str>) -> (i64, Vec<String>) {
    let listed = texts(view.job, &format!("/status/uncountedTerminatedPods/{outcome}"));
    let (left, settled): (Vec<&str>, Vec<&str>) = listed.into_iter().partition(|id| tracked.contains(id));
    let sum = meta::count(view.job, &format!("/status/{outcome}")) + count_of(settled.len());
    (sum, left.into_iter().map(str::to_owned).collect())
}

fn may_release(view: &View<'_>, tally: &Tally, end: Option<&End>, pod: &Arc<Value>) -> bool {
    if is_deleting(view.job) || end.is_some() || pod::phase(pod) == "Succeeded" {
        return true;
    }
    let kept = tally.indexes.iter().flat_map(|indexes| indexes.to_replace.values());
    view.has_failed(pod) && !kept.into_iter().any(|kept| uid(kept) == uid(pod))
}

fn write_counts(view: &View<'_>, tally: &Tally, counting: &Counting, resumed: bool, status: &mut Map<String, Value>) {
    let mut put = |field: &str, value: Value| status.insert(field.to_owned(), value);
    let start = text(view.job, "/status/startTime");
    if resumed || (start.is_empty() && !view.is_suspended()) {
        put("startTime", stamp(view.now).into());
    } else if !start.is_empty() {
        put("startTime", start.into());
    }
    let mut succeeded = counting.succeeded;
    if let Some(indexes) = &tally.indexes {
        let done = indexes.before.with(&counting.new_indexes);
        succeeded = count_of(done.total());
        if succeeded > 0 {
            put("completedIndexes", done.to_string().into());
        }
        if let Some(failed) = &indexes.failed {
            put("failedIndexes", failed.to_string().into());
        }
    }
    let counts = [("active", count_of(tally.active.len())), ("succeeded", succeeded), ("failed", counting.failed)];
    for (field, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        put(field, count.into());
    }
    put("ready", tally.ready.into());
    put("terminating", tally.terminating.into());
    let mut uncounted = Map::new();
    for (field, ids) in [("succeeded", &counting.uncounted_succeeded), ("failed", &counting.uncounted_failed)] {
        if !ids.is_empty() {
            uncounted.insert(field.to_owned(), ids.clone().into());
        }
    }
    put("uncountedTerminatedPods", uncounted.into());
}

/// The fields in the order in which the real server writes them.
fn in_order(mut status: Map<String, Value>) -> Value {
    status.sort_keys();
    status.into()
}
