//! One process: it reads the journal, looks at the world, plans, executes, and may be killed at any moment.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use engine::{Graph, Inventory, Journal, Outcome, Plan, Policy, Sinks, Wishes, execute, plan_with};

use crate::behaviour::registry;
use crate::choices::Choices;
use crate::cloud::{DEPLOYMENT, Phase, Shared};
use crate::faults::{Canary, Menu};
use crate::graphs::filled;

/// What is wrong with the engine: a sentence.
pub type Verdict<T = ()> = Result<T, String>;

/// More turns than any run takes.
const TURNS: usize = 100_000;

/// How a process ended.
pub enum End {
    /// It was killed.
    Killed,
    /// It came to its end.
    Done(Box<Done>),
}

/// What a process that came to its end leaves.
pub struct Done {
    plan: Plan,
    outcome: Outcome,
    inventory: Inventory,
}

/// A world, and the journal of what was done to it.
pub struct Stage {
    pub cloud: Shared,
    pub journal: PathBuf,
    /// Whether the person says that what is there already may be taken over.
    pub adopts: bool,
}

impl Stage {
    /// An empty world, with somebody else's thing in it. The journal lies in `folder`, which holds no other one.
    pub fn new(folder: &Path, choices: Choices, canary: Canary) -> Self {
        let journal = folder.join("journal.jsonl");
        // The file is missing where this is the first story told in this folder.
        let _ = std::fs::remove_file(&journal);
        let cloud = Shared::new(choices, Menu::CALM, canary, journal.clone());
        cloud.lock().put_foreign("thing/foreign");
        Self { cloud, journal, adopts: false }
    }

    /// Runs one process. An error of the plan or of the journal is a question to the person: there must be none.
    pub fn run(&self, wanted: &Graph, policy: Policy, menu: Menu) -> Verdict<End> {
        // A torn last line is cut off when the journal is opened.
        let bytes = std::fs::read(&self.journal).unwrap_or_default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.cloud.lock().begin(whole as u64, menu);
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
        let end = runtime.block_on(self.live(wanted, policy));
        drop(runtime);
        let mut cloud = self.cloud.lock();
        if !cloud.killed {
            cloud.end();
        }
        if let Some(violation) = cloud.violations.first() {
            return Err(violation.clone());
        }
        if cloud.killed {
            let kept = cloud.kept;
            drop(cloud);
            let file = OpenOptions::new().write(true).open(&self.journal).map_err(|error| error.to_string())?;
            file.set_len(kept).map_err(|error| error.to_string())?;
            return Ok(End::Killed);
        }
        drop(cloud);
        end.map(|done| End::Done(Box::new(done)))
    }

    async fn live(&self, wanted: &Graph, policy: Policy) -> Verdict<Done> {
        let mut turns = 0;
        let killed = std::future::poll_fn(|context| {
            turns += 1;
            if self.cloud.lock().killed || turns > TURNS {
                return std::task::Poll::Ready(());
            }
            // Nobody else wakes this one: it looks at every turn.
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        });
        tokio::select! {
            biased;
            () = killed => Err("the process hangs".to_owned()),
            outcome = self.work(wanted, policy) => outcome,
        }
    }

    async fn work(&self, wanted: &Graph, policy: Policy) -> Verdict<Done> {
        let registry = registry(&self.cloud);
        let mut journal = Journal::open(&self.journal).map_err(|error| told(&error))?;
        self.nothing_is_unknown_to(journal.inventory())?;
        // A destroy does not look first: every deletion looks for itself.
        let is_destroy = wanted.nodes().next().is_none();
        let observed =
            if is_destroy { std::collections::BTreeMap::new() } else { registry.observe(journal.inventory()).await };
        let existing = if self.adopts && !is_destroy {
            registry.existing(wanted, journal.inventory(), &observed).await
        } else {
            std::collections::BTreeMap::new()
        };
        let wishes = Wishes { adopt: self.adopts, existing, ..Wishes::default() };
        let decided =
            plan_with(wanted, journal.inventory(), &observed, &registry, &wishes).map_err(|error| told(&error))?;
        let said = |step: &engine::Step| format!("  {} {:?}", step.node.address, step.action);
        self.cloud.lock().tale.say(|| decided.steps.iter().map(said).collect::<Vec<_>>().join("\n"));
        let stop = self.cloud.lock().stop.clone();
        let sinks = Sinks::default();
        let outcome = execute(DEPLOYMENT, &decided, &mut journal, &registry, &sinks, &stop, policy).await;
        let outcome = outcome.map_err(|error| told(&error))?;
        Ok(Done { plan: decided, outcome, inventory: journal.inventory().clone() })
    }

    /// Everything of ours in the world is known to the journal, however the process before this one ended.
    fn nothing_is_unknown_to(&self, inventory: &Inventory) -> Verdict {
        let cloud = self.cloud.lock();
        let unknown = cloud.things().filter(|thing| thing.owner == DEPLOYMENT).find(|thing| {
            let address = thing.address.parse().expect("the world has addresses");
            inventory.get(&address).is_none()
        });
        unknown.map_or(Ok(()), |thing| Err(format!("{} exists and the journal does not know it", thing.address)))
    }

    /// One undisturbed apply makes the world as wanted, and a second one has nothing to do.
    pub fn converges(&self, wanted: &Graph) -> Verdict {
        self.cloud.lock().tale.say(|| "an undisturbed apply".to_owned());
        self.undisturbed(wanted, Policy::StopAtFailure)?;
        self.is_as_wanted(wanted)?;
        self.cloud.lock().heal();
        self.cloud.lock().tale.say(|| "another one".to_owned());
        let Done { plan: again, .. } = self.undisturbed(wanted, Policy::StopAtFailure)?;
        if again.is_empty() { Ok(()) } else { Err(format!("a second apply has something to do: {:?}", again.steps)) }
    }

    /// One undisturbed destroy leaves nothing.
    pub fn is_removed(&self) -> Verdict {
        self.cloud.lock().tale.say(|| "an undisturbed destroy".to_owned());
        let Done { inventory, .. } = self.undisturbed(&Graph::default(), Policy::GoOn)?;
        self.is_as_wanted(&Graph::default())?;
        if inventory.is_empty() { Ok(()) } else { Err("the world is empty and the journal says it is not".to_owned()) }
    }

    fn undisturbed(&self, wanted: &Graph, policy: Policy) -> Verdict<Done> {
        self.cloud.lock().heal();
        let menu = Menu { pace: self.cloud.lock().menu.pace, ..Menu::CALM };
        let End::Done(done) = self.run(wanted, policy, menu)? else {
            return Err("nobody kills this process".to_owned());
        };
        let outcome = &done.outcome;
        let failures = outcome.failures.iter();
        let failures: Vec<String> =
            failures.map(|(address, failure)| format!("{address}: {}", failure.causes().join(": "))).collect();
        if outcome.is_success() {
            Ok(*done)
        } else {
            Err(format!("an undisturbed run fails: {failures:?}, not tried: {:?}", outcome.not_tried))
        }
    }

    /// The world holds one ready thing for each node that lasts, as its inputs say, and nothing else of ours.
    fn is_as_wanted(&self, wanted: &Graph) -> Verdict {
        let cloud = self.cloud.lock();
        let ours = || cloud.things().filter(|thing| thing.owner == DEPLOYMENT);
        let of = |address: &str| ours().filter(|thing| thing.address == address).collect::<Vec<_>>();
        let look = |address: &str, field: &str| {
            let found = of(address);
            found.first().map_or(serde_json::Value::Null, |thing| match field {
                "id" => thing.id.into(),
                field => thing.inputs[field].clone(),
            })
        };
        for node in wanted.nodes().filter(|node| node.lasting) {
            let address = node.address.to_string();
            let [thing] = of(&address)[..] else {
                return Err(format!("{address} exists {} times", of(&address).len()));
            };
            if thing.phase != Phase::Ready || thing.inputs != filled(&node.inputs, &look) {
                return Err(format!("{address} is not as wanted: {thing:?}"));
            }
        }
        if let Some(left) = ours().find(|thing| !wanted.nodes().any(|node| node.address.to_string() == thing.address)) {
            return Err(format!("{} is left", left.address));
        }
        if cloud.things().any(|thing| thing.owner != DEPLOYMENT) {
            Ok(())
        } else {
            Err("a foreign thing is gone".to_owned())
        }
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
