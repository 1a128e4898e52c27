use std::collections::{BTreeMap, BTreeSet};

use crate::{Action, Address, Plan, Step};

/// What a task does to its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The deletion of what is held, also the first half of a replacement.
    Delete,
    /// The creation or update of what is wanted.
    Make,
}

/// One thing to execute.
pub(crate) type Task = (Address, Part);

/// Which tasks wait for which, and which are free to start.
pub(crate) struct Schedule {
    waits: BTreeMap<Task, BTreeSet<Wait>>,
    waiters: BTreeMap<Wait, BTreeSet<Task>>,
    ready: BTreeSet<Task>,
}

/// A condition: a task is done, or has announced a milestone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wait {
    Done(Task),
    Milestone(Address, String),
}

impl Schedule {
    /// The tasks of a plan with all their waits.
    pub(crate) fn new(plan: &Plan) -> Self {
        let tasks: BTreeSet<Task> = plan.steps.iter().flat_map(tasks_of).collect();
        let mut waits: BTreeMap<Task, BTreeSet<Wait>> =
            tasks.iter().map(|task| (task.clone(), BTreeSet::new())).collect();
        for step in &plan.steps {
            let address = &step.node.address;
            if let Some(found) = waits.get_mut(&(address.clone(), Part::Make)) {
                found.extend(
                    step.node.needs.iter().filter(|need| tasks.contains(&(need.address.clone(), Part::Make))).map(
                        |need| match &need.milestone {
                            Some(milestone) => Wait::Milestone(need.address.clone(), milestone.clone()),
                            None => Wait::Done((need.address.clone(), Part::Make)),
                        },
                    ),
                );
                let delete = (address.clone(), Part::Delete);
                found.extend(tasks.contains(&delete).then_some(Wait::Done(delete)));
            }
            delete_waits(step, &tasks, &mut waits);
        }
        let mut waiters: BTreeMap<Wait, BTreeSet<Task>> = BTreeMap::new();
        for (task, conditions) in &waits {
            for condition in conditions {
                waiters.entry(condition.clone()).or_default().insert(task.clone());
            }
        }
        let ready =
            waits.iter().filter(|(_, conditions)| conditions.is_empty()).map(|(task, _)| task.clone()).collect();
        Self { waits, waiters, ready }
    }

    /// Takes the free tasks that `admit` accepts out of the schedule.
    pub(crate) fn take_ready(&mut self, mut admit: impl FnMut(&Task) -> bool) -> Vec<Task> {
        let taken: Vec<Task> = self.ready.iter().filter(|task| admit(task)).cloned().collect();
        for task in &taken {
            self.ready.remove(task);
            self.waits.remove(task);
        }
        taken
    }

    /// A condition has come true. A task that is done has also reached all its milestones.
    pub(crate) fn fulfil(&mut self, condition: &Wait) {
        let mut fulfilled = vec![condition.clone()];
        if let Wait::Done((address, Part::Make)) = condition {
            let from = Wait::Milestone(address.clone(), String::new());
            let of_it = |wait: &&Wait| matches!(wait, Wait::Milestone(of, _) if of == address);
            fulfilled.extend(self.waiters.range(from..).map(|(wait, _)| wait).take_while(of_it).cloned());
        }
        for condition in fulfilled {
            for task in self.waiters.remove(&condition).unwrap_or_default() {
                if let Some(conditions) = self.waits.get_mut(&task) {
                    conditions.remove(&condition);
                    if conditions.is_empty() {
                        self.ready.insert(task);
                    }
                }
            }
        }
    }

    /// The tasks that were never taken.
    pub(crate) fn left(&self) -> impl Iterator<Item = &Task> {
        self.waits.keys()
    }
}

fn tasks_of(step: &Step) -> Vec<Task> {
    let task = |part| (step.node.address.clone(), part);
    match step.action {
        Action::Keep | Action::GoesWith { .. } => Vec::new(),
        Action::Create { .. } | Action::Update { .. } => vec![task(Part::Make)],
        Action::Replace { .. } => vec![task(Part::Delete), task(Part::Make)],
        Action::Delete => vec![task(Part::Delete)],
    }
}

/// A resource is deleted after everything that needed it when it was made, and while what it lives within is whole.
fn delete_waits(step: &Step, tasks: &BTreeSet<Task>, waits: &mut BTreeMap<Task, BTreeSet<Wait>>) {
    let delete = (step.node.address.clone(), Part::Delete);
    let Some(held) = step.held.as_ref().filter(|_| tasks.contains(&delete)) else { return };
    for need in &held.node.needs {
        if let Some(conditions) = waits.get_mut(&(need.address.clone(), Part::Delete)) {
            conditions.insert(Wait::Done(delete.clone()));
        }
    }
    if let Some(container) = &held.node.within {
        let make = (container.clone(), Part::Make);
        let replaced = tasks.contains(&(container.clone(), Part::Delete));
        if tasks.contains(&make) && !replaced {
            waits.entry(delete).or_default().insert(Wait::Done(make));
        }
    }
}
