use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{Address, Blocker, Event, Existing, FieldChange, Held, Node, Sinks};

/// The behaviour of one kind of node.
///
/// # Guarantees that an implementation gives
///
/// - Every method is idempotent and finds its resource by name and label, never by an output of an earlier call.
/// - `create` observes, adopts what an earlier, interrupted `create` of the same deployment made, or makes it; afterwards the
///   resource is as the inputs say. It refuses to touch a resource that the deployment did not make.
/// - `delete` tolerates that `create` never ran or stopped half-way, and returns only when the resource was looked up and found gone.
/// - Labels are on the resource from the call that makes it on.
#[async_trait]
pub trait Resource: Send + Sync {
    /// How many operations of this kind may run at once.
    fn parallelism(&self) -> usize {
        32
    }

    /// Whether an operation under way may be given up when the run stops early, because what it leaves needs no care: a
    /// build, for example. What only waits (a node that is not lasting) always may.
    fn may_be_given_up(&self) -> bool {
        false
    }

    /// The field that cannot change in place between these inputs, if any: the resource is then deleted and made anew. Pure.
    fn forces_replacement(&self, _old: &Value, _new: &Value) -> Option<String> {
        None
    }

    /// Looks at what the journal says is there; one answer for each, in order. One call for all nodes of the kind, so that it
    /// can list instead of asking one by one. What cannot be looked at is [`Observation::Unknown`].
    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        vec![Observation::AsRecorded; held.len()]
    }

    /// Looks whether something is there already under the names of what is to be made; one answer for each, in order. What
    /// cannot be looked at is [`Existing::Unknown`]: then `create` finds out.
    async fn existing(&self, wanted: &[&Node]) -> Vec<Existing> {
        vec![Existing::Unknown; wanted.len()]
    }

    /// Whether both inputs mean one and the same thing in the world, so that what was made with the old ones under one address
    /// can be held with the new ones under another, without a call. Pure.
    fn is_same(&self, _old: &Value, _new: &Value) -> bool {
        false
    }

    /// Makes the resource as the inputs say, and returns its outputs (an object).
    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure>;

    /// Changes the resource from the old inputs to the new ones. By default the same as `create`.
    async fn update(&self, context: &Context, _old: &Value, new: &Value) -> Result<Value, Failure> {
        self.create(context, new).await
    }

    /// Removes the resource; returns each thing that was looked up afterwards and found gone.
    async fn delete(&self, context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure>;
}

/// What looking at the world says of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "seen", content = "what", rename_all = "snake_case")]
pub enum Observation {
    /// It is there, as the journal says.
    AsRecorded,
    /// It is not there.
    Absent,
    /// It is there, but somebody changed it; says what.
    Changed(Drift),
    /// It could not be looked at; says why.
    Unknown(String),
}

/// What somebody else changed in a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// In a few words, for example `changed by kubectl-edit`.
    pub what: String,
    /// The fields that differ from what was made, as far as the resource can tell: the recorded value, and the one that was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
}

impl<T: Into<String>> From<T> for Drift {
    fn from(what: T) -> Self {
        Self { what: what.into(), fields: Vec::new() }
    }
}

/// One thing that was looked up after its deletion and found gone: a line of the receipt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gone {
    /// What sort of thing, for example `container`.
    pub what: String,
    /// Its name.
    pub name: String,
}

impl Gone {
    /// A line of the receipt.
    pub fn new(what: impl Into<String>, name: impl Into<String>) -> Self {
        Self { what: what.into(), name: name.into() }
    }
}

/// What a failed operation left in the world. It speaks of this operation alone: what an earlier one left stays known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remains {
    /// Certainly nothing.
    Nothing,
    /// Something, which a later delete must remove.
    Something,
    /// Not known; treated like something.
    #[default]
    Unknown,
}

/// What sort of failure it is; the command line makes an exit code of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// An operation failed.
    #[default]
    Failed,
    /// A wait ended because its cause will not heal, or at its deadline.
    Blocked,
    /// A check got a wrong answer.
    Check,
    /// The machine lacks something: Docker, kind, a free port.
    Missing,
    /// The thing exists and belongs to somebody else.
    Foreign,
    /// It was interrupted.
    Interrupted,
}

/// Why an operation failed, what it left behind, and what to do.
#[derive(Debug)]
pub struct Failure {
    /// The error with its chain of causes.
    pub error: Box<dyn Error + Send + Sync>,
    /// What is left in the world.
    pub remains: Remains,
    /// What the person can do.
    pub hint: Option<String>,
    /// What sort of failure it is.
    pub class: Class,
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), remains: Remains::Unknown, hint: None, class: Class::Failed }
    }
}

impl Failure {
    /// Says that nothing is left behind.
    #[must_use]
    pub fn nothing_remains(mut self) -> Self {
        self.remains = Remains::Nothing;
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what sort of failure it is.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// The error and its causes, outermost first.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = vec![self.error.to_string()];
        let mut next = self.error.source();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        causes
    }
}

/// What a running operation is told, and through which it speaks.
#[derive(Clone)]
pub struct Context {
    deployment: String,
    address: Address,
    sinks: Sinks,
    milestones: mpsc::UnboundedSender<(Address, String)>,
    may_take_over: bool,
}

impl Context {
    pub(crate) fn new(
        deployment: &str,
        address: &Address,
        sinks: &Sinks,
        milestones: &mpsc::UnboundedSender<(Address, String)>,
    ) -> Self {
        Self {
            deployment: deployment.to_owned(),
            address: address.clone(),
            sinks: sinks.clone(),
            milestones: milestones.clone(),
            may_take_over: false,
        }
    }

    /// A context whose events go to `sinks` and whose milestones go nowhere: for calls outside a run, and for tests.
    pub fn detached(deployment: &str, address: Address, sinks: Sinks) -> Self {
        let milestones = mpsc::unbounded_channel().0;
        Self { deployment: deployment.to_owned(), address, sinks, milestones, may_take_over: false }
    }

    /// The same, allowed to take over what somebody else made or changed.
    #[must_use]
    pub fn taking_over(mut self, may_take_over: bool) -> Self {
        self.may_take_over = may_take_over;
        self
    }

    /// Whether the plan said, and the person agreed, that what somebody else made is adopted, or what somebody else changed is
    /// put back. Without it, nothing of somebody else is touched.
    pub fn may_take_over(&self) -> bool {
        self.may_take_over
    }

    /// The deployment's name, which everything made is labelled with.
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// The node that is worked on.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Says what is being done, in a few words.
    pub fn progress(&self, message: impl Into<String>) {
        self.sinks.emit(Event::StepProgress { address: self.address.clone(), message: message.into() });
    }

    /// Passes on a line that a program printed.
    pub fn output(&self, line: impl Into<String>) {
        self.sinks.emit(Event::StepOutput { address: self.address.clone(), line: line.into() });
    }

    /// Says what a wait waits for; an empty list says that nothing blocks any more.
    pub fn blocked(&self, blockers: Vec<Blocker>) {
        self.sinks.emit(Event::StepBlocked { address: self.address.clone(), blockers });
    }

    /// Announces a milestone: nodes that need only this may start.
    pub fn milestone(&self, milestone: impl Into<String>) {
        let milestone = milestone.into();
        self.sinks.emit(Event::StepMilestone { address: self.address.clone(), milestone: milestone.clone() });
        // Outside a run nobody listens, and that is fine.
        let _ = self.milestones.send((self.address.clone(), milestone));
    }
}

/// Behaviour by kind.
#[derive(Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<String, Arc<dyn Resource>>,
}

impl Registry {
    /// Sets the behaviour of a kind.
    pub fn register(&mut self, kind: impl Into<String>, resource: impl Resource + 'static) {
        self.kinds.insert(kind.into(), Arc::new(resource));
    }

    /// The behaviour of an address's kind.
    pub fn get(&self, address: &Address) -> Option<&Arc<dyn Resource>> {
        self.kind(address.kind())
    }

    /// The behaviour of a kind.
    pub(crate) fn kind(&self, kind: &str) -> Option<&Arc<dyn Resource>> {
        self.kinds.get(kind)
    }

    /// Looks at everything the inventory holds; the answer lacks what was not recorded as present.
    pub async fn observe(&self, inventory: &crate::Inventory) -> BTreeMap<Address, Observation> {
        let mut by_kind: BTreeMap<&str, Vec<&Held>> = BTreeMap::new();
        for held in inventory.iter().filter(|held| held.state == crate::State::Present) {
            by_kind.entry(held.node.address.kind()).or_default().push(held);
        }
        let looks = by_kind.into_iter().filter_map(|(kind, held)| {
            let resource = self.kinds.get(kind)?;
            Some(async move {
                let observations = resource.observe(&held).await;
                held.into_iter().map(|held| held.node.address.clone()).zip(observations).collect::<Vec<_>>()
            })
        });
        futures::future::join_all(looks).await.into_iter().flatten().collect()
    }
}
