//! Which pods a job creates and deletes.

use super::backoff::Pauses;
use super::policy::verdict;
use super::tally::{INDEX, INDEX_FAILURES, INDEX_IGNORED, TRACKING, Tally, View, all_failures_before, failures_before};
use crate::action::Action;
use crate::index::Id;
use crate::meta::{add_finalizer, count, has_finalizer, is_deleting, list, name, text};
use crate::pods::{finished_at, from_template, prefix_with_index, sort_for_removal};
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// At most so many pods are created or deleted at a time.
const MOST_AT_A_TIME: usize = 500;

/// Decides on the pods of a job.
pub fn manage(view: &View<'_>, tally: &Tally, pauses: Pauses) -> Vec<Action> {
    if tally.end.is_some() {
        return delete(&tally.active);
    }
    if is_deleting(view.job) {
        return Vec::new();
    }
    if view.is_suspended() {
        return release_and_delete(to_remove(view, tally, tally.active.len()));
    }
    let active = tally.active.len();
    let wanted = wanted_active(view, tally);
    let surplus = to_remove(view, tally, active.saturating_sub(wanted));
    if !surplus.is_empty() {
        return release_and_delete(surplus);
    }
    let leaving = if view.replaces_only_failed() { usize::try_from(tally.terminating).unwrap_or(0) } else { 0 };
    let missing = wanted.saturating_sub(active + leaving).min(MOST_AT_A_TIME);
    if missing == 0 { Vec::new() } else { create(view, tally, pauses, missing) }
}

fn wanted_active(view: &View<'_>, tally: &Tally) -> usize {
    let parallelism = usize::try_from(count(view.job, "/spec/parallelism")).unwrap_or_default();
    match view.completions() {
        None if tally.succeeded > 0 => tally.active.len(),
        None => parallelism,
        Some(completions) => completions.saturating_sub(usize::try_from(tally.succeeded).unwrap_or(0)).min(parallelism),
    }
}

fn delete(pods: &[Arc<Value>]) -> Vec<Action> {
    if pods.is_empty() { Vec::new() } else { vec![Action::DeletePods(pods.to_vec())] }
}

/// The pods go without being counted as failed.
fn release_and_delete(mut pods: Vec<Arc<Value>>) -> Vec<Action> {
    pods.truncate(MOST_AT_A_TIME);
    if pods.is_empty() {
        return Vec::new();
    }
    let tracked = pods.iter().filter(|pod| has_finalizer(pod, TRACKING)).map(|pod| Id::of(kinds::PODS, pod)).collect();
    vec![Action::Release(tracked, TRACKING), Action::DeletePods(pods)]
}

/// At least so many pods, and of an Indexed job all that have no index of their own.
fn to_remove(view: &View<'_>, tally: &Tally, at_least: usize) -> Vec<Arc<Value>> {
    let (mut remove, mut keep) =
        if view.is_indexed() { without_duplicates(view, &tally.active) } else { (Vec::new(), tally.active.clone()) };
    if remove.len() < at_least {
        sort_for_removal(&mut keep, None, view.now);
        let more = at_least - remove.len();
        remove.extend(keep.into_iter().take(more));
    }
    remove
}

fn without_duplicates(view: &View<'_>, active: &[Arc<Value>]) -> (Vec<Arc<Value>>, Vec<Arc<Value>>) {
    let mut by_index: HashMap<Option<usize>, Vec<Arc<Value>>> = HashMap::new();
    for pod in active {
        by_index.entry(view.index_of(pod)).or_default().push(pod.clone());
    }
    let mut remove = by_index.remove(&None).unwrap_or_default();
    let mut keep = Vec::new();
    for (_, mut pods) in by_index {
        sort_for_removal(&mut pods, None, view.now);
        keep.extend(pods.pop());
        remove.extend(pods);
    }
    (remove, keep)
}

fn create(view: &View<'_>, tally: &Tally, pauses: Pauses, missing: usize) -> Vec<Action> {
    let again = |left: SignedDuration| vec![Action::Again(Duration::try_from(left).unwrap_or_default())];
    if !view.has_limit_per_index() {
        let left = tally.failures.pause_left(pauses, view.now);
        if left > SignedDuration::ZERO {
            return again(left);
        }
    }
    let Some(indexes) = &tally.indexes else {
        let pod = tracked_pod(view.job);
        return vec![Action::CreatePods(vec![pod; missing])];
    };
    let pending = pending_indexes(view, tally, missing);
    let left = |index: &usize| {
        indexes.to_replace.get(index).map_or(SignedDuration::ZERO, |failed| {
            let failures = u32::try_from(all_failures_before(failed) + 1).unwrap_or(u32::MAX);
            pauses.left(failures, finished_at(failed), view.now)
        })
    };
    let (due, later): (Vec<usize>, Vec<usize>) = pending.into_iter().partition(|index| left(index).is_zero());
    if due.is_empty() {
        return later.iter().map(left).min().map(again).unwrap_or_default();
    }
    let pods = due.iter().map(|index| indexed_pod(view, *index, indexes.to_replace.get(index)));
    let mut actions = vec![Action::CreatePods(pods.collect())];
    actions.extend(later.iter().map(left).min().into_iter().flat_map(again));
    actions
}

fn pending_indexes(view: &View<'_>, tally: &Tally, missing: usize) -> Vec<usize> {
    let Some(indexes) = &tally.indexes else { return Vec::new() };
    let mut taken: BTreeSet<usize> = tally.active.iter().filter_map(|pod| view.index_of(pod)).collect();
    if view.replaces_only_failed() {
        let leaving = view.pods.iter().filter(|pod| crate::pods::is_terminating(pod));
        taken.extend(leaving.filter_map(|pod| view.index_of(pod)));
    }
    let done = indexes.succeeded.and(&indexes.failed.clone().unwrap_or_default());
    done.with(&taken).first_missing(missing, view.completions().unwrap_or_default())
}

fn tracked_pod(job: &Value) -> Value {
    let mut pod = from_template(kinds::JOBS, job);
    add_finalizer(&mut pod, TRACKING);
    pod
}

fn indexed_pod(view: &View<'_>, index: usize, replaced: Option<&Arc<Value>>) -> Value {
    let mut pod = tracked_pod(view.job);
    let job = name(view.job);
    let written = index.to_string();
    pod["metadata"]["generateName"] = prefix_with_index(job, index).into();
    pod["metadata"]["annotations"][INDEX] = written.clone().into();
    pod["metadata"]["labels"][INDEX] = written.into();
    pod["spec"]["hostname"] = format!("{job}-{index}").into();
    for containers in ["initContainers", "containers"] {
        if let Some(containers) = pod["spec"].get_mut(containers).and_then(Value::as_array_mut) {
            containers.iter_mut().for_each(tell_index);
        }
    }
    if view.has_limit_per_index() {
        let counts = |failed: &Arc<Value>| verdict(view.job, failed).counts();
        let before = |key: &str| replaced.map_or(0, |failed| failures_before(failed, key));
        let failures = before(INDEX_FAILURES) + i64::from(replaced.is_some_and(counts));
        let ignored = before(INDEX_IGNORED) + i64::from(replaced.is_some_and(|failed| !counts(failed)));
        pod["metadata"]["annotations"][INDEX_FAILURES] = failures.to_string().into();
        if ignored > 0 {
            pod["metadata"]["annotations"][INDEX_IGNORED] = ignored.to_string().into();
        }
    }
    pod
}

/// Gives a container the variable with its pod's index.
fn tell_index(container: &mut Value) {
    const VARIABLE: &str = "JOB_COMPLETION_INDEX";
    if list(container, "/env").iter().any(|each| text(each, "/name") == VARIABLE) {
        return;
    }
    let path = format!("metadata.labels['{INDEX}']");
    let variable = json!({"name": VARIABLE, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}});
    match &mut container["env"] {
        Value::Array(variables) => variables.push(variable),
        other => *other = json!([variable]),
    }
}
