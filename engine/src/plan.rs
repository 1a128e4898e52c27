use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::difference::differences;
use crate::graph::resolve;
use crate::wishes::{InTheWay, MoveError, Moved, Wishes, after};
use crate::{Address, Drift, FieldChange, Graph, GraphError, Held, Inventory, Node, Observation, Registry, State};

/// What is to be done, decided: execution makes no choice of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// Every node of the graph and every held resource, each after what it needs; deletions come last.
    pub steps: Vec<Step>,
    /// What somebody else did to what is held, whatever the steps do about it.
    pub drifted: Vec<Drifted>,
    /// What of somebody else is in the way: these steps would fail.
    pub in_the_way: Vec<InTheWay>,
    /// What gets another address, before any step.
    pub moved: Vec<Moved>,
}

/// What looking at the world says of something that is held and not as it was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drifted {
    /// Its address.
    pub address: Address,
    /// What a person reads.
    pub title: String,
    /// What was seen.
    #[serde(flatten)]
    pub observation: Observation,
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
        /// The field that makes it be deleted and made anew, if it differs once it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        may_force: Option<String>,
        /// What somebody else changed in it.
        #[serde(skip_serializing_if = "Option::is_none")]
        drift: Option<Drift>,
    },
    /// Somebody else made it: it is taken over, and made as the inputs say.
    Adopt {
        /// Whose it is.
        owner: String,
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

/// Why there is no plan.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PlanError {
    /// The graph cannot be put in order.
    #[error("order the steps")]
    Graph(#[from] GraphError),
    /// Nothing knows how to handle a kind.
    #[error("handle {0}: this program knows no such kind of resource")]
    UnknownKind(Address),
    /// Something cannot be called otherwise.
    #[error(transparent)]
    Move(#[from] MoveError),
}

impl Action {
    /// Whether the step does anything.
    pub fn is_change(&self) -> bool {
        *self != Self::Keep
    }

    /// Whether it touches what somebody else made or changed.
    pub(crate) fn takes_over(&self) -> bool {
        matches!(self, Self::Adopt { .. } | Self::Update { drift: Some(_), .. })
    }

    /// Whether it may become a replacement once all inputs are known.
    fn may_replace(&self) -> bool {
        matches!(self, Self::Update { changes, .. } if changes.iter().any(FieldChange::is_open))
    }
}

impl Step {
    /// What is held, in the place that the graph gives it now.
    pub(crate) fn placed(&self, held: &Held) -> Node {
        Node { inputs: held.node.inputs.clone(), ..self.node.clone() }
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.moved.is_empty() && !self.steps.iter().any(|step| step.action.is_change())
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
    plan_with(graph, inventory, observed, registry, &Wishes::default())
}

/// [`plan`], with what the person wants beyond the graph.
pub fn plan_with(
    graph: &Graph,
    inventory: &Inventory,
    observed: &BTreeMap<Address, Observation>,
    registry: &Registry,
    wishes: &Wishes,
) -> Result<Plan, PlanError> {
    let drifted = inventory.iter().filter_map(|held| drifted(held, observed)).collect();
    let moved = wishes.moves(graph, inventory, registry)?;
    let (steps, in_the_way) = if moved.is_empty() {
        steps(graph, inventory, observed, registry, wishes)?
    } else {
        let mut seen = observed.clone();
        for Moved { from, to } in &moved {
            let observation = seen.remove(from);
            seen.extend(observation.map(|observation| (to.clone(), observation)));
        }
        steps(graph, &after(&moved, inventory), &seen, registry, wishes)?
    };
    Ok(Plan { steps, drifted, in_the_way, moved })
}

fn drifted(held: &Held, observed: &BTreeMap<Address, Observation>) -> Option<Drifted> {
    let node = &held.node;
    let observation = observed.get(&node.address).filter(|seen| **seen != Observation::AsRecorded && node.lasting)?;
    Some(Drifted { address: node.address.clone(), title: node.title.clone(), observation: observation.clone() })
}

/// The steps of a plan, and what is in their way.
fn steps(
    graph: &Graph,
    inventory: &Inventory,
    observed: &BTreeMap<Address, Observation>,
    registry: &Registry,
    wishes: &Wishes,
) -> Result<(Vec<Step>, Vec<InTheWay>), PlanError> {
    let mut decided: BTreeMap<Address, Action> = BTreeMap::new();
    let alone = deleted_alone(graph, inventory);
    // What goes with a container that is replaced, and what goes with one if that turns out to be replaced.
    let (mut going, mut may_go) = (BTreeSet::new(), BTreeSet::new());
    let (mut steps, mut in_the_way) = (Vec::new(), Vec::new());
    for node in graph.in_order()? {
        let resource = registry.get(&node.address).ok_or_else(|| PlanError::UnknownKind(node.address.clone()))?;
        let held = inventory.get(&node.address);
        let container = node.within.as_ref().and_then(|container| decided.get(container));
        let is_within = |set: &BTreeSet<Address>| {
            held.and_then(|held| held.node.within.as_ref()).is_some_and(|container| set.contains(container))
        };
        let (goes, may_go_with) = (is_within(&going), is_within(&may_go));
        let action = match held {
            None => Action::Create { because: None },
            Some(held) if held.node.within != node.within => moved(held, node),
            Some(held) if goes => with_container(alone.contains(&held.node.address)),
            Some(held) => {
                let lookup = |address: &Address| match decided.get(address) {
                    Some(Action::Keep) => inventory.get(address).map(|held| &held.outputs),
                    _ => None,
                };
                let (inputs, _) = resolve(&node.inputs, &lookup);
                let forced = |old: &Value, new: &Value| resource.forces_replacement(old, new);
                let action = decide(held, &inputs, observed.get(&node.address), &forced);
                within(container, may_go_with, action)
            }
        };
        // What is in a container that is made anew goes with that, whosever it is.
        let stays = node.within.as_ref().is_none_or(|container| !going.contains(container));
        let action = if stays { wishes.change(node, held.is_some(), action) } else { action };
        in_the_way.extend(wishes.in_the_way(node, &action).filter(|_| stays));
        if goes || matches!(action, Action::Replace { .. }) {
            going.insert(node.address.clone());
        }
        if may_go_with || action.may_replace() {
            may_go.insert(node.address.clone());
        }
        decided.insert(node.address.clone(), action.clone());
        steps.push(Step { node: node.clone(), action, held: held.cloned() });
    }
    steps.extend(deletions(graph, inventory, &going, &alone, registry)?);
    Ok((steps, in_the_way))
}

fn unfinished() -> Action {
    Action::Create { because: Some("an earlier run did not finish it".to_owned()) }
}

/// What lives within something else than before is another thing. The one before is deleted first, even where what it lives
/// within is deleted, too: whatever comes in between, the journal knows of the only one that there is.
fn moved(held: &Held, node: &Node) -> Action {
    let place = |within: &Option<Address>| within.as_ref().map_or("none".to_owned(), ToString::to_string);
    let because = format!("it moves from {} to {}", place(&held.node.within), place(&node.within));
    Action::Replace { because, changes: Vec::new() }
}

/// What happens to a node that lived within something that is deleted and made anew.
fn with_container(is_deleted_alone: bool) -> Action {
    if is_deleted_alone {
        return Action::Replace { because: "what it lives within is made anew".to_owned(), changes: Vec::new() };
    }
    Action::Create { because: None }
}

/// What happens to a node within a container to which something happens.
fn within(container: Option<&Action>, may_go_with: bool, action: Action) -> Action {
    match (container, &action) {
        // Whether an unfinished container still holds it is not known before that is finished: to create is to look first.
        (Some(Action::Create { .. }), Action::Keep | Action::Update { .. }) => unfinished(),
        // A container that turns out to be made anew takes it along: only then is it known whether it is still there.
        (_, Action::Keep) if may_go_with => Action::Update { changes: Vec::new(), may_force: None, drift: None },
        _ => action,
    }
}

/// What happens to a node that is held and still wanted, by the table in `docs/architecture.md`.
fn decide(
    held: &Held,
    inputs: &Value,
    observed: Option<&Observation>,
    forced: &dyn Fn(&Value, &Value) -> Option<String>,
) -> Action {
    if matches!(held.state, State::Leaving | State::Stuck) {
        return Action::Replace { because: "its deletion did not finish".to_owned(), changes: Vec::new() };
    }
    if observed == Some(&Observation::Absent) {
        return Action::Replace { because: "it is gone".to_owned(), changes: Vec::new() };
    }
    let changes = differences(&held.node.inputs, inputs);
    // A value that is not known yet forces nothing: execution asks again once it is.
    let is_open = changes.iter().any(FieldChange::is_open);
    let may_force = forced(&held.node.inputs, inputs);
    if let Some(because) = may_force.clone().filter(|_| !is_open) {
        return Action::Replace { because, changes };
    }
    if held.state == State::MaybeThere {
        return unfinished();
    }
    let drift = match observed {
        Some(Observation::Changed(what)) => Some(what.clone()),
        _ => None,
    };
    if changes.is_empty() && drift.is_none() { Action::Keep } else { Action::Update { changes, may_force, drift } }
}

/// What cannot be left to the deletion of what it lives within, because that is deleted after something that needs its absence.
///
/// That is so for what moves and is made somewhere else first. It is so where the way along what it needs leads out of a container and back to it: what is outside is deleted before the
/// container, and the resource before that. And it is so for what needs such a thing beside it.
fn deleted_alone(graph: &Graph, inventory: &Inventory) -> BTreeSet<Address> {
    let inner: Vec<(&Held, Vec<&Address>)> = inventory
        .iter()
        .filter(|held| held.node.lasting && held.node.within.is_some())
        .map(|held| (held, containers(&held.node, inventory)))
        .collect();
    let leads_back = |held: &Held, all: &[&Address]| {
        let mut each = all.iter().enumerate();
        each.any(|(index, container)| comes_back(held, container, &all[index + 1..], inventory))
    };
    let of = |(held, _): &(&Held, Vec<&Address>)| held.node.address.clone();
    let moves = |held: &Held| graph.get(&held.node.address).is_some_and(|node| node.within != held.node.within);
    let is_first = |(held, all): &&(&Held, Vec<&Address>)| moves(held) || leads_back(held, all);
    let mut alone: BTreeSet<Address> = inner.iter().filter(is_first).map(of).collect();
    loop {
        let is_beside = |need: &Address, all: &[&Address]| {
            let node = inventory.get(need).filter(|_| alone.contains(need)).map(|held| &held.node);
            node.is_some_and(|node| containers(node, inventory).iter().any(|container| all.contains(container)))
        };
        let needs_one = |(held, all): &&(&Held, Vec<&Address>)| {
            let needs = || held.node.needs.iter().map(|need| &need.address);
            !alone.contains(&held.node.address) && needs().any(|need| is_beside(need, all))
        };
        let found: Vec<Address> = inner.iter().filter(needs_one).map(of).collect();
        if found.is_empty() {
            return alone;
        }
        alone.extend(found);
    }
}

/// Whether the way along what a resource needs leads out of a container that it is in and back to that. What lies further
/// `out` takes the container along, and is no way back.
fn comes_back(held: &Held, container: &Address, out: &[&Address], inventory: &Inventory) -> bool {
    let is_inside = |address: &Address| {
        let node = inventory.get(address).map(|held| &held.node);
        node.is_some_and(|node| containers(node, inventory).contains(&container))
    };
    let mut next = vec![&held.node.address];
    let mut seen = BTreeSet::new();
    while let Some(address) = next.pop() {
        let Some(found) = inventory.get(address).filter(|_| !out.contains(&address) && seen.insert(address)) else {
            continue;
        };
        let needs = found.node.needs.iter().map(|need| &need.address);
        if is_inside(address) {
            next.extend(needs.filter(|need| *need != container));
            continue;
        }
        // What lives within it may go with it, and with that all that it needs.
        let onwards: Vec<&Address> = needs.chain(inventory.inside(address)).collect();
        if onwards.iter().any(|onward| *onward == container || is_inside(onward)) {
            return true;
        }
        next.extend(onwards);
    }
    false
}

/// What a node lives within, and what that lives within, and so on.
fn containers<'a>(node: &'a Node, inventory: &'a Inventory) -> Vec<&'a Address> {
    let mut found: Vec<&Address> = Vec::new();
    let mut next = node.within.as_ref();
    while let Some(container) = next.filter(|container| !found.contains(container)) {
        found.push(container);
        next = inventory.get(container).and_then(|held| held.node.within.as_ref());
    }
    found
}

/// Steps for what is held and not wanted any more, dependents first.
fn deletions(
    graph: &Graph,
    inventory: &Inventory,
    going: &BTreeSet<Address>,
    alone: &BTreeSet<Address>,
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
            (unwanted.contains_key(container) || going.contains(*container)) && !alone.contains(&held.node.address)
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
