//! Replica sets and replication controllers: so many pods of one template.

use crate::action::Action;
use crate::carry::About;
use crate::hub::{Controller, Hub, NOW, Round};
use crate::index::{Change, Id, Index};
use crate::meta::{self, controller_of, count, is_deleting, stamp, text, uid};
use crate::ownership;
use crate::pods::{available_at, count_of, from_template, is_active, is_available, sort_for_removal};
use apiserver::{Selector, Status};
use futures::future::{BoxFuture, FutureExt};
use jiff::{SignedDuration, Timestamp};
use kinds::{Resource, pod};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// At most so many pods are created or deleted at a time.
const MOST_AT_A_TIME: usize = 500;

/// The controller of replica sets and replication controllers.
#[derive(Debug)]
pub struct Replicas;

/// Decides which pods to create or delete. `related` are the pods of all sets of the same owner.
pub fn manage(
    resource: &'static Resource,
    set: &Value,
    pods: &[Arc<Value>],
    related: &[Arc<Value>],
    now: Timestamp,
) -> Vec<Action> {
    if is_deleting(set) {
        return Vec::new();
    }
    let mut active: Vec<Arc<Value>> = pods.iter().filter(|pod| is_active(pod)).cloned().collect();
    let wanted = usize::try_from(count(set, "/spec/replicas")).unwrap_or_default();
    if active.len() < wanted {
        let missing = (wanted - active.len()).min(MOST_AT_A_TIME);
        return vec![Action::CreatePods(vec![from_template(resource, set); missing])];
    }
    let surplus = (active.len() - wanted).min(MOST_AT_A_TIME);
    if surplus == 0 {
        return Vec::new();
    }
    sort_for_removal(&mut active, Some(related), now);
    active.truncate(surplus);
    vec![Action::DeletePods(active)]
}

/// The status of a set with these pods. `failure` is what kept it from having as many as it should.
pub fn status(set: &Value, pods: &[Arc<Value>], failure: Option<&Status>, now: Timestamp) -> Value {
    let active: Vec<&Arc<Value>> = pods.iter().filter(|pod| is_active(pod)).collect();
    let min_ready = count(set, "/spec/minReadySeconds");
    let labels = Selector::of_labels(&set["spec"]["template"]["metadata"]["labels"]);
    let how_many = |wanted: &dyn Fn(&Value) -> bool| count_of(active.iter().filter(|pod| wanted(pod)).count());
    let mut status = Map::new();
    let mut put = |field: &str, count: i64| {
        if count > 0 {
            status.insert(field.to_owned(), count.into());
        }
    };
    put("fullyLabeledReplicas", how_many(&|pod| labels.matches(&pod["metadata"]["labels"])));
    put("readyReplicas", how_many(&pod::is_ready));
    put("availableReplicas", how_many(&|pod| is_available(pod, min_ready, now)));
    put("observedGeneration", count(set, "/metadata/generation"));
    status.insert("replicas".to_owned(), count_of(active.len()).into());
    let conditions = conditions(set, count_of(active.len()), failure, now);
    if !conditions.is_empty() {
        status.insert("conditions".to_owned(), conditions.into());
    }
    status.sort_keys();
    status.into()
}

fn conditions(set: &Value, active: i64, failure: Option<&Status>, now: Timestamp) -> Vec<Value> {
    let mut conditions = meta::list(set, "/status/conditions").to_vec();
    let known = meta::condition(set, "ReplicaFailure").is_some();
    match failure {
        Some(failure) if !known => conditions.push(json!({
            "type": "ReplicaFailure",
            "status": "True",
            "lastTransitionTime": stamp(now),
            "reason": if active < count(set, "/spec/replicas") { "FailedCreate" } else { "FailedDelete" },
            "message": failure.message,
        })),
        None => conditions.retain(|condition| text(condition, "/type") != "ReplicaFailure"),
        Some(_) => {}
    }
    conditions
}

/// When the next ready pod will have been ready for long enough.
fn next_available(set: &Value, pods: &[Arc<Value>], now: Timestamp) -> Option<Duration> {
    let min_ready = count(set, "/spec/minReadySeconds");
    let waiting = pods.iter().filter(|pod| is_active(pod) && !is_available(pod, min_ready, now));
    let left = waiting.filter_map(|pod| Some(available_at(pod, min_ready)?.duration_since(now))).min()?;
    Some(Duration::try_from(left.max(SignedDuration::from_millis(1))).unwrap_or_default())
}

/// The pods of all sets that have the same owner.
fn related(index: &Index, set: &Value, pods: &[Arc<Value>]) -> Vec<Arc<Value>> {
    let Some(owner) = controller_of(set) else { return pods.to_vec() };
    let sets = index.controlled_by(text(owner, "/uid"), kinds::REPLICA_SETS);
    sets.iter().flat_map(|set| index.controlled_by(uid(set), kinds::PODS)).collect()
}

impl Replicas {
    async fn sync_set(hub: &Hub, key: &Id) -> Result<Option<Duration>, Status> {
        let Some(set) = hub.get(key) else { return Ok(None) };
        ownership::claim(hub, key.resource, &set, kinds::PODS, None).await?;
        let pods = |hub: &Hub| hub.look(|index| index.controlled_by(uid(&set), kinds::PODS));
        let present = pods(hub);
        let related = hub.look(|index| related(index, &set, &present));
        let actions = manage(key.resource, &set, &present, &related, hub.now());
        let component =
            if key.resource == kinds::REPLICA_SETS { "replicaset-controller" } else { "replication-controller" };
        let about = About { component, resource: key.resource, object: &set };
        let managed = hub.carry_out(about, actions).await;
        let Some(current) = hub.get(key) else { return Ok(None) };
        let present = pods(hub);
        let status = status(&current, &present, managed.as_ref().err(), hub.now());
        if current.get("status") != Some(&status) {
            let mut changed = (*current).clone();
            changed["status"] = status;
            hub.replace(key.resource, Some("status"), changed).await?;
        }
        let again = match managed? {
            // More than a single go creates or deletes may be missing.
            Round::More
                if count_of(present.iter().filter(|pod| is_active(pod)).count()) != count(&set, "/spec/replicas") =>
            {
                Some(NOW)
            }
            _ => None,
        };
        Ok(again.or_else(|| next_available(&set, &present, hub.now())))
    }
}

impl Controller for Replicas {
    fn route(&self, index: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        let resource = change.id.resource;
        if resource == kinds::REPLICA_SETS || resource == kinds::REPLICATION_CONTROLLERS {
            wake(change.id.clone(), NOW);
        } else if resource == kinds::PODS {
            ownership::wake_owners(index, change, kinds::REPLICA_SETS, wake);
            ownership::wake_owners(index, change, kinds::REPLICATION_CONTROLLERS, wake);
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        Self::sync_set(hub, key).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T01:00:00Z".parse().unwrap()
    }

    fn set(replicas: i64) -> Value {
        json!({
            "metadata": {"name": "web", "uid": "set", "generation": 2},
            "spec": {"replicas": replicas, "minReadySeconds": 5,
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}},
        })
    }

    fn pod(name: &str, phase: &str, ready_at: Option<&str>) -> Arc<Value> {
        let conditions: Vec<Value> =
            ready_at.iter().map(|at| json!({"type": "Ready", "status": "True", "lastTransitionTime": at})).collect();
        Arc::new(json!({"metadata": {"name": name, "uid": name, "labels": {"app": "web"}},
            "spec": {"nodeName": "n"}, "status": {"phase": phase, "conditions": conditions}}))
    }

    #[test]
    fn missing_pods_are_created_from_the_template() {
        let actions =
            manage(kinds::REPLICA_SETS, &set(3), &[pod("a", "Running", None), pod("b", "Failed", None)], &[], now());
        let [Action::CreatePods(pods)] = &actions[..] else { panic!("{actions:?}") };
        assert_eq!(pods.len(), 2);
        assert_eq!(pods[0]["metadata"]["generateName"], "web-");
        assert_eq!(pods[0]["metadata"]["ownerReferences"][0]["kind"], "ReplicaSet");
    }

    #[test]
    fn surplus_pods_go_the_least_useful_first() {
        let pods = [pod("ready", "Running", Some("2026-01-01T00:00:00Z")), pod("pending", "Pending", None)];
        let actions = manage(kinds::REPLICA_SETS, &set(1), &pods, &pods, now());
        assert_eq!(actions, [Action::DeletePods(vec![pods[1].clone()])]);
    }

    #[test]
    fn a_set_that_goes_leaves_its_pods_alone() {
        let mut set = set(3);
        set["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(manage(kinds::REPLICA_SETS, &set, &[], &[], now()), []);
    }

    #[test]
    fn the_status_tells_ready_and_available_apart() {
        let pods =
            [pod("old", "Running", Some("2026-01-01T00:59:00Z")), pod("new", "Running", Some("2026-01-01T00:59:58Z"))];
        let status = status(&set(3), &pods, None, now());
        let expected = json!({"availableReplicas": 1, "fullyLabeledReplicas": 2, "observedGeneration": 2,
            "readyReplicas": 2, "replicas": 2});
        assert_eq!(status, expected);
        assert_eq!(next_available(&set(3), &pods, now()), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_failure_is_a_condition_until_it_is_over() {
        let failure = Status::new(403, "Forbidden", "pods \"web-\" is forbidden: exceeded quota: q");
        let mut set = set(1);
        set["status"] = status(&set, &[], Some(&failure), now());
        let condition = &set["status"]["conditions"][0];
        assert_eq!((&condition["reason"], &condition["message"]), (&json!("FailedCreate"), &json!(failure.message)));
        assert_eq!(status(&set, &[], Some(&failure), now()), set["status"]);
        assert_eq!(status(&set, &[], None, now()).get("conditions"), None);
    }
}
