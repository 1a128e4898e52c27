//! A world in memory: things by name, faults on demand, and a record of every call.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use engine::{
    Address, Class, Context, Existing, Failure, Gone, Graph, Held, Journal, Node, Observation, Outcome, Plan, Policy,
    Registry, Remains, Resource, Sinks, StopHandle, Wishes, execute, plan, plan_with,
};
use serde_json::{Value, json};

/// What an operation does instead of working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fails before the effect and knows it.
    Clean,
    /// Fails after the effect, not knowing whether it took place.
    LostReply,
    /// Works, after others had many turns.
    Slow,
    /// Never returns.
    Hang,
}

/// What exists, what was called, and what shall go wrong.
#[derive(Default)]
pub struct World {
    /// Things by address, with the inputs that they were last made from.
    pub things: BTreeMap<Address, Value>,
    /// Every call: `create thing/a`.
    pub calls: Vec<String>,
    /// Faults by call, each used once.
    pub faults: BTreeMap<String, Fault>,
    /// Calls that found the journal without their intent.
    pub unannounced: Vec<String>,
    /// Things that somebody else changed.
    pub drifted: BTreeSet<Address>,
    /// Things that somebody else made.
    pub foreign: BTreeSet<Address>,
}

/// A handle on a world that all behaviours share.
#[derive(Clone, Default)]
pub struct Shared(pub Arc<Mutex<World>>);

struct Thing {
    world: Shared,
    journal: std::path::PathBuf,
}

impl Thing {
    /// What somebody else made or changed is only written where the plan said so.
    fn may_write(&self, context: &Context) -> Result<(), Failure> {
        let world = self.world.0.lock().unwrap();
        let is_touched = world.foreign.contains(context.address()) || world.drifted.contains(context.address());
        if is_touched && !context.may_take_over() {
            return Err(Failure::from("somebody else has made or changed it").class(Class::Foreign).nothing_remains());
        }
        Ok(())
    }

    async fn call(&self, operation: &str, context: &Context, effect: impl FnOnce(&mut World)) -> Result<(), Failure> {
        let call = format!("{operation} {}", context.address());
        let fault = {
            let mut world = self.world.0.lock().unwrap();
            let intent =
                format!("\"address\":\"{}\",\"change\":\"began\",\"operation\":\"{operation}\"", context.address());
            if !std::fs::read_to_string(&self.journal).unwrap().contains(&intent) {
                world.unannounced.push(call.clone());
            }
            world.calls.push(call.clone());
            let fault = world.faults.remove(&call);
            if fault != Some(Fault::Clean) && fault != Some(Fault::Hang) {
                effect(&mut world);
            }
            fault
        };
        match fault {
            None => Ok(()),
            Some(Fault::Slow) => {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            Some(Fault::Clean) => Err(Failure::from("refused").nothing_remains()),
            Some(Fault::LostReply) => Err(Failure::from("connection reset")),
            Some(Fault::Hang) => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Resource for Thing {
    fn forces_replacement(&self, old: &Value, new: &Value) -> Option<String> {
        (old["fixed"] != new["fixed"]).then(|| "fixed".to_owned())
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let world = self.world.0.lock().unwrap();
        let look = |held: &&Held| match &held.node.address {
            address if world.drifted.contains(address) => Observation::Changed("color".into()),
            address if world.things.contains_key(address) || !held.node.lasting => Observation::AsRecorded,
            _ => Observation::Absent,
        };
        held.iter().map(look).collect()
    }

    async fn existing(&self, wanted: &[&Node]) -> Vec<Existing> {
        let world = self.world.0.lock().unwrap();
        let look = |node: &&Node| match &node.address {
            address if world.foreign.contains(address) => {
                Existing::Foreign { owner: "was not made by infra".to_owned(), may_be_adopted: true }
            }
            address if world.drifted.contains(address) => Existing::Changed("color".into()),
            _ => Existing::Free,
        };
        wanted.iter().map(look).collect()
    }

    fn is_same(&self, old: &Value, new: &Value) -> bool {
        old["name"].is_string() && old["name"] == new["name"]
    }

    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let address = context.address().clone();
        self.may_write(context)?;
        if inputs["milestone"].is_string() {
            context.milestone(inputs["milestone"].as_str().unwrap());
            tokio::task::yield_now().await;
        }
        let made = inputs.clone();
        self.call("create", context, move |world| {
            world.drifted.remove(&address);
            world.foreign.remove(&address);
            world.things.insert(address, made);
        })
        .await?;
        Ok(json!({ "id": format!("{}#{}", context.address(), inputs["value"]) }))
    }

    async fn update(&self, context: &Context, _old: &Value, new: &Value) -> Result<Value, Failure> {
        self.may_write(context)?;
        let (address, made) = (context.address().clone(), new.clone());
        self.call("update", context, move |world| {
            world.drifted.remove(&address);
            world.things.insert(address, made);
        })
        .await?;
        Ok(json!({ "id": format!("{}#{}", context.address(), new["value"]) }))
    }

    async fn delete(&self, context: &Context, _inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let address = context.address().clone();
        let removed = address.clone();
        self.call("delete", context, move |world| {
            world.things.remove(&removed);
            // What lives within a thing goes with it.
            let prefix = format!("{}/", removed.name());
            world.things.retain(|other, _| !other.name().starts_with(&prefix));
        })
        .await
        .map_err(|failure| Failure { remains: Remains::Unknown, ..failure })?;
        Ok(vec![Gone::new("thing", address.name())])
    }
}

/// A node of the only kind.
pub fn thing(name: &str, value: &str, needs: &[&str]) -> Node {
    let mut node = Node::new(at(name), format!("thing {name}"), "things");
    node.inputs = json!({ "value": value, "fixed": 1 });
    node.needs = needs.iter().map(|need| at(need).into()).collect();
    node
}

/// The address of a thing.
pub fn at(name: &str) -> Address {
    Address::new("thing", name)
}

/// A graph of nodes with new addresses.
pub fn graph(nodes: Vec<Node>) -> Graph {
    let mut graph = Graph::default();
    for node in nodes {
        graph.add(node).unwrap();
    }
    graph
}

/// Behaviour for things in this world.
pub fn registry(world: &Shared, journal: &Path) -> Registry {
    let mut registry = Registry::default();
    registry.register("thing", Thing { world: world.clone(), journal: journal.to_owned() });
    registry
}

/// One run, as the command line does it: read the journal, look at the world, plan, execute.
pub async fn run(world: &Shared, journal: &Path, wanted: &Graph, policy: Policy, stop: &StopHandle) -> Outcome {
    let registry = registry(world, journal);
    let mut journal = Journal::open(journal).unwrap();
    let observed = registry.observe(journal.inventory()).await;
    let plan = plan(wanted, journal.inventory(), &observed, &registry).unwrap();
    execute("test", &plan, &mut journal, &registry, &Sinks::default(), stop, policy).await.unwrap()
}

/// The plan of an apply with wishes, after a look at the world.
pub async fn planned(world: &Shared, journal: &Path, wanted: &Graph, mut wishes: Wishes) -> Plan {
    let registry = registry(world, journal);
    let inventory = Journal::read(journal).unwrap();
    let observed = registry.observe(&inventory).await;
    wishes.existing = registry.existing(wanted, &inventory, &observed).await;
    plan_with(wanted, &inventory, &observed, &registry, &wishes).unwrap()
}

/// Carries a plan out; tells what happened to `sinks`.
pub async fn carry_out(world: &Shared, journal: &Path, plan: &Plan, sinks: &Sinks) -> Outcome {
    let registry = registry(world, journal);
    let mut journal = Journal::open(journal).unwrap();
    let stop = StopHandle::default();
    execute("test", plan, &mut journal, &registry, sinks, &stop, Policy::StopAtFailure).await.unwrap()
}

/// [`run`] for an apply that nobody stops.
pub async fn apply(world: &Shared, journal: &Path, wanted: &Graph) -> Outcome {
    run(world, journal, wanted, Policy::StopAtFailure, &StopHandle::default()).await
}

/// [`run`] against the empty graph.
pub async fn destroy(world: &Shared, journal: &Path) -> Outcome {
    run(world, journal, &Graph::default(), Policy::GoOn, &StopHandle::default()).await
}

impl Shared {
    /// The calls since the last time.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    /// The names of the things that exist.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().things.keys().map(|address| address.name().to_owned()).collect()
    }

    /// Makes a call go wrong once.
    pub fn fault(&self, call: &str, fault: Fault) {
        self.0.lock().unwrap().faults.insert(call.to_owned(), fault);
    }

    /// No call was made without its intent on disk.
    pub fn assert_announced(&self) {
        assert_eq!(self.0.lock().unwrap().unannounced, Vec::<String>::new());
    }
}
