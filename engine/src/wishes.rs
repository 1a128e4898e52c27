use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Action, Address, Change, Drift, Entry, Graph, Held, Inventory, Node, Observation, Registry, State};

/// What a person wants of a plan beyond the graph.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// What is deleted and made anew even where nothing else asks for that.
    pub replace: BTreeSet<Address>,
    /// What is called otherwise from now on: the address before, and the one after.
    pub moved: Vec<(Address, Address)>,
    /// What is there already under the names of what is to be made.
    pub existing: BTreeMap<Address, Existing>,
    /// Whether what somebody else made may be taken over.
    pub adopt: bool,
}

/// What is there under the name of something that is to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "existing", content = "what", rename_all = "snake_case")]
pub enum Existing {
    /// Nothing, or something that the deployment made.
    Free,
    /// Something that the deployment made and somebody else has changed since.
    Changed(Drift),
    /// Something that somebody else made.
    Foreign {
        /// Whose it is, for example `was not made by infra`.
        owner: String,
        /// Whether it may be taken over: what belongs to another deployment may not.
        may_be_adopted: bool,
    },
    /// It could not be looked at.
    Unknown,
}

/// Something of somebody else that is in the way of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InTheWay {
    /// The node that cannot be made.
    pub address: Address,
    /// What a person reads.
    pub title: String,
    /// Whose it is.
    pub owner: String,
    /// Whether it may be taken over.
    pub may_be_adopted: bool,
}

/// Something that keeps its place in the world and gets another address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// The address that the journal has.
    pub from: Address,
    /// The address from now on.
    pub to: Address,
}

/// Why something cannot be called otherwise.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum MoveError {
    /// Both addresses are wanted.
    #[error("move {from} to {to}: {from} is still declared")]
    StillWanted {
        /// The address before.
        from: Address,
        /// The address after.
        to: Address,
    },
    /// The address after is not wanted.
    #[error("move {from} to {to}: {to} is not declared")]
    NotWanted {
        /// The address before.
        from: Address,
        /// The address after.
        to: Address,
    },
    /// There is something at both addresses.
    #[error("move {from} to {to}: there is a {to} already")]
    Taken {
        /// The address before.
        from: Address,
        /// The address after.
        to: Address,
    },
    /// The name is a part of what the thing is.
    #[error("move {from} to {to}: its name is a part of what it is, so that it is another thing under another name")]
    Another {
        /// The address before.
        from: Address,
        /// The address after.
        to: Address,
    },
}

impl Wishes {
    /// The moves that are still to be written down, in their order. One that was made, or whose thing is not held, is done.
    pub(crate) fn moves(
        &self,
        graph: &Graph,
        inventory: &Inventory,
        registry: &Registry,
    ) -> Result<Vec<Moved>, MoveError> {
        let mut moves: Vec<Moved> = Vec::new();
        for (from, to) in &self.moved {
            let Some(held) = inventory.get(from) else { continue };
            let (from, to) = (from.clone(), to.clone());
            let Some(node) = graph.get(&to) else { return Err(MoveError::NotWanted { from, to }) };
            if graph.get(&from).is_some() {
                return Err(MoveError::StillWanted { from, to });
            }
            if inventory.get(&to).is_some() || moves.iter().any(|earlier| earlier.to == to) {
                return Err(MoveError::Taken { from, to });
            }
            if !is_same_thing(held, node, registry) {
                return Err(MoveError::Another { from, to });
            }
            moves.push(Moved { from, to });
        }
        Ok(moves)
    }

    /// What happens to a node, given what would happen without these wishes.
    pub(crate) fn change(&self, node: &Node, is_held: bool, action: Action) -> Action {
        match (self.existing.get(&node.address), &action) {
            (Some(Existing::Foreign { owner, may_be_adopted: true }), _) if self.adopt => {
                return Action::Adopt { owner: owner.clone() };
            }
            // What an earlier run did not finish is finished, and what somebody else changed in it put back.
            (Some(Existing::Changed(drift)), Action::Create { .. }) if is_held => {
                return Action::Update { changes: Vec::new(), may_force: None, drift: Some(drift.clone()) };
            }
            _ => {}
        }
        let changes = match &action {
            _ if !is_held || !self.replace.contains(&node.address) => return action,
            Action::Update { changes, .. } => changes.clone(),
            Action::Keep | Action::Create { .. } => Vec::new(),
            _ => return action,
        };
        Action::Replace { because: "it was asked for".to_owned(), changes }
    }

    /// What of somebody else is in the way of making a node.
    pub(crate) fn in_the_way(&self, node: &Node, action: &Action) -> Option<InTheWay> {
        match self.existing.get(&node.address)? {
            Existing::Foreign { owner, may_be_adopted } if !matches!(action, Action::Adopt { .. }) => Some(InTheWay {
                address: node.address.clone(),
                title: node.title.clone(),
                owner: owner.clone(),
                may_be_adopted: *may_be_adopted,
            }),
            _ => None,
        }
    }
}

/// Whether a node is what is held under another address. What leaves nothing in the world is whatever it is called.
fn is_same_thing(held: &Held, node: &Node, registry: &Registry) -> bool {
    let is_of_one_kind = held.node.address.kind() == node.address.kind();
    let same = |resource: &std::sync::Arc<dyn crate::Resource>| resource.is_same(&held.node.inputs, &node.inputs);
    is_of_one_kind && (!node.lasting || registry.get(&node.address).is_some_and(same))
}

/// What is held once the moves are written down.
pub(crate) fn after(moves: &[Moved], inventory: &Inventory) -> Inventory {
    let mut after = inventory.clone();
    for Moved { from, to } in moves {
        let (number, at) = (after.last_number() + 1, jiff::Timestamp::UNIX_EPOCH);
        let change = Change::Moved { from: from.clone() };
        let entry = Entry { version: change.version(), number, at, address: to.clone(), change };
        after.apply(&entry).expect("the address before is held, and the one after is not");
    }
    after
}

impl Registry {
    /// Looks whether something is there already where a node of the graph is to be made. The answer lacks what is certainly held,
    /// and what lies within something that is not.
    pub async fn existing(
        &self,
        graph: &Graph,
        inventory: &Inventory,
        observed: &BTreeMap<Address, Observation>,
    ) -> BTreeMap<Address, Existing> {
        let is_there = |address: &Address| inventory.get(address).is_some_and(|held| held.state == State::Present);
        let is_made =
            |node: &Node| !is_there(&node.address) || observed.get(&node.address) == Some(&Observation::Absent);
        let is_well = |address: &Address| observed.get(address).is_none_or(|seen| *seen == Observation::AsRecorded);
        let is_reached = |node: &Node| node.within.as_ref().is_none_or(|within| is_there(within) && is_well(within));
        let mut by_kind: BTreeMap<&str, Vec<&Node>> = BTreeMap::new();
        for node in graph.nodes().filter(|node| node.lasting && is_made(node) && is_reached(node)) {
            by_kind.entry(node.address.kind()).or_default().push(node);
        }
        let looks = by_kind.into_values().filter_map(|nodes| {
            let resource = self.get(&nodes[0].address)?;
            Some(async move {
                let found = resource.existing(&nodes).await;
                nodes.into_iter().map(|node| node.address.clone()).zip(found).collect::<Vec<_>>()
            })
        });
        futures::future::join_all(looks).await.into_iter().flatten().collect()
    }
}
