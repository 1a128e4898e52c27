//! What many need to know of a pod.

use crate::quantity::{self, Quantity, Resources};
use serde_json::Value;

/// Whether the pod's condition `Ready` is true.
pub fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition["status"] == "True")
}

/// The pod's condition of this type.
pub fn condition<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    list(&pod["status"]["conditions"]).iter().find(|condition| condition["type"] == name)
}

/// Whether all its containers have ended for good: phase `Succeeded` or `Failed`.
pub fn is_finished(pod: &Value) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// `status.phase`; `Pending` when there is none yet.
pub fn phase(pod: &Value) -> &str {
    pod["status"]["phase"].as_str().filter(|phase| !phase.is_empty()).unwrap_or("Pending")
}

/// Whether it is being deleted.
pub fn is_terminating(pod: &Value) -> bool {
    pod["metadata"].get("deletionTimestamp").is_some_and(|time| !time.is_null())
}

/// Whether an init container is a sidecar: it keeps running beside the containers.
pub fn is_sidecar(init_container: &Value) -> bool {
    init_container["restartPolicy"] == "Always"
}

/// What the pod asks for: containers and sidecars together, or the largest need of an init container when that is more.
pub fn requests(pod: &Value) -> Resources {
    total(&pod["spec"], "requests")
}

/// What the pod may use at most; a resource without a limit is not in it.
pub fn limits(pod: &Value) -> Resources {
    total(&pod["spec"], "limits")
}

fn total(spec: &Value, field: &str) -> Resources {
    let mut total = Resources::new();
    for container in list(&spec["containers"]) {
        quantity::add(&mut total, &quantity::resources(&container["resources"][field]));
    }
    let (mut sidecars, mut initial) = (Resources::new(), Resources::new());
    for container in list(&spec["initContainers"]) {
        let mut own = quantity::resources(&container["resources"][field]);
        if is_sidecar(container) {
            quantity::add(&mut total, &own);
            quantity::add(&mut sidecars, &own);
            quantity::raise(&mut initial, &sidecars);
        } else {
            quantity::add(&mut own, &sidecars);
            quantity::raise(&mut initial, &own);
        }
    }
    quantity::raise(&mut total, &initial);
    quantity::add(&mut total, &quantity::resources(&spec["overhead"]));
    total
}

/// `Guaranteed`, `Burstable` or `BestEffort`, from the containers' requests and limits of cpu and memory.
pub fn qos_class(pod: &Value) -> &'static str {
    let (mut requests, mut limits, mut guaranteed) = (Resources::new(), Resources::new(), true);
    let spec = &pod["spec"];
    for container in list(&spec["containers"]).iter().chain(list(&spec["initContainers"])) {
        quantity::add(&mut requests, &computing(&container["resources"]["requests"]));
        let own = computing(&container["resources"]["limits"]);
        guaranteed &= own.len() == 2;
        quantity::add(&mut limits, &own);
    }
    if requests.is_empty() && limits.is_empty() {
        return "BestEffort";
    }
    if guaranteed && requests == limits { "Guaranteed" } else { "Burstable" }
}

fn computing(value: &Value) -> Resources {
    let mut resources = quantity::resources(value);
    resources.retain(|name, amount| matches!(name.as_str(), "cpu" | "memory") && *amount > Quantity::ZERO);
    resources
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(requests: &Value, limits: &Value) -> Value {
        json!({"resources": {"requests": requests, "limits": limits}})
    }

    #[test]
    fn a_pod_asks_for_its_containers_and_sidecars_or_its_largest_init_container() {
        let mut sidecar = container(&json!({"cpu": "100m"}), &json!({}));
        sidecar["restartPolicy"] = "Always".into();
        let initial = container(&json!({"cpu": "1", "memory": "1Mi"}), &json!({}));
        let own = container(&json!({"cpu": "250m", "memory": "1Gi"}), &json!({}));
        let pod = json!({"spec": {"containers": [own, own], "initContainers": [sidecar, initial]}});
        assert_eq!(quantity::to_value(&requests(&pod)), json!({"cpu": "1100m", "memory": "2Gi"}));
    }

    #[test]
    fn the_quality_of_service_follows_from_requests_and_limits() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        let class = |containers: &[Value]| qos_class(&json!({"spec": {"containers": containers}}));
        assert_eq!(class(&[container(&json!({}), &json!({}))]), "BestEffort");
        assert_eq!(class(&[container(&both, &both)]), "Guaranteed");
        assert_eq!(class(&[container(&json!({"cpu": "1"}), &both)]), "Burstable");
        assert_eq!(class(&[container(&both, &both), container(&json!({}), &json!({}))]), "Burstable");
    }
}
