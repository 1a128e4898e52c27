use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

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

/// Which tasks wait for which, and which are free to start. Every task and every wait is touched a bounded number of times.
pub(crate) struct Schedule<'a> {
    tasks: Tasks<'a>,
    /// How many conditions each task still waits for; nothing once it was taken.
    waits: Vec<Option<usize>>,
    /// Who waits for each task, and for which milestone of it.
    waiters: Vec<Vec<(Option<&'a str>, usize)>>,
    /// The free tasks of each kind.
    ready: BTreeMap<&'a str, BTreeSet<usize>>,
}

/// The tasks of a plan, numbered in their order.
struct Tasks<'a> {
    all: Vec<(&'a Address, Part)>,
    steps: HashMap<&'a Address, &'a Step>,
    numbers: HashMap<&'a Address, [Option<usize>; 2]>,
}

/// What a task waits for: that another one is done or, with a milestone, has announced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Condition<'a> {
    milestone: Option<&'a str>,
    task: usize,
}

/// What each task waits for.
type Waits<'a> = Vec<Vec<Condition<'a>>>;

impl<'a> Schedule<'a> {
    /// The tasks of a plan with all their waits.
    pub(crate) fn new(plan: &'a Plan) -> Self {
        let tasks = Tasks::new(plan);
        let mut waits: Waits = vec![Vec::new(); tasks.all.len()];
        for step in &plan.steps {
            make_waits(step, &tasks, &mut waits);
            delete_waits(step, &tasks, &mut waits);
        }
        for conditions in &mut waits {
            conditions.sort_unstable();
            conditions.dedup();
        }
        break_circles(&tasks, &mut waits);
        let mut schedule = Self {
            waits: waits.iter().map(|conditions| Some(conditions.len())).collect(),
            waiters: vec![Vec::new(); tasks.all.len()],
            ready: BTreeMap::new(),
            tasks,
        };
        for (task, conditions) in waits.into_iter().enumerate() {
            for condition in &conditions {
                schedule.waiters[condition.task].push((condition.milestone, task));
            }
            if conditions.is_empty() {
                schedule.free(task);
            }
        }
        schedule
    }

    /// Takes free tasks out of the schedule: of each kind at most as many as `room` has for it.
    pub(crate) fn take_ready(&mut self, mut room: impl FnMut(&str) -> usize) -> Vec<Task> {
        let mut taken = Vec::new();
        for (kind, ready) in &mut self.ready {
            let room = if ready.is_empty() { 0 } else { room(kind) };
            taken.extend(std::iter::from_fn(|| ready.pop_first()).take(room));
        }
        let tasks = &self.tasks;
        let take = |number: usize| {
            self.waits[number] = None;
            let (address, part) = tasks.all[number];
            (address.clone(), part)
        };
        taken.into_iter().map(take).collect()
    }

    /// A task is done, and has reached all its milestones.
    pub(crate) fn done(&mut self, (address, part): &Task) {
        let Some(number) = self.tasks.number(address, *part) else { return };
        for (_, waiter) in std::mem::take(&mut self.waiters[number]) {
            self.fulfil(waiter);
        }
    }

    /// What is made has announced a milestone.
    pub(crate) fn reached(&mut self, address: &Address, milestone: &str) {
        let Some(number) = self.tasks.number(address, Part::Make) else { return };
        let waited_for = |(of, _): &mut (Option<&str>, usize)| *of == Some(milestone);
        let fulfilled: Vec<_> = self.waiters[number].extract_if(.., waited_for).collect();
        for (_, waiter) in fulfilled {
            self.fulfil(waiter);
        }
    }

    /// The tasks that were never taken.
    pub(crate) fn left(&self) -> impl Iterator<Item = &'a Address> {
        let waiting = self.waits.iter().zip(&self.tasks.all).filter(|(waits, _)| waits.is_some());
        waiting.map(|(_, (address, _))| *address)
    }

    fn fulfil(&mut self, task: usize) {
        let Some(count) = &mut self.waits[task] else { return };
        *count -= 1;
        if *count == 0 {
            self.free(task);
        }
    }

    fn free(&mut self, task: usize) {
        self.ready.entry(self.tasks.all[task].0.kind()).or_default().insert(task);
    }
}

impl<'a> Tasks<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut all: Vec<(&Address, Part)> = plan.steps.iter().flat_map(tasks_of).collect();
        all.sort_unstable();
        let mut numbers: HashMap<&Address, [Option<usize>; 2]> = HashMap::with_capacity(all.len());
        for (number, (address, part)) in all.iter().enumerate() {
            numbers.entry(address).or_default()[*part as usize] = Some(number);
        }
        Self { steps: plan.steps.iter().map(|step| (&step.node.address, step)).collect(), all, numbers }
    }

    fn number(&self, address: &Address, part: Part) -> Option<usize> {
        self.numbers.get(address)?[part as usize]
    }

    /// The task that ends what is held at an address: its own deletion, or that of something that it lives within.
    fn deletion_of(&self, address: &'a Address) -> Option<usize> {
        let (mut next, mut seen) = (address, BTreeSet::new());
        loop {
            if let Some(number) = self.number(next, Part::Delete) {
                return Some(number);
            }
            next = self.steps.get(next)?.held.as_ref()?.node.within.as_ref().filter(|within| seen.insert(*within))?;
        }
    }
}

fn tasks_of(step: &Step) -> Vec<(&Address, Part)> {
    let task = |part| (&step.node.address, part);
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

/// What is made waits for what it needs, and for the deletion of what is there instead.
fn make_waits<'a>(step: &'a Step, tasks: &Tasks<'a>, waits: &mut Waits<'a>) {
    let address = &step.node.address;
    let Some(make) = tasks.number(address, Part::Make) else { return };
    let needs = step.node.needs.iter().filter_map(|need| {
        Some(Condition { milestone: need.milestone.as_deref(), task: tasks.number(&need.address, Part::Make)? })
    });
    waits[make].extend(needs);
    waits[make].extend(tasks.number(address, Part::Delete).map(|task| Condition { milestone: None, task }));
}

/// A resource is deleted after everything that needed it does so no more, and while what it lives within is whole.
fn delete_waits<'a>(step: &'a Step, tasks: &Tasks<'a>, waits: &mut Waits<'a>) {
    let Some(held) = &step.held else { return };
    let address = &step.node.address;
    let deletion = tasks.deletion_of(address);
    // What is changed in place may go on needing what is made anew meanwhile.
    let make = tasks.number(address, Part::Make).filter(|_| deletion.is_none());
    let needed_still: HashSet<&Address> =
        make.iter().flat_map(|_| &step.node.needs).map(|need| &need.address).collect();
    for need in held.node.needs.iter().map(|need| &need.address).chain(&held.node.within) {
        let Some(its_deletion) = tasks.deletion_of(need) else { continue };
        let released = deletion.or(make.filter(|_| !needed_still.contains(need)));
        let released = released.filter(|task| *task != its_deletion);
        waits[its_deletion].extend(released.map(|task| Condition { milestone: None, task }));
    }
    let delete = tasks.number(address, Part::Delete);
    if let Some((delete, container)) = delete.zip(held.node.within.as_ref()) {
        let replaced = tasks.number(container, Part::Delete).is_some();
        let make = tasks.number(container, Part::Make).filter(|_| !replaced);
        waits[delete].extend(make.map(|task| Condition { milestone: None, task }));
    }
}

/// Gives up waits of deletions until there is no circle.
///
/// Every circle has one: what is made waits in the order of the graph. It comes from needs of different times, of which not
/// all can be kept.
fn break_circles(tasks: &Tasks, waits: &mut Waits) {
    let mut waiters: Vec<Vec<usize>> = vec![Vec::new(); waits.len()];
    for (task, conditions) in waits.iter().enumerate() {
        for condition in conditions {
            waiters[condition.task].push(task);
        }
    }
    let mut left: Vec<usize> = waits.iter().map(Vec::len).collect();
    let mut free: Vec<usize> = (0..left.len()).filter(|task| left[*task] == 0).collect();
    let mut first = 0;
    loop {
        while let Some(task) = free.pop() {
            for waiter in &waiters[task] {
                left[*waiter] -= 1;
                free.extend((left[*waiter] == 0).then_some(*waiter));
            }
        }
        let Some(stuck) = (first..left.len()).find(|task| left[*task] > 0) else { return };
        first = stuck;
        let Some((task, condition)) = closes_a_circle(stuck, tasks, waits, &left) else { return };
        let target = waits[task].remove(condition).task;
        if let Some(listed) = waiters[target].iter().position(|waiter| *waiter == task) {
            waiters[target].swap_remove(listed);
        }
        left[task] -= 1;
        free.extend((left[task] == 0).then_some(task));
    }
}

/// The wait of a deletion that is given up, in the circle that `stuck` leads to: its task, and which of its conditions.
///
/// Rather the wait of what is made anew, as if what needs it were kept; then rather the wait for something that is made than
/// the wait for another deletion.
fn closes_a_circle(stuck: usize, tasks: &Tasks, waits: &Waits, left: &[usize]) -> Option<(usize, usize)> {
    // Everything that is stuck waits for something stuck: going on from any of it ends in a circle.
    let (mut path, mut places) = (Vec::new(), HashMap::new());
    let mut task = stuck;
    let begin = loop {
        if let Some(begin) = places.insert(task, path.len()) {
            break begin;
        }
        let condition = waits[task].iter().position(|condition| left[condition.task] > 0)?;
        path.push((task, condition));
        task = waits[task][condition].task;
    };
    let rank = |(task, condition): &(usize, usize)| match tasks.all[waits[*task][*condition].task].1 {
        Part::Delete if tasks.number(tasks.all[*task].0, Part::Make).is_some() => 0,
        Part::Make => 1,
        Part::Delete => 2,
    };
    path.drain(..begin);
    path.into_iter().filter(|(task, _)| tasks.all[*task].1 == Part::Delete).min_by_key(rank)
}
