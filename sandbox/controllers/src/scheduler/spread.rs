//! Rules of pods about where in the cluster they may be for reasons other than single pods: an even spread, and where their volumes are.

use super::filter::{Misfit, fits_term, is_chosen, tolerates_all};
use crate::index::{Id, Index, claims_of};
use crate::meta::{self, is_deleting, labels, list, namespace, text, texts, uid};
use apiserver::Selector;
use kinds::pod;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// One rule of an even spread that must be met.
#[derive(Debug)]
struct Spread {
    key: String,
    most_skew: i64,
    /// Whether the pod itself counts.
    counts_itself: bool,
    /// How many pods there are in each part of the cluster.
    counts: BTreeMap<String, i64>,
    /// In how many parts there must be pods before none counts as the least.
    least_parts: usize,
}

/// Where a pod may be, as its constraints and its volumes have it.
#[derive(Debug, Default)]
pub struct Spreads {
    spreads: Vec<Spread>,
    /// Of each volume that is not everywhere, where it is.
    homes: Vec<Value>,
}

impl Spreads {
    /// What holds for this pod. `promised` are the nodes of pods that the index does not know to have one yet.
    pub fn of(index: &Index, pod: &Value, promised: &HashMap<String, String>) -> Self {
        let hard = list(pod, "/spec/topologySpreadConstraints").iter();
        let hard = hard.filter(|each| text(each, "/whenUnsatisfiable") != "ScheduleAnyway");
        Self { spreads: hard.map(|each| Spread::of(index, pod, each, promised)).collect(), homes: homes(index, pod) }
    }

    /// Why the pod cannot go to this node; nothing when it can.
    pub fn misfit(&self, node: &Value) -> Option<Misfit> {
        let told = |reason: &str, may_change| Some(Misfit { reasons: vec![reason.to_owned()], may_change });
        if self.homes.iter().any(|home| !list(home, "/nodeSelectorTerms").iter().any(|term| fits_term(term, node))) {
            return told("node(s) had volume node affinity conflict", false);
        }
        for spread in &self.spreads {
            let Some(part) = value(node, &spread.key) else {
                return told("node(s) didn't match pod topology spread constraints (missing required label)", false);
            };
            if !spread.admits(part) {
                return told("node(s) didn't match pod topology spread constraints", true);
            }
        }
        None
    }
}

impl Spread {
    fn of(index: &Index, pod: &Value, constraint: &Value, promised: &HashMap<String, String>) -> Self {
        let key = text(constraint, "/topologyKey");
        let mut selector = constraint["labelSelector"].clone();
        for label in texts(constraint, "/matchLabelKeys") {
            if let Some(value) = labels(pod).and_then(|own| own.get(label)) {
                selector["matchLabels"][label] = value.clone();
            }
        }
        let pods = Selector::of_selector(&selector);
        let follows = |field: &str, default: &str| match text(constraint, field) {
            "" => default == "Honor",
            policy => policy == "Honor",
        };
        let (by_affinity, by_taints) =
            (follows("/nodeAffinityPolicy", "Honor"), follows("/nodeTaintsPolicy", "Ignore"));
        let counted = index
            .all(kinds::NODES)
            .filter(|node| (!by_affinity || is_chosen(pod, node)) && (!by_taints || tolerates_all(pod, node)));
        let parts: HashMap<&str, &str> =
            counted.filter_map(|node| Some((meta::name(node), value(node, key)?))).collect();
        let mut counts: BTreeMap<String, i64> = parts.values().map(|part| ((*part).to_owned(), 0)).collect();
        let others = index.in_namespace(kinds::PODS, namespace(pod));
        for other in others.filter(|other| !pod::is_finished(other) && !is_deleting(other) && uid(other) != uid(pod)) {
            let node = match text(other, "/spec/nodeName") {
                "" => promised.get(uid(other)).map_or("", String::as_str),
                node => node,
            };
            if let Some(part) = parts.get(node).filter(|_| pods.matches(&other["metadata"]["labels"])) {
                *counts.entry((*part).to_owned()).or_default() += 1;
            }
        }
        Self {
            key: key.to_owned(),
            most_skew: meta::number(constraint, "/maxSkew").unwrap_or(1),
            counts_itself: pods.matches(&pod["metadata"]["labels"]),
            counts,
            least_parts: meta::number(constraint, "/minDomains")
                .and_then(|least| usize::try_from(least).ok())
                .unwrap_or(1),
        }
    }

    fn admits(&self, part: &str) -> bool {
        let least = self.counts.values().min().copied().filter(|_| self.counts.len() >= self.least_parts);
        let here = self.counts.get(part).copied().unwrap_or_default() + i64::from(self.counts_itself);
        here - least.unwrap_or_default() <= self.most_skew
    }
}

/// Where the volumes of a pod's claims are that are not everywhere.
fn homes(index: &Index, pod: &Value) -> Vec<Value> {
    let volume = |claim: &str| {
        let claim = index.get(&Id::new(kinds::PERSISTENT_VOLUME_CLAIMS, namespace(pod), claim))?;
        index.get(&Id::new(kinds::PERSISTENT_VOLUMES, "", text(claim, "/spec/volumeName")))
    };
    let home = |claim| volume(claim)?.pointer("/spec/nodeAffinity/required").cloned();
    claims_of(kinds::PODS, pod).filter_map(home).collect()
}

fn value<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    labels(node)?.get(key)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn index(objects: &[(&'static kinds::Resource, Value)]) -> Index {
        let mut index = Index::default();
        for (resource, object) in objects {
            index.take_in(&Id::of(resource, object), Some(Arc::new(object.clone())));
        }
        index
    }

    fn node(name: &str, zone: &str) -> Value {
        json!({"metadata": {"name": name, "uid": name, "labels": {"zone": zone}}})
    }

    fn pod(name: &str, node: &str) -> Value {
        json!({"metadata": {"namespace": "a", "name": name, "uid": name, "labels": {"app": "web"}},
            "spec": {"nodeName": node, "topologySpreadConstraints": [{"topologyKey": "zone", "maxSkew": 1,
                "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]}})
    }

    fn reasons(index: &Index, pod: &Value, nodes: &[Value]) -> Vec<String> {
        let spreads = Spreads::of(index, pod, &HashMap::new());
        nodes
            .iter()
            .map(|node| spreads.misfit(node).map(|misfit| misfit.reasons.concat()).unwrap_or_default())
            .collect()
    }

    #[test]
    fn pods_are_spread_as_evenly_as_they_ask_for() {
        let nodes =
            [node("n1", "z"), node("n2", "z"), node("n3", "y"), json!({"metadata": {"name": "n4", "uid": "n4"}})];
        let uneven = "node(s) didn't match pod topology spread constraints";
        let without = "node(s) didn't match pod topology spread constraints (missing required label)";
        let mut all: Vec<_> = nodes.iter().map(|node| (kinds::NODES, node.clone())).collect();
        assert_eq!(reasons(&index(&all), &pod("p", ""), &nodes), ["", "", "", without]);
        all.push((kinds::PODS, pod("q", "n1")));
        assert_eq!(reasons(&index(&all), &pod("p", ""), &nodes), [uneven, uneven, "", without]);
        all.push((kinds::PODS, pod("r", "n3")));
        assert_eq!(reasons(&index(&all), &pod("p", ""), &nodes), ["", "", "", without]);
    }

    #[test]
    fn a_pod_goes_where_its_volume_is() {
        let nodes = [node("n1", "z"), node("n2", "y")];
        let term = json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["y"]}]});
        let volume = json!({"metadata": {"name": "v", "uid": "v"},
            "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}});
        let claim = json!({"metadata": {"namespace": "a", "name": "c", "uid": "c"}, "spec": {"volumeName": "v"}});
        let index = index(&[(kinds::PERSISTENT_VOLUMES, volume), (kinds::PERSISTENT_VOLUME_CLAIMS, claim)]);
        let pod = json!({"metadata": {"namespace": "a", "name": "p", "uid": "p"},
            "spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}});
        assert_eq!(reasons(&index, &pod, &nodes), ["node(s) had volume node affinity conflict", ""]);
    }
}
