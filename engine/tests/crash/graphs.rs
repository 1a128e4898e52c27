//! Graphs that follow from choices, and the same graphs a little later.

use engine::{Address, Graph, Need, Node, output};
use serde_json::{Value, json};

use crate::choices::Choices;

/// What stays the same of a node while a story goes on.
#[derive(Debug)]
struct Role {
    kind: &'static str,
    /// What it may live within, of those before it: each graph takes one of these that it has.
    within: Vec<usize>,
    /// Whether others use it: it cannot be deleted while they do, and is never replaced, nor moved to live within another.
    anchored: bool,
}

/// All nodes that a story may have, by number.
#[derive(Debug)]
pub struct Cast(Vec<Role>);

/// A node as it is wanted in one graph.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub number: usize,
    pub within: Option<usize>,
    pub value: usize,
    pub fixed: usize,
    /// Numbers of nodes, and whether a milestone is enough.
    pub needs: Vec<(usize, bool)>,
    /// Which of its needs feeds an output into it, and whether that is into the field that cannot change.
    pub fed: Option<(usize, bool)>,
}

impl Cast {
    /// Up to so many nodes.
    pub fn generate(choices: &mut Choices, most: usize) -> Self {
        let mut roles: Vec<Role> = Vec::new();
        for number in 0..=choices.below(most) {
            let kind = choices.of(&["thing", "thing", "queued", "built", "check"]);
            let containers: Vec<usize> = (0..number).filter(|other| roles[*other].kind == "thing").collect();
            let anchored = choices.one_in(3) && kind != "check";
            let places = if kind == "check" || containers.is_empty() { 0 } else { choices.of(&[0, 0, 0, 1, 1, 2]) };
            let places = if anchored { places.min(1) } else { places };
            let within = (0..places).map(|_| choices.of(&containers)).collect();
            roles.push(Role { kind, within, anchored });
        }
        Self(roles)
    }

    /// Two plain things. The second may live within the first, or use it so that it cannot be deleted meanwhile.
    pub fn pair(within: bool, uses: bool) -> Self {
        let role = |within, anchored| Role { kind: "thing", within, anchored };
        Self(vec![role(Vec::new(), uses), role(if within { vec![0] } else { Vec::new() }, false)])
    }

    /// A plain thing, a container, and what lives within that.
    pub fn nest() -> Self {
        let role = |within| Role { kind: "thing", within, anchored: false };
        Self(vec![role(Vec::new()), role(Vec::new()), role(vec![1])])
    }

    /// So many plain things that have nothing to do with each other.
    pub fn things(count: usize) -> Self {
        Self((0..count).map(|_| Role { kind: "thing", within: Vec::new(), anchored: false }).collect())
    }

    /// The address of a node.
    pub fn address(&self, number: usize) -> Address {
        Address::new(self.0[number].kind, format!("n{number}"))
    }

    /// What is wanted next, in an order of its own: half of it stands as it did before, as far as that is possible.
    pub fn want(&self, earlier: &[Wanted], choices: &mut Choices) -> Vec<Wanted> {
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut left: Vec<usize> = (0..self.0.len()).filter(|_| !choices.one_in(4)).collect();
        while !left.is_empty() {
            let free: Vec<usize> = left
                .iter()
                .copied()
                .filter(|number| self.0[*number].within.iter().all(|container| !left.contains(container)))
                .collect();
            let number = choices.of(&free);
            left.retain(|other| *other != number);
            let has = |number: usize| wanted.iter().any(|it| it.number == number);
            let stands = |it: &&Wanted| it.number == number && it.needs.iter().all(|(need, _)| has(*need));
            if let Some(same) = earlier.iter().find(stands).filter(|_| choices.one_in(2)) {
                let value = if choices.one_in(3) { 1 - same.value } else { same.value };
                wanted.push(Wanted { value, ..same.clone() });
                continue;
            }
            let is_wanted = |place: &&usize| wanted.iter().any(|it| it.number == **place);
            let places: Vec<usize> = self.0[number].within.iter().filter(is_wanted).copied().collect();
            if places.is_empty() && !self.0[number].within.is_empty() {
                continue;
            }
            let within = (!places.is_empty()).then(|| choices.of(&places));
            wanted.push(self.node(number, within, &wanted, choices));
        }
        wanted
    }

    fn node(&self, number: usize, within: Option<usize>, before: &[Wanted], choices: &mut Choices) -> Wanted {
        let is_lasting = |number: usize| self.0[number].kind != "check";
        let mut needs: Vec<(usize, bool)> = Vec::new();
        for other in before {
            if within == Some(other.number) || choices.one_in(3) {
                // An output and a thing in use must be there whole: only needs of order are content with a milestone.
                let enough = is_lasting(other.number) && !self.0[other.number].anchored && choices.one_in(4);
                needs.push((other.number, enough));
            }
        }
        let whole: Vec<usize> =
            needs.iter().filter(|(need, enough)| !enough && is_lasting(*need)).map(|(need, _)| *need).collect();
        let anchored = self.0[number].anchored;
        let fed =
            (!whole.is_empty() && choices.one_in(2)).then(|| (choices.of(&whole), !anchored && choices.one_in(2)));
        let fixed = if anchored { 0 } else { usize::from(choices.one_in(4)) };
        Wanted { number, within, value: choices.below(2), fixed, needs, fed }
    }

    /// The graph of what is wanted.
    pub fn graph(&self, wanted: &[Wanted]) -> Graph {
        let mut graph = Graph::default();
        for it in wanted {
            graph.add(self.declare(it)).expect("each number comes once");
        }
        graph
    }

    fn declare(&self, wanted: &Wanted) -> Node {
        let role = &self.0[wanted.number];
        let address = self.address(wanted.number);
        let mut node = Node::new(address, format!("node {}", wanted.number), "nodes");
        node.lasting = role.kind != "check";
        node.within = wanted.within.map(|container| self.address(container));
        node.needs = wanted.needs.iter().map(|need| self.need(*need)).collect();
        let in_use = |need: usize| self.0[need].anchored || (!node.lasting && self.0[need].kind != "check");
        let uses = wanted.needs.iter().filter(|(need, enough)| !enough && in_use(*need));
        let uses: Vec<String> = uses.map(|(need, _)| self.address(*need).to_string()).collect();
        node.inputs = json!({ "value": wanted.value, "fixed": wanted.fixed, "uses": uses });
        if let Some(container) = &node.within {
            node.inputs["within"] = json!(container);
        }
        if let Some((source, is_fixed)) = wanted.fed {
            let field = if is_fixed { "fixed" } else { "fed" };
            node.inputs[field] = output(&self.address(source), ["id", "value"][wanted.number % 2]);
        }
        node
    }

    fn need(&self, (number, enough): (usize, bool)) -> Need {
        let address = self.address(number);
        if enough { Need::milestone(address, "up") } else { address.into() }
    }
}

/// Replaces the references in inputs by what `look` knows.
pub fn filled(inputs: &Value, look: &dyn Fn(&str, &str) -> Value) -> Value {
    match inputs {
        Value::Object(members) if members.contains_key("$output") => {
            let reference = &members["$output"];
            look(reference[0].as_str().unwrap_or_default(), reference[1].as_str().unwrap_or_default())
        }
        Value::Object(members) => members
            .iter()
            .map(|(key, member)| (key.clone(), filled(member, look)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        plain => plain.clone(),
    }
}
