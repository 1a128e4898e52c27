//! What controllers of pods look at: whether pods are active, ready or finished, and which ones are to go first.

use crate::meta::{annotation, count, flag, is_deleting, list, seconds_since, text, time};
use jiff::{SignedDuration, Timestamp};
use kinds::{Resource, pod};
use serde_json::{Value, json};
use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

/// The longest prefix of a generated name.
const LONGEST_PREFIX: usize = 58;

/// Whether it runs or will run: neither finished nor being deleted.
pub fn is_active(pod: &Value) -> bool {
    !pod::is_finished(pod) && !is_deleting(pod)
}

/// Whether it is being deleted and has not finished yet.
pub fn is_terminating(pod: &Value) -> bool {
    is_deleting(pod) && !pod::is_finished(pod)
}

/// Since when the pod has been ready.
pub fn ready_since(object: &Value) -> Option<Timestamp> {
    let condition = pod::condition(object, "Ready")?;
    (text(condition, "/status") == "True").then(|| time(condition, "/lastTransitionTime")).flatten()
}

/// Whether the pod has been ready for this many seconds.
pub fn is_available(object: &Value, min_ready_seconds: i64, now: Timestamp) -> bool {
    if !pod::is_ready(object) {
        return false;
    }
    min_ready_seconds == 0 || available_at(object, min_ready_seconds).is_some_and(|at| at <= now)
}

/// When a ready pod will have been ready for this many seconds.
pub fn available_at(object: &Value, min_ready_seconds: i64) -> Option<Timestamp> {
    ready_since(object)?.checked_add(SignedDuration::from_secs(min_ready_seconds)).ok()
}

/// How many of these pods are ready.
pub fn count_ready(pods: &[Arc<Value>]) -> i64 {
    count_of(pods.iter().filter(|pod| pod::is_ready(pod)).count())
}

/// A length as objects carry it.
pub fn count_of(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// When the pod finished, as well as its status tells.
pub fn finished_at(object: &Value) -> Timestamp {
    let created = time(object, "/metadata/creationTimestamp").unwrap_or(Timestamp::UNIX_EPOCH);
    from_containers(object).or_else(|| from_ready(object)).or_else(|| from_deletion(object)).unwrap_or(created)
}

fn from_containers(object: &Value) -> Option<Timestamp> {
    let sidecars: Vec<&str> = list(object, "/spec/initContainers")
        .iter()
        .filter(|container| pod::is_sidecar(container))
        .map(|container| text(container, "/name"))
        .collect();
    let late_init =
        list(object, "/status/initContainerStatuses").iter().filter(|status| sidecars.contains(&text(status, "/name")));
    let mut latest = None;
    for status in list(object, "/status/containerStatuses").iter().chain(late_init) {
        latest = latest.max(Some(time(status, "/state/terminated/finishedAt")?));
    }
    latest
}

fn from_ready(object: &Value) -> Option<Timestamp> {
    let condition = pod::condition(object, "Ready")?;
    (text(condition, "/status") == "False").then(|| time(condition, "/lastTransitionTime")).flatten()
}

fn from_deletion(object: &Value) -> Option<Timestamp> {
    let grace = SignedDuration::from_secs(count(object, "/metadata/deletionGracePeriodSeconds"));
    time(object, "/metadata/deletionTimestamp")?.checked_sub(grace).ok()
}

/// A pod from a controller's template, without a name of its own.
pub fn from_template(resource: &Resource, owner: &Value) -> Value {
    let template = owner.pointer("/spec/template").cloned().unwrap_or_default();
    let mut metadata = json!({"generateName": prefix(crate::meta::name(owner))});
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template.pointer(&format!("/metadata/{field}")) {
            metadata[field] = value.clone();
        }
    }
    metadata["ownerReferences"] = json!([crate::meta::controller_reference(resource, owner)]);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

/// What the names of an owner's pods begin with.
pub fn prefix(owner: &str) -> String {
    format!("{owner}-")
}

/// What the names of the pods of one index begin with.
pub fn prefix_with_index(owner: &str, index: usize) -> String {
    let suffix = format!("-{index}-");
    let kept = owner.len().min(LONGEST_PREFIX.saturating_sub(suffix.len()));
    if owner.len() + suffix.len() <= LONGEST_PREFIX {
        return format!("{owner}{suffix}");
    }
    format!("{}{suffix}", owner.get(..kept).unwrap_or(owner))
}

/// Puts pods into the order in which a controller gives them up, first to last. `related` are the pods that count as
/// company on the same node.
pub fn sort_for_removal(pods: &mut [Arc<Value>], related: Option<&[Arc<Value>]>, now: Timestamp) {
    let mut company: HashMap<&str, usize> = HashMap::new();
    for pod in related.unwrap_or_default().iter().filter(|pod| is_active(pod)) {
        *company.entry(text(pod, "/spec/nodeName")).or_default() += 1;
    }
    let ranks: HashMap<String, usize> = pods
        .iter()
        .map(|pod| {
            let rank = company.get(text(pod, "/spec/nodeName")).copied().unwrap_or_default();
            (crate::meta::uid(pod).to_owned(), rank)
        })
        .collect();
    let rank = |pod: &Value| ranks.get(crate::meta::uid(pod)).copied().unwrap_or_default();
    let coarse = related.is_some();
    pods.sort_by(|one, other| {
        let standing = |pod: &Value| {
            let phase = match pod::phase(pod) {
                "Pending" => 0,
                "Running" => 2,
                _ => 1,
            };
            (!text(pod, "/spec/nodeName").is_empty(), phase, pod::is_ready(pod))
        };
        let by_cost = || if coarse { deletion_cost(one).cmp(&deletion_cost(other)) } else { Ordering::Equal };
        standing(one)
            .cmp(&standing(other))
            .then_with(by_cost)
            .then_with(|| rank(other).cmp(&rank(one)))
            .then_with(|| younger(ready_since(one), ready_since(other), coarse, now))
            .then_with(|| Reverse(restarts(one)).cmp(&Reverse(restarts(other))))
            .then_with(|| younger(created(one), created(other), coarse, now))
            .then_with(|| crate::meta::uid(one).cmp(crate::meta::uid(other)))
    });
}

fn created(pod: &Value) -> Option<Timestamp> {
    time(pod, "/metadata/creationTimestamp")
}

fn deletion_cost(pod: &Value) -> i64 {
    annotation(pod, "controller.kubernetes.io/pod-deletion-cost").and_then(|cost| cost.parse().ok()).unwrap_or_default()
}

fn restarts(object: &Value) -> (i64, i64) {
    let most = |statuses: &[Value]| statuses.iter().map(|status| count(status, "/restartCount")).max().unwrap_or(0);
    (most(list(object, "/status/containerStatuses")), most(list(object, "/status/initContainerStatuses")))
}

/// The younger goes first. Coarse ages only count by their order of magnitude, so that not always the same pods go.
fn younger(one: Option<Timestamp>, other: Option<Timestamp>, coarse: bool, now: Timestamp) -> Ordering {
    let (Some(one), Some(other)) = (one, other) else {
        return one.is_some().cmp(&other.is_some());
    };
    if !coarse {
        return other.cmp(&one);
    }
    let magnitude = |then| {
        let age = seconds_since(then, now);
        if age > 0.0 { (age * 1e9).log2().floor() } else { -1.0 }
    };
    magnitude(one).total_cmp(&magnitude(other))
}

/// Whether the pod's containers may be restarted in place.
pub fn restarts_on_failure(template_owner: &Value) -> bool {
    text(template_owner, "/spec/template/spec/restartPolicy") == "OnFailure"
}

/// Whether the object asks for addresses of pods that are not ready, too.
pub fn publishes_unready(service: &Value) -> bool {
    flag(service, "/spec/publishNotReadyAddresses")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T01:00:00Z".parse().unwrap()
    }

    fn one(name: &str, node: &str, phase: &str, ready: Option<&str>) -> Arc<Value> {
        let conditions: Vec<Value> =
            ready.iter().map(|at| json!({"type": "Ready", "status": "True", "lastTransitionTime": at})).collect();
        Arc::new(json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": node},
            "status": {"phase": phase, "conditions": conditions},
        }))
    }

    fn sorted(mut pods: Vec<Arc<Value>>, related: Option<&[Arc<Value>]>) -> Vec<String> {
        sort_for_removal(&mut pods, related, now());
        pods.iter().map(|pod| crate::meta::name(pod).to_owned()).collect()
    }

    #[test]
    fn pods_that_are_worth_less_go_first() {
        let pods = vec![
            one("old-ready", "n", "Running", Some("2026-01-01T00:00:00Z")),
            one("new-ready", "n", "Running", Some("2026-01-01T00:59:59Z")),
            one("running", "n", "Running", None),
            one("pending", "n", "Pending", None),
            one("unassigned", "", "Pending", None),
        ];
        let expected = ["unassigned", "pending", "running", "new-ready", "old-ready"];
        assert_eq!(sorted(pods.clone(), None), expected);
        assert_eq!(sorted(pods, Some(&[])), expected);
    }

    #[test]
    fn of_equal_pods_those_in_company_go_first() {
        let pods = vec![one("a", "alone", "Running", None), one("b", "full", "Running", None)];
        let related = vec![one("x", "full", "Running", None)];
        assert_eq!(sorted(pods, Some(&related)), ["b", "a"]);
    }

    #[test]
    fn a_cheap_pod_goes_before_a_dear_one() {
        let mut dear = (*one("a", "n", "Running", None)).clone();
        dear["metadata"]["annotations"] = json!({"controller.kubernetes.io/pod-deletion-cost": "10"});
        assert_eq!(sorted(vec![Arc::new(dear), one("b", "n", "Running", None)], Some(&[])), ["b", "a"]);
    }

    #[test]
    fn available_means_ready_for_long_enough() {
        let pod = one("a", "n", "Running", Some("2026-01-01T00:59:50Z"));
        assert!(is_available(&pod, 0, now()));
        assert!(is_available(&pod, 10, now()));
        assert!(!is_available(&pod, 11, now()));
    }

    #[test]
    fn a_long_name_leaves_room_for_the_index() {
        assert_eq!(prefix_with_index("job", 3), "job-3-");
        let long = prefix_with_index(&"x".repeat(70), 12);
        assert_eq!((long.len(), long.ends_with("-12-")), (58, true));
    }

    #[test]
    fn the_end_is_that_of_the_last_container() {
        let ended = |at: &str| json!({"state": {"terminated": {"finishedAt": at}}});
        let pod = json!({
            "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"containerStatuses": [ended("2026-01-01T00:00:07Z"), ended("2026-01-01T00:00:09Z")]},
        });
        assert_eq!(finished_at(&pod).to_string(), "2026-01-01T00:00:09Z");
        assert_eq!(
            finished_at(&json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:01Z"}})).to_string(),
            "2026-01-01T00:00:01Z"
        );
    }
}
