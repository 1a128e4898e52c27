//! How a job stands: its pods counted, and whether it has come to an end.

use super::backoff::Failures;
use super::indexes::Indexes;
use super::policy::{Verdict, early_success, verdict};
use crate::meta::{self, annotation, count, flag, has_finalizer, is_deleting, list, number, text, texts};
use crate::pods::{count_of, count_ready, is_active, is_terminating, restarts_on_failure};
use jiff::{SignedDuration, Timestamp};
use kinds::pod;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The finalizer of pods that their job has not counted yet.
pub const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// The annotation and label with a pod's index.
pub const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The annotation with the failures of a pod's index before it.
pub const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// The annotation with the failures of a pod's index before it that do not count.
pub const INDEX_IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

/// A job, the pods that it controls, and the time.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The job.
    pub job: &'a Value,
    /// All pods that it controls.
    pub pods: &'a [Arc<Value>],
    /// Now.
    pub now: Timestamp,
}

/// How a job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Whether it has done what it was to do.
    pub success: bool,
    /// The machine's word.
    pub reason: String,
    /// The sentence for people.
    pub message: String,
}

/// The indexes of an Indexed job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IndexTally {
    /// Succeeded, as the status says.
    pub before: Indexes,
    /// Succeeded, with pods that are not counted yet.
    pub succeeded: Indexes,
    /// Failed for good; only with a limit for each index.
    pub failed: Option<Indexes>,
    /// The last failed pod of each index that waits to be tried again; only with a limit for each index.
    pub to_replace: HashMap<usize, Arc<Value>>,
}

/// A job's pods, counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Pods that run or will run.
    pub active: Vec<Arc<Value>>,
    /// Those of them that are ready.
    pub ready: i64,
    /// Pods that are being deleted and have not finished.
    pub terminating: i64,
    /// Pods that succeeded, counted or not.
    pub succeeded: i64,
    /// Pods that failed, counted or not.
    pub failed: i64,
    /// Indexes, for an Indexed job.
    pub indexes: Option<IndexTally>,
    /// The failures in a row.
    pub failures: Failures,
    /// The end that is already due, whatever is done with pods now.
    pub end: Option<End>,
    /// When the job's deadline passes.
    pub deadline_in: Option<SignedDuration>,
}

impl<'a> View<'a> {
    /// Counts. `failures` are those in a row before the pods that are not counted yet.
    pub fn tally(&self, failures: Failures) -> Tally {
        let active: Vec<Arc<Value>> = self.pods.iter().filter(|pod| is_active(pod)).cloned().collect();
        let (succeeded, failed) = (self.newly_succeeded(), self.newly_failed());
        let counted_failures = failed.iter().filter(|pod| verdict(self.job, pod).counts()).count();
        let uncounted = |outcome: &str| count_of(self.uncounted(outcome).len());
        let mut tally = Tally {
            ready: count_ready(&active),
            terminating: count_of(self.pods.iter().filter(|pod| is_terminating(pod)).count()),
            succeeded: count(self.job, "/status/succeeded") + count_of(succeeded.len()) + uncounted("succeeded"),
            failed: count(self.job, "/status/failed") + count_of(counted_failures) + uncounted("failed"),
            failures: failures.after(&succeeded, &failed),
            active,
            ..Tally::default()
        };
        if self.is_indexed() {
            let indexes = self.index_tally(&tally.active);
            tally.succeeded = count_of(indexes.succeeded.total());
            tally.indexes = Some(indexes);
        }
        tally.end = self.end(&tally);
        if tally.end.is_none() {
            tally.deadline_in = self.deadline_in();
        }
        tally
    }

    /// Whether each completion has an index of its own.
    pub fn is_indexed(&self) -> bool {
        text(self.job, "/spec/completionMode") == "Indexed"
    }

    /// Whether each index has a limit of its own.
    pub fn has_limit_per_index(&self) -> bool {
        number(self.job, "/spec/backoffLimitPerIndex").is_some()
    }

    /// How many completions are wanted; nothing when the first success is enough.
    pub fn completions(&self) -> Option<usize> {
        number(self.job, "/spec/completions").and_then(|completions| usize::try_from(completions).ok())
    }

    /// Whether it is to rest.
    pub fn is_suspended(&self) -> bool {
        flag(self.job, "/spec/suspend")
    }

    /// Whether pods are replaced only once they have failed for good.
    pub fn replaces_only_failed(&self) -> bool {
        text(self.job, "/spec/podReplacementPolicy") == "Failed" || self.job.pointer("/spec/podFailurePolicy").is_some()
    }

    /// Whether a pod counts as failed.
    pub fn has_failed(&self, object: &Value) -> bool {
        let phase = pod::phase(object);
        phase == "Failed" || (!self.replaces_only_failed() && is_deleting(object) && phase != "Succeeded")
    }

    /// The index of a pod, if it is one of the job's.
    pub fn index_of(&self, pod: &Value) -> Option<usize> {
        index_of(pod).filter(|index| Some(*index) < self.completions())
    }

    /// The ids of pods that the status names as finished but not counted.
    pub fn uncounted(&self, outcome: &str) -> HashSet<&'a str> {
        texts(self.job, &format!("/status/uncountedTerminatedPods/{outcome}")).into_iter().collect()
    }

    fn newly_succeeded(&self) -> Vec<&'a Value> {
        self.new_pods("succeeded", |pod| pod::phase(pod) == "Succeeded")
    }

    fn newly_failed(&self) -> Vec<&'a Value> {
        self.new_pods("failed", |pod| self.has_failed(pod))
    }

    fn new_pods(&self, outcome: &str, finished: impl Fn(&Value) -> bool) -> Vec<&'a Value> {
        let uncounted = self.uncounted(outcome);
        let pods = self.pods.iter().map(|pod| &**pod).filter(|pod| has_finalizer(pod, TRACKING));
        pods.filter(|pod| !uncounted.contains(meta::uid(pod)))
            .filter(|pod| !self.is_indexed() || self.index_of(pod).is_some())
            .filter(|pod| finished(pod))
            .collect()
    }

    fn index_tally(&self, active: &[Arc<Value>]) -> IndexTally {
        let completions = self.completions().unwrap_or_default();
        let tracked = || self.pods.iter().filter(|pod| has_finalizer(pod, TRACKING));
        let before = Indexes::parse(text(self.job, "/status/completedIndexes"), completions);
        let new: BTreeSet<usize> =
            tracked().filter(|pod| pod::phase(pod) == "Succeeded").filter_map(|pod| self.index_of(pod)).collect();
        let succeeded = before.with(&new);
        if !self.has_limit_per_index() {
            return IndexTally { before, succeeded, ..IndexTally::default() };
        }
        let limit = count(self.job, "/spec/backoffLimitPerIndex");
        let failed_for_good = |pod: &&Arc<Value>| match verdict(self.job, pod) {
            _ if !self.has_failed(pod) => false,
            Verdict::IndexFailed => true,
            verdict => verdict.counts() && failures_before(pod, INDEX_FAILURES) >= limit,
        };
        let new: BTreeSet<usize> = tracked().filter(failed_for_good).filter_map(|pod| self.index_of(pod)).collect();
        let failed = Indexes::parse(text(self.job, "/status/failedIndexes"), completions).with(&new);
        let running: HashSet<usize> = active.iter().filter_map(|pod| index_of(pod)).collect();
        let mut to_replace: HashMap<usize, Arc<Value>> = HashMap::new();
        for pod in tracked().filter(|pod| self.has_failed(pod)) {
            let Some(index) = self.index_of(pod) else { continue };
            if succeeded.has(index) || failed.has(index) || running.contains(&index) {
                continue;
            }
            let age = |pod: &Value| (all_failures_before(pod), crate::pods::finished_at(pod));
            if to_replace.get(&index).is_none_or(|other| age(other) <= age(pod)) {
                to_replace.insert(index, pod.clone());
            }
        }
        IndexTally { before, succeeded, failed: Some(failed), to_replace }
    }

    fn end(&self, tally: &Tally) -> Option<End> {
        self.recorded_end().or_else(|| self.failure(tally)).or_else(|| {
            let indexes = tally.indexes.as_ref()?;
            let message = early_success(self.job, &indexes.succeeded, self.completions()?)?;
            Some(End { success: true, reason: "SuccessPolicy".to_owned(), message })
        })
    }

    fn recorded_end(&self) -> Option<End> {
        [("SuccessCriteriaMet", true), ("FailureTarget", false)].into_iter().find_map(|(kind, success)| {
            let condition = meta::condition(self.job, kind).filter(|each| text(each, "/status") == "True")?;
            let (reason, message) = (text(condition, "/reason").to_owned(), text(condition, "/message").to_owned());
            Some(End { success, reason, message })
        })
    }

    fn failure(&self, tally: &Tally) -> Option<End> {
        let failed = |reason: &str, message: &str| {
            Some(End { success: false, reason: reason.to_owned(), message: message.to_owned() })
        };
        let by_rule = self.pods.iter().filter(|pod| self.has_failed(pod)).find_map(|pod| {
            let Verdict::JobFailed(message) = verdict(self.job, pod) else { return None };
            Some(message)
        });
        if let Some(message) = by_rule {
            return failed("PodFailurePolicy", &message);
        }
        let limit = number(self.job, "/spec/backoffLimit").unwrap_or(i64::from(i32::MAX));
        if tally.failed > limit || self.restarts_exceed(limit) {
            return failed("BackoffLimitExceeded", "Job has reached the specified backoff limit");
        }
        if self.deadline_in().is_some_and(|left| left <= SignedDuration::ZERO) {
            return failed("DeadlineExceeded", "Job was active longer than specified deadline");
        }
        let indexes = tally.indexes.as_ref()?;
        let failed_indexes = indexes.failed.as_ref()?.total();
        let most = number(self.job, "/spec/maxFailedIndexes");
        if most.is_some_and(|most| count_of(failed_indexes) > most) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return failed("MaxFailedIndexesExceeded", message);
        }
        let ended = failed_indexes + indexes.succeeded.total();
        if failed_indexes > 0 && Some(ended) >= self.completions() {
            return failed("FailedIndexes", "Job has failed indexes");
        }
        None
    }

    fn restarts_exceed(&self, limit: i64) -> bool {
        if !restarts_on_failure(self.job) {
            return false;
        }
        let alive = self.pods.iter().filter(|pod| matches!(pod::phase(pod), "Running" | "Pending"));
        let statuses = alive.flat_map(|pod| {
            list(pod, "/status/initContainerStatuses").iter().chain(list(pod, "/status/containerStatuses"))
        });
        let restarts: i64 = statuses.map(|status| count(status, "/restartCount")).sum();
        if limit == 0 { restarts > 0 } else { restarts >= limit }
    }

    fn deadline_in(&self) -> Option<SignedDuration> {
        let seconds = number(self.job, "/spec/activeDeadlineSeconds").filter(|_| !self.is_suspended())?;
        let start = meta::time(self.job, "/status/startTime").unwrap_or(self.now);
        Some(SignedDuration::from_secs(seconds) - self.now.duration_since(start))
    }
}

/// The index that a pod carries.
pub fn index_of(pod: &Value) -> Option<usize> {
    annotation(pod, INDEX)?.parse().ok()
}

/// The failures of a pod's index before it, of one sort.
pub fn failures_before(pod: &Value, key: &str) -> i64 {
    annotation(pod, key).and_then(|count| count.parse().ok()).unwrap_or_default()
}

/// The failures of a pod's index before it, of both sorts.
pub fn all_failures_before(pod: &Value) -> i64 {
    failures_before(pod, INDEX_FAILURES) + failures_before(pod, INDEX_IGNORED)
}
