use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::graph::{as_reference, resolve};
use crate::{Address, Graph, GraphError, Held, Inventory, Node, Observation, Registry, State};

/// What is to be done, decided: execution makes no choice of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// Every node of the graph and every held resource, each after what it needs; deletions come last.
    pub steps: Vec<Step>,
}

/// One node and what happens to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The wanted node; for a deletion the held one.
    pub node: Node,
    /// What happens.
    pub action: Action,
    /// What is held now.
    #[serde(skip)]
    pub held: Option<Held>,
}

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// It is as wanted.
    Keep,
    /// It is made.
    Create {
        /// Why, where it is not simply new.
        #[serde(skip_serializing_if = "Option::is_none")]
        because: Option<String>,
    },
    /// It is changed in place, or made anew if an input that becomes known forces that.
    Update {
        /// The inputs that differ, as far as they are known.
        changes: Vec<FieldChange>,
        /// What somebody else changed in it.
        #[serde(skip_serializing_if = "Option::is_none")]
        drift: Option<String>,
    },
    /// It is deleted and made anew.
    Replace {
        /// The field that forces it, or another reason: it is gone, or an earlier deletion did not finish.
        because: String,
        /// The inputs that differ.
        changes: Vec<FieldChange>,
    },
    /// It is deleted.
    Delete,
    /// It goes with the resource that it lives within.
    GoesWith {
        /// That resource.
        container: Address,
    },
}

/// One input that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// Where in the inputs, for example `manifest.spec.replicas`.
    pub path: String,
    /// The value before; none where the field is new.
    pub old: Option<Value>,
    /// The value after; none where the field goes. A reference says that it is known only after that step.
    pub new: Option<Value>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PlanError {
    /// The graph cannot be put in order.
    #[error("order the steps")]
    Graph(#[from] GraphError),
    /// Nothing knows how to handle a kind.
    #[error("handle {0}: this program knows no such kind of resource")]
    UnknownKind(Address),
}

impl Action {
    /// Whether the step does anything.
    pub fn is_change(&self) -> bool {
        *self != Self::Keep
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        !self.steps.iter().any(|step| step.action.is_change())
    }

    /// The step at an address.
    pub fn step(&self, address: &Address) -> Option<&Step> {
        self.steps.iter().find(|step| step.node.address == *address)
    }
}

/// Decides what leads from what is held to what is wanted. Pure: the same inputs give the same plan.
///
/// Destroy is the plan for the empty graph.
pub fn plan(
    graph: &Graph,
    inventory: &Inventory,
    observed: &BTreeMap<Address, Observation>,
    registry: &Registry,
) -> Result<Plan, PlanError> {
    let mut decided: BTreeMap<Address, Action> = BTreeMap::new();
    let mut steps = Vec::new();
    for node in graph.in_order()? {
        let resource = registry.get(&node.address).ok_or_else(|| PlanError::UnknownKind(node.address.clone()))?;
        let held = inventory.get(&node.address);
        let container = node.within.as_ref().and_then(|container| decided.get(container));
        let action = match held {
            Some(_) if matches!(container, Some(Action::Replace { .. })) => Action::Create { because: None },
            // Whether an unfinished container still holds it is not known before that is finished: to create is to look first.
            Some(_) if matches!(container, Some(Action::Create { .. })) => unfinished(),
            Some(held) => {
                let lookup = |address: &Address| match decided.get(address) {
                    Some(Action::Keep) => inventory.get(address).map(|held| &held.outputs),
                    _ => None,
                };
                let (inputs, _) = resolve(&node.inputs, &lookup);
                let forced = |old: &Value, new: &Value| resource.forces_replacement(old, new);
                decide(held, &inputs, observed.get(&node.address), &forced)
            }
            None => Action::Create { because: None },
        };
        decided.insert(node.address.clone(), action.clone());
        steps.push(Step { node: node.clone(), action, held: held.cloned() });
    }
    steps.extend(deletions(graph, inventory, &decided, registry)?);
    Ok(Plan { steps })
}

fn unfinished() -> Action {
    Action::Create { because: Some("an earlier run did not finish it".to_owned()) }
}

/// What happens to a node that is held and still wanted, by the table in `docs/architecture.md`.
fn decide(
    held: &Held,
    inputs: &Value,
    observed: Option<&Observation>,
    forced: &dyn Fn(&Value, &Value) -> Option<String>,
) -> Action {
    match held.state {
        State::MaybeThere => return unfinished(),
        State::Leaving | State::Stuck => {
            return Action::Replace { because: "its deletion did not finish".to_owned(), changes: Vec::new() };
        }
        State::Present => {}
    }
    if observed == Some(&Observation::Absent) {
        return Action::Replace { because: "it is gone".to_owned(), changes: Vec::new() };
    }
    let changes = differences(&held.node.inputs, inputs);
    let drift = match observed {
        Some(Observation::Changed(what)) => Some(what.clone()),
        _ => None,
    };
    if changes.is_empty() && drift.is_none() {
        return Action::Keep;
    }
    let known = !changes.iter().any(|change| change.new.as_ref().is_some_and(contains_reference));
    match forced(&held.node.inputs, inputs) {
        Some(because) if known => Action::Replace { because, changes },
        _ => Action::Update { changes, drift },
    }
}

/// Steps for what is held and not wanted any more, dependents first.
fn deletions(
    graph: &Graph,
    inventory: &Inventory,
    decided: &BTreeMap<Address, Action>,
    registry: &Registry,
) -> Result<Vec<Step>, PlanError> {
    let unwanted: BTreeMap<&Address, &Held> = inventory
        .iter()
        .filter(|held| graph.get(&held.node.address).is_none())
        .map(|held| (&held.node.address, held))
        .collect();
    let mut steps = Vec::new();
    for held in dependents_first(&unwanted) {
        let address = &held.node.address;
        if held.node.lasting && registry.get(address).is_none() {
            return Err(PlanError::UnknownKind(address.clone()));
        }
        let container = held.node.within.as_ref().filter(|container| {
            unwanted.contains_key(container) || matches!(decided.get(*container), Some(Action::Replace { .. }))
        });
        let action = match container {
            Some(container) => Action::GoesWith { container: container.clone() },
            None => Action::Delete,
        };
        steps.push(Step { node: held.node.clone(), action, held: Some(held.clone()) });
    }
    Ok(steps)
}

/// Held resources so that each comes before what it needs. What is held came out of ordered graphs; should several of them
/// nevertheless form a circle, the circle's members follow in the order of their addresses.
fn dependents_first<'a>(held: &BTreeMap<&'a Address, &'a Held>) -> Vec<&'a Held> {
    fn visit<'a>(
        address: &'a Address,
        held: &BTreeMap<&'a Address, &'a Held>,
        seen: &mut BTreeSet<&'a Address>,
        order: &mut Vec<&'a Held>,
    ) {
        let mut stack = vec![(address, false)];
        while let Some((address, done)) = stack.pop() {
            let Some(found) = held.get(address) else { continue };
            if done {
                order.push(found);
            } else if seen.insert(address) {
                stack.push((address, true));
                stack.extend(found.node.needs.iter().map(|need| (&need.address, false)));
            }
        }
    }
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    for address in held.keys() {
        visit(address, held, &mut seen, &mut order);
    }
    order.reverse();
    order
}

/// The smallest differing parts of two values.
pub(crate) fn differences(old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare("", Some(old), Some(new), &mut changes);
    changes
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match (old, new) {
        (Some(Value::Object(before)), Some(Value::Object(after))) if !has_reference(old, new) => {
            let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&inner, before.get(key), after.get(key), changes);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for index in 0..before.len().max(after.len()) {
                compare(&format!("{path}[{index}]"), before.get(index), after.get(index), changes);
            }
        }
        _ if old == new => {}
        _ => changes.push(FieldChange { path: path.to_owned(), old: old.cloned(), new: new.cloned() }),
    }
}

fn has_reference(old: Option<&Value>, new: Option<&Value>) -> bool {
    [old, new].into_iter().flatten().any(|value| as_reference(value).is_some())
}

fn contains_reference(value: &Value) -> bool {
    as_reference(value).is_some()
        || match value {
            Value::Array(items) => items.iter().any(contains_reference),
            Value::Object(members) => members.values().any(contains_reference),
            _ => false,
        }
}
