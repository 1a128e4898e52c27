//! Rules of pods about other pods: which must be near, which must not.

use super::filter::Misfit;
use super::spread::Spreads;
use crate::index::Index;
use crate::meta::{labels, list, name, namespace, text, texts, uid};
use apiserver::Selector;
use kinds::pod;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

const NEAR: &str = "/spec/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution";
const APART: &str = "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution";

/// A part of the cluster: a label of its nodes, and its value.
type Domain = (String, String);

/// Where in the cluster a pod may and may not be, as its own required rules and those of pods with a node have it.
#[derive(Debug, Default)]
pub struct PodRules {
    /// For each rule of the pod: the label, and where pods that it wants to be near are.
    near: Vec<(String, BTreeSet<Domain>)>,
    /// Where pods are that it wants to be away from.
    apart: BTreeSet<Domain>,
    /// Where pods are that want to be away from it.
    unwelcome: BTreeSet<Domain>,
    /// Where an even spread and its volumes let it be.
    spreads: Spreads,
}

/// One rule about other pods.
struct Term<'a> {
    key: &'a str,
    pods: Selector,
    namespaces: Namespaces<'a>,
}

/// Which namespaces a rule is about.
enum Namespaces<'a> {
    Named(Vec<&'a str>),
    Chosen(Selector, Vec<&'a str>),
}

/// Whether a pod has rules about others that keep it waiting until these have a node.
pub fn seeks_company(pod: &Value) -> bool {
    !list(pod, NEAR).is_empty() || !list(pod, "/spec/topologySpreadConstraints").is_empty()
}

impl PodRules {
    /// What holds for this pod. `promised` are the nodes of pods that the index does not know to have one yet.
    pub fn of(index: &Index, pod: &Value, promised: &HashMap<String, String>) -> Self {
        let others: Vec<(&Arc<Value>, &Value)> =
            with_nodes(index, promised).filter(|(other, _)| uid(other) != uid(pod)).collect();
        let near = terms(pod, NEAR);
        let mut rules = Self {
            near: near.iter().map(|term| (term.key.to_owned(), domains(term, index, &others))).collect(),
            apart: terms(pod, APART).iter().flat_map(|term| domains(term, index, &others)).collect(),
            unwelcome: BTreeSet::new(),
            spreads: Spreads::of(index, pod, promised),
        };
        for (other, node) in &others {
            let against = terms(other, APART);
            let against = against.iter().filter(|term| term.is_about(pod, index));
            rules.unwelcome.extend(against.filter_map(|term| domain(node, term.key)));
        }
        // The first of pods that want to be near each other may go anywhere.
        let is_first = rules.near.iter().all(|(_, found)| found.is_empty());
        if is_first && near.iter().all(|term| term.is_about(pod, index)) {
            let nodes = index.all(kinds::NODES);
            let everywhere: Vec<&Arc<Value>> = nodes.collect();
            for (key, found) in &mut rules.near {
                found.extend(everywhere.iter().filter_map(|node| domain(node, key)));
            }
        }
        rules
    }

    /// Why the pod cannot go to this node; nothing when it can.
    pub fn misfit(&self, node: &Value) -> Option<Misfit> {
        let told = |reason: &str, may_change| Some(Misfit { reasons: vec![reason.to_owned()], may_change });
        let is_in = |found: &BTreeSet<Domain>| {
            found.iter().any(|(key, value)| domain(node, key).is_some_and(|(_, own)| own == *value))
        };
        if !self.near.iter().all(|(_, found)| is_in(found)) {
            return told("node(s) didn't match pod affinity rules", false);
        }
        if is_in(&self.apart) {
            return told("node(s) didn't match pod anti-affinity rules", true);
        }
        if is_in(&self.unwelcome) {
            return told("node(s) didn't satisfy existing pods anti-affinity rules", true);
        }
        self.spreads.misfit(node)
    }
}

impl Term<'_> {
    fn is_about(&self, pod: &Value, index: &Index) -> bool {
        let here = namespace(pod);
        let in_namespace = match &self.namespaces {
            Namespaces::Named(names) => names.contains(&here),
            Namespaces::Chosen(chosen, names) => {
                let mut all = index.all(kinds::NAMESPACES);
                names.contains(&here)
                    || all.any(|each| name(each) == here && chosen.matches(&each["metadata"]["labels"]))
            }
        };
        in_namespace && self.pods.matches(&pod["metadata"]["labels"])
    }
}

fn terms<'a>(pod: &'a Value, pointer: &str) -> Vec<Term<'a>> {
    let read = |term: &'a Value| {
        let named = texts(term, "/namespaces");
        let namespaces = match term.get("namespaceSelector") {
            Some(chosen) if !chosen.is_null() => Namespaces::Chosen(Selector::of_selector(chosen), named),
            _ if named.is_empty() => Namespaces::Named(vec![namespace(pod)]),
            _ => Namespaces::Named(named),
        };
        Term { key: text(term, "/topologyKey"), pods: Selector::of_selector(&term["labelSelector"]), namespaces }
    };
    list(pod, pointer).iter().map(read).collect()
}

/// The pods that take up a node, each with it.
fn with_nodes<'a>(
    index: &'a Index,
    promised: &'a HashMap<String, String>,
) -> impl Iterator<Item = (&'a Arc<Value>, &'a Value)> {
    let nodes: HashMap<&str, &Value> = index.all(kinds::NODES).map(|node| (name(node), &**node)).collect();
    index.all(kinds::PODS).filter(|pod| !pod::is_finished(pod)).filter_map(move |pod| {
        let known = Some(text(pod, "/spec/nodeName")).filter(|node| !node.is_empty());
        let node = known.or_else(|| promised.get(uid(pod)).map(String::as_str))?;
        Some((pod, *nodes.get(node)?))
    })
}

/// Where the pods are that a rule is about.
fn domains(term: &Term<'_>, index: &Index, pods: &[(&Arc<Value>, &Value)]) -> BTreeSet<Domain> {
    let meant = pods.iter().filter(|(pod, _)| term.is_about(pod, index));
    meant.filter_map(|(_, node)| domain(node, term.key)).collect()
}

fn domain(node: &Value, key: &str) -> Option<Domain> {
    Some((key.to_owned(), labels(node)?.get(key)?.as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Id;
    use serde_json::json;

    fn node(name: &str, zone: &str) -> Value {
        let labels = json!({"kubernetes.io/hostname": name, "zone": zone});
        json!({"metadata": {"name": name, "uid": name, "labels": labels}})
    }

    fn pod(name: &str, app: &str, affinity: &Value) -> Value {
        json!({"metadata": {"namespace": "a", "name": name, "uid": name, "labels": {"app": app}},
            "spec": {"affinity": affinity}})
    }

    fn on(mut pod: Value, node: &str) -> Value {
        pod["spec"]["nodeName"] = node.into();
        pod
    }

    fn rule(kind: &str, key: &str, app: &str) -> Value {
        let term = json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}});
        json!({ kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]} })
    }

    /// What each of the nodes n1 and n2 (zone z) and n3 (zone y) says to the pod; an empty text is a welcome.
    fn told(pods: &[Value], pod: &Value, promised: &[(&str, &str)]) -> [String; 3] {
        let nodes = [node("n1", "z"), node("n2", "z"), node("n3", "y")];
        let mut index = Index::default();
        let all = nodes.iter().map(|node| (kinds::NODES, node)).chain(pods.iter().map(|pod| (kinds::PODS, pod)));
        for (resource, object) in all {
            index.take_in(&Id::of(resource, object), Some(Arc::new(object.clone())));
        }
        let promised = promised.iter().map(|(pod, node)| ((*pod).to_owned(), (*node).to_owned())).collect();
        let rules = PodRules::of(&index, pod, &promised);
        nodes.map(|node| rules.misfit(&node).map(|misfit| misfit.reasons.concat()).unwrap_or_default())
    }

    #[test]
    fn a_pod_goes_where_those_are_that_it_wants_to_be_near() {
        let no = "node(s) didn't match pod affinity rules";
        let near = |key| pod("p", "web", &rule("podAffinity", key, "db"));
        let db = [on(pod("d", "db", &Value::Null), "n1")];
        assert_eq!(told(&db, &near("kubernetes.io/hostname"), &[]), ["", no, no]);
        assert_eq!(told(&db, &near("zone"), &[]), ["", "", no]);
        assert_eq!(told(&db, &near("rack"), &[]), [no, no, no], "no node has this label");
        assert_eq!(told(&[], &near("zone"), &[]), [no, no, no], "there is nobody, and it is none itself");
        let waiting = [pod("d", "db", &Value::Null)];
        assert_eq!(told(&waiting, &near("zone"), &[("d", "n3")]), [no, no, ""], "promised is as good as given");
    }

    #[test]
    fn the_first_of_those_that_want_to_be_together_may_go_anywhere_that_has_the_label() {
        let together = |name| pod(name, "web", &rule("podAffinity", "zone", "web"));
        let no = "node(s) didn't match pod affinity rules";
        assert_eq!(told(&[], &together("p"), &[]), ["", "", ""]);
        assert_eq!(told(&[on(together("q"), "n3")], &together("p"), &[]), [no, no, ""]);
    }

    #[test]
    fn pods_keep_away_from_each_other_whoever_comes_first() {
        let alone = |name| pod(name, "web", &rule("podAntiAffinity", "kubernetes.io/hostname", "web"));
        let (apart, unwelcome) = (
            "node(s) didn't match pod anti-affinity rules",
            "node(s) didn't satisfy existing pods anti-affinity rules",
        );
        assert_eq!(told(&[on(alone("q"), "n2")], &alone("p"), &[]), ["", apart, ""]);
        assert_eq!(told(&[on(alone("q"), "n2")], &pod("p", "web", &Value::Null), &[]), ["", unwelcome, ""]);
        assert_eq!(told(&[on(alone("q"), "n2")], &pod("p", "db", &Value::Null), &[]), ["", "", ""]);
    }

    #[test]
    fn rules_are_about_their_own_namespace_unless_they_say_otherwise() {
        let mut other = on(pod("d", "db", &Value::Null), "n1");
        other["metadata"]["namespace"] = "b".into();
        let with = |more: (&str, Value)| {
            let mut rule = rule("podAffinity", "zone", "db");
            rule["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0][more.0] = more.1;
            told(std::slice::from_ref(&other), &pod("p", "web", &rule), &[])[0].is_empty()
        };
        assert!(!with(("namespaces", json!([]))));
        assert!(with(("namespaces", json!(["b"]))));
    }
}
