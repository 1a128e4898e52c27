use std::collections::{BTreeMap, BTreeSet};

use crate::{Action, Address, Plan, State, Step};

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

/// What each task still waits for.
type Waits = BTreeMap<Task, BTreeSet<Wait>>;

/// Which tasks wait for which, and which are free to start.
pub(crate) struct Schedule {
    waits: Waits,
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
        let steps: BTreeMap<&Address, &Step> = plan.steps.iter().map(|step| (&step.node.address, step)).collect();
        let mut waits: Waits = tasks.iter().map(|task| (task.clone(), BTreeSet::new())).collect();
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
            delete_waits(step, &steps, &tasks, &mut waits);
        }
        while let Some((task, wait)) = closes_a_circle(&waits) {
            waits.get_mut(&task).expect("it is in the circle").remove(&wait);
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
        // A new place in the graph counts from when all that is needed there is done.
        Action::Keep if step.held.as_ref().is_some_and(|held| step.placed(held) != held.node) => vec![task(Part::Make)],
        Action::Keep | Action::GoesWith { .. } => Vec::new(),
        // What was leaving is gone before something of somebody else takes its place.
        Action::Adopt { .. }
            if step.held.as_ref().is_some_and(|held| matches!(held.state, State::Leaving | State::Stuck)) =>
        {
            vec![task(Part::Delete), task(Part::Make)]
        }
        Action::Create { .. } | Action::Adopt { .. } | Action::Update { .. } => vec![task(Part::Make)],
        Action::Replace { .. } => vec![task(Part::Delete), task(Part::Make)],
        Action::Delete => vec![task(Part::Delete)],
    }
}

/// A resource is deleted after everything that needed it does so no more, and while what it lives within is whole.
fn delete_waits(step: &Step, steps: &BTreeMap<&Address, &Step>, tasks: &BTreeSet<Task>, waits: &mut Waits) {
    let Some(held) = &step.held else { return };
    let address = &step.node.address;
    let deletion = deletion_of(address, steps, tasks);
    let make = Some((address.clone(), Part::Make)).filter(|task| tasks.contains(task));
    let needed = held.node.needs.iter().map(|need| &need.address).chain(&held.node.within);
    for need in needed.filter_map(|need| Some((need, deletion_of(need, steps, tasks)?))) {
        let (need, its_deletion) = need;
        let needs_still = step.node.needs.iter().any(|still| still.address == *need);
        let released = match &deletion {
            Some(deletion) => Some(deletion).filter(|deletion| **deletion != its_deletion),
            // It is changed in place, and may go on needing what is made anew meanwhile.
            None => make.as_ref().filter(|_| !needs_still),
        };
        waits.entry(its_deletion).or_default().extend(released.cloned().map(Wait::Done));
    }
    let delete = (address.clone(), Part::Delete);
    if let Some(container) = held.node.within.as_ref().filter(|_| tasks.contains(&delete)) {
        let make = (container.clone(), Part::Make);
        let replaced = tasks.contains(&(container.clone(), Part::Delete));
        if tasks.contains(&make) && !replaced {
            waits.entry(delete).or_default().insert(Wait::Done(make));
        }
    }
}

/// The task that ends what is held at an address: its own deletion, or that of something that it lives within.
fn deletion_of(address: &Address, steps: &BTreeMap<&Address, &Step>, tasks: &BTreeSet<Task>) -> Option<Task> {
    let mut next = Some(address);
    let mut seen = BTreeSet::new();
    while let Some(address) = next.filter(|address| seen.insert(*address)) {
        let task = (address.clone(), Part::Delete);
        if tasks.contains(&task) {
            return Some(task);
        }
        next = steps.get(address).and_then(|step| step.held.as_ref()?.node.within.as_ref());
    }
    None
}

/// A wait of a deletion that closes a circle, if there is a circle.
///
/// Every circle has one: what is made waits in the order of the graph. It comes from needs of different times, of which not
/// all can be kept. Given up is rather the wait of what is made anew, as if what needs it were kept; then rather the wait for
/// something that is made than the wait for another deletion.
fn closes_a_circle(waits: &Waits) -> Option<(Task, Wait)> {
    let target = |wait: &Wait| match wait {
        Wait::Done(task) => task.clone(),
        Wait::Milestone(address, _) => (address.clone(), Part::Make),
    };
    let mut stuck: BTreeMap<&Task, Vec<&Wait>> =
        waits.iter().map(|(task, waits)| (task, waits.iter().collect())).collect();
    loop {
        let before = stuck.len();
        let left: BTreeSet<Task> = stuck.keys().copied().cloned().collect();
        stuck.retain(|_, waits| {
            waits.retain(|wait| left.contains(&target(wait)));
            !waits.is_empty()
        });
        if stuck.len() == before {
            break;
        }
    }
    // Everything that is stuck waits for something stuck: going on from any of it ends in a circle.
    let mut task = (*stuck.keys().next()?).clone();
    let mut path: Vec<(Task, &Wait)> = Vec::new();
    while !path.iter().any(|(before, _)| *before == task) {
        let wait = stuck[&task][0];
        path.push((task, wait));
        task = target(wait);
    }
    let begin = path.iter().position(|(before, _)| *before == task)?;
    let circle = path.split_off(begin).into_iter().filter(|((_, part), _)| *part == Part::Delete);
    let rank = |(task, wait): &(Task, &Wait)| match target(wait).1 {
        Part::Delete if waits.contains_key(&(task.0.clone(), Part::Make)) => 0,
        Part::Make => 1,
        Part::Delete => 2,
    };
    circle.min_by_key(rank).map(|(task, wait)| (task, wait.clone()))
}
