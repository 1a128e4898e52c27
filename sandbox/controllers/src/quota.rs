//! What of each quota is used.

use crate::hub::{Controller, Hub, NOW};
use crate::index::{Change, Id, Index};
use crate::meta::{self, is_deleting, list, map, text, texts};
use crate::pods::count_of;
use apiserver::Status;
use futures::future::{BoxFuture, FutureExt};
use kinds::pod;
use kinds::quantity::{self, Quantity, Resources};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// Changes that come shortly after each other are counted together.
const PAUSE: Duration = Duration::from_millis(50);

/// The controller of quotas' status.
#[derive(Debug)]
pub struct Quotas;

/// What of a quota's resources these objects use.
pub fn used<'a>(
    quota: &Value,
    objects: &dyn Fn(&'static kinds::Resource) -> Vec<&'a Arc<Value>>,
) -> Map<String, Value> {
    let hard = map(quota, "/spec/hard");
    let pods: Vec<&Arc<Value>> =
        objects(kinds::PODS).into_iter().filter(|pod| !pod::is_finished(pod) && is_in_scope(quota, pod)).collect();
    let mut sums = Resources::new();
    for pod in &pods {
        let (requests, limits) = (pod::requests(pod), pod::limits(pod));
        quantity::add(&mut sums, &requests);
        quantity::add(&mut sums, &prefixed("requests", &requests));
        quantity::add(&mut sums, &prefixed("limits", &limits));
    }
    let amount = |resource: &str| match resource {
        "pods" | "count/pods" => Quantity::from_units(count_of(pods.len())),
        _ if resource.starts_with("limits.") => sums.get(resource).copied().unwrap_or_default(),
        _ => counted(resource, objects).or_else(|| sums.get(resource).copied()).unwrap_or_default(),
    };
    let names = hard.into_iter().flat_map(Map::keys);
    names.map(|resource| (resource.clone(), amount(resource).to_string().into())).collect()
}

fn prefixed(prefix: &str, resources: &Resources) -> Resources {
    resources.iter().map(|(name, amount)| (format!("{prefix}.{name}"), *amount)).collect()
}

fn counted<'a>(resource: &str, objects: &dyn Fn(&'static kinds::Resource) -> Vec<&'a Arc<Value>>) -> Option<Quantity> {
    let whole = |count: usize| Some(Quantity::from_units(count_of(count)));
    let claims = |wanted: &dyn Fn(&Value) -> bool| {
        objects(kinds::PERSISTENT_VOLUME_CLAIMS).into_iter().filter(|claim| wanted(claim)).collect::<Vec<_>>()
    };
    let storage = |claims: Vec<&Arc<Value>>| {
        claims.iter().fold(Quantity::default(), |sum, claim| {
            sum + quantity::from_value(&claim["spec"]["resources"]["requests"]["storage"]).unwrap_or_default()
        })
    };
    if let Some((class, what)) = resource.split_once(".storageclass.storage.k8s.io/") {
        let of_class = claims(&|claim| text(claim, "/spec/storageClassName") == class);
        return if what == "requests.storage" { Some(storage(of_class)) } else { whole(of_class.len()) };
    }
    match resource {
        "requests.storage" => Some(storage(claims(&|_| true))),
        "services.loadbalancers" => whole(services(objects, |service| text(service, "/spec/type") == "LoadBalancer")),
        "services.nodeports" => Some(Quantity::from_units(node_ports(objects))),
        _ => {
            let name = resource.strip_prefix("count/").unwrap_or(resource);
            let (plural, group) = name.split_once('.').unwrap_or((name, ""));
            let resource =
                kinds::all().iter().find(|each| each.plural == plural && each.group == group && each.namespaced);
            whole(objects(resource?).len())
        }
    }
}

fn services<'a>(
    objects: &dyn Fn(&'static kinds::Resource) -> Vec<&'a Arc<Value>>,
    wanted: impl Fn(&Value) -> bool,
) -> usize {
    objects(kinds::SERVICES).into_iter().filter(|service| wanted(service)).count()
}

fn node_ports<'a>(objects: &dyn Fn(&'static kinds::Resource) -> Vec<&'a Arc<Value>>) -> i64 {
    let of = |service: &&Arc<Value>| match text(service, "/spec/type") {
        "NodePort" => list(service, "/spec/ports").len(),
        "LoadBalancer" => list(service, "/spec/ports").iter().filter(|port| meta::count(port, "/nodePort") > 0).count(),
        _ => 0,
    };
    count_of(objects(kinds::SERVICES).iter().map(of).sum())
}

fn is_in_scope(quota: &Value, pod: &Value) -> bool {
    let by_name = texts(quota, "/spec/scopes").into_iter().all(|scope| has_scope(pod, scope));
    by_name
        && list(quota, "/spec/scopeSelector/matchExpressions").iter().all(|expression| {
            let values = texts(expression, "/values");
            let class = text(pod, "/spec/priorityClassName");
            match (text(expression, "/scopeName"), text(expression, "/operator")) {
                ("PriorityClass", "In") => values.contains(&class),
                ("PriorityClass", "NotIn") => !values.contains(&class),
                ("PriorityClass", "DoesNotExist") => class.is_empty(),
                ("PriorityClass", _) => !class.is_empty(),
                (scope, _) => has_scope(pod, scope),
            }
        })
}

fn has_scope(object: &Value, scope: &str) -> bool {
    let ends = meta::number(object, "/spec/activeDeadlineSeconds").is_some();
    let best_effort = pod::qos_class(object) == "BestEffort";
    match scope {
        "Terminating" => ends,
        "NotTerminating" => !ends,
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "PriorityClass" => !text(object, "/spec/priorityClassName").is_empty(),
        _ => true,
    }
}

impl Controller for Quotas {
    fn route(&self, index: &Index, change: &Change, wake: &mut dyn FnMut(Id, Duration)) {
        let id = &change.id;
        if id.resource == kinds::RESOURCE_QUOTAS {
            wake(id.clone(), NOW);
        }
        let ended = |pod: &Value| pod::is_finished(pod);
        let counts = match (&change.old, &change.new) {
            (Some(old), Some(new)) if id.resource == kinds::PODS => ended(old) != ended(new),
            (Some(old), Some(new)) => old["spec"] != new["spec"],
            _ => true,
        };
        if counts && !id.namespace.is_empty() && id.resource != kinds::EVENTS {
            for quota in index.in_namespace(kinds::RESOURCE_QUOTAS, &id.namespace) {
                wake(Id::of(kinds::RESOURCE_QUOTAS, quota), PAUSE);
            }
        }
    }

    fn sync<'a>(&'a self, hub: &'a Hub, key: &'a Id) -> BoxFuture<'a, Result<Option<Duration>, Status>> {
        async move {
            let Some(quota) = hub.get(key).filter(|quota| !is_deleting(quota)) else { return Ok(None) };
            let used =
                hub.look(|index| used(&quota, &|resource| index.in_namespace(resource, &key.namespace).collect()));
            let mut changed = (*quota).clone();
            changed["status"] = serde_json::json!({"hard": quota["spec"]["hard"], "used": used});
            if changed["status"] != quota["status"] {
                hub.replace(kinds::RESOURCE_QUOTAS, Some("status"), changed).await?;
            }
            Ok(None)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_that_ended_are_not_counted_and_requests_are_added_up() {
        let pod = |phase: &str| {
            Arc::new(
                json!({"spec": {"containers": [{"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}}]},
                "status": {"phase": phase}}),
            )
        };
        let pods = [pod("Running"), pod("Pending"), pod("Failed")];
        let services = [Arc::new(json!({"spec": {"type": "NodePort", "ports": [{}, {}]}}))];
        let quota = json!({"spec": {"hard": {"pods": "5", "cpu": "2", "requests.cpu": "2", "limits.cpu": "4",
            "services": "1", "services.nodeports": "3", "count/secrets": "3", "requests.storage": "1Gi"}}});
        let used = used(&quota, &|resource| match resource.plural {
            "pods" => pods.iter().collect(),
            "services" => services.iter().collect(),
            _ => Vec::new(),
        });
        let expected = json!({"pods": "2", "cpu": "1", "requests.cpu": "1", "limits.cpu": "2", "services": "1",
            "services.nodeports": "2", "count/secrets": "0", "requests.storage": "0"});
        assert_eq!(Value::Object(used), expected);
    }

    #[test]
    fn a_scope_leaves_pods_out() {
        let quota = json!({"spec": {"hard": {"pods": "5"}, "scopes": ["Terminating"]}});
        let pods = [Arc::new(json!({"spec": {"activeDeadlineSeconds": 5}})), Arc::new(json!({"spec": {}}))];
        let used = used(&quota, &|resource| if resource == kinds::PODS { pods.iter().collect() } else { Vec::new() });
        assert_eq!(used["pods"], "1");
    }
}
