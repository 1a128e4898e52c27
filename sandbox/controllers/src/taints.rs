//! Pods on nodes with taints that they do not tolerate (`NoExecute`) are ended.

use crate::action::Note;
use crate::carry::About;
use crate::hub::{Controller, Hub, NOW};
use crate::index::{Change, Id, Index};
use crate::meta::{self, is_deleting, list, name, namespace, text, uid};
use crate::scheduler::tolerates;
use apiserver::{DeleteOptions, Status};
use futures::future::{BoxFuture, FutureExt};
use jiff::{SignedDuration, Timestamp};
use kinds::pod;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Ends pods that a node's taints drive away.
#[derive(Debug, Default)]
pub struct Taints {
    /// Since when pods have been there with such a taint, by their ids.
    since: Mutex<HashMap<String, Timestamp>>,
}

fn taints(node: &Value) -> Vec<&Value> {
    list(node, "/spec/taints").iter().filter(|taint| text(taint, "/effect") == "NoExecute").collect()
}

/// How long a pod may stay; nothing when that is for ever.
fn patience(pod: &Value, taints: &[&Value]) -> Option<SignedDuration> {
    let tolerations = list(pod, "/spec/tolerations");
    let mut least = None;
    for taint in taints {
        let fitting: Vec<&Value> = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).collect();
        if fitting.is_empty() {
            return Some(SignedDuration::ZERO);
        }
        let seconds = fitting.iter().filter_map(|toleration| meta::number(toleration, "/tolerationSeconds")).min();
        least = [least, seconds].into_iter().flatten().min();
    }
    least.map(|seconds| SignedDuration::from_secs(seconds.max(0)))
}

impl Taints {
    async fn sync_node(&self, hub: &Hub, key: &Id) -> Result<Option<Duration>, Status> {
        let node = hub.get(key);
        let taints = node.as_deref().map(taints).unwrap_or_default();
        let pods: Vec<Arc<Value>> = hub.look(|index| on_node(index, &key.name).cloned().collect());
        let now = hub.now();
        let (mut next, mut due) = (None, Vec::new());
        {
            let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
            for pod in pods {
                let Some(patience) = patience(&pod, &taints) else {
                    since.remove(uid(&pod));
                    continue;
                };
                let left = patience - now.duration_since(*since.entry(uid(&pod).to_owned()).or_insert(now));
                if left <= SignedDuration::ZERO {
                    since.remove(uid(&pod));
                    due.push(pod);
                } else {
                    next = [next, Some(left)].into_iter().flatten().min();
                }
            }
        }
        for pod in due {
            let about = About { component: "taint-eviction-controller", resource: kinds::PODS, object: &pod };
            let message = format!("Marking for deletion Pod {}/{}", namespace(&pod), name(&pod));
            hub.tell(about, Note::normal("TaintManagerEviction", message));
            let options = DeleteOptions { uid: Some(uid(&pod).to_owned()), ..DeleteOptions::default() };
            hub.delete(&Id::of(kinds::PODS, &pod), &options).await?;
        }
        Ok(next.map(SignedDuration::unsigned_abs))
    }
}

/// The pods of a node that go on there.
fn on_node<'a>(index: &'a Index, node: &'a str) -> impl Iterator<Item = &'a Arc<Value>> {
    let here =
        move |pod: &&Arc<Value>| text(pod, "/spec/nodeName") == node && !pod::is_finished(pod) && !is_deleting(pod);
    index.all(kinds::PODS).filter(here)
}

impl Controller for Taints {
    fn route(&self, index: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        if change.id.resource == kinds::NODES {
            let of = |node: &Option<Arc<Value>>| node.as_ref().map(|node| node["spec"]["taints"].clone());
            if of(&change.old) != of(&change.new) {
                wake(change.id.clone(), NOW);
            }
        } else if change.id.resource == kinds::PODS {
            if change.new.is_none() {
                self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(uid(change.object()));
            }
            let node = |pod: &Arc<Value>| text(pod, "/spec/nodeName").to_owned();
            let placed = change.new.as_ref().map(node).filter(|node| !node.is_empty());
            if let Some(node) = placed.filter(|placed| change.old.as_ref().map(node).as_ref() != Some(placed)) {
                let id = Id::new(kinds::NODES, "", &node);
                if index.get(&id).is_some_and(|node| !taints(node).is_empty()) {
                    wake(id, NOW);
                }
            }
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        self.sync_node(hub, key).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_stays_as_long_as_it_tolerates_every_taint() {
        let (one, other) = (json!({"key": "a", "effect": "NoExecute"}), json!({"key": "b", "effect": "NoExecute"}));
        let with = |tolerations: Value| json!({"spec": {"tolerations": tolerations}});
        let seconds = |pod: &Value, taints: &[&Value]| patience(pod, taints).map(|left| left.as_secs());
        assert_eq!(seconds(&with(json!([])), &[&one]), Some(0));
        assert_eq!(seconds(&with(json!([])), &[]), None);
        let first = json!({"key": "a", "operator": "Exists"});
        assert_eq!(seconds(&with(json!([first])), &[&one]), None);
        assert_eq!(seconds(&with(json!([first])), &[&one, &other]), Some(0));
        let for_a_while = json!({"key": "b", "operator": "Exists", "tolerationSeconds": 30});
        assert_eq!(seconds(&with(json!([first, for_a_while])), &[&one, &other]), Some(30));
    }
}
