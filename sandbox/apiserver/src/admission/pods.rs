//! What every new pod gets.

use serde_json::{Value, json};

use super::Attempt;
use crate::Status;

/// The priority classes that are always there. Others cannot be made in the sandbox.
const PRIORITIES: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// Turns the pod's priority class into a number.
pub(super) fn give_priority(attempt: &Attempt<'_>, pod: &mut Value) -> Result<(), Status> {
    let class = pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let priority = match PRIORITIES.iter().find(|(name, _)| *name == class) {
        Some((_, priority)) => *priority,
        None if class.is_empty() => 0,
        None => return Err(attempt.forbidden(pod, &format!("no PriorityClass with name {class} was found"))),
    };
    match pod["spec"]["priority"].as_i64() {
        Some(wanted) if wanted != priority => {
            let why = format!(
                "the integer value of priority ({wanted}) must not be provided in pod spec; priority admission controller \
                 computed {priority} from the given PriorityClass name"
            );
            Err(attempt.forbidden(pod, &why))
        }
        _ => {
            pod["spec"]["priority"] = json!(priority);
            if pod["spec"]["preemptionPolicy"].is_null() {
                pod["spec"]["preemptionPolicy"] = json!("PreemptLowerPriority");
            }
            Ok(())
        }
    }
}

/// A node that is away for less than five minutes keeps the pod.
pub(super) fn tolerate_short_outages(pod: &mut Value) {
    for condition in ["not-ready", "unreachable"] {
        let key = format!("node.kubernetes.io/{condition}");
        let tolerates = |toleration: &Value| {
            let is_key = toleration["key"] == key || toleration["key"].as_str().unwrap_or_default().is_empty();
            let is_effect = matches!(toleration["effect"].as_str(), None | Some("" | "NoExecute"));
            is_key && is_effect
        };
        if super::items(&pod["spec"], "tolerations").any(tolerates) {
            continue;
        }
        let toleration = json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
        push(&mut pod["spec"], "tolerations", toleration);
    }
}

/// Appends to a list, which is made when it is not there.
pub(super) fn push(object: &mut Value, field: &str, item: Value) {
    if !object[field].is_array() {
        object[field] = json!([]);
    }
    if let Some(list) = object[field].as_array_mut() {
        list.push(item);
    }
}
