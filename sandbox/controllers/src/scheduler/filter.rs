//! Whether a pod fits on a node, and in whose words it does not.

use super::node_selector::Selector;
use crate::meta::{self, flag, labels, list, map, name, text};
use kinds::quantity::{Quantity, Resources};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};

/// A node and what is taken of it.
#[derive(Debug, Clone, Default)]
pub struct NodeState {
    /// The node; null before it is known.
    pub node: Value,
    /// What can be had of it.
    pub allocatable: Resources,
    /// What its pods ask for together.
    pub used: Resources,
    /// What each of its pods asks for, by the pods' ids.
    pub pods: HashMap<String, Need>,
}

/// What a pod asks of its node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Need {
    /// Amounts, such as cpu and memory.
    pub resources: Resources,
    /// Ports of the node, with their protocol and address.
    pub ports: Vec<(i64, String, String)>,
    /// The id of what controls the pod; empty when nothing does.
    pub owner: String,
}

/// Why a pod does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The reason, or the reasons.
    pub reasons: Vec<String>,
    /// Whether fewer pods on the node would help.
    pub may_change: bool,
}

impl Need {
    /// Of this pod.
    pub fn of(pod: &Value) -> Self {
        let containers = list(pod, "/spec/containers").iter().chain(list(pod, "/spec/initContainers"));
        let ports = containers.flat_map(|container| list(container, "/ports"));
        let taken = ports.filter_map(|port| {
            let number = meta::number(port, "/hostPort").filter(|number| *number > 0)?;
            let or = |field: &str, default: &str| match text(port, field) {
                "" => default.to_owned(),
                other => other.to_owned(),
            };
            Some((number, or("/protocol", "TCP"), or("/hostIP", "0.0.0.0")))
        });
        let owner = meta::controller_of(pod).map(|owner| text(owner, "/uid").to_owned()).unwrap_or_default();
        Self { resources: kinds::pod::requests(pod), ports: taken.collect(), owner }
    }
}

impl NodeState {
    /// Takes what a pod needs.
    pub fn take(&mut self, uid: &str, need: Need) {
        self.give_back(uid);
        kinds::quantity::add(&mut self.used, &need.resources);
        self.pods.insert(uid.to_owned(), need);
    }

    /// Gives back what a pod had; tells whether it had anything.
    pub fn give_back(&mut self, uid: &str) -> bool {
        let Some(need) = self.pods.remove(uid) else { return false };
        for (resource, amount) in need.resources {
            *self.used.entry(resource).or_default() -= amount;
        }
        true
    }

    /// How much of cpu and memory would be left, as a share; more is better.
    pub fn room(&self, need: &Need) -> f64 {
        let share = |resource: &str| {
            let of = |resources: &Resources| resources.get(resource).copied().unwrap_or_default().millis();
            let (all, taken) = (of(&self.allocatable), of(&self.used) + of(&need.resources));
            #[allow(clippy::cast_precision_loss)]
            if all == 0 { 0.0 } else { 1.0 - taken as f64 / all as f64 }
        };
        share("cpu") + share("memory")
    }

    /// How many pods of the same owner are here.
    pub fn siblings(&self, need: &Need) -> usize {
        self.pods.values().filter(|other| !need.owner.is_empty() && other.owner == need.owner).count()
    }

    /// Why the pod cannot go to this node; nothing when it can.
    pub fn misfit(&self, pod: &Value, need: &Need) -> Option<Misfit> {
        let never = |reason: &str| Some(Misfit { reasons: vec![reason.to_owned()], may_change: false });
        if flag(&self.node, "/spec/unschedulable") && !tolerates_unschedulable(pod) {
            return never("node(s) were unschedulable");
        }
        let wanted = text(pod, "/spec/nodeName");
        if !wanted.is_empty() && wanted != name(&self.node) {
            return never("node(s) didn't match the requested node name");
        }
        if !tolerates_all(pod, &self.node) {
            return never("node(s) had untolerated taint(s)");
        }
        if !is_chosen(pod, &self.node) {
            return never("node(s) didn't match Pod's node affinity/selector");
        }
        if self.has_port_conflict(need) {
            let reasons = vec!["node(s) didn't have free ports for the requested pod ports".to_owned()];
            return Some(Misfit { reasons, may_change: true });
        }
        self.shortage(need)
    }

    fn has_port_conflict(&self, need: &Need) -> bool {
        let anywhere = |address: &str| address == "0.0.0.0";
        let taken = || self.pods.values().flat_map(|need| &need.ports);
        need.ports.iter().any(|(port, protocol, address)| {
            taken().any(|(other, other_protocol, other_address)| {
                port == other
                    && protocol == other_protocol
                    && (address == other_address || anywhere(address) || anywhere(other_address))
            })
        })
    }

    fn shortage(&self, need: &Need) -> Option<Misfit> {
        let mut reasons = Vec::new();
        let mut may_change = true;
        let all = |resource: &str| self.allocatable.get(resource).copied().unwrap_or_default();
        if i64::try_from(self.pods.len()).unwrap_or(i64::MAX) + 1 > all("pods").units() {
            reasons.push("Too many pods".to_owned());
        }
        for (resource, amount) in in_order(&need.resources) {
            let used = self.used.get(resource).copied().unwrap_or_default();
            if !amount.is_zero() && amount > all(resource) - used {
                reasons.push(format!("Insufficient {resource}"));
                may_change &= amount <= all(resource);
            }
        }
        (!reasons.is_empty()).then_some(Misfit { reasons, may_change })
    }
}

fn in_order(resources: &Resources) -> impl Iterator<Item = (&str, Quantity)> {
    resources.iter().map(|(resource, amount)| (resource.as_str(), *amount))
}

fn tolerates_unschedulable(pod: &Value) -> bool {
    let taint = serde_json::json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
    list(pod, "/spec/tolerations").iter().any(|toleration| tolerates(toleration, &taint))
}

/// Whether a pod tolerates all taints of a node that keep pods away.
pub fn tolerates_all(pod: &Value, node: &Value) -> bool {
    let hard = |taint: &&Value| matches!(text(taint, "/effect"), "NoSchedule" | "NoExecute");
    let tolerations = list(pod, "/spec/tolerations");
    let mut taints = list(node, "/spec/taints").iter().filter(hard);
    taints.all(|taint| tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

/// Whether a toleration is about this taint.
pub fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let any_or_same = |field: &str| {
        let wanted = text(toleration, field);
        wanted.is_empty() || wanted == text(taint, field)
    };
    let value = match text(toleration, "/operator") {
        "Exists" => true,
        _ => text(toleration, "/value") == text(taint, "/value"),
    };
    any_or_same("/effect") && any_or_same("/key") && value
}

/// Whether the pod's node selector and required node affinity choose this node.
pub fn is_chosen(pod: &Value, node: &Value) -> bool {
    if !Selector::of_map(map(pod, "/spec/nodeSelector")).matches(labels(node)) {
        return false;
    }
    let required = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    let Some(required) = pod.pointer(required) else { return true };
    list(required, "/nodeSelectorTerms").iter().any(|term| fits_term(term, node))
}

/// Whether a node fits a term of a node selector.
pub fn fits_term(term: &Value, node: &Value) -> bool {
    let (expressions, fields) = (list(term, "/matchExpressions"), list(term, "/matchFields"));
    let named: Map<String, Value> = Map::from_iter([("metadata.name".to_owned(), name(node).into())]);
    expressions.len() + fields.len() > 0
        && Selector::of_expressions(expressions).matches(labels(node))
        && Selector::of_expressions(fields).matches(Some(&named))
}

/// How much the pod prefers this node: weights of affinities, less taints that only warn.
pub fn preference(pod: &Value, node: &Value) -> i64 {
    let preferred = list(pod, "/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution");
    let fitting = preferred.iter().filter(|term| fits_term(&term["preference"], node));
    let liked: i64 = fitting.map(|term| meta::count(term, "/weight")).sum();
    let tolerations = list(pod, "/spec/tolerations");
    let soft = list(node, "/spec/taints").iter().filter(|taint| text(taint, "/effect") == "PreferNoSchedule");
    let disliked = soft.filter(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint))).count();
    liked - 100 * crate::pods::count_of(disliked)
}

/// The sentence that tells why no node takes a pod.
pub fn sentence(misfits: &[Misfit]) -> String {
    let nodes = misfits.len();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in misfits.iter().flat_map(|misfit| &misfit.reasons) {
        *reasons.entry(reason).or_default() += 1;
    }
    let hopeless = misfits.iter().filter(|misfit| !misfit.may_change).count();
    let preemption = [
        ("No preemption victims found for incoming pod", nodes - hopeless),
        ("Preemption is not helpful for scheduling", hopeless),
    ];
    let told = |reasons: Vec<(&str, usize)>| {
        let mut told: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        told.sort();
        told.join(", ")
    };
    let preemption = preemption.into_iter().filter(|(_, count)| *count > 0).collect();
    format!(
        "0/{nodes} nodes are available: {}. no new claims to deallocate, preemption: 0/{nodes} nodes are available: {}.",
        told(reasons.into_iter().collect()),
        told(preemption),
    )
}
