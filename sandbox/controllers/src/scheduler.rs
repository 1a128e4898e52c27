//! The scheduler: pods without a node get one.

mod filter;
mod node_selector;
mod pod_affinity;
mod spread;

use crate::action::Note;
use crate::carry::About;
use crate::hub::{Controller, Hub, NOW};
use crate::index::{Change, Id, Index, claims_of};
use crate::meta::{self, annotate, is_deleting, list, name, namespace, stamp, text, uid};
use apiserver::Status;
pub use filter::tolerates;
use filter::{Misfit, Need, NodeState, preference, sentence};
use futures::future::{BoxFuture, FutureExt};
use jiff::Timestamp;
use kinds::pod;
use kinds::quantity::resources;
use pod_affinity::{PodRules, seeks_company};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The controller that binds pods to nodes.
#[derive(Debug, Default)]
pub struct Scheduler {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    nodes: BTreeMap<String, NodeState>,
    /// Pods that wait for room, oldest first.
    waiting: BTreeSet<(Timestamp, Id)>,
    /// Whether one of them may wait for another pod to get a node.
    company_is_sought: bool,
    /// Which pods have been given a node that the index does not know of yet.
    promised: HashMap<String, String>,
}

/// How much a node is liked for a pod: by what the pod prefers, by how few pods of the same owner are there, by the room that is left,
/// by how few pods there are.
type Liking = (i64, Reverse<usize>, f64, Reverse<usize>);

/// What becomes of a pod.
#[derive(Debug, PartialEq)]
enum Verdict {
    Node(String),
    Waits(String),
}

impl State {
    /// Finds the best node and promises it.
    fn place(&mut self, pod: &Value, rules: &PodRules) -> Verdict {
        let need = Need::of(pod);
        let mut misfits: Vec<Misfit> = Vec::new();
        let mut best: Option<(Liking, String)> = None;
        for (name, state) in self.nodes.iter().filter(|(_, state)| !state.node.is_null()) {
            if let Some(misfit) = state.misfit(pod, &need).or_else(|| rules.misfit(&state.node)) {
                misfits.push(misfit);
                continue;
            }
            let alone = |others: usize| Reverse(others);
            let (siblings, pods) = (alone(state.siblings(&need)), alone(state.pods.len()));
            let liking = (preference(pod, &state.node), siblings, state.room(&need), pods);
            if best.as_ref().is_none_or(|(most, _)| liking > *most) {
                best = Some((liking, name.clone()));
            }
        }
        match best {
            Some((_, node)) => {
                self.nodes.entry(node.clone()).or_default().take(uid(pod), need);
                self.promised.insert(uid(pod).to_owned(), node.clone());
                Verdict::Node(node)
            }
            None if misfits.is_empty() => Verdict::Waits("no nodes available to schedule pods".to_owned()),
            None => Verdict::Waits(sentence(&misfits)),
        }
    }

    fn take_back(&mut self, uid: &str) {
        if let Some(node) = self.promised.remove(uid)
            && let Some(state) = self.nodes.get_mut(&node)
        {
            state.give_back(uid);
        }
    }

    /// Keeps the books; tells whether pods that wait may have a chance now.
    fn observe(&mut self, change: &Change) -> bool {
        let resource = change.id.resource;
        if resource == kinds::NODES {
            let state = self.nodes.entry(change.id.name.to_string()).or_default();
            state.node = change.new.as_deref().cloned().unwrap_or_default();
            state.allocatable = resources(&state.node["status"]["allocatable"]);
            return change.old.as_ref().is_none_or(|old| {
                let matters = |node: &Value| {
                    (node["spec"].clone(), node["status"]["allocatable"].clone(), node["metadata"]["labels"].clone())
                };
                change.new.as_ref().is_some_and(|new| matters(old) != matters(new))
            });
        }
        if resource == kinds::PODS {
            return self.observe_pod(change);
        }
        resource == kinds::PERSISTENT_VOLUME_CLAIMS
            || resource == kinds::PERSISTENT_VOLUMES
            || resource == kinds::STORAGE_CLASSES
    }

    fn observe_pod(&mut self, change: &Change) -> bool {
        let holds = |pod: &&Arc<Value>| !text(pod, "/spec/nodeName").is_empty() && !pod::is_finished(pod);
        let mut freed = false;
        let new = change.new.as_ref().filter(holds);
        if let Some(old) = change.old.as_ref().filter(holds)
            && new.is_none_or(|new| uid(new) != uid(old))
            && let Some(state) = self.nodes.get_mut(text(old, "/spec/nodeName"))
        {
            freed = state.give_back(uid(old));
        }
        if let Some(new) = new {
            if self.promised.get(uid(new)).is_some_and(|node| node != text(new, "/spec/nodeName")) {
                self.take_back(uid(new));
            }
            self.promised.remove(uid(new));
            freed |= self.company_is_sought;
            let state = self.nodes.entry(text(new, "/spec/nodeName").to_owned()).or_default();
            if !state.pods.contains_key(uid(new)) {
                state.take(uid(new), Need::of(new));
            }
        } else if let Some(gone) = change.old.as_ref().filter(|_| change.new.is_none()) {
            self.take_back(uid(gone));
        }
        freed
    }
}

impl Scheduler {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn schedule(&self, hub: &Hub, key: &Id) -> Result<Option<Duration>, Status> {
        let Some(pod) = hub.get(key).filter(|pod| wants_node(pod)) else { return Ok(None) };
        let place = waiting_place(&pod, key);
        if let Some(words) = hub.look(|index| obstacle(index, &pod)) {
            return self.wait(hub, key, &pod, words).await;
        }
        let verdict = hub.look(|index| {
            let mut state = self.state();
            state.take_back(uid(&pod));
            state.company_is_sought |= seeks_company(&pod);
            let rules = PodRules::of(index, &pod, &state.promised);
            state.place(&pod, &rules)
        });
        let node = match verdict {
            Verdict::Waits(words) => return self.wait(hub, key, &pod, words).await,
            Verdict::Node(node) => node,
        };
        self.state().waiting.remove(&place);
        let chosen = choose_node_for_claims(hub, &pod, &node).await;
        let unbound = hub.look(|index| !claims_are_bound(index, &pod));
        if chosen.is_err() || unbound {
            // The volumes come first; they wake this pod again.
            self.state().take_back(uid(&pod));
            self.state().waiting.insert(place);
            return chosen.map(|()| None);
        }
        // The node begins as soon as it sees the pod: what it tells of comes after this.
        let decided = hub.now();
        let bound = bind(hub, key, &pod, &node).await;
        if let Err(status) = bound {
            self.state().take_back(uid(&pod));
            return if status.is_not_found() { Ok(None) } else { Err(status) };
        }
        let message = format!("Successfully assigned {}/{} to {node}", namespace(&pod), name(&pod));
        hub.tell_of(about(&pod), Note::normal("Scheduled", message), decided);
        Ok(None)
    }

    /// Tells that and why the pod waits, once for each new reason.
    async fn wait(&self, hub: &Hub, key: &Id, pod: &Arc<Value>, words: String) -> Result<Option<Duration>, Status> {
        self.state().waiting.insert(waiting_place(pod, key));
        let known = pod::condition(pod, "PodScheduled").map_or("", |known| text(known, "/message"));
        if known == words {
            return Ok(None);
        }
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words,
            "observedGeneration": meta::number(pod, "/metadata/generation")});
        let now = stamp(hub.now());
        let written = hub
            .modify(&hub.writers.scheduler, key, Some("status"), |pod| {
                text(pod, "/spec/nodeName").is_empty() && set_condition(pod, condition.clone(), &now)
            })
            .await;
        hub.tell(about(pod), Note::warning("FailedScheduling", words));
        match written {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(None),
        }
    }
}

fn about(pod: &Value) -> About<'_> {
    About { component: "default-scheduler", resource: kinds::PODS, object: pod }
}

fn waiting_place(pod: &Value, key: &Id) -> (Timestamp, Id) {
    (meta::time(pod, "/metadata/creationTimestamp").unwrap_or(Timestamp::UNIX_EPOCH), key.clone())
}

/// Whether the pod is the scheduler's business.
fn wants_node(pod: &Value) -> bool {
    text(pod, "/spec/nodeName").is_empty()
        && !is_deleting(pod)
        && !pod::is_finished(pod)
        && list(pod, "/spec/schedulingGates").is_empty()
        && matches!(text(pod, "/spec/schedulerName"), "" | "default-scheduler")
}

/// What keeps the pod from any node.
fn obstacle(index: &Index, pod: &Value) -> Option<String> {
    let nodes = index.all(kinds::NODES).count();
    if nodes == 0 {
        return Some("no nodes available to schedule pods".to_owned());
    }
    let told = |words: &str| Some(format!("0/{nodes} nodes are available: {words}. not found"));
    for claim_name in claims_of(kinds::PODS, pod) {
        let id = Id::new(kinds::PERSISTENT_VOLUME_CLAIMS, namespace(pod), claim_name);
        let Some(claim) = index.get(&id) else {
            return told(&format!("persistentvolumeclaim {claim_name:?} not found"));
        };
        if text(claim, "/status/phase") == "Lost" {
            let volume = text(claim, "/spec/volumeName");
            return told(&format!(
                "persistentvolumeclaim {claim_name:?} bound to non-existent persistentvolume {volume:?}"
            ));
        }
        if is_deleting(claim) {
            return told(&format!("persistentvolumeclaim {claim_name:?} is being deleted"));
        }
        if !crate::volumes::is_bound(claim) && !crate::volumes::waits_for_consumer(index, claim) {
            return told("pod has unbound immediate PersistentVolumeClaims");
        }
        if is_taken(index, pod, claim) {
            let words = "1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already \
                         in-use by another pod";
            return Some(format!(
                "0/{nodes} nodes are available: {words}. no new claims to deallocate, preemption: 0/{nodes} nodes are \
                 available: {nodes} No preemption victims found for incoming pod."
            ));
        }
    }
    None
}

/// Whether another pod has a claim that only one pod may have.
fn is_taken(index: &Index, pod: &Value, claim: &Value) -> bool {
    if !meta::texts(claim, "/spec/accessModes").contains(&"ReadWriteOncePod") {
        return false;
    }
    index
        .users_of_claim(namespace(pod), name(claim))
        .iter()
        .any(|user| uid(user) != uid(pod) && !pod::is_finished(user) && !text(user, "/spec/nodeName").is_empty())
}

fn claims_are_bound(index: &Index, pod: &Value) -> bool {
    claims_of(kinds::PODS, pod).all(|claim| {
        let id = Id::new(kinds::PERSISTENT_VOLUME_CLAIMS, namespace(pod), claim);
        index.get(&id).is_some_and(|claim| crate::volumes::is_bound(claim))
    })
}

/// Tells the claims that wait for a consumer on which node it will be.
async fn choose_node_for_claims(hub: &Hub, pod: &Value, node: &str) -> Result<(), Status> {
    for claim in claims_of(kinds::PODS, pod) {
        let id = Id::new(kinds::PERSISTENT_VOLUME_CLAIMS, namespace(pod), claim);
        let waits = hub.get(&id).is_some_and(|claim| !crate::volumes::is_bound(&claim));
        if waits {
            let chosen = |claim: &mut Value| annotate(claim, crate::volumes::SELECTED_NODE, node);
            hub.modify(&hub.writers.scheduler, &id, None, chosen).await?;
        }
    }
    Ok(())
}

async fn bind(hub: &Hub, key: &Id, pod: &Value, node: &str) -> Result<(), Status> {
    let now = stamp(hub.now());
    let condition = json!({"type": "PodScheduled", "status": "True",
        "observedGeneration": meta::number(pod, "/metadata/generation")});
    let expected = uid(pod);
    let bound = hub.modify(&hub.writers.scheduler, key, Some("binding"), |pod| {
        if uid(pod) != expected || is_deleting(pod) || !text(pod, "/spec/nodeName").is_empty() {
            return false;
        }
        pod["spec"]["nodeName"] = node.into();
        set_condition(pod, condition.clone(), &now);
        true
    });
    let bound = bound.await?;
    if text(&bound, "/spec/nodeName") == node { Ok(()) } else { Err(Status::not_found(kinds::PODS, name(pod))) }
}

/// Sets a pod's condition; tells whether that changed anything.
fn set_condition(pod: &mut Value, mut condition: Value, now: &str) -> bool {
    let kind = text(&condition, "/type").to_owned();
    condition["lastProbeTime"] = Value::Null;
    let known = list(pod, "/status/conditions").iter().position(|each| text(each, "/type") == kind);
    let before = known.map(|position| pod["status"]["conditions"][position].clone());
    let same_status = before.as_ref().filter(|before| before["status"] == condition["status"]);
    condition["lastTransitionTime"] =
        same_status.map_or_else(|| now.into(), |before| before["lastTransitionTime"].clone());
    if before.as_ref() == Some(&condition) {
        return false;
    }
    match (&mut pod["status"]["conditions"], known) {
        (Value::Array(conditions), Some(position)) => conditions[position] = condition,
        (Value::Array(conditions), None) => conditions.push(condition),
        (other, _) => *other = json!([condition]),
    }
    true
}

impl Controller for Scheduler {
    fn route(&self, _: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        let mut state = self.state();
        let has_chance = state.observe(change);
        if change.id.resource == kinds::PODS {
            let pod = change.new.as_ref().filter(|pod| wants_node(pod));
            if let Some(pod) =
                pod.filter(|_| change.old.as_ref().is_none_or(|old| old["spec"] != change.object()["spec"]))
            {
                state.waiting.insert(waiting_place(pod, &change.id));
                wake(change.id.clone(), NOW);
            } else if pod.is_none() {
                state.waiting.remove(&waiting_place(change.object(), &change.id));
            }
        }
        if has_chance && !state.waiting.is_empty() {
            wake(Id::new(kinds::NODES, "", ""), NOW);
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        async move {
            if key.resource == kinds::PODS {
                return self.schedule(hub, key).await;
            }
            let waiting: Vec<Id> = {
                let mut state = self.state();
                // Those that still seek company afterwards say so again.
                state.company_is_sought = false;
                state.waiting.iter().map(|(_, id)| id.clone()).collect()
            };
            // A pod like one that found no room a moment ago finds none either.
            let mut hopeless = HashSet::new();
            for id in waiting {
                let Some(pod) = hub.get(&id) else { continue };
                let likeness = format!("{}{}", namespace(&pod), pod["spec"]);
                if hopeless.contains(&likeness) && pod::condition(&pod, "PodScheduled").is_some() {
                    continue;
                }
                self.schedule(hub, &id).await?;
                if hub.get(&id).is_some_and(|pod| wants_node(&pod)) {
                    hopeless.insert(likeness);
                }
            }
            Ok(None)
        }
        .boxed()
    }

    fn most_at_a_time(&self) -> usize {
        64
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)]
mod tests;
