use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};

use super::subject;
use crate::quantity;
use crate::scene::{Cause, Scene, brief};

/// Why the scheduler finds no node for a pod.
pub(super) fn unschedulable(scene: &Scene, pod: &Pod) -> Option<Cause> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    })?;
    let message = condition.message.as_deref().unwrap_or_default();
    let nodes = scene.surroundings.as_ref().map(|surroundings| surroundings.nodes.as_slice());
    let reasons = reasons(message);
    let text = nodes.and_then(|nodes| too_large(pod, nodes)).unwrap_or_else(|| brief(&reasons.join(", ")));
    let subject = subject(pod);
    let lasts = nodes.is_some_and(|nodes| {
        all_ready(nodes) && !reasons.is_empty() && reasons.iter().all(|reason| is_permanent(reason, pod, nodes))
    });
    let mut cause = if lasts {
        Cause::lasts(&subject, "FailedScheduling", text, 5)
    } else {
        Cause::heals(&subject, "FailedScheduling", text)
    };
    cause.wants_surroundings = true;
    Some(cause.hint(hint(&reasons)))
}

/// `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}. preemption: ...` without the numbers.
fn reasons(message: &str) -> Vec<String> {
    let text = message.split_once("nodes are available: ").map_or(message, |(_, text)| text);
    let text = text.split(". ").next().unwrap_or(text).trim_end_matches('.');
    let reasons =
        text.split(", ").map(|reason| reason.trim_start_matches(|character: char| character.is_ascii_digit()).trim());
    reasons.filter(|reason| !reason.is_empty()).map(str::to_owned).collect()
}

fn all_ready(nodes: &[Node]) -> bool {
    let is_ready = |node: &Node| {
        let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    !nodes.is_empty() && nodes.iter().all(is_ready)
}

/// Whether waiting cannot change this reason, as long as the nodes stay the ones they are.
fn is_permanent(reason: &str, pod: &Pod, nodes: &[Node]) -> bool {
    if reason.starts_with("Insufficient") {
        return too_large(pod, nodes).is_some();
    }
    if reason.contains("untolerated taint") {
        // The kubelet and the node controller take their own taints away.
        return !reason.contains("node.kubernetes.io/") && !reason.contains("node.cloudprovider.kubernetes.io/");
    }
    reason.contains("node affinity/selector") || reason.contains("volume node affinity conflict")
}

fn hint(reasons: &[String]) -> &'static str {
    let has = |words: &str| reasons.iter().any(|reason| reason.contains(words));
    if has("Insufficient") {
        "ask for less, or add nodes that are large enough"
    } else if has("untolerated taint") {
        "add a toleration, or remove the taint from a node"
    } else if has("affinity/selector") {
        "label a node as the pod asks for, or correct nodeSelector and affinity"
    } else {
        "kubectl describe shows what the scheduler says"
    }
}

/// What a pod asks for, by resource: the sum of its containers, or the largest of those that run before them.
fn requests(pod: &Pod) -> BTreeMap<String, f64> {
    let mut total: BTreeMap<String, f64> = BTreeMap::new();
    let Some(spec) = &pod.spec else { return total };
    let of = |container: &k8s_openapi::api::core::v1::Container| {
        let requests = container.resources.clone().unwrap_or_default().requests.unwrap_or_default();
        requests.into_iter().filter_map(|(name, amount)| Some((name, quantity::parse(&amount.0)?))).collect::<Vec<_>>()
    };
    for (name, amount) in spec.containers.iter().flat_map(of) {
        *total.entry(name).or_default() += amount;
    }
    for (name, amount) in spec.init_containers.iter().flatten().flat_map(of) {
        let largest = total.entry(name).or_default();
        *largest = largest.max(amount);
    }
    total
}

/// A resource of which the pod asks for more than the largest node has, in words.
fn too_large(pod: &Pod, nodes: &[Node]) -> Option<String> {
    requests(pod).into_iter().find_map(|(name, asked)| {
        let has = |node: &Node| {
            let allocatable = node.status.as_ref()?.allocatable.as_ref()?;
            Some(allocatable.get(&name).and_then(|amount| quantity::parse(&amount.0)).unwrap_or(0.0))
        };
        let largest = nodes.iter().filter_map(has).fold(0.0, f64::max);
        (asked > largest).then(|| {
            format!("asks for {} {name}, the largest node has {}", amount(&name, asked), amount(&name, largest))
        })
    })
}

fn amount(name: &str, value: f64) -> String {
    if matches!(name, "memory" | "ephemeral-storage") {
        return format!("{:.1} GiB of", value / 1024_f64.powi(3));
    }
    // Three digits are as fine as CPUs are shared out.
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheduler_s_reasons_are_taken_apart() {
        let message = "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}. no new claims to deallocate, \
            preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
        assert_eq!(reasons(message), ["Insufficient cpu", "node(s) had untolerated taint {a: b}"]);
    }

    #[test]
    fn a_taint_of_a_node_that_is_starting_is_not_permanent() {
        let pod = Pod::default();
        assert!(!is_permanent("node(s) had untolerated taint {node.kubernetes.io/not-ready: }", &pod, &[]));
        assert!(is_permanent("node(s) had untolerated taint {dedicated: gpu}", &pod, &[]));
    }
}
