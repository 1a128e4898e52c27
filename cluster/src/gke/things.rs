//! Things that one call makes and one call deletes, and that are known by their name and a mark: the same behaviour for all of them.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use engine::{Class, Context, Drift, Existing, Failure, Gone, Held, Node, Observation, Resource};
use futures::future::join_all;
use providers::gcp::{Error, Gcp};
use providers::retry::{Policy, Verdict, retry};
use providers::wait::{Probe, WaitError, until};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure;

/// How long something may be in use before it can be deleted: disks are detached and machines are deleted a while after what
/// needed them.
const IN_USE_LIMIT: Duration = Duration::from_mins(10);
const PAUSE: Duration = Duration::from_secs(5);
/// How long what was just made may not be seen.
const SEEN_LIMIT: Duration = Duration::from_mins(1);
/// Answers take their time, however fast the rest goes.
const LEAST_LIMIT: Duration = Duration::from_secs(10);
/// What was made may not be seen at once: lists lag.
const AGAIN: Policy = Policy { attempts: 4, first_delay: Duration::from_secs(1), max_delay: Duration::from_secs(4) };

/// What is there under the name of a thing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// What the deployment made, with its outputs, and what differs from what was asked for.
    Ours { outputs: Value, difference: Option<String> },
    /// Something else; says whose.
    Foreign(String),
}

/// One sort of thing: its inputs, with how it is found, made and deleted.
#[async_trait]
pub(super) trait Thing: DeserializeOwned + Send + Sync {
    /// What a person calls it.
    const SORT: &'static str;
    /// The inputs that cannot change in place.
    const FIXED: &'static [&'static str];

    fn project(&self) -> &str;

    fn name(&self) -> &str;

    async fn look(&self, gcp: &Gcp) -> Result<Found, Error>;

    async fn make(&self, gcp: &Gcp) -> Result<(), Error>;

    /// Changes what is there to what is asked for, where it differs in what can change.
    async fn adjust(&self, _gcp: &Gcp) -> Result<(), Error> {
        Ok(())
    }

    /// Deletes what was looked at before and is the deployment's; returns what is kept of it on purpose, for a person.
    async fn remove(&self, gcp: &Gcp) -> Result<Option<String>, Error>;
}

/// The behaviour of a sort of thing.
#[derive(Debug)]
pub(super) struct Things<T> {
    gcp: Gcp,
    sort: std::marker::PhantomData<fn() -> T>,
}

impl<T: Thing> Things<T> {
    pub fn new(gcp: &Gcp) -> Self {
        Self { gcp: gcp.clone(), sort: std::marker::PhantomData }
    }

    fn gcp(&self, thing: &T) -> Gcp {
        self.gcp.for_project(thing.project())
    }

    async fn look(&self, inputs: &Value) -> Result<Found, String> {
        let thing = T::deserialize(inputs).map_err(|error| error.to_string())?;
        thing.look(&self.gcp(&thing)).await.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl<T: Thing + 'static> Resource for Things<T> {
    fn forces_replacement(&self, old: &Value, new: &Value) -> Option<String> {
        let differs = |field: &&&str| old[**field] != new[**field];
        let whose = old["owner"] != new["owner"];
        if whose { Some("owner".to_owned()) } else { T::FIXED.iter().find(differs).map(|field| (*field).to_owned()) }
    }

    async fn observe(&self, held: &[&Held]) -> Vec<Observation> {
        let looks = held.iter().map(|held| async move {
            match self.look(&held.node.inputs).await {
                Ok(Found::Ours { difference: None, .. }) => Observation::AsRecorded,
                Ok(Found::Ours { difference: Some(difference), .. }) => Observation::Changed(Drift::from(difference)),
                // Something of somebody else in its place: ours is gone.
                Ok(Found::Nothing | Found::Foreign(_)) => Observation::Absent,
                Err(reason) => Observation::Unknown(reason),
            }
        });
        join_all(looks).await
    }

    async fn existing(&self, wanted: &[&Node]) -> Vec<Existing> {
        let looks = wanted.iter().map(|node| async move {
            match self.look(&node.inputs).await {
                Ok(Found::Foreign(owner)) => Existing::Foreign { owner, may_be_adopted: false },
                Ok(_) => Existing::Free,
                Err(_) => Existing::Unknown,
            }
        });
        join_all(looks).await
    }

    async fn create(&self, _context: &Context, inputs: &Value) -> Result<Value, Failure> {
        let thing = T::deserialize(inputs)?;
        let gcp = self.gcp(&thing);
        let what = format!("make the {} {}", T::SORT, thing.name());
        let there = thing.look(&gcp).await.map_err(|error| failure::of(what.clone(), error))?;
        match there {
            Found::Foreign(whose) => return Err(failure::foreign(T::SORT, thing.name(), &whose)),
            Found::Ours { outputs, difference: None } => return Ok(outputs),
            Found::Ours { .. } => {
                thing.adjust(&gcp).await.map_err(|error| failure::leaving(what.clone(), error, Some(true)))?;
            }
            Found::Nothing => {
                if let Err(error) = made(&thing, &gcp).await {
                    let there = thing.look(&gcp).await.map(|found| found != Found::Nothing);
                    return Err(failure::leaving(what, error, there.ok()));
                }
            }
        }
        match retry_until_seen(&gcp, || thing.look(&gcp)).await {
            Ok(Found::Ours { outputs, .. }) => Ok(outputs),
            Ok(Found::Foreign(whose)) => Err(failure::foreign(T::SORT, thing.name(), &whose)),
            Ok(Found::Nothing) => Err(Failure::from(format!("{what}: it was made and is not there"))),
            Err(error) => Err(failure::of(what, error)),
        }
    }

    async fn delete(&self, context: &Context, inputs: &Value) -> Result<Vec<Gone>, Failure> {
        let thing = T::deserialize(inputs)?;
        let gcp = self.gcp(&thing);
        let what = format!("delete the {} {}", T::SORT, thing.name());
        let fail = |error| failure::of(what.clone(), error);
        match thing.look(&gcp).await.map_err(fail)? {
            Found::Nothing => return Ok(vec![Gone::new(T::SORT, thing.name())]),
            Found::Foreign(_) => return Ok(Vec::new()),
            Found::Ours { .. } => {}
        }
        if let Some(kept) = removed(context, &gcp, &thing).await? {
            context.progress(kept);
        }
        match thing.look(&gcp).await.map_err(fail)? {
            Found::Ours { .. } => Err(Failure::from(format!("{what}: it was deleted and is still there"))),
            _ => Ok(vec![Gone::new(T::SORT, thing.name())]),
        }
    }
}

/// Makes a thing once: where it is not known whether it was made, looks before trying again.
async fn made<T: Thing>(thing: &T, gcp: &Gcp) -> Result<(), Error> {
    let policy = Policy { first_delay: gcp.pause(AGAIN.first_delay), max_delay: gcp.pause(AGAIN.max_delay), ..AGAIN };
    let verdict = |error: &Error| if error.outcome_is_unknown() { Verdict::Again } else { Verdict::Final };
    retry(&policy, verdict, || async {
        match thing.make(gcp).await {
            // The call before this one made it.
            Err(Error::AlreadyExists(_)) => Ok(()),
            Err(error) if error.outcome_is_unknown() => match thing.look(gcp).await {
                Ok(Found::Nothing) | Err(_) => Err(error),
                Ok(_) => Ok(()),
            },
            other => other,
        }
    })
    .await
}

/// Looks a few times at what was just made.
async fn retry_until_seen<F>(gcp: &Gcp, look: impl Fn() -> F) -> Result<Found, Error>
where
    F: Future<Output = Result<Found, Error>>,
{
    let limit = gcp.pause(SEEN_LIMIT).max(LEAST_LIMIT);
    let seen = until("what was made to be seen", limit, gcp.pause(Duration::from_secs(2)), || async {
        Ok::<_, Error>(match look().await? {
            Found::Nothing => Probe::Pending("it is not there".to_owned()),
            found => Probe::Ready(found),
        })
    });
    match seen.await {
        Ok(found) => Ok(found),
        Err(WaitError::Stopped(error)) => Err(error),
        Err(WaitError::TimedOut { .. }) => Ok(Found::Nothing),
    }
}

/// Deletes a thing once nothing uses it any more.
async fn removed<T: Thing>(context: &Context, gcp: &Gcp, thing: &T) -> Result<Option<String>, Failure> {
    let what = format!("delete the {} {}", T::SORT, thing.name());
    let removed = until("what uses it to go", IN_USE_LIMIT, gcp.pause(PAUSE), || async {
        match thing.remove(gcp).await {
            Ok(kept) => Ok(Probe::Ready(kept)),
            Err(Error::InUse { by, .. }) => {
                context.progress(format!("waiting until {by} does not use it any more"));
                Ok(Probe::Pending(format!("{by} still uses it")))
            }
            Err(Error::Incompatible { message, .. }) => Ok(Probe::Pending(message)),
            Err(error) => Err(error),
        }
    });
    removed.await.map_err(|error| match error {
        WaitError::Stopped(error) => failure::of(what, error),
        timed_out @ WaitError::TimedOut { .. } => Failure::from(format!("{what}: {timed_out}"))
            .class(Class::Blocked)
            .hint("remove what uses it, then destroy again"),
    })
}
