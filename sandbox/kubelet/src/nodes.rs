//! The nodes of one kubelet: they come, change and go while it runs.

use crate::Kubelet;
use crate::node::{self, Place};
use crate::read::{name, namespace, text, uid};
use crate::shape::NodeShape;
use crate::shared::Shared;
use apiserver::{Api, DeleteOptions, FieldSelector, ListOptions, Status, User};
use futures::future::{join_all, try_join_all};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// How long pods of a node that goes may take to end.
const MOST_GRACE_SECONDS: i64 = 30;
/// How much longer than that is waited for them to be gone.
const AFTERWARDS: Duration = Duration::from_secs(5);

impl Shared {
    /// The node of a pod. One that has gone is only known by what the pod says of it.
    pub fn place(&self, pod: &Value) -> Arc<Place> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let known = places.get(text(&pod["spec"], "nodeName")).cloned();
        known.unwrap_or_else(|| {
            let address = text(&pod["status"], "hostIP").to_owned();
            Arc::new(Place { address, ..Place::default() })
        })
    }

    /// Whether this is one of the nodes.
    pub fn serves(&self, node: &str) -> bool {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).contains_key(node)
    }

    /// All nodes.
    pub fn all_places(&self) -> Vec<Arc<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Takes these nodes up, without those that go; answers each with what it was before.
    fn take_places(&self, shapes: &[NodeShape], objects: &[Arc<Value>]) -> Vec<(Arc<Place>, Option<NodeShape>)> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken: BTreeSet<_> = objects.iter().filter_map(|object| node::internal_address(object)).collect();
        let own = self.node.address();
        let take = |shape: &NodeShape| {
            let object = objects.iter().find(|object| name(object) == shape.name).map(|object| &**object);
            let before = places.get(&shape.name).map(|place| place.shape.clone());
            let place = Arc::new(Place {
                address: node::address(shape, own, object, &mut taken),
                allocatable: Arc::new(node::capacity(&self.folder, shape)),
                shape: shape.clone(),
            });
            places.insert(shape.name.clone(), place.clone());
            (place, before)
        };
        shapes.iter().map(take).collect()
    }
}

impl Kubelet {
    /// Has these nodes and no others. New ones are there before old ones go; the pods of those that go are ended, each within
    /// its grace but at most 30 seconds, and deleted. Returns when all that is done.
    ///
    /// # Errors
    /// An object cannot be written. The same call can be made again.
    pub async fn set_nodes(&self, shapes: &[NodeShape]) -> Result<(), Status> {
        let _one_at_a_time = self.changing().lock().await;
        let shared = self.shared();
        let objects = shared.api.list(kinds::NODES, None, &ListOptions::default())?.items;
        let taken = shared.take_places(shapes, &objects);
        let register = taken
            .iter()
            .map(|(place, before)| node::register(&shared.api, &shared.by, &shared.node, place, before.as_ref()));
        try_join_all(register).await?;
        // Pods may have been bound to one of these names before.
        self.take_up();
        let wanted: BTreeSet<&str> = shapes.iter().map(|shape| shape.name.as_str()).collect();
        let ours = objects.iter().filter(|object| shared.serves(name(object)) || node::is_ours(object));
        let gone = ours.map(|object| name(object)).filter(|name| !wanted.contains(name));
        join_all(gone.map(|name| self.remove_node(name))).await.into_iter().collect()
    }

    async fn remove_node(&self, node: &str) -> Result<(), Status> {
        let shared = self.shared();
        let (api, by) = (&shared.api, &shared.by);
        let close = |object: &mut Value| {
            let open = object["spec"]["unschedulable"] != true;
            object["spec"]["unschedulable"] = true.into();
            open
        };
        missing_is_fine(api.modify(by, kinds::NODES, None, ("", node), close).await.map(drop))?;
        let mut changes = api.changes();
        let mut grace = BTreeMap::new();
        for pod in pods_on(api, node)? {
            let own = pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(MOST_GRACE_SECONDS);
            // Nobody would tell of the end of a pod that does not run here.
            let own = if self.runs(uid(&pod)) { own.clamp(0, MOST_GRACE_SECONDS) } else { 0 };
            delete(api, by, &pod, own).await?;
            grace.insert(uid(&pod).to_owned(), own);
        }
        let longest = grace.into_values().max().and_then(|grace| u64::try_from(grace).ok()).unwrap_or_default();
        let ended = async {
            while pods_on(api, node).is_ok_and(|pods| !pods.is_empty()) {
                if matches!(changes.recv().await, Err(RecvError::Closed)) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(longest) + AFTERWARDS, ended).await;
        for pod in pods_on(api, node)? {
            delete(api, by, &pod, 0).await?;
        }
        shared.places.lock().unwrap_or_else(PoisonError::into_inner).remove(node);
        missing_is_fine(api.delete(by, kinds::NODES, ("", node), &DeleteOptions::default()).await.map(drop))
    }
}

fn pods_on(api: &Api, node: &str) -> Result<Vec<Arc<Value>>, Status> {
    let fields = FieldSelector::parse(&format!("spec.nodeName={node}"))?;
    Ok(api.list(kinds::PODS, None, &ListOptions::with_fields(fields))?.items)
}

async fn delete(api: &Api, by: &User, pod: &Value, grace_seconds: i64) -> Result<(), Status> {
    let options = DeleteOptions {
        grace_period_seconds: Some(grace_seconds),
        uid: Some(uid(pod).to_owned()),
        ..DeleteOptions::default()
    };
    match api.delete(by, kinds::PODS, (namespace(pod), name(pod)), &options).await {
        // Another pod of this name took its place.
        Err(status) if status.code == 409 => Ok(()),
        deleted => missing_is_fine(deleted.map(drop)),
    }
}

fn missing_is_fine(done: Result<(), Status>) -> Result<(), Status> {
    match done {
        Err(status) if status.is_not_found() => Ok(()),
        other => other,
    }
}
