//! What an object uses of a quota.

use kinds::Resource;
use kinds::pod::{is_finished, limits, qos_class, requests};
use kinds::quantity::{self, Quantity, Resources};
use serde_json::Value;

use super::super::{Attempt, Operation, items};
use super::scopes;

/// Resources that a quota may also name without `count/`.
const COUNTED: [&str; 7] =
    ["configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets", "services"];
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";

/// Whether a write may change what is used.
pub(super) fn can_change(attempt: &Attempt<'_>, new: &Value) -> bool {
    let may_grow = attempt.resource == kinds::SERVICES || attempt.resource == kinds::PERSISTENT_VOLUME_CLAIMS;
    let changes_scope = |old: &Value| attempt.resource == kinds::PODS && terminates(old) != terminates(new);
    match attempt.operation {
        Operation::Create => true,
        Operation::Update => may_grow || attempt.old.is_some_and(changes_scope),
        Operation::Delete => false,
    }
}

/// Whether a quota limits something that such an object uses, and the object is in all of its scopes.
pub(super) fn is_about(quota: &Value, resource: &Resource, object: &Value) -> bool {
    let Some(hard) = quota["spec"]["hard"].as_object() else { return false };
    let is_pod = resource == kinds::PODS;
    let count = count_name(resource);
    let is_ours = |name: &String| {
        *name == count
            || (COUNTED.contains(&resource.plural) && resource.group.is_empty() && name == resource.plural)
            || (is_pod && is_of_pods(name))
            || (resource == kinds::SERVICES && matches!(name.as_str(), "services.loadbalancers" | "services.nodeports"))
            || (resource == kinds::PERSISTENT_VOLUME_CLAIMS && (name == "requests.storage" || name.contains(OF_CLASS)))
    };
    hard.keys().any(is_ours) && scopes(quota).all(|scope| is_pod && is_in(scope, object))
}

fn is_of_pods(name: &str) -> bool {
    let compute = ["cpu", "memory", "ephemeral-storage"];
    let bare = name.strip_prefix("requests.").or_else(|| name.strip_prefix("limits.")).unwrap_or(name);
    let is_extended = name.starts_with("requests.") && bare.contains('/');
    compute.contains(&bare) || bare.starts_with("hugepages-") || is_extended
}

/// Whether a pod is in a scope: name, operator, values.
fn is_in((scope, operator, values): (&str, &str, Vec<&str>), pod: &Value) -> bool {
    let is_best_effort = || qos_class(pod) == "BestEffort";
    match scope {
        "Terminating" => terminates(pod),
        "NotTerminating" => !terminates(pod),
        "BestEffort" => is_best_effort(),
        "NotBestEffort" => !is_best_effort(),
        "CrossNamespacePodAffinity" => uses_other_namespaces(pod),
        "PriorityClass" => {
            let class = pod["spec"]["priorityClassName"].as_str().unwrap_or_default();
            match operator {
                "In" => values.contains(&class),
                "NotIn" => !values.contains(&class),
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        _ => false,
    }
}

fn terminates(pod: &Value) -> bool {
    pod["spec"]["activeDeadlineSeconds"].as_i64().is_some_and(|seconds| seconds >= 0)
}

fn uses_other_namespaces(pod: &Value) -> bool {
    let names_others =
        |term: &Value| items(term, "namespaces").next().is_some() || !term["namespaceSelector"].is_null();
    ["podAffinity", "podAntiAffinity"].into_iter().any(|kind| {
        let affinity = &pod["spec"]["affinity"][kind];
        let required = items(affinity, "requiredDuringSchedulingIgnoredDuringExecution");
        let preferred = items(affinity, "preferredDuringSchedulingIgnoredDuringExecution");
        required.chain(preferred.map(|term| &term["podAffinityTerm"])).any(names_others)
    })
}

/// `count/deployments.apps`
fn count_name(resource: &Resource) -> String {
    format!("count/{}", resource.qualified_plural())
}

/// What the object uses, by the names of quotas.
pub(super) fn of(resource: &Resource, object: &Value) -> Resources {
    let one = Quantity::from_units(1);
    let mut used = Resources::from([(count_name(resource), one)]);
    let is_counted = COUNTED.contains(&resource.plural) && resource.group.is_empty();
    if is_counted && (resource != kinds::PODS || !is_finished(object)) {
        used.insert(resource.plural.to_owned(), one);
    }
    if resource == kinds::PODS && !is_finished(object) {
        add_pod(object, &mut used);
    } else if resource == kinds::SERVICES {
        add_service(object, &mut used);
    } else if resource == kinds::PERSISTENT_VOLUME_CLAIMS {
        add_claim(object, &mut used);
    }
    used
}

fn add_pod(pod: &Value, used: &mut Resources) {
    for (name, amount) in requests(pod) {
        if !name.contains('/') {
            used.insert(name.clone(), amount);
        }
        used.insert(format!("requests.{name}"), amount);
    }
    used.extend(limits(pod).into_iter().map(|(name, amount)| (format!("limits.{name}"), amount)));
}

fn add_service(service: &Value, used: &mut Resources) {
    let ports = |wanted: &dyn Fn(&Value) -> bool| {
        let count = items(&service["spec"], "ports").filter(|port| wanted(port)).count();
        Quantity::from_units(i64::try_from(count).unwrap_or(i64::MAX))
    };
    let balanced = service["spec"]["type"] == "LoadBalancer";
    let node_ports = if kinds::service::needs_node_ports(service) {
        ports(&|_| true)
    } else if balanced {
        ports(&|port| port["nodePort"].as_u64().is_some_and(|number| number > 0))
    } else {
        Quantity::ZERO
    };
    used.insert("services.nodeports".to_owned(), node_ports);
    used.insert("services.loadbalancers".to_owned(), Quantity::from_units(i64::from(balanced)));
}

fn add_claim(claim: &Value, used: &mut Resources) {
    let storage = quantity::from_value(&claim["spec"]["resources"]["requests"]["storage"]).ok();
    let annotation = &claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
    let class = claim["spec"]["storageClassName"].as_str().or(annotation.as_str()).unwrap_or_default();
    let prefixes = ["", class].into_iter().take(if class.is_empty() { 1 } else { 2 });
    for class in prefixes {
        let name = |what: &str| if class.is_empty() { what.to_owned() } else { format!("{class}{OF_CLASS}{what}") };
        used.insert(name("persistentvolumeclaims"), Quantity::from_units(1));
        if let Some(storage) = storage {
            used.insert(name("requests.storage"), storage);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(resource: &Resource, object: &Value) -> String {
        let used = of(resource, object);
        used.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn objects_use_what_the_real_server_counts() {
        let pod = json!({"spec": {"containers": [
            {"name": "a", "resources": {"requests": {"cpu": "500m", "example.com/gpu": "1"}, "limits": {"memory": "1Gi"}}},
            {"name": "b", "resources": {"requests": {"cpu": "1"}}},
        ]}});
        assert_eq!(
            told(kinds::PODS, &pod),
            "count/pods=1 cpu=1500m limits.memory=1Gi pods=1 requests.cpu=1500m requests.example.com/gpu=1"
        );
        let mut done = pod.clone();
        done["status"] = json!({"phase": "Succeeded"});
        assert_eq!(told(kinds::PODS, &done), "count/pods=1");
        let service = json!({"spec": {"type": "NodePort", "ports": [{"port": 1}, {"port": 2}]}});
        assert_eq!(
            told(kinds::SERVICES, &service),
            "count/services=1 services=1 services.loadbalancers=0 services.nodeports=2"
        );
        let claim = json!({"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "2Gi"}}}});
        assert_eq!(
            told(kinds::PERSISTENT_VOLUME_CLAIMS, &claim),
            "count/persistentvolumeclaims=1 fast.storageclass.storage.k8s.io/persistentvolumeclaims=1 \
             fast.storageclass.storage.k8s.io/requests.storage=2Gi persistentvolumeclaims=1 requests.storage=2Gi"
        );
        assert_eq!(told(kinds::DEPLOYMENTS, &json!({})), "count/deployments.apps=1");
    }

    #[test]
    fn a_quota_is_about_objects_in_all_of_its_scopes() {
        let hurried = json!({"spec": {"activeDeadlineSeconds": 5, "containers": [{"name": "a"}]}});
        let ranked = json!({"spec": {"priorityClassName": "high", "containers": [{"name": "a"}]}});
        let quota = |spec: Value| json!({"spec": spec});
        let pods = json!({"pods": "1"});
        let classes = |operator: &str| json!({"matchExpressions": [{"scopeName": "PriorityClass", "operator": operator, "values": ["high"]}]});
        let table = [
            (quota(json!({"hard": pods})), kinds::PODS, &hurried, true),
            (quota(json!({"hard": pods})), kinds::SECRETS, &hurried, false),
            (quota(json!({"hard": pods, "scopes": ["Terminating"]})), kinds::PODS, &hurried, true),
            (quota(json!({"hard": pods, "scopes": ["Terminating"]})), kinds::PODS, &ranked, false),
            (quota(json!({"hard": pods, "scopes": ["Terminating", "NotBestEffort"]})), kinds::PODS, &hurried, false),
            (quota(json!({"hard": pods, "scopeSelector": classes("In")})), kinds::PODS, &ranked, true),
            (quota(json!({"hard": pods, "scopeSelector": classes("NotIn")})), kinds::PODS, &ranked, false),
            (quota(json!({"hard": {"secrets": "1"}, "scopes": ["BestEffort"]})), kinds::SECRETS, &hurried, false),
            (quota(json!({"hard": {"count/jobs.batch": "1"}})), kinds::JOBS, &hurried, true),
        ];
        for (quota, resource, object, expected) in table {
            assert_eq!(is_about(&quota, resource, object), expected, "{quota} {}", resource.plural);
        }
    }
}
