//! Small controllers: what every namespace has, pods that nobody ends, old events, addresses of load balancers.

use crate::hub::{Controller, Hub, NOW};
use crate::index::{Change, Id, Index};
use crate::meta::{self, is_deleting, list, text, time, uid};
use apiserver::{DeleteOptions, Status};
use futures::future::{BoxFuture, FutureExt, join_all};
use jiff::{SignedDuration, Timestamp};
use kinds::pod;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const ROOT_CERTIFICATE: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                           endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                           guaranteed across distributions of Kubernetes clusters.";
/// Events are kept for an hour.
const EVENT_LIFE: SignedDuration = SignedDuration::from_hours(1);
/// Old events are looked for at most so often.
const SWEEP: SignedDuration = SignedDuration::from_mins(1);

/// Gives each namespace its default service account and the certificate of the server.
#[derive(Debug)]
pub struct Accounts {
    /// The certificate that signs the server's, as PEM.
    pub certificate: String,
}

impl Accounts {
    async fn furnish(&self, hub: &Hub, key: &Id) -> Result<(), Status> {
        let namespace = &*key.name;
        if hub.get(&Id::new(kinds::SERVICE_ACCOUNTS, namespace, "default")).is_none() {
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": namespace}});
            settled(hub.create(kinds::SERVICE_ACCOUNTS, account).await)?;
        }
        let id = Id::new(kinds::CONFIG_MAPS, namespace, ROOT_CERTIFICATE);
        let data = json!({"ca.crt": self.certificate});
        match hub.get(&id) {
            Some(map) if map["data"] == data => Ok(()),
            Some(_) => {
                let restore = |map: &mut Value| {
                    map["data"] = data.clone();
                    true
                };
                settled(hub.modify(&hub.writers.manager, &id, None, restore).await)
            }
            None => {
                let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data, "metadata": {
                    "name": ROOT_CERTIFICATE, "namespace": namespace,
                    "annotations": {"kubernetes.io/description": DESCRIPTION}}});
                settled(hub.create(kinds::CONFIG_MAPS, map).await)
            }
        }
    }
}

/// Somebody else may have been faster, or the namespace may be going.
fn settled(written: Result<Arc<Value>, Status>) -> Result<(), Status> {
    match written {
        Err(status) if status.is_already_exists() || crate::carry::is_terminating_namespace(&status) => Ok(()),
        other => other.map(drop),
    }
}

impl Controller for Accounts {
    fn route(&self, _: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        let id = &change.id;
        let furniture = (id.resource == kinds::SERVICE_ACCOUNTS && &*id.name == "default")
            || (id.resource == kinds::CONFIG_MAPS && &*id.name == ROOT_CERTIFICATE);
        if furniture {
            wake(Id::new(kinds::NAMESPACES, "", &id.namespace), NOW);
        } else if id.resource == kinds::NAMESPACES {
            wake(id.clone(), NOW);
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        async move {
            if hub.get(key).is_some_and(|namespace| !is_deleting(&namespace)) {
                self.furnish(hub, key).await?;
            }
            Ok(None)
        }
        .boxed()
    }
}

/// Ends pods whose node is gone, and pods that go without ever having had a node.
#[derive(Debug)]
pub struct LostPods;

fn is_lost(index: &Index, pod: &Value) -> Option<bool> {
    let node = text(pod, "/spec/nodeName");
    if node.is_empty() {
        return is_deleting(pod).then_some(false);
    }
    index.get(&Id::new(kinds::NODES, "", node)).is_none().then_some(true)
}

impl LostPods {
    async fn end(hub: &Hub, key: &Id) -> Result<(), Status> {
        let Some(pod) = hub.get(key) else { return Ok(()) };
        let Some(orphaned) = hub.look(|index| is_lost(index, &pod)) else { return Ok(()) };
        if !pod::is_finished(&pod) {
            let now = meta::stamp(hub.now());
            let fail = |pod: &mut Value| {
                pod["status"]["phase"] = "Failed".into();
                if orphaned {
                    let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
                        "message": "PodGC: node no longer exists", "lastProbeTime": null, "lastTransitionTime": now});
                    match &mut pod["status"]["conditions"] {
                        Value::Array(conditions) => conditions.push(condition),
                        other => *other = json!([condition]),
                    }
                }
                true
            };
            hub.modify(&hub.writers.manager, key, Some("status"), fail).await?;
        }
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            uid: Some(uid(&pod).to_owned()),
            ..DeleteOptions::default()
        };
        hub.delete(key, &options).await
    }
}

impl Controller for LostPods {
    fn route(&self, index: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        if change.id.resource == kinds::PODS {
            if let Some(pod) = &change.new
                && let Some(orphaned) = is_lost(index, pod)
            {
                // A node may be about to be registered.
                wake(change.id.clone(), if orphaned { Duration::from_secs(40) } else { NOW });
            }
        } else if change.id.resource == kinds::NODES && change.new.is_none() {
            let pods = index.all(kinds::PODS).filter(|pod| text(pod, "/spec/nodeName") == &*change.id.name);
            pods.for_each(|pod| wake(Id::of(kinds::PODS, pod), Duration::from_secs(40)));
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        async move {
            match Self::end(hub, key).await {
                Err(status) if status.is_not_found() => Ok(None),
                other => other.map(|()| None),
            }
        }
        .boxed()
    }
}

/// Removes events that have not happened again for an hour.
#[derive(Debug)]
pub struct OldEvents;

/// What is left of an event's life.
fn life_left(event: &Value, now: Timestamp) -> SignedDuration {
    let last = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"];
    let last = last.into_iter().filter_map(|field| time(event, field)).max();
    last.map_or(SignedDuration::ZERO, |last| EVENT_LIFE - now.duration_since(last))
}

impl Controller for OldEvents {
    fn route(&self, _: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        if change.id.resource == kinds::EVENTS && change.old.is_none() {
            wake(Id::new(kinds::EVENTS, "", ""), EVENT_LIFE.unsigned_abs());
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, _: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        async move {
            let now = hub.now();
            let events: Vec<Arc<Value>> = hub.look(|index| index.all(kinds::EVENTS).cloned().collect());
            let (old, young): (Vec<_>, Vec<_>) =
                events.into_iter().partition(|event| life_left(event, now) <= SignedDuration::ZERO);
            let options = DeleteOptions::default();
            let ids: Vec<Id> = old.iter().map(|event| Id::of(kinds::EVENTS, event)).collect();
            join_all(ids.iter().map(|id| hub.delete(id, &options))).await.into_iter().collect::<Result<(), _>>()?;
            let next = young.iter().map(|event| life_left(event, now)).min();
            Ok(next.map(|left| left.max(SWEEP).unsigned_abs()))
        }
        .boxed()
    }
}

/// The address at which a service of type `LoadBalancer` is reached from outside; nothing as long as it is not.
pub type LoadBalancer = Arc<dyn Fn(&Value) -> Option<std::net::IpAddr> + Send + Sync>;

/// Writes the addresses of load balancers into their services.
pub struct LoadBalancers {
    /// Knows the addresses.
    pub address: LoadBalancer,
}

impl Controller for LoadBalancers {
    fn route(&self, _: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        let balanced = |service: &Arc<Value>| {
            text(service, "/spec/type") == "LoadBalancer" || !list(service, "/status/loadBalancer/ingress").is_empty()
        };
        if change.id.resource == kinds::SERVICES && change.new.as_ref().is_some_and(balanced) {
            wake(change.id.clone(), NOW);
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        async move {
            let Some(service) = hub.get(key) else { return Ok(None) };
            let wanted = text(&service, "/spec/type") == "LoadBalancer" && !is_deleting(&service);
            let address = if wanted { (self.address)(&service) } else { None };
            let status = match address {
                Some(address) => json!({"ingress": [{"ip": address.to_string(), "ipMode": "VIP"}]}),
                None => json!({}),
            };
            if service["status"]["loadBalancer"] == status {
                return Ok(None);
            }
            let write = |service: &mut Value| {
                service["status"]["loadBalancer"] = status.clone();
                true
            };
            hub.modify(&hub.writers.manager, key, Some("status"), write).await?;
            Ok(None)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_lives_for_an_hour_after_it_happened_last() {
        let event =
            json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "lastTimestamp": "2026-01-01T00:30:00Z"});
        let left = |now: &str| life_left(&event, now.parse().unwrap()).as_mins();
        assert_eq!(
            [left("2026-01-01T00:30:00Z"), left("2026-01-01T01:20:00Z"), left("2026-01-01T01:30:00Z")],
            [60, 10, 0]
        );
    }

    #[test]
    fn a_pod_is_lost_without_its_node() {
        let mut index = Index::default();
        let pod = json!({"metadata": {"namespace": "a", "name": "p"}, "spec": {"nodeName": "n"}});
        assert_eq!(is_lost(&index, &pod), Some(true));
        index.take_in(&Id::new(kinds::NODES, "", "n"), Some(Arc::new(json!({"metadata": {"name": "n", "uid": "n"}}))));
        assert_eq!(is_lost(&index, &pod), None);
        let waiting = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}});
        assert_eq!(is_lost(&index, &waiting), Some(false));
        assert_eq!(is_lost(&index, &json!({"spec": {}})), None);
    }
}
