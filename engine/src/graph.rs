use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Address;

/// One thing that shall exist, or be done: pure data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its identity in the graph and in the journal.
    pub address: Address,
    /// What a person reads, for example `Deployment server`.
    pub title: String,
    /// The group that a plan shows it in, for example `images`.
    pub section: String,
    /// Everything its behaviour needs to know. May hold references to outputs of its needs, made by [`output`].
    pub inputs: Value,
    /// What must be there before it is made, and is deleted only after it.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// The resource whose deletion takes this one along, so that it needs no call of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Address>,
    /// Whether something is left in the world once it was made. A wait or a check is not lasting: it is never deleted, and an
    /// interrupted one is simply dropped.
    #[serde(default = "yes")]
    pub lasting: bool,
    /// What is different on this target, for the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether a destroy left it on purpose, because it holds data. It is as wanted again once a graph has it.
    #[serde(default, skip_serializing_if = "is_not")]
    pub kept: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_not(kept: &bool) -> bool {
    !kept
}

/// A dependency: the whole resource, or only a milestone that it announces while it is made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Need {
    /// The resource that is needed.
    pub address: Address,
    /// Enough is reached when this is announced through [`crate::Context::milestone`]; without it, when the resource is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milestone: Option<String>,
}

impl From<Address> for Need {
    fn from(address: Address) -> Self {
        Self { address, milestone: None }
    }
}

impl Need {
    /// A need for a milestone of a resource.
    pub fn milestone(address: Address, milestone: impl Into<String>) -> Self {
        Self { address, milestone: Some(milestone.into()) }
    }
}

impl Node {
    /// A lasting node without needs or inputs.
    pub fn new(address: Address, title: impl Into<String>, section: impl Into<String>) -> Self {
        Self {
            address,
            title: title.into(),
            section: section.into(),
            inputs: Value::Null,
            needs: Vec::new(),
            within: None,
            lasting: true,
            note: None,
            kept: false,
        }
    }
}

/// A place in a node's inputs that is filled with an output of another node once that is known.
///
/// The reference is replaced by the member `field` of the outputs of `address`, which the node must also need.
pub fn output(address: &Address, field: &str) -> Value {
    json!({ "$output": [address, field] })
}

/// The wanted end state: nodes by address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    nodes: BTreeMap<Address, Node>,
}

/// A graph that cannot be planned.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum GraphError {
    /// Two nodes have one address.
    #[error("{0} is declared twice")]
    Twice(Address),
    /// A node needs one that does not exist.
    #[error("{0} needs {1}, which is not declared")]
    Missing(Address, Address),
    /// Nodes need each other in a circle.
    #[error("these need each other in a circle: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Circle(Vec<Address>),
}

impl Graph {
    /// Adds a node; its address must be new.
    pub fn add(&mut self, node: Node) -> Result<(), GraphError> {
        if self.nodes.contains_key(&node.address) {
            return Err(GraphError::Twice(node.address));
        }
        self.nodes.insert(node.address.clone(), node);
        Ok(())
    }

    /// The node at an address.
    pub fn get(&self, address: &Address) -> Option<&Node> {
        self.nodes.get(address)
    }

    /// All nodes, in the order of their addresses.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// All nodes so that each comes after what it needs; among equals in the order of their addresses.
    pub fn in_order(&self) -> Result<Vec<&Node>, GraphError> {
        let mut missing = BTreeMap::new();
        let mut needed_by: BTreeMap<&Address, Vec<&Address>> = BTreeMap::new();
        for node in self.nodes.values() {
            let needs: BTreeSet<&Address> = node.needs.iter().map(|need| &need.address).collect();
            for need in &needs {
                if !self.nodes.contains_key(*need) {
                    return Err(GraphError::Missing(node.address.clone(), (*need).clone()));
                }
                needed_by.entry(need).or_default().push(&node.address);
            }
            missing.insert(&node.address, needs.len());
        }
        let mut ready: BTreeSet<&Address> =
            missing.iter().filter(|(_, count)| **count == 0).map(|(address, _)| *address).collect();
        let mut ordered = Vec::with_capacity(self.nodes.len());
        while let Some(address) = ready.pop_first() {
            missing.remove(address);
            ordered.push(&self.nodes[address]);
            for dependent in needed_by.get(address).into_iter().flatten() {
                let count = missing.get_mut(dependent).expect("a dependent is not ordered before its needs");
                *count -= 1;
                if *count == 0 {
                    ready.insert(dependent);
                }
            }
        }
        if missing.is_empty() { Ok(ordered) } else { Err(GraphError::Circle(missing.into_keys().cloned().collect())) }
    }
}

/// Fills the references in `inputs` as far as `lookup` knows the outputs; says whether every one was filled.
pub(crate) fn resolve<'a>(inputs: &Value, lookup: &dyn Fn(&Address) -> Option<&'a Value>) -> (Value, bool) {
    if let Some((address, field)) = as_reference(inputs) {
        return match lookup(&address).map(|outputs| outputs.get(&field).cloned().unwrap_or(Value::Null)) {
            Some(value) => (value, true),
            None => (inputs.clone(), false),
        };
    }
    match inputs {
        Value::Array(items) => {
            let resolved: Vec<(Value, bool)> = items.iter().map(|item| resolve(item, lookup)).collect();
            let complete = resolved.iter().all(|(_, complete)| *complete);
            (Value::Array(resolved.into_iter().map(|(value, _)| value).collect()), complete)
        }
        Value::Object(members) => {
            let mut complete = true;
            let mut resolved = Map::new();
            for (key, member) in members {
                let (value, known) = resolve(member, lookup);
                complete &= known;
                resolved.insert(key.clone(), value);
            }
            (Value::Object(resolved), complete)
        }
        plain => (plain.clone(), true),
    }
}

/// The address and field of a reference made by [`output`].
pub(crate) fn as_reference(value: &Value) -> Option<(Address, String)> {
    let members = value.as_object().filter(|members| members.len() == 1)?;
    let pair = members.get("$output")?.as_array().filter(|pair| pair.len() == 2)?;
    Some((pair[0].as_str()?.parse().ok()?, pair[1].as_str()?.to_owned()))
}
