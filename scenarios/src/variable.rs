//! The node of the graph that remembers a variable's value.
//!
//! A value that a person set holds until it is set otherwise: nobody's deployment changes because an option was left out. So what is
//! not the default is a node of its own. It leaves nothing in the world, and the journal says of it what was set.

use std::collections::BTreeMap;

use async_trait::async_trait;
use engine::{Address, Context, Failure, Gone, Graph, GraphError, Inventory, Node, Registry, Resource};
use serde_json::{Value, json};

use crate::vars::{Variable, as_text};

/// The kind of these nodes.
const KIND: &str = "variable";

/// Adds a node for each variable that is not the default.
pub(crate) fn declare(variables: &[Variable], graph: &mut Graph) -> Result<(), GraphError> {
    variables.iter().filter(|variable| variable.is_set()).try_for_each(|variable| {
        let Variable { name, value, default } = variable;
        let title = format!("{name} = {}", as_text(value));
        let mut node = Node::new(Address::new(KIND, name), title, "variables");
        node.inputs = json!({ "value": value });
        node.lasting = false;
        node.note = Some(format!("default {}", as_text(default)));
        graph.add(node)
    })
}

/// Adds the behaviour of variables.
pub fn register(registry: &mut Registry) {
    registry.register(KIND, Remembered);
}

/// The values that a deployment was last applied with, where they are not the defaults.
pub fn set_values(inventory: &Inventory) -> BTreeMap<String, Value> {
    let held = inventory.iter().filter(|held| held.node.address.kind() == KIND);
    held.map(|held| (held.node.address.name().to_owned(), held.node.inputs["value"].clone())).collect()
}

/// To be in the journal is all that there is to it.
struct Remembered;

#[async_trait]
impl Resource for Remembered {
    async fn create(&self, _context: &Context, _inputs: &Value) -> Result<Value, Failure> {
        Ok(json!({}))
    }

    async fn delete(&self, _context: &Context, _inputs: &Value) -> Result<Vec<Gone>, Failure> {
        Ok(Vec::new())
    }
}
