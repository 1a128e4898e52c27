//! Endpoint slices: the addresses of the pods that a service selects.

use crate::action::Action;
use crate::carry::About;
use crate::hub::{Controller, Hub, NOW, Round, rounds};
use crate::index::{Change, Id, Index};
use crate::meta::{self, controller_reference, is_deleting, label, list, name, namespace, stamp, text, uid};
use crate::pods::publishes_unready;
use apiserver::{Selector, Status};
use futures::future::{BoxFuture, FutureExt};
use jiff::Timestamp;
use kinds::pod;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const SERVICE: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const HEADLESS: &str = "service.kubernetes.io/headless";
const TRIGGERED: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const MANAGER: &str = "endpointslice-controller.k8s.io";
/// A slice has at most so many endpoints.
const MOST: usize = 100;

/// The controller of endpoint slices.
#[derive(Debug)]
pub struct Endpoints;

/// Decides on the slices of a service with a selector.
pub fn decide(service: &Value, pods: &[Arc<Value>], slices: &[Arc<Value>], now: Timestamp) -> Vec<Action> {
    let mut by_ports: BTreeMap<String, (Vec<Value>, Vec<Value>)> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| has_endpoint(pod)) {
        let ports = ports(service, pod);
        let key = Value::from(ports.clone()).to_string();
        by_ports.entry(key).or_insert_with(|| (ports, Vec::new())).1.push(endpoint(service, pod));
    }
    let mut wanted: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
    for (ports, endpoints) in by_ports.into_values() {
        wanted.extend(endpoints.chunks(MOST).map(|chunk| (ports.clone(), chunk.to_vec())));
    }
    if wanted.is_empty() {
        wanted.push((Vec::new(), Vec::new()));
    }
    let mut left: Vec<&Arc<Value>> = slices.iter().collect();
    let mut actions = Vec::new();
    let mut missing = Vec::new();
    for (ports, endpoints) in wanted {
        let same = left.iter().position(|slice| list(slice, "/ports") == ports);
        match same.map(|position| left.remove(position)) {
            Some(slice) => actions.extend(changed(service, slice, ports, endpoints, now)),
            None => missing.push((ports, endpoints)),
        }
    }
    for (ports, endpoints) in missing {
        match left.pop() {
            Some(slice) => actions.extend(changed(service, slice, ports, endpoints, now)),
            None => actions.push(Action::Create(kinds::ENDPOINT_SLICES, new_slice(service, &ports, &endpoints, now))),
        }
    }
    let surplus = left.into_iter().filter(|slice| !is_deleting(slice));
    actions.extend(surplus.map(|slice| Action::Delete(Id::of(kinds::ENDPOINT_SLICES, slice), uid(slice).to_owned())));
    actions
}

/// Finished pods and those without an address have none.
fn has_endpoint(pod: &Value) -> bool {
    !pod::is_finished(pod) && !text(pod, "/status/podIP").is_empty()
}

fn ports(service: &Value, pod: &Value) -> Vec<Value> {
    let found = list(service, "/spec/ports").iter().filter_map(|port| {
        let number = target(port, pod)?;
        let or_tcp = |protocol: &str| if protocol.is_empty() { "TCP".to_owned() } else { protocol.to_owned() };
        let mut out = json!({"name": text(port, "/name"), "port": number, "protocol": or_tcp(text(port, "/protocol"))});
        if let Some(application) = port.get("appProtocol") {
            out["appProtocol"] = application.clone();
        }
        Some(out)
    });
    found.collect()
}

/// The number of the pod's port that a service's port leads to.
fn target(port: &Value, pod: &Value) -> Option<i64> {
    let target = port.get("targetPort").filter(|target| !target.is_null());
    let wanted = match target {
        None => return meta::number(port, "/port"),
        Some(Value::String(name)) => name,
        Some(number) => return number.as_i64().filter(|number| *number > 0).or_else(|| meta::number(port, "/port")),
    };
    let protocol = |port: &Value| match text(port, "/protocol") {
        "" => "TCP".to_owned(),
        other => other.to_owned(),
    };
    let sidecars = list(pod, "/spec/initContainers").iter().filter(|container| pod::is_sidecar(container));
    let containers = list(pod, "/spec/containers").iter().chain(sidecars);
    let mut open = containers.flat_map(|container| list(container, "/ports"));
    let found = open.find(|open| text(open, "/name") == wanted && protocol(open) == protocol(port))?;
    meta::number(found, "/containerPort")
}

fn endpoint(service: &Value, pod: &Value) -> Value {
    let terminating = is_deleting(pod);
    let serving = pod::is_ready(pod);
    let ready = publishes_unready(service) || (serving && !terminating);
    let mut endpoint = json!({
        "addresses": [text(pod, "/status/podIP")],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
    });
    let hostname = text(pod, "/spec/hostname");
    if !hostname.is_empty() && text(pod, "/spec/subdomain") == name(service) {
        endpoint["hostname"] = hostname.into();
    }
    endpoint["nodeName"] = text(pod, "/spec/nodeName").into();
    endpoint["targetRef"] = json!({"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)});
    endpoint
}

fn labels(service: &Value) -> Map<String, Value> {
    let mut labels = meta::labels(service).cloned().unwrap_or_default();
    labels.shift_remove(HEADLESS);
    if matches!(text(service, "/spec/clusterIP"), "" | "None") {
        labels.insert(HEADLESS.to_owned(), "".into());
    }
    labels.insert(MANAGED_BY.to_owned(), MANAGER.into());
    labels.insert(SERVICE.to_owned(), name(service).into());
    labels
}

fn changed(service: &Value, slice: &Value, ports: Vec<Value>, endpoints: Vec<Value>, now: Timestamp) -> Option<Action> {
    // Endpoints are a set: another order is no change.
    let known = list(slice, "/endpoints");
    let same_endpoints = known.len() == endpoints.len() && endpoints.iter().all(|endpoint| known.contains(endpoint));
    let labels = labels(service);
    if same_endpoints && list(slice, "/ports") == ports && meta::labels(slice) == Some(&labels) {
        return None;
    }
    let mut slice = slice.clone();
    slice["metadata"]["labels"] = labels.into();
    meta::annotate(&mut slice, TRIGGERED, &stamp(now));
    slice["endpoints"] = endpoints.into();
    slice["ports"] = ports.into();
    Some(Action::Replace(kinds::ENDPOINT_SLICES, slice))
}

fn new_slice(service: &Value, ports: &[Value], endpoints: &[Value], now: Timestamp) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": format!("{}-", name(service)),
            "namespace": namespace(service),
            "labels": labels(service),
            "annotations": {TRIGGERED: stamp(now)},
            "ownerReferences": [controller_reference(kinds::SERVICES, service)],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    })
}

/// The selector of a service; nothing when others take care of its endpoints.
fn selector(service: &Value) -> Option<Selector> {
    let labels =
        service.pointer("/spec/selector").filter(|labels| labels.as_object().is_some_and(|map| !map.is_empty()))?;
    (text(service, "/spec/type") != "ExternalName").then(|| Selector::of_labels(labels))
}

impl Endpoints {
    async fn round(hub: &Hub, key: &Id) -> Result<Round, Status> {
        let Some(service) = hub.get(key).filter(|service| !is_deleting(service)) else { return Ok(Round::Done(None)) };
        let Some(selector) = selector(&service) else { return Ok(Round::Done(None)) };
        let (pods, slices) = hub.look(|index| {
            let pods = index.in_namespace(kinds::PODS, &key.namespace);
            let pods = pods.filter(|pod| selector.matches(&pod["metadata"]["labels"])).cloned().collect::<Vec<_>>();
            (pods, index.controlled_by(uid(&service), kinds::ENDPOINT_SLICES))
        });
        let ours: Vec<Arc<Value>> =
            slices.into_iter().filter(|slice| label(slice, MANAGED_BY) == Some(MANAGER)).collect();
        let about = About { component: "endpoint-slice-controller", resource: kinds::SERVICES, object: &service };
        hub.carry_out(about, decide(&service, &pods, &ours, hub.now())).await
    }
}

/// What of a pod its endpoint shows.
fn shown(pod: &Value) -> (bool, bool, bool, &str, Option<&Map<String, Value>>) {
    (has_endpoint(pod), pod::is_ready(pod), is_deleting(pod), text(pod, "/status/podIP"), meta::labels(pod))
}

impl Controller for Endpoints {
    fn route(&self, index: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        let id = &change.id;
        if id.resource == kinds::SERVICES {
            wake(id.clone(), NOW);
        } else if id.resource == kinds::ENDPOINT_SLICES {
            if let Some(service) = label(change.object(), SERVICE) {
                wake(Id::new(kinds::SERVICES, &id.namespace, service), NOW);
            }
        } else if id.resource == kinds::PODS {
            let unchanged = matches!((&change.old, &change.new), (Some(old), Some(new)) if shown(old) == shown(new));
            if unchanged {
                return;
            }
            for service in index.in_namespace(kinds::SERVICES, &id.namespace) {
                let Some(selector) = selector(service) else { continue };
                if change.states().any(|pod| selector.matches(&pod["metadata"]["labels"])) {
                    wake(Id::of(kinds::SERVICES, service), NOW);
                }
            }
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        rounds(move || Self::round(hub, key)).boxed()
    }
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn service(target: Value) -> Value {
        json!({"metadata": {"name": "web", "namespace": "a", "uid": "s"},
            "spec": {"clusterIP": "10.96.0.5", "selector": {"app": "web"}, "ports": [{"name": "h", "port": 80, "targetPort": target, "protocol": "TCP"}]}})
    }

    fn pod(name: &str, ready: bool, port: i64) -> Arc<Value> {
        Arc::new(json!({
            "metadata": {"name": name, "namespace": "a", "uid": name},
            "spec": {"nodeName": "n", "containers": [{"ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}]}]},
            "status": {"phase": "Running", "podIP": format!("10.244.0.{port}"),
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        }))
    }

    fn only_created(actions: &[Action]) -> &Value {
        let [Action::Create(_, slice)] = actions else { panic!("{actions:?}") };
        slice
    }

    #[test]
    fn a_service_without_pods_has_an_empty_slice() {
        let actions = decide(&service(json!(8080)), &[], &[], now());
        let slice = only_created(&actions);
        assert_eq!((&slice["endpoints"], &slice["ports"]), (&json!([]), &json!([])));
        assert_eq!(slice["metadata"]["labels"][SERVICE], "web");
    }

    #[test]
    fn readiness_is_shown_and_named_ports_are_looked_up() {
        let pods = [pod("a", true, 81), pod("b", false, 81)];
        let actions = decide(&service(json!("http")), &pods, &[], now());
        let slice = only_created(&actions);
        assert_eq!(slice["ports"], json!([{"name": "h", "port": 81, "protocol": "TCP"}]));
        let ready: Vec<&Value> =
            list(slice, "/endpoints").iter().map(|endpoint| &endpoint["conditions"]["ready"]).collect();
        assert_eq!(ready, [&json!(true), &json!(false)]);
    }

    #[test]
    fn pods_with_other_ports_get_a_slice_of_their_own() {
        let pods = [pod("a", true, 81), pod("b", true, 82)];
        assert_eq!(decide(&service(json!("http")), &pods, &[], now()).len(), 2);
    }

    #[test]
    fn a_pod_that_goes_is_no_longer_ready_but_serves() {
        let mut going = (*pod("a", true, 81)).clone();
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let actions = decide(&service(json!("http")), &[Arc::new(going)], &[], now());
        let conditions = &only_created(&actions)["endpoints"][0]["conditions"];
        assert_eq!(conditions, &json!({"ready": false, "serving": true, "terminating": true}));
    }

    #[test]
    fn what_is_right_already_stays() {
        let pods = [pod("a", true, 81)];
        let mut slice = only_created(&decide(&service(json!("http")), &pods, &[], now())).clone();
        slice["metadata"]["name"] = json!("web-x");
        assert_eq!(decide(&service(json!("http")), &pods, &[Arc::new(slice.clone())], now()), []);
        let changed = decide(&service(json!("http")), &[pod("a", false, 81)], &[Arc::new(slice)], now());
        assert!(matches!(&changed[..], [Action::Replace(..)]), "{changed:?}");
    }
}
