use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;
use serde_json::Value;

use crate::{Address, Change, Entry, Need, Node, Operation, Remains};

/// What is known of a resource that may exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A create or update began and nothing more is known, or it failed and may have left something.
    MaybeThere,
    /// It is there.
    Present,
    /// Its deletion began and nothing more is known.
    Leaving,
    /// Its deletion failed.
    Stuck,
}

/// A resource that may exist: the node with known inputs, its outputs and its state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Held {
    /// The node, its references filled. Until a create or update has ended, it needs what it needed before, too.
    pub node: Node,
    /// What its last successful create or update returned.
    pub outputs: Value,
    /// What is known of it.
    pub state: State,
}

/// Everything that may exist in the world because of a deployment: the fold of its journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    held: BTreeMap<Address, Held>,
    inside: BTreeMap<Address, BTreeSet<Address>>,
    under_way: BTreeMap<Address, UnderWay>,
    last_number: u64,
}

/// A create or update that began and of which nothing more is known.
#[derive(Clone, Debug, PartialEq)]
struct UnderWay {
    /// What the node needs once it has ended.
    needs: Vec<Need>,
    /// Whether there was certainly nothing before it.
    was_absent: bool,
}

/// An entry that cannot follow what the journal said before.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Illegal {
    /// The numbers have a gap or a repetition.
    #[error("entry {found} follows entry {last}")]
    Number {
        /// The number before.
        last: u64,
        /// The number found.
        found: u64,
    },
    /// The change does not fit the state of its resource.
    #[error("entry {number}: {change} of {address} does not fit its state ({state})")]
    Transition {
        /// The entry's number.
        number: u64,
        /// For example `delete ended`.
        change: String,
        /// The resource.
        address: Address,
        /// Its state before.
        state: String,
    },
}

impl Inventory {
    /// The held resource at an address.
    pub fn get(&self, address: &Address) -> Option<&Held> {
        self.held.get(address)
    }

    /// All held resources, in the order of their addresses.
    pub fn iter(&self) -> impl Iterator<Item = &Held> {
        self.held.values()
    }

    /// What lives within a resource.
    pub(crate) fn inside(&self, container: &Address) -> impl Iterator<Item = &Address> {
        self.inside.get(container).into_iter().flatten()
    }

    /// Whether nothing can be left in the world.
    pub fn is_empty(&self) -> bool {
        self.held.values().all(|held| !held.node.lasting)
    }

    /// What a destroy left on purpose, because it holds data.
    pub fn kept(&self) -> impl Iterator<Item = &Held> {
        self.held.values().filter(|held| held.node.kept)
    }

    /// The number of the last entry; 0 before the first.
    pub fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Folds one more entry in. The one table of legal transitions: it serves writing and replaying.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Illegal> {
        if entry.number != self.last_number + 1 {
            return Err(Illegal::Number { last: self.last_number, found: entry.number });
        }
        if let Change::Moved { from } = &entry.change {
            return self.readdress(entry, from);
        }
        let before = self.held.get(&entry.address);
        let was_absent = self.under_way.get(&entry.address).is_some_and(|it| it.was_absent);
        let Some(after) = next(before, &entry.change, was_absent) else {
            return Err(Illegal::Transition {
                number: entry.number,
                change: describe(&entry.change),
                address: entry.address.clone(),
                state: before.map_or("absent".to_owned(), |held| format!("{:?}", held.state).to_lowercase()),
            });
        };
        self.last_number = entry.number;
        let under_way = self.under_way.remove(&entry.address);
        match after {
            Some(held) => {
                let held = self.with_needs(held, &entry.change, under_way);
                self.insert(held);
            }
            None => self.remove(&entry.address),
        }
        Ok(())
    }

    /// What an operation that changes a resource leaves of its earlier needs is not known before it has ended: until then the
    /// resource counts as needing both, so that neither is deleted before it.
    fn with_needs(&mut self, mut held: Held, change: &Change, under_way: Option<UnderWay>) -> Held {
        let address = &held.node.address;
        match change {
            Change::Began { operation: Operation::Create | Operation::Update, .. } => {
                let before = self.held.get(address);
                let needs = held.node.needs.clone();
                let earlier = before.map_or(&[][..], |before| &before.node.needs);
                let known: HashSet<&Need> = needs.iter().collect();
                held.node.needs.extend(earlier.iter().filter(|need| !known.contains(need)).cloned());
                self.under_way.insert(address.clone(), UnderWay { needs, was_absent: before.is_none() });
            }
            Change::Ended { .. } => held.node.needs = under_way.map_or(held.node.needs, |it| it.needs),
            Change::Failed { .. } | Change::Began { .. } | Change::Found { .. } | Change::Moved { .. } => {}
        }
        held
    }

    /// Holds under the entry's address what was held under another one. What needed it, or lives within it, follows.
    fn readdress(&mut self, entry: &Entry, from: &Address) -> Result<(), Illegal> {
        let to = &entry.address;
        if self.held.contains_key(to) || !self.held.contains_key(from) {
            let state = if self.held.contains_key(to) { "present" } else { "nothing is moved" };
            let (change, address) = (describe(&entry.change), to.clone());
            return Err(Illegal::Transition { number: entry.number, change, address, state: state.to_owned() });
        }
        self.last_number = entry.number;
        let renamed = |address: &mut Address| {
            if address == from {
                address.clone_from(to);
            }
        };
        let rename_needs = |needs: &mut Vec<Need>| needs.iter_mut().for_each(|need| renamed(&mut need.address));
        let mut all = Self { last_number: self.last_number, ..Self::default() };
        for (_, mut held) in std::mem::take(&mut self.held) {
            renamed(&mut held.node.address);
            rename_needs(&mut held.node.needs);
            held.node.within.iter_mut().for_each(renamed);
            all.insert(held);
        }
        for (mut address, mut under_way) in std::mem::take(&mut self.under_way) {
            renamed(&mut address);
            rename_needs(&mut under_way.needs);
            all.under_way.insert(address, under_way);
        }
        *self = all;
        Ok(())
    }

    fn insert(&mut self, held: Held) {
        let address = held.node.address.clone();
        let before = self.held.get(&address).and_then(|before| before.node.within.clone());
        if before != held.node.within {
            self.leave(&address, before.as_ref());
        }
        if let Some(container) = &held.node.within {
            self.inside.entry(container.clone()).or_default().insert(address.clone());
        }
        self.held.insert(address, held);
    }

    /// Removes a resource and, with it, everything that lives within it.
    fn remove(&mut self, address: &Address) {
        let removed = self.held.remove(address);
        self.leave(address, removed.and_then(|held| held.node.within).as_ref());
        self.under_way.remove(address);
        for address in self.inside.remove(address).unwrap_or_default() {
            self.remove(&address);
        }
    }

    fn leave(&mut self, address: &Address, container: Option<&Address>) {
        if let Some(siblings) = container.and_then(|container| self.inside.get_mut(container)) {
            siblings.remove(address);
        }
    }
}

/// What a resource is after a change: `Some(None)` is absent, `None` says that the change is not legal here.
///
/// A failure that left nothing speaks of its own operation: only where there was nothing before is there nothing afterwards.
#[allow(clippy::option_option)]
fn next(before: Option<&Held>, change: &Change, was_absent: bool) -> Option<Option<Held>> {
    use Operation::{Create, Delete, Update};
    let state = before.map(|held| held.state);
    let became = |state: State| before.map(|held| Held { state, ..held.clone() });
    match (change, state) {
        (Change::Began { operation: Create, node: Some(node) }, None | Some(State::MaybeThere | State::Present))
        | (Change::Began { operation: Update, node: Some(node) }, Some(State::MaybeThere | State::Present)) => {
            Some(Some(Held { node: (**node).clone(), outputs: Value::Null, state: State::MaybeThere }))
        }
        (Change::Ended { operation: Create | Update, outputs }, Some(State::MaybeThere)) => {
            Some(became(State::Present).map(|held| Held { outputs: outputs.clone(), ..held }))
        }
        (Change::Failed { operation: Create | Update, remains, .. }, Some(State::MaybeThere)) => match remains {
            Remains::Nothing if was_absent || before.is_some_and(|held| !held.node.lasting) => Some(None),
            Remains::Nothing | Remains::Something | Remains::Unknown => Some(became(State::MaybeThere)),
        },
        (Change::Began { operation: Delete, node: None }, Some(_)) => Some(became(State::Leaving)),
        (Change::Ended { operation: Delete, .. }, Some(State::Leaving)) => Some(None),
        (Change::Failed { operation: Delete, .. }, Some(State::Leaving)) => Some(became(State::Stuck)),
        // Whatever was begun: it was looked at, and is there.
        (Change::Found { node, outputs }, _) => {
            let known = before.map(|held| &held.outputs).filter(|_| outputs.is_null());
            let outputs = known.unwrap_or(outputs).clone();
            Some(Some(Held { node: (**node).clone(), outputs, state: State::Present }))
        }
        _ => None,
    }
}

fn describe(change: &Change) -> String {
    match change {
        Change::Began { operation, .. } => format!("{operation} began"),
        Change::Ended { operation, .. } => format!("{operation} ended"),
        Change::Failed { operation, .. } => format!("{operation} failed"),
        Change::Found { .. } => "found".to_owned(),
        Change::Moved { from } => format!("move from {from}"),
    }
}
