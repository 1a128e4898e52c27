//! The world: things by name, with the manners of real clouds, and what goes wrong in them.

mod calls;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use engine::StopHandle;
use serde_json::Value;

use crate::choices::Choices;
use crate::faults::{Canary, Menu};

pub use calls::Request;

/// How many ticks a reader may be behind the world, and an effect behind its call.
pub const LAG: u64 = 3;

/// How many ticks after a call the last reader knows of its effect.
pub const LATEST: u64 = 2 * LAG;

/// Whose things are ours.
pub const DEPLOYMENT: &str = "test";

/// How far a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first of two calls was made.
    Half,
    /// It becomes ready by itself.
    Making { until: u64 },
    /// It works.
    Ready,
    /// It goes away by itself.
    Going { until: u64 },
}

/// Something that exists.
#[derive(Clone, Debug)]
pub struct Thing {
    /// Given by the world, never twice.
    pub id: u64,
    /// What it was made for: `kind/name`.
    pub address: String,
    /// The label that it was made with.
    pub owner: String,
    /// What it was made or last changed from.
    pub inputs: Value,
    /// How far it is.
    pub phase: Phase,
    /// When readers see it.
    seen_from: u64,
}

impl Thing {
    /// Whether it exists and nobody has asked for its deletion.
    pub fn stays(&self) -> bool {
        !matches!(self.phase, Phase::Going { .. })
    }

    /// Whether we made it, or took it over.
    pub fn is_ours(&self) -> bool {
        self.owner == DEPLOYMENT
    }

    /// The names in a list of its inputs.
    fn names(&self, list: &str) -> impl Iterator<Item = &str> {
        self.inputs[list].as_array().into_iter().flatten().filter_map(Value::as_str)
    }
}

/// An answer of the world other than yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("too many requests")]
    Throttled,
    #[error("the service is unavailable")]
    Unavailable,
    #[error("the connection was closed before the answer")]
    LostReply,
    #[error("the field cannot be changed")]
    Immutable,
    #[error("it is in use")]
    InUse,
    #[error("what it needs is not there")]
    Missing,
    #[error("what it lives within does not answer")]
    Unreachable,
}

/// What happened, one line after the other.
#[derive(Default)]
pub struct Tale(pub Option<Vec<String>>);

impl Tale {
    /// Adds a line, where somebody listens.
    pub fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(tale) = &mut self.0 {
            tale.push(what());
        }
    }
}

/// Everything that a story is told in.
pub struct Cloud {
    pub choices: Choices,
    pub menu: Menu,
    pub canary: Canary,
    pub stop: StopHandle,
    /// Nothing more happens in the process: it was killed.
    pub killed: bool,
    /// How much of the journal is kept after the kill.
    pub kept: u64,
    /// The kill was asked for behind the end of its line: there is another story with the same cut.
    pub repeated: bool,
    /// What must never happen, and did.
    pub violations: Vec<String>,
    /// What happened, for the reader of a failure; kept only where somebody wants to read it.
    pub tale: Tale,
    things: BTreeMap<u64, Thing>,
    /// Things that are gone but still listed, and until when.
    ghosts: Vec<(u64, Thing)>,
    /// Requests on their way, and when they arrive.
    late: Vec<(u64, Request)>,
    refused: BTreeSet<String>,
    journal: PathBuf,
    /// The ends of the last two appends that are known to be on disk.
    synchronised: [u64; 2],
    clock: u64,
    next_id: u64,
}

/// A handle on the world that all behaviours share.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Cloud>>);

impl Shared {
    pub fn new(choices: Choices, menu: Menu, canary: Canary, journal: PathBuf) -> Self {
        let cloud = Cloud {
            choices,
            menu,
            canary,
            stop: StopHandle::default(),
            killed: false,
            kept: 0,
            repeated: false,
            violations: Vec::new(),
            tale: Tale::default(),
            things: BTreeMap::new(),
            ghosts: Vec::new(),
            late: Vec::new(),
            refused: BTreeSet::new(),
            journal,
            synchronised: [0, 0],
            clock: 0,
            next_id: 0,
        };
        Self(Arc::new(Mutex::new(cloud)))
    }

    pub fn lock(&self) -> MutexGuard<'_, Cloud> {
        self.0.lock().expect("nobody panics in the world")
    }
}

impl Cloud {
    /// A process begins, with this much of the journal on disk.
    pub fn begin(&mut self, journal: u64, menu: Menu) {
        self.stop = StopHandle::default();
        self.killed = false;
        self.synchronised = [journal; 2];
        self.menu = menu;
    }

    /// The process has nothing more to do; it may still be killed before all that it wrote is on disk.
    pub fn end(&mut self) {
        let window = self.window();
        if self.menu.budget > 0 && self.menu.kills && self.menu.strikes(&mut self.choices, 1) == Some(0) {
            self.menu.budget -= 1;
            self.kill(window);
        }
    }

    /// Everything that went wrong for good is put right, and what was slow has its time.
    pub fn heal(&mut self) {
        self.refused.clear();
        self.clock += LAG + 1;
        self.settle();
        self.clock += LAG + 1;
        self.settle();
    }

    /// The things that stay, with our label or that of somebody else.
    pub fn things(&self) -> impl Iterator<Item = &Thing> {
        self.things.values()
    }

    /// Puts a thing into the world that is not ours.
    pub fn put_foreign(&mut self, address: &str) {
        let thing = self.thing(address, Value::Null);
        self.things.insert(thing.id, Thing { owner: "somebody else".to_owned(), phase: Phase::Ready, ..thing });
    }

    /// A thing of somebody else becomes ours, and as the inputs say.
    fn adopt(&mut self, id: u64, inputs: &Value) {
        if let Some(thing) = self.things.get_mut(&id) {
            DEPLOYMENT.clone_into(&mut thing.owner);
            thing.inputs = inputs.clone();
        }
    }

    /// Somebody removes or changes one of our things behind our back.
    pub fn meddle(&mut self) {
        let ours: Vec<u64> = self.things().filter(|thing| thing.owner == DEPLOYMENT).map(|thing| thing.id).collect();
        if ours.is_empty() {
            return;
        }
        let id = self.choices.of(&ours);
        if self.choices.one_in(3) {
            let thing = self.things.get_mut(&id).expect("it is one of them");
            thing.inputs["value"] = "meddled".into();
            let address = thing.address.clone();
            self.tale.say(|| format!("somebody changes {address}"));
            return;
        }
        self.tale.say(|| format!("{} vanishes", self.things[&id].address));
        self.remove(id);
        self.ghosts.clear();
    }

    /// What the last append wrote, if nothing has happened in the world since: until now it could have been lost in part.
    fn window(&mut self) -> [u64; 2] {
        let now = std::fs::metadata(&self.journal).map_or(0, |metadata| metadata.len());
        let window = if self.canary == Canary::JournalIsLate {
            // A journal that is not synchronised: what came before the last append can be lost as well.
            [self.synchronised[0], now]
        } else {
            [self.synchronised[1], now]
        };
        if now != self.synchronised[1] {
            self.synchronised = [self.synchronised[1], now];
        }
        window
    }

    /// The process is killed, and of what it wrote in this window only a part is on disk.
    fn kill(&mut self, [from, to]: [u64; 2]) {
        self.killed = true;
        let cut = self.menu.cut(from, to, &self.journal, &mut self.choices);
        self.repeated |= cut.is_none();
        self.kept = cut.unwrap_or(from);
        self.tale.say(|| format!("  killed; the journal keeps {} of {to} bytes", self.kept));
    }

    fn settle(&mut self) {
        let clock = self.clock;
        let is_over = |until: u64| until <= clock;
        let (arrived, late): (Vec<_>, Vec<_>) = self.late.drain(..).partition(|(arrival, _)| is_over(*arrival));
        self.late = late;
        for (_, request) in arrived {
            // Nobody waits for its answer.
            let answer = self.take(&request);
            self.tale.say(|| format!("    late: {request:?}: {answer:?}"));
        }
        for thing in self.things.values_mut() {
            if matches!(thing.phase, Phase::Making { until } if is_over(until)) {
                thing.phase = Phase::Ready;
            }
        }
        let gone = |thing: &&Thing| matches!(thing.phase, Phase::Going { until } if is_over(until));
        for id in self.things.values().filter(gone).map(|thing| thing.id).collect::<Vec<_>>() {
            self.remove(id);
        }
        self.ghosts.retain(|(until, _)| *until > clock);
    }

    /// A thing goes, and what lives within it with it.
    fn remove(&mut self, id: u64) {
        let Some(thing) = self.things.remove(&id) else { return };
        let inside = |other: &&Thing| other.inputs["within"] == thing.address.as_str();
        for inner in self.things.values().filter(inside).map(|inner| inner.id).collect::<Vec<_>>() {
            self.remove(inner);
        }
        self.ghosts.push((self.clock + LAG, thing));
    }

    fn thing(&mut self, address: &str, inputs: Value) -> Thing {
        self.next_id += 1;
        let seen_from = self.clock + self.menu.slowness(&mut self.choices);
        let owner = DEPLOYMENT.to_owned();
        Thing { id: self.next_id, address: address.to_owned(), owner, inputs, phase: Phase::Half, seen_from }
    }

    /// The thing that was made for an address and stays, else one that goes.
    fn find(&self, address: &str) -> Option<&Thing> {
        let all = || self.things.values().filter(|thing| thing.address == address);
        all().find(|thing| thing.stays()).or_else(|| all().next())
    }

    /// The same for a name within what the inputs say: the same name somewhere else is another thing.
    fn find_within(&self, address: &str, inputs: &Value) -> Option<&Thing> {
        let is_it = |thing: &&Thing| thing.address == address && thing.inputs["within"] == inputs["within"];
        let all = || self.things.values().filter(is_it);
        all().find(|thing| thing.stays()).or_else(|| all().next())
    }

    fn is_ready(&self, address: &str) -> bool {
        self.find(address).is_some_and(|thing| thing.phase == Phase::Ready)
    }

    fn lives_within(&self, thing: &Thing, address: &str) -> bool {
        let container = thing.inputs["within"].as_str();
        let outer = || container.and_then(|container| self.find(container));
        container == Some(address) || outer().is_some_and(|outer| self.lives_within(outer, address))
    }

    /// What lives within something answers only while that works.
    fn reach(&self, inputs: &Value) -> Result<(), Refusal> {
        match inputs["within"].as_str() {
            Some(container) if !self.is_ready(container) => Err(Refusal::Unreachable),
            _ => Ok(()),
        }
    }

    /// What a reader sees at an address.
    pub fn read(&self, address: &str, inputs: &Value) -> Result<Option<Thing>, Refusal> {
        if inputs["within"].as_str().is_some_and(|container| self.find(container).is_none()) {
            return Ok(None);
        }
        self.reach(inputs)?;
        Ok(self.find_within(address, inputs).filter(|thing| thing.seen_from <= self.clock).cloned())
    }

    /// What a reader sees who asks for a name wherever it is.
    pub fn look(&self, address: &str) -> Option<Thing> {
        self.find(address).filter(|thing| thing.seen_from <= self.clock).cloned()
    }

    /// The ids that a list shows, with what each was made from: some things too late, some too long.
    pub fn list(&self) -> BTreeMap<u64, Value> {
        let things = self.things.values().filter(|thing| thing.seen_from <= self.clock && thing.stays());
        let all = things.chain(self.ghosts.iter().map(|(_, thing)| thing));
        all.map(|thing| (thing.id, thing.inputs.clone())).collect()
    }

    /// Makes the first half of a thing, unless it is there: by its name, or by the token where names may repeat.
    fn create(&mut self, address: &str, inputs: &Value, is_known: bool) -> Result<(), Refusal> {
        self.reach(inputs)?;
        let thing = self.thing(address, inputs.clone());
        if let Some(missing) = thing.names("uses").find(|name| !self.is_ready(name)) {
            self.tale.say(|| format!("    {missing} is not ready"));
            return Err(Refusal::Missing);
        }
        if let Some(there) = self.find_within(address, inputs) {
            if is_known || !there.stays() {
                return Ok(());
            }
            self.violations.push(format!("{address} was made twice"));
        }
        self.things.insert(thing.id, thing);
        Ok(())
    }

    /// The second half.
    fn finish(&mut self, id: u64) {
        let until = self.clock + self.menu.slowness(&mut self.choices);
        if let Some(thing) = self.things.get_mut(&id).filter(|thing| thing.phase == Phase::Half) {
            thing.phase = Phase::Making { until };
        }
    }

    /// Changes a thing in place, as far as that can be done.
    fn change(&mut self, id: u64, inputs: &Value) -> Result<(), Refusal> {
        let Some(before) = self.things.get(&id) else { return Ok(()) };
        self.reach(&before.inputs)?;
        if before.inputs["fixed"] != inputs["fixed"] {
            return Err(Refusal::Immutable);
        }
        let after = Thing { inputs: inputs.clone(), ..before.clone() };
        if after.names("uses").any(|name| !self.is_ready(name)) {
            return Err(Refusal::Missing);
        }
        self.things.insert(id, after);
        Ok(())
    }

    /// Asks for the deletion of a thing, which nothing may use.
    fn delete(&mut self, id: u64) -> Result<(), Refusal> {
        let Some(thing) = self.things.get(&id) else { return Ok(()) };
        self.reach(&thing.inputs)?;
        let needs_it = |other: &&Thing| other.names("uses").any(|name| name == thing.address);
        // What lives within it goes with it.
        let user = self.things.values().filter(needs_it).find(|other| !self.lives_within(other, &thing.address));
        if let Some(user) = user {
            self.tale.say(|| format!("    {} uses {}", user.address, thing.address));
            return Err(Refusal::InUse);
        }
        let until = self.clock + self.menu.slowness(&mut self.choices);
        self.things.get_mut(&id).expect("it was found").phase = Phase::Going { until };
        Ok(())
    }
}
