//! The behaviour of every kind: what the engine asks of a resource, kept towards a world that has its faults.

use async_trait::async_trait;
use engine::{Class, Context, Drift, Existing, Failure, Gone, Held, Node, Observation, Registry, Resource};
use serde_json::{Value, json};

use crate::cloud::{LAG, LATEST, Phase, Refusal, Request, Shared, Thing};
use crate::faults::Canary;

/// More looks than anything takes.
const PATIENCE: usize = 40;

/// How often a call is tried again that was one too many.
const TRIES: usize = 3;

/// A kind of thing.
#[derive(Clone, Copy)]
struct Kind {
    /// Its operations may be given up when the run stops early.
    may_be_given_up: bool,
    parallelism: usize,
}

struct Behaviour {
    cloud: Shared,
    kind: Kind,
}

/// A node that leaves nothing: a look at whether what it needs works.
struct Check {
    cloud: Shared,
}

/// Behaviour for everything in this world.
pub fn registry(cloud: &Shared) -> Registry {
    let mut registry = Registry::default();
    for (name, may_be_given_up, parallelism) in [("thing", false, 8), ("queued", false, 1), ("built", true, 8)] {
        let kind = Kind { may_be_given_up, parallelism };
        registry.register(name, Behaviour { cloud: cloud.clone(), kind });
    }
    registry.register("check", Check { cloud: cloud.clone() });
    registry
}

fn failure(refusal: Refusal, touched: bool) -> Failure {
    let failure = Failure::from(refusal);
    // A call that was refused has left nothing, and says so. What earlier operations left is for the engine to know.
    if touched || refusal == Refusal::LostReply { failure } else { failure.nothing_remains() }
}

impl Behaviour {
    async fn read(&self, address: &str, inputs: &Value) -> Result<Option<Thing>, Refusal> {
        self.cloud.read(address, |cloud| cloud.read(address, inputs)).await
    }

    /// A call that changes something; tried again when it was one too many.
    async fn change(&self, address: &str, request: &Request) -> Result<(), Refusal> {
        for _ in 1..TRIES {
            match self.cloud.send(address, request).await {
                Err(Refusal::Throttled) => {}
                answer => return answer,
            }
        }
        self.cloud.send(address, request).await
    }

    /// One step from what is seen towards what is wanted; nothing where it is there.
    async fn step(
        &self,
        address: &str,
        inputs: &Value,
        seen: Option<&Thing>,
        touched: bool,
    ) -> Option<Result<(), Refusal>> {
        // What this very call has made is known by its token; what an earlier one made must be, too.
        let adopts = touched || self.cloud.lock().canary != Canary::CreateNeverAdopts;
        let request = match seen {
            None => Request::Create { address: address.to_owned(), inputs: inputs.clone(), is_known: adopts },
            Some(thing) if thing.stays() && thing.inputs != *inputs => {
                Request::Change { id: thing.id, inputs: inputs.clone() }
            }
            Some(thing) if thing.phase == Phase::Half => Request::Finish { id: thing.id },
            Some(_) => return None,
        };
        Some(self.change(address, &request).await)
    }
}

#[async_trait]
impl Resource for Behaviour {
    fn parallelism(&self) -> usize {
        self.kind.parallelism
    }

    fn may_be_given_up(&self) -> bool {
        self.kind.may_be_given_up
    }

    fn forces_replacement(&self, old: &Value, new: &Value) -> Option<String> {
        (old["fixed"] != new["fixed"]).then(|| "fixed".to_owned())
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let listed = self.cloud.read("all", |cloud| Ok(cloud.list())).await;
        let Ok(listed) = listed else { return vec![Observation::Unknown("no list".to_owned()); held.len()] };
        let mut observations = Vec::new();
        for held in held {
            let found = |inputs: &Value| match inputs {
                same if *same == held.node.inputs => Observation::AsRecorded,
                _ => Observation::Changed(Drift::from("somebody changed it")),
            };
            if let Some(inputs) = held.outputs["id"].as_u64().and_then(|id| listed.get(&id)) {
                observations.push(found(inputs));
                continue;
            }
            // A list may be late: what it lacks is looked for by name, as long as a reader may be late.
            let mut observation = Observation::Absent;
            for _ in 0..=LAG {
                match self.read(&held.node.address.to_string(), &held.node.inputs).await {
                    Ok(None) => {}
                    Ok(Some(thing)) if !thing.stays() => {}
                    Ok(Some(thing)) => observation = found(&thing.inputs),
                    Err(refusal) => observation = Observation::Unknown(refusal.to_string()),
                }
            }
            observations.push(observation);
        }
        observations
    }

    async fn existing(&self, wanted: &[&Node]) -> Vec<Existing> {
        let mut found = Vec::new();
        for node in wanted {
            let seen = self.read(&node.address.to_string(), &node.inputs).await;
            found.push(match seen {
                Err(_) => Existing::Unknown,
                Ok(Some(thing)) if !thing.is_ours() => {
                    Existing::Foreign { owner: format!("belongs to {}", thing.owner), may_be_adopted: true }
                }
                Ok(_) => Existing::Free,
            });
        }
        found
    }

    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let address = context.address().to_string();
        let mut touched = false;
        for _ in 0..PATIENCE {
            let seen = self.read(&address, inputs).await.map_err(|refusal| failure(refusal, touched))?;
            if let Some(thing) = seen.as_ref().filter(|thing| !thing.is_ours()) {
                if !context.may_take_over() {
                    return Err(Failure::from("it is somebody else's").class(Class::Foreign).nothing_remains());
                }
                let adopt = Request::Adopt { id: thing.id, inputs: inputs.clone() };
                self.change(&address, &adopt).await.map_err(|refusal| failure(refusal, touched))?;
                touched = true;
                continue;
            }
            if let Some(thing) = seen.as_ref().filter(|thing| thing.phase == Phase::Ready && thing.inputs == *inputs) {
                context.milestone("up");
                // What announced a milestone still has something to do.
                self.read(&address, inputs).await.map_err(|refusal| failure(refusal, true))?;
                return Ok(json!({ "id": thing.id, "value": inputs["value"] }));
            }
            if let Some(answer) = self.step(&address, inputs, seen.as_ref(), touched).await {
                answer.map_err(|refusal| failure(refusal, touched))?;
                touched = true;
            }
        }
        Err(Failure::from("it did not become ready in time").class(Class::Blocked))
    }

    async fn delete(&self, context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let address = context.address().to_string();
        let believes = self.cloud.lock().canary == Canary::DeleteBelievesTheFirstAnswer;
        let mut absences = 0;
        for _ in 0..PATIENCE {
            match self.read(&address, inputs).await? {
                None => absences += 1,
                // What is somebody else's is not ours to delete: ours is gone.
                Some(thing) if !thing.is_ours() => absences += 1,
                Some(thing) if !thing.stays() => absences = 0,
                Some(thing) => {
                    absences = 0;
                    self.change(&address, &Request::Delete { id: thing.id }).await?;
                }
            }
            // A reader may be late, and so may be the effect of an earlier call: only what stays absent is gone.
            if absences > LATEST || (believes && absences > 0) {
                return Ok(vec![Gone::new("thing", address)]);
            }
        }
        Err(Failure::from("it is still there"))
    }
}

#[async_trait]
impl Resource for Check {
    async fn create(&self, context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let address = context.address().to_string();
        for name in inputs["uses"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let seen = self.cloud.read(&address, |cloud| Ok(cloud.look(name))).await;
            let works = seen.map_err(|refusal| failure(refusal, false))?.is_some_and(|it| it.phase == Phase::Ready);
            if !works {
                return Err(Failure::from(format!("{name} does not work")).class(Class::Check).nothing_remains());
            }
        }
        Ok(json!({}))
    }

    async fn delete(&self, context: &Context, _inputs: &Value) -> Result<Vec<Gone>, Failure> {
        Err(Failure::from(format!("{} leaves nothing: nobody asks for its deletion", context.address())))
    }
}
