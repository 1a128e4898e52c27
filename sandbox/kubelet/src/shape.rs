//! What a node is to be: name, labels, taints, and what it seems to have.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The most nodes that there can be.
pub const MOST_NODES: usize = 1000;

/// A node that is wanted. All nodes share the machine: what a node has is what its pods may ask for together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeShape {
    /// Its name, a DNS subdomain.
    pub name: String,
    /// Its labels, beyond those that every node has (`kubernetes.io/hostname`, `kubernetes.io/arch` and so on).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Processor time, in thousandths of a CPU; the machine's if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// Memory in bytes; the machine's if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The version that its kubelet says; the sandbox's own if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How many pods it takes; 500 if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<u32>,
}

/// A taint of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// Why nodes cannot be as wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidNodes {
    /// There are too many.
    #[error("there can be at most {MOST_NODES} nodes, and {0} are wanted")]
    TooMany(usize),
    /// Two nodes have one name.
    #[error("two nodes are named {0:?}")]
    Twice(String),
    /// Something about one node is not allowed.
    #[error("the node {name:?}: {why}")]
    Node {
        /// The node.
        name: String,
        /// In the API server's words.
        why: String,
    },
}

impl NodeShape {
    /// The node of a sandbox that was not asked for any in particular: it has what the machine has.
    pub fn whole_machine() -> Self {
        let role = ("node-role.kubernetes.io/control-plane".to_owned(), String::new());
        Self { name: "sandbox".to_owned(), labels: BTreeMap::from([role]), ..Self::default() }
    }

    /// So many nodes, each with all that the machine has: `sandbox`, `sandbox-2`, `sandbox-3` and so on.
    pub fn machines(count: usize) -> Vec<Self> {
        let more = (2..=count).map(|number| Self { name: format!("sandbox-{number}"), ..Self::default() });
        std::iter::once(Self::whole_machine()).chain(more).collect()
    }

    /// Checks that these nodes can be.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(nodes: &[Self]) -> Result<(), InvalidNodes> {
        if nodes.len() > MOST_NODES {
            return Err(InvalidNodes::TooMany(nodes.len()));
        }
        let mut names = BTreeSet::new();
        for node in nodes {
            if !names.insert(node.name.as_str()) {
                return Err(InvalidNodes::Twice(node.name.clone()));
            }
            node.check_one().map_err(|why| InvalidNodes::Node { name: node.name.clone(), why })?;
        }
        Ok(())
    }

    fn check_one(&self) -> Result<(), String> {
        let mut object = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": self.name, "labels": self.labels, "uid": "0", "creationTimestamp": "2000-01-01T00:00:00Z" },
            "spec": { "taints": self.taints },
        });
        kinds::default(kinds::NODES, &mut object);
        let causes = kinds::validate_create(kinds::NODES, &object);
        causes.first().map_or(Ok(()), |cause| Err(cause.to_string()))
    }

    /// The taints as the object carries them.
    pub(crate) fn taint_values(&self) -> Vec<Value> {
        self.taints.iter().map(Taint::to_value).collect()
    }
}

impl Taint {
    pub(crate) fn to_value(&self) -> Value {
        let mut taint = json!({ "key": self.key, "effect": self.effect });
        if !self.value.is_empty() {
            taint["value"] = self.value.as_str().into();
        }
        taint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> NodeShape {
        NodeShape { name: name.to_owned(), ..NodeShape::default() }
    }

    #[test]
    fn nodes_that_cannot_be_are_refused_with_the_reason() {
        assert_eq!(NodeShape::check(&NodeShape::machines(3)), Ok(()));
        assert_eq!(NodeShape::check(&[]), Ok(()), "a cluster may be without any for a while");
        assert_eq!(NodeShape::check(&[named("a"), named("a")]), Err(InvalidNodes::Twice("a".to_owned())));
        let mut wrong = named("a");
        wrong.taints = vec![Taint { key: "k".to_owned(), value: String::new(), effect: "Never".to_owned() }];
        let told = NodeShape::check(&[wrong]).expect_err("no such effect").to_string();
        assert!(told.starts_with("the node \"a\": spec.taints[0].effect: Unsupported value: \"Never\""), "{told}");
        let told = NodeShape::check(&[named("A b")]).expect_err("no name").to_string();
        assert!(told.contains("metadata.name: Invalid value"), "{told}");
    }

    #[test]
    fn a_shape_is_read_as_it_was_written() {
        let text =
            r#"{"name":"n","labels":{"pool":"a"},"taints":[{"key":"gpu","effect":"NoSchedule"}],"cpu_millis":940}"#;
        let shape: NodeShape = serde_json::from_str(text).expect("a shape");
        assert_eq!(serde_json::to_string(&shape).expect("text"), text);
        assert!(serde_json::from_str::<NodeShape>(r#"{"name":"n","cpus":1}"#).is_err(), "what is not known is refused");
    }
}
