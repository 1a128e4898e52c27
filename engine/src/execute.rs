use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::blame::reasons;
use crate::graph::resolve;
use crate::schedule::{Part, Schedule, Task};
use crate::{
    Action, Address, Change, Class, Context, Event, Failure, Gone, Held, Journal, JournalError, Node, Operation, Plan,
    Registry, Remains, Resource, Sinks, State, Step,
};

/// What to do when a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Start nothing new, give up waits and builds, let the rest of what runs finish: for apply.
    StopAtFailure,
    /// Go on with everything that does not depend on it: for destroy, so that as little as possible is left.
    GoOn,
}

/// How far the person wants a run to stop. Each request goes one level further.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    #[default]
    Run,
    /// Start nothing new, give up waits and builds, let what changes the world finish and be recorded.
    Drain,
    /// Abandon everything; what was under way is `maybe there` in the journal.
    Abandon,
}

/// The person's hand on a run.
#[derive(Clone)]
pub struct StopHandle(watch::Sender<Stop>);

impl Default for StopHandle {
    fn default() -> Self {
        Self(watch::Sender::new(Stop::Run))
    }
}

impl StopHandle {
    /// Goes one level further and says which that is.
    pub fn press(&self) -> Stop {
        self.0.send_modify(|stop| {
            *stop = match stop {
                Stop::Run => Stop::Drain,
                Stop::Drain | Stop::Abandon => Stop::Abandon,
            };
        });
        *self.0.borrow()
    }
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The steps that failed, in the order in which they did.
    pub failures: Vec<(Address, Failure)>,
    /// The steps that were not tried.
    pub not_tried: Vec<Address>,
    /// Whether the person stopped it.
    pub interrupted: bool,
    /// Everything that was deleted, looked up and found gone.
    pub gone: Vec<Gone>,
    /// How many steps changed something.
    pub changed: usize,
}

impl Outcome {
    /// Whether everything that was planned is done.
    pub fn is_success(&self) -> bool {
        self.failures.is_empty() && self.not_tried.is_empty() && !self.interrupted
    }
}

/// Carries a plan out.
///
/// # Guarantees
///
/// - No operation is called before its intent is on disk, and nothing that depends on it starts before its result is.
/// - Everything that is independent runs at once, within each kind's bound.
/// - A journal that cannot be written stops the run: nothing new is started, what runs is awaited (unless the person abandons
///   it), and the error is returned.
pub async fn execute(
    deployment: &str,
    plan: &Plan,
    journal: &mut Journal,
    registry: &Registry,
    sinks: &Sinks,
    stop: &StopHandle,
    policy: Policy,
) -> Result<Outcome, JournalError> {
    let (milestones, announced) = mpsc::unbounded_channel();
    for moved in &plan.moved {
        journal.stage(moved.to.clone(), Change::Moved { from: moved.from.clone() });
    }
    let run = Run {
        deployment,
        steps: &plan.steps,
        plan: plan.steps.iter().map(|step| (&step.node.address, step)).collect(),
        journal,
        registry,
        sinks,
        policy,
        milestones,
        schedule: Schedule::new(plan),
        outputs: BTreeMap::new(),
        running: JoinSet::new(),
        jobs: HashMap::new(),
        in_use: HashMap::new(),
        outcome: Outcome::default(),
        draining: false,
    };
    let mut pressed = stop.0.subscribe();
    let early = *pressed.borrow_and_update() != Stop::Run;
    run.drive(announced, pressed, early).await
}

/// One operation under way.
struct Job {
    task: Task,
    operation: Operation,
    /// For the deletion half of a replacement that only became known with the inputs: what to create afterwards.
    then: Option<Node>,
    may_be_given_up: bool,
    began: Instant,
    abort: AbortHandle,
}

/// What an operation returns: outputs of a create or update, or what a delete found gone.
type Finished = Result<(Value, Vec<Gone>), Failure>;

/// An operation whose intent is about to be written.
struct Intent {
    task: Task,
    operation: Operation,
    node: Node,
    then: Option<Node>,
}

struct Run<'a> {
    deployment: &'a str,
    steps: &'a [Step],
    plan: BTreeMap<&'a Address, &'a Step>,
    journal: &'a mut Journal,
    registry: &'a Registry,
    sinks: &'a Sinks,
    policy: Policy,
    milestones: mpsc::UnboundedSender<(Address, String)>,
    schedule: Schedule<'a>,
    outputs: BTreeMap<Address, Value>,
    running: JoinSet<Finished>,
    jobs: HashMap<Id, Job>,
    /// How many operations of each kind are under way, or about to be.
    in_use: HashMap<String, usize>,
    outcome: Outcome,
    draining: bool,
}

impl Run<'_> {
    async fn drive(
        mut self,
        mut announced: mpsc::UnboundedReceiver<(Address, String)>,
        mut stop: watch::Receiver<Stop>,
        stopped_early: bool,
    ) -> Result<Outcome, JournalError> {
        (self.outcome.interrupted, self.draining) = (stopped_early, stopped_early);
        let mut after: Vec<Event> = Vec::new();
        let mut next: Vec<Intent> = Vec::new();
        loop {
            if let Err(error) = self.record(std::mem::take(&mut after), std::mem::take(&mut next)).await {
                self.drain();
                self.wind_up(&mut stop).await;
                return Err(error);
            }
            if self.running.is_empty() {
                break;
            }
            tokio::select! {
                // In a fixed order: the same events in the same order are the same run.
                biased;
                Ok(()) = stop.changed() => {
                    self.outcome.interrupted = true;
                    self.drain();
                    if *stop.borrow_and_update() == Stop::Abandon {
                        self.running.shutdown().await;
                        break;
                    }
                }
                Some(finished) = self.running.join_next_with_id() => {
                    self.finish(finished, &mut after, &mut next);
                    while let Some(finished) = self.running.try_join_next_with_id() {
                        self.finish(finished, &mut after, &mut next);
                    }
                }
                Some((address, milestone)) = announced.recv() => self.schedule.reached(&address, &milestone),
            }
        }
        self.give_up_the_rest();
        Ok(self.outcome)
    }

    /// Waits for what runs, of which nothing can be written down any more, unless the person abandons it.
    async fn wind_up(&mut self, stop: &mut watch::Receiver<Stop>) {
        tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|stop| *stop == Stop::Abandon) => {}
            () = async { while self.running.join_next().await.is_some() {} } => {}
        }
        self.running.shutdown().await;
    }

    /// Writes what is staged together with the intents of everything that may start, then tells and starts.
    async fn record(&mut self, after: Vec<Event>, mut intents: Vec<Intent>) -> Result<(), JournalError> {
        let mut events = after;
        while !self.draining {
            let admitted = self.admit();
            if admitted.is_empty() {
                break;
            }
            for task in admitted {
                match self.intend(&task) {
                    Some(intent) => {
                        *self.in_use.entry(task.0.kind().to_owned()).or_default() += 1;
                        intents.push(intent);
                    }
                    None => events.extend(self.pass_over(&task)),
                }
            }
        }
        if self.draining {
            self.outcome.not_tried.extend(intents.drain(..).map(|intent| intent.node.address));
        }
        for intent in &intents {
            let node = (intent.operation != Operation::Delete).then(|| Box::new(intent.node.clone()));
            self.journal.stage(intent.node.address.clone(), Change::Began { operation: intent.operation, node });
        }
        self.journal.write().await?;
        for event in events {
            self.sinks.emit(event);
        }
        for intent in intents {
            self.start(intent);
        }
        Ok(())
    }

    /// The free tasks that the bounds of their kinds let start now.
    fn admit(&mut self) -> Vec<Task> {
        let Self { schedule, registry, in_use, .. } = self;
        schedule.take_ready(|kind| {
            let bound = registry.kind(kind).map_or(1, |resource| resource.parallelism());
            bound.saturating_sub(in_use.get(kind).copied().unwrap_or_default())
        })
    }

    /// What to call for a task; nothing where it turns out that there is nothing to change.
    fn intend(&mut self, task: &Task) -> Option<Intent> {
        let (address, part) = task;
        let step = self.plan[address];
        let held = self.journal.inventory().get(address);
        let intent = |operation, node, then| Some(Intent { task: task.clone(), operation, node, then });
        if *part == Part::Delete {
            // What lived within something that was deleted meanwhile has gone with it.
            return intent(Operation::Delete, held?.node.clone(), None);
        }
        if step.action == Action::Keep {
            return None;
        }
        let (inputs, _) = resolve(&step.node.inputs, &|address| {
            self.outputs.get(address).or_else(|| self.journal.inventory().get(address).map(|held| &held.outputs))
        });
        let node = Node { inputs, ..step.node.clone() };
        let Some(held) = held else { return intent(Operation::Create, node, None) };
        let resource = self.registry.get(address)?;
        if resource.forces_replacement(&held.node.inputs, &node.inputs).is_some() {
            return intent(Operation::Delete, held.node.clone(), Some(node));
        }
        match &step.action {
            Action::Update { drift: None, .. } if held.node.inputs == node.inputs => None,
            Action::Update { .. } => intent(Operation::Update, node, None),
            _ => intent(Operation::Create, node, None),
        }
    }

    /// Ends a task that has nothing to do. What only has another place in the graph than before is written down anew.
    fn pass_over(&mut self, task: &Task) -> Option<Event> {
        let (address, part) = task;
        let step = self.plan[address];
        if let Some(held) = self.journal.inventory().get(address).filter(|_| *part == Part::Make) {
            self.outputs.insert(address.clone(), held.outputs.clone());
            let node = step.placed(held);
            if held.state == State::Present && node != held.node {
                self.journal.stage(address.clone(), Change::Found { node: Box::new(node), outputs: Value::Null });
            }
        }
        self.schedule.done(task);
        let operation = if *part == Part::Delete { Operation::Delete } else { Operation::Update };
        let event = Event::StepEnded { address: address.clone(), operation, seconds: 0.0, unchanged: true };
        step.action.is_change().then_some(event)
    }

    fn start(&mut self, intent: Intent) {
        let Intent { task, operation, node, then } = intent;
        let address = node.address.clone();
        self.sinks.emit(Event::StepBegan { address: address.clone(), title: node.title.clone(), operation });
        let context = Context::new(self.deployment, &address, self.sinks, &self.milestones);
        let takes_over = self.plan.get(&address).is_some_and(|step| step.action.takes_over());
        let context = context.taking_over(takes_over);
        let resource = self.registry.get(&address).cloned();
        let old = self.plan.get(&address).and_then(|step| step.held.clone());
        let may_be_given_up = !node.lasting || resource.as_ref().is_some_and(|resource| resource.may_be_given_up());
        let abort = self.running.spawn(call(resource, context, operation, node, old));
        self.jobs.insert(abort.id(), Job { task, operation, then, may_be_given_up, began: Instant::now(), abort });
    }

    fn finish(&mut self, finished: Result<(Id, Finished), JoinError>, events: &mut Vec<Event>, next: &mut Vec<Intent>) {
        let (id, result) = match finished {
            Ok((id, result)) => (id, result),
            Err(error) if error.is_cancelled() => {
                (error.id(), Err(Failure::from("stopped before it was done").class(Class::Interrupted)))
            }
            Err(error) => (error.id(), Err(Failure::from(error))),
        };
        let Some(job) = self.jobs.remove(&id) else { return };
        let address = job.task.0.clone();
        let seconds = job.began.elapsed().as_secs_f64();
        if let Some(count) = self.in_use.get_mut(address.kind()).filter(|_| result.is_err() || job.then.is_none()) {
            *count -= 1;
        }
        match result {
            Ok((outputs, gone)) => {
                let ended = Change::Ended { operation: job.operation, outputs: outputs.clone() };
                self.journal.stage(address.clone(), ended);
                events.push(Event::StepEnded {
                    address: address.clone(),
                    operation: job.operation,
                    seconds,
                    unchanged: false,
                });
                self.outcome.gone.extend(gone);
                self.outcome.changed += 1;
                if let Some(node) = job.then {
                    next.push(Intent { task: job.task, operation: Operation::Create, node, then: None });
                    return;
                }
                if job.task.1 == Part::Make {
                    self.outputs.insert(address, outputs);
                }
                self.schedule.done(&job.task);
            }
            Err(failure) => self.fail(&address, job.operation, seconds, failure, events),
        }
    }

    fn fail(
        &mut self,
        address: &Address,
        operation: Operation,
        seconds: f64,
        failure: Failure,
        events: &mut Vec<Event>,
    ) {
        let causes = failure.causes();
        let error = causes.join(": ");
        self.journal.stage(address.clone(), Change::Failed { operation, remains: failure.remains, error });
        if failure.class == Class::Interrupted {
            self.outcome.not_tried.push(address.clone());
            return;
        }
        events.push(Event::StepFailed {
            address: address.clone(),
            operation,
            seconds,
            causes,
            hint: failure.hint.clone(),
            remains: failure.remains,
            class: failure.class,
        });
        self.outcome.failures.push((address.clone(), failure));
        if self.policy == Policy::StopAtFailure {
            self.drain();
        }
    }

    /// Starts nothing new and gives up what may be given up.
    fn drain(&mut self) {
        self.draining = true;
        let mut given_up: Vec<&Job> = self.jobs.values().filter(|job| job.may_be_given_up).collect();
        given_up.sort_by_key(|job| &job.task);
        for job in given_up {
            job.abort.abort();
        }
    }

    fn give_up_the_rest(&mut self) {
        let failed: BTreeSet<&Address> = self.outcome.failures.iter().map(|(address, _)| address).collect();
        let mut left: BTreeSet<&Address> = self.outcome.not_tried.iter().collect();
        let is_change = |address: &&Address| self.plan[*address].action.is_change() && !failed.contains(*address);
        left.extend(self.schedule.left().filter(is_change));
        let reasons = reasons(self.steps, &failed);
        let mut not_tried = Vec::new();
        for node in self.steps.iter().map(|step| &step.node).filter(|node| left.contains(&node.address)) {
            let because = reasons.get(&node.address).copied().cloned();
            let (address, title) = (node.address.clone(), node.title.clone());
            self.sinks.emit(Event::StepNotTried { address: address.clone(), title, because });
            not_tried.push(address);
        }
        self.outcome.not_tried = not_tried;
    }
}

/// Calls the behaviour. A node that leaves nothing in the world is deleted by forgetting it.
async fn call(
    resource: Option<Arc<dyn Resource>>,
    context: Context,
    operation: Operation,
    node: Node,
    old: Option<Held>,
) -> Finished {
    if operation == Operation::Delete && !node.lasting {
        return Ok((Value::Null, Vec::new()));
    }
    let Some(resource) = resource else {
        return Err(Failure::from(format!("handle {}: this program knows no such kind of resource", node.address)));
    };
    match operation {
        Operation::Create => resource.create(&context, &node.inputs).await.map(|outputs| (outputs, Vec::new())),
        Operation::Update => {
            let old = old.map_or(Value::Null, |held| held.node.inputs);
            resource.update(&context, &old, &node.inputs).await.map(|outputs| (outputs, Vec::new()))
        }
        Operation::Delete => resource.delete(&context, &node.inputs).await.map(|gone| (Value::Null, gone)),
    }
}

impl Failure {
    /// Whether the failed operation may have left something in the world.
    pub fn may_have_left_something(&self) -> bool {
        self.remains != Remains::Nothing
    }
}
