//! The state of the simulated cloud. All of it is behind one lock; nothing in here waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::accounts::Accounts;
use super::artifacts::Store;
use super::book::{Book, Maker};
use super::container::Node;
use super::operations::{End, Failure, Operation, Step, time};
use super::prices;
use super::projects::Projects;
use super::rates::Rates;
use super::refusal::Refusal;
use crate::clock::{Clock, Moment};
use crate::clusters::{ClusterShape, Kubernetes, NodeShape};
use crate::faults::{Counted, FaultKind};
use crate::hash;

/// A resource.
#[derive(Debug, Clone)]
pub(crate) struct Thing {
    /// What it is, in the interface's word: `disks`.
    pub kind: &'static str,
    /// As the interface tells it.
    pub body: Value,
    /// From when on lists have it.
    pub listed: Moment,
    /// From when on it is found.
    pub found: Moment,
    /// Whether it is being deleted.
    pub leaving: bool,
    /// Its line in the book. What a project has from the start has none.
    line: Option<usize>,
}

/// Something that is to be done outside of the world, where it may take real time.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Make a cluster's Kubernetes.
    Start(ClusterShape),
    /// Give it these nodes.
    SetNodes(String, Vec<NodeShape>),
    /// Remove it.
    Stop(String),
}

/// What becomes of the controllers in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Controllers {
    /// They begin in the cluster of this identifier and key.
    Begin(String, String),
    /// They end.
    End(String),
}

/// What an operation is to be like.
pub(crate) struct Plan {
    pub service: &'static str,
    /// Its type: `CREATE_CLUSTER`, `insert`.
    pub kind: &'static str,
    /// What [`time`] goes by.
    pub pace: String,
    pub project: String,
    pub place: String,
    pub target: String,
}

/// The state of the simulated cloud.
pub(crate) struct World {
    pub clock: Arc<Clock>,
    pub now: Moment,
    pub seed: u64,
    pub things: BTreeMap<String, Thing>,
    pub operations: BTreeMap<String, Operation>,
    active: BTreeSet<String>,
    /// Work that is not done yet.
    waiting: BTreeSet<String>,
    /// Work that failed, and why.
    failed: BTreeMap<String, String>,
    /// What is to be done outside, each with its name.
    pub work: Vec<(String, Work)>,
    pub kubernetes: BTreeMap<String, Kubernetes>,
    /// What the controllers in each cluster made, by the cluster's identifier.
    pub made_in: BTreeMap<String, BTreeSet<String>>,
    /// Clusters whose controllers are to begin, as identifier and key, or to end.
    pub controllers: Vec<Controllers>,
    /// What ends the controllers in each cluster.
    pub watchers: BTreeMap<String, CancellationToken>,
    /// The machines of each node pool that are there or on their way.
    pub nodes: BTreeMap<String, Vec<Node>>,
    pub book: Book,
    pub faults: Counted,
    pub projects: Projects,
    pub accounts: Accounts,
    pub store: Store,
    /// Operations by the client's own identifier of the request.
    pub requests: BTreeMap<String, String>,
    pub problems: BTreeSet<String>,
    /// How many calls there are in a minute.
    pub rates: Rates,
    /// Who is asking now.
    pub maker: Maker,
    /// The e-mail address of who is asking now.
    pub user: String,
    /// The fault that the call now meets.
    pub fault: Option<FaultKind>,
    /// The base URL of everything.
    pub base: String,
    counter: u64,
}

impl World {
    pub fn new(clock: Arc<Clock>, seed: u64, base: String, projects: Projects, accounts: Accounts) -> Self {
        Self {
            clock,
            seed,
            base,
            projects,
            accounts,
            now: Moment::ZERO,
            things: BTreeMap::new(),
            operations: BTreeMap::new(),
            active: BTreeSet::new(),
            waiting: BTreeSet::new(),
            failed: BTreeMap::new(),
            work: Vec::new(),
            kubernetes: BTreeMap::new(),
            made_in: BTreeMap::new(),
            controllers: Vec::new(),
            watchers: BTreeMap::new(),
            nodes: BTreeMap::new(),
            book: Book::default(),
            faults: Counted::default(),
            store: Store::default(),
            requests: BTreeMap::new(),
            problems: BTreeSet::new(),
            rates: Rates::default(),
            maker: Maker::default(),
            user: String::new(),
            fault: None,
            counter: 0,
        }
    }

    /// Lets everything happen that is due until then, in its order.
    pub fn advance(&mut self, until: Moment) {
        while let Some((at, name)) = self.next_event().filter(|event| event.0 <= until) {
            self.now = self.now.max(at);
            self.happen(&name);
        }
        self.now = self.now.max(until);
    }

    fn next_event(&self) -> Option<(Moment, String)> {
        let due = self.active.iter().filter_map(|name| {
            let operation = &self.operations[name];
            let waits = operation.waits.as_ref().is_some_and(|work| self.waiting.contains(work));
            let step = operation.steps.first().map(|step| step.0);
            let at = step.or_else(|| (!waits).then_some(operation.due))?;
            Some((at, name.clone()))
        });
        due.min()
    }

    fn happen(&mut self, name: &str) {
        let Some(operation) = self.operations.get_mut(name) else { return };
        self.maker = Maker { by: operation.service.to_owned(), purpose: operation.target.clone() };
        if !operation.steps.is_empty() {
            let step = operation.steps.remove(0).1;
            step(self);
            return;
        }
        let failed = operation.waits.as_ref().and_then(|work| self.failed.remove(work));
        if let Some(message) = failed {
            operation.failure.get_or_insert_with(|| Failure::internal(message));
        }
        operation.ended = Some(self.now);
        let (end, failure) = (operation.end.take(), operation.failure.clone());
        self.active.remove(name);
        if let Some(end) = end {
            end(self, failure.as_ref());
        }
    }

    /// Begins an operation, which is PENDING for a moment first. Gives its name.
    pub fn begin(&mut self, plan: Plan, steps: Vec<(f64, Step)>, end: End) -> String {
        let takes = time(self.seed, &plan.pace, &plan.target);
        let name = self.operation_name(&plan);
        let began = self.now;
        let steps = steps.into_iter().map(|(part, step)| (began + takes.mul_f64(part), step));
        let operation = Operation {
            service: plan.service,
            name: name.clone(),
            kind: plan.kind.to_owned(),
            project: plan.project,
            place: plan.place,
            target: plan.target,
            user: self.user.clone(),
            began,
            runs: began + takes.mul_f64(0.05).min(Duration::from_secs(3)),
            due: began + takes,
            ended: None,
            waits: None,
            steps: steps.collect(),
            end: Some(end),
            failure: None,
            response: Value::Object(serde_json::Map::default()),
            metadata: Value::Object(serde_json::Map::default()),
        };
        self.operations.insert(name.clone(), operation);
        self.active.insert(name.clone());
        name
    }

    fn operation_name(&mut self, plan: &Plan) -> String {
        let count = self.next_number().to_string();
        let words = ["operation", plan.service, &plan.target, &count];
        let uuid = hash::uuid(self.seed, &words);
        let milliseconds = self.clock.milliseconds(self.now);
        match plan.service {
            "container" => format!("operation-{milliseconds}-{uuid}"),
            "compute" | "file" => {
                let rest = uuid.replace('-', "");
                let name = format!("operation-{milliseconds}-{}-{}-{}", &rest[..13], &rest[13..21], &rest[21..29]);
                match plan.service {
                    "file" => format!("projects/{}/locations/{}/operations/{name}", plan.project, plan.place),
                    _ => name,
                }
            }
            "serviceusage" => {
                format!("operations/acat.p2-{}-{uuid}", hash::number(self.seed, &words) % 1_000_000_000_000)
            }
            _ => format!("projects/{}/locations/{}/operations/{uuid}", plan.project, plan.place),
        }
    }

    /// A number that was not given before.
    pub fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The operation of this name.
    pub fn operation(&mut self, name: &str) -> &mut Operation {
        self.operations.get_mut(name).expect("an operation that began is kept")
    }

    /// Operations that have not ended.
    pub fn under_way(&self) -> impl Iterator<Item = &Operation> {
        self.active.iter().map(|name| &self.operations[name])
    }

    /// Has something done outside. An operation that waits for it does not end before it is done.
    pub fn ask(&mut self, operation: &str, work: Work) {
        let name = format!("work-{}", self.next_number());
        self.waiting.insert(name.clone());
        self.operation(operation).waits = Some(name.clone());
        self.work.push((name, work));
    }

    /// Takes note that something outside is done.
    pub fn done(&mut self, work: &str, result: Result<(), String>) {
        self.waiting.remove(work);
        if let Err(message) = result {
            self.failed.insert(work.to_owned(), message);
        }
        // What waited for it ends now, not when its time was over.
        let now = self.now;
        for name in &self.active {
            let operation = self.operations.get_mut(name).expect("an active operation is kept");
            if operation.waits.as_deref() == Some(work) {
                operation.due = operation.due.max(now);
            }
        }
    }

    /// Whether there is such a thing, whether or not it shows.
    pub fn has(&self, key: &str) -> bool {
        self.things.contains_key(key)
    }

    /// A thing that shows.
    pub fn find(&self, key: &str) -> Option<&Thing> {
        self.things.get(key).filter(|thing| thing.found <= self.now)
    }

    /// The things below a path that lists show, with their keys.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Thing)> {
        let all = self.things.range(prefix.to_owned()..).take_while(move |(key, _)| key.starts_with(prefix));
        all.filter(|(_, thing)| thing.listed <= self.now).map(|(key, thing)| (key.as_str(), thing))
    }

    /// Makes a thing. It is there at once, unless the call meets a fault that hides it for a while.
    pub fn insert(&mut self, key: &str, kind: &'static str, body: Value) {
        let name = key.split_once('/').map_or(key, |parts| parts.1);
        let line = self.book.open(kind, name, &body, &self.maker, self.now, prices::per_hour(kind, &body));
        self.put(key, kind, body, Some(line));
    }

    /// Makes a thing that a project has from the start.
    pub fn found(&mut self, key: &str, kind: &'static str, body: Value) {
        self.put(key, kind, body, None);
    }

    fn put(&mut self, key: &str, kind: &'static str, body: Value, line: Option<usize>) {
        let hidden =
            |fault, seconds| if self.fault == Some(fault) { Duration::from_secs(seconds) } else { Duration::ZERO };
        let found = self.now + hidden(FaultKind::NotFoundAfterCreate, 10);
        let listed = (self.now + hidden(FaultKind::ListLag, 20)).max(found);
        self.things.insert(key.to_owned(), Thing { kind, body, listed, found, leaving: false, line });
    }

    /// Changes a thing, if it is there.
    pub fn change(&mut self, key: &str, change: impl FnOnce(&mut Value)) {
        let Some(thing) = self.things.get_mut(key) else { return };
        change(&mut thing.body);
        if let Some(line) = thing.line {
            self.book.change(line, &thing.body, self.now, prices::per_hour(thing.kind, &thing.body));
        }
    }

    /// Takes note that a thing is being deleted.
    pub fn leave(&mut self, key: &str) {
        if let Some(thing) = self.things.get_mut(key) {
            thing.leaving = true;
        }
    }

    /// Takes a thing back that was noted and refused within one call: it never was.
    pub fn forget(&mut self, key: &str) {
        if let Some(line) = self.things.remove(key).and_then(|thing| thing.line) {
            self.book.strike(line);
        }
    }

    /// The controllers in a cluster begin.
    pub fn kubernetes_changed(&mut self, id: &str, key: &str) {
        self.controllers.push(Controllers::Begin(id.to_owned(), key.to_owned()));
    }

    /// The controllers in a cluster end: nothing in it is looked after any more.
    pub fn kubernetes_leaves(&mut self, id: &str) {
        self.controllers.push(Controllers::End(id.to_owned()));
    }

    /// Takes note that a thing stays, since its deletion failed.
    pub fn stay(&mut self, key: &str) {
        if let Some(thing) = self.things.get_mut(key) {
            thing.leaving = false;
        }
    }

    /// Removes a thing, if it is there.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let thing = self.things.remove(key)?;
        if let Some(line) = thing.line {
            self.book.close(line, self.now);
        }
        Some(thing.body)
    }

    /// Refuses what meets this fault.
    pub fn refuse_if(&self, fault: FaultKind, refusal: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
        if self.fault == Some(fault) { Err(refusal()) } else { Ok(()) }
    }
}
