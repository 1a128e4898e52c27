use std::collections::{BTreeMap, BTreeSet};

use crate::{Action, Address, Plan, Step};

impl Plan {
    /// The part of the plan that is about these addresses, with what they need.
    ///
    /// What is made or kept comes with all that it needs. What is deleted, or made anew, comes with what lives within it, and
    /// what is deleted with what still needs it. A wait or check comes along where everything that it needs does. Everything
    /// else is left as it is, whatever it is. Addresses that are not in the plan count for nothing.
    #[must_use]
    pub fn narrowed(self, targets: &BTreeSet<Address>) -> Self {
        let chosen = Choice::new(&self.steps).close(targets.clone());
        let is_chosen = |address: &Address| chosen.contains(address);
        let steps =
            self.steps.into_iter().filter(|step| is_chosen(&step.node.address)).map(|step| match &step.action {
                // What it goes with stays: it is deleted alone.
                Action::GoesWith { container } if !is_chosen(container) => Step { action: Action::Delete, ..step },
                _ => step,
            });
        let steps = steps.collect();
        let in_the_way = self.in_the_way.into_iter().filter(|it| is_chosen(&it.address)).collect();
        let moved = self.moved.into_iter().filter(|it| is_chosen(&it.to)).collect();
        Self { steps, in_the_way, moved, ..self }
    }

    /// The plan without the deletion of these: they stay, in the world and in the journal. For what stands alone: what goes with
    /// something that is deleted is not kept by this.
    #[must_use]
    pub fn leaving(self, kept: &BTreeSet<Address>) -> Self {
        let goes = |step: &Step| step.action != Action::Delete || !kept.contains(&step.node.address);
        Self { steps: self.steps.into_iter().filter(goes).collect(), ..self }
    }
}

/// Which steps belong together.
struct Choice<'a> {
    steps: BTreeMap<&'a Address, &'a Step>,
    needed_by: BTreeMap<&'a Address, Vec<&'a Step>>,
    inside: BTreeMap<&'a Address, Vec<&'a Step>>,
}

impl<'a> Choice<'a> {
    fn new(steps: &'a [Step]) -> Self {
        let mut choice = Self { steps: BTreeMap::new(), needed_by: BTreeMap::new(), inside: BTreeMap::new() };
        for step in steps {
            choice.steps.insert(&step.node.address, step);
            let Some(held) = &step.held else { continue };
            for need in &held.node.needs {
                choice.needed_by.entry(&need.address).or_default().push(step);
            }
            if let Some(container) = &held.node.within {
                choice.inside.entry(container).or_default().push(step);
            }
        }
        choice
    }

    /// The addresses with everything that has to come along.
    fn close(&self, targets: BTreeSet<Address>) -> BTreeSet<Address> {
        let mut chosen = targets;
        chosen.retain(|address| self.steps.contains_key(address));
        loop {
            let mut next: Vec<&Address> =
                self.steps.keys().copied().filter(|address| chosen.contains(*address)).collect();
            let mut all: BTreeSet<&Address> = next.iter().copied().collect();
            while let Some(address) = next.pop() {
                next.extend(self.come_along(address).into_iter().filter(|it| all.insert(it)));
            }
            let follows = |step: &&&Step| {
                let mut needs = step.node.needs.iter();
                !is_removal(step) && !step.node.lasting && needs.all(|need| all.contains(&need.address))
            };
            let waits: Vec<&Address> = self.steps.values().filter(follows).map(|step| &step.node.address).collect();
            let before = chosen.len();
            chosen = all.into_iter().chain(waits).cloned().collect();
            if chosen.len() == before {
                return chosen;
            }
        }
    }

    /// What has to come along with one address.
    fn come_along(&self, address: &'a Address) -> Vec<&'a Address> {
        let Some(step) = self.steps.get(address).copied() else { return Vec::new() };
        let mut along: Vec<&Address> = Vec::new();
        if is_removal(step) {
            let needs_it = self.needed_by.get(address).into_iter().flatten();
            along.extend(needs_it.filter(|other| other.action.is_change()).map(|other| &other.node.address));
        } else {
            along.extend(step.node.needs.iter().map(|need| &need.address).chain(&step.node.within));
        }
        if is_removal(step) || matches!(step.action, Action::Replace { .. }) {
            along.extend(self.inside.get(address).into_iter().flatten().map(|inner| &inner.node.address));
        }
        along.retain(|address| self.steps.contains_key(address));
        along
    }
}

fn is_removal(step: &Step) -> bool {
    matches!(step.action, Action::Delete | Action::GoesWith { .. })
}
