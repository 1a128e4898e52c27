//! Makes one cluster, or goes on with what an interrupted run made of it.

use std::convert::Infallible;
use std::time::Duration;

use engine::{Class, Context, Failure, Remains};
use providers::gcp::container::model::{self, cluster::Status};
use providers::gcp::{Error, Gcp};
use providers::kubeconfig::{self, Entry};
use providers::kubernetes::{Clients, Identity};
use providers::retry::{Policy, Verdict, retry};
use providers::wait::{Probe, WaitError, until};

use super::cluster::{API, Inputs, delete, server};
use super::whereabouts::{self, Located, Whereabouts, complaint, works};
use super::{OtherZones, Place, failure, shape};

/// How long a cluster that is made may take until its API server answers.
const ANSWER_LIMIT: Duration = Duration::from_hours(1);
/// How long a cluster that is there already may take to answer.
const RUNNING_LIMIT: Duration = Duration::from_mins(5);
/// How long a cluster whose operation failed may take to heal by itself.
const HEAL_LIMIT: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_secs(5);
/// The pause between two looks whether it answers before its operation is over.
const EARLY_PAUSE: Duration = Duration::from_secs(30);
/// How often a create is sent whose outcome is not known.
const SENDS: Policy = Policy { attempts: 5, first_delay: Duration::from_secs(2), max_delay: Duration::from_secs(30) };

pub(super) struct Boot<'a> {
    pub gcp: &'a Gcp,
    pub context: &'a Context,
    pub inputs: &'a Inputs,
}

impl Boot<'_> {
    /// Returns when the cluster runs and its API server answers.
    pub async fn run(&self) -> Result<Located, Failure> {
        match self.look().await.map_err(|error| self.failed(error))? {
            Whereabouts::Foreign(whose) => return Err(failure::foreign("GKE cluster", &self.inputs.name, &whose)),
            Whereabouts::Nothing => {}
            Whereabouts::Ours(found) => {
                if let Some(located) = self.adopt(found).await? {
                    return Ok(located);
                }
            }
        }
        let candidates = whereabouts::candidates(self.gcp, &self.inputs.place).await;
        let candidates = candidates.map_err(|error| self.failed(error).nothing_remains())?;
        let mut empty = Vec::new();
        for (index, location) in candidates.iter().enumerate() {
            match self.make(location).await {
                Ok(located) => return Ok(located),
                Err(error @ Error::Stockout { .. }) => {
                    empty.push(location.clone());
                    if index + 1 == candidates.len() {
                        return Err(self.stockout(error, &empty).await);
                    }
                    self.context.progress(format!("{location} has no machines left; trying {}", candidates[index + 1]));
                    self.remove(location).await?;
                }
                Err(error) => return Err(self.left(error, location).await),
            }
        }
        Err(Failure::from(format!("make the cluster {}: there is no zone to make it in", self.inputs.name)))
    }

    /// Changes one thing of a cluster that runs.
    pub async fn change(&self, location: &str, update: &model::ClusterUpdate) -> Result<(), Error> {
        let (gcp, name) = (self.gcp, &self.inputs.name);
        let operation = gcp.queued(location, &self.tell(), || gcp.update_cluster(location, name, update)).await?;
        gcp.wait_for_cluster_operation(location, &operation, &self.tell()).await
    }

    fn tell(&self) -> impl Fn(String) + Sync + '_ {
        |text| self.context.progress(text)
    }

    async fn look(&self) -> Result<Whereabouts, Error> {
        whereabouts::look(self.gcp, &self.inputs.owner, &self.inputs.place, &self.inputs.name).await
    }

    /// Uses what is there. What is broken, or in more than one zone, is removed, so that it is made anew.
    async fn adopt(&self, found: Vec<Located>) -> Result<Option<Located>, Failure> {
        let mut good = None;
        for located in found {
            let usable = good.is_none() && self.settle(&located).await.map_err(|error| self.failed(error))?;
            if usable {
                good = Some(located.location);
            } else {
                self.context.progress(format!("removing what is there in {}", located.location));
                self.remove(&located.location).await?;
            }
        }
        let Some(location) = good else { return Ok(None) };
        let fail = |error| self.failed(error);
        let found = self.gcp.cluster(&location, &self.inputs.name).await.map_err(fail)?;
        let Some(cluster) = found else { return Ok(None) };
        self.answers(&location, RUNNING_LIMIT).await?;
        self.context.milestone(API);
        Ok(Some(Located { location, cluster }))
    }

    /// Waits for what goes on in a cluster; says whether it works then.
    async fn settle(&self, located: &Located) -> Result<bool, Error> {
        let (location, name) = (&located.location, &self.inputs.name);
        if matches!(located.cluster.status, Status::Provisioning | Status::Stopping) {
            self.context.progress("going on with what an earlier run began");
            let waited = async {
                for operation in self.gcp.open_operations(location, name).await? {
                    // Whatever it says: what counts is what is there afterwards.
                    let _ = self.gcp.wait_for_cluster_operation(location, &operation.name, &self.tell()).await;
                }
                self.healed(location).await
            };
            return tokio::select! {
                healed = waited => healed,
                never = self.announce(location) => match never {},
            };
        }
        Ok(works(&located.cluster))
    }

    /// Makes the cluster in one place.
    async fn make(&self, location: &str) -> Result<Located, Error> {
        let operation = self.begin(location).await?;
        let operated = async {
            let result = match &operation {
                Some(operation) => self.gcp.wait_for_cluster_operation(location, operation, &self.tell()).await,
                None => Ok(()),
            };
            // It is looked at again before it is believed.
            match result {
                Err(error @ (Error::Stockout { .. } | Error::Quota(_))) => Err(error),
                _ if self.healed(location).await? => Ok(()),
                Ok(()) => Err(self.broken(location).await?),
                Err(error) => Err(error),
            }
        };
        tokio::select! {
            result = operated => result?,
            never = self.announce(location) => match never {},
        }
        self.wait_for_answer(location, RUNNING_LIMIT, PAUSE).await?;
        self.context.milestone(API);
        match self.gcp.cluster(location, &self.inputs.name).await? {
            Some(cluster) => Ok(Located { location: location.to_owned(), cluster }),
            None => Err(Error::Failed { message: "the cluster was made and is gone".to_owned() }),
        }
    }

    /// Begins to make it; returns the operation, where it is known.
    async fn begin(&self, location: &str) -> Result<Option<String>, Error> {
        let (gcp, shape) = (self.gcp, shape::cluster(self.inputs));
        let policy =
            Policy { first_delay: gcp.pause(SENDS.first_delay), max_delay: gcp.pause(SENDS.max_delay), ..SENDS };
        let verdict = |error: &Error| if error.outcome_is_unknown() { Verdict::Again } else { Verdict::Final };
        retry(&policy, verdict, || async {
            match gcp.create_cluster(location, &shape).await {
                Ok(operation) => Ok(Some(operation)),
                // A call before this one made it, although nobody said so.
                Err(error) if error.outcome_is_unknown() || matches!(error, Error::AlreadyExists(_)) => {
                    match gcp.cluster(location, &self.inputs.name).await? {
                        Some(cluster) if whereabouts::is_ours(&self.inputs.owner, &cluster) => {
                            let open = gcp.open_operations(location, &self.inputs.name).await?;
                            Ok(open.into_iter().next().map(|operation| operation.name))
                        }
                        _ => Err(error),
                    }
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Whether the cluster works, or comes to work within a while.
    async fn healed(&self, location: &str) -> Result<bool, Error> {
        let (limit, pause) = (self.gcp.pause(HEAL_LIMIT).max(Duration::from_secs(10)), self.gcp.pause(PAUSE));
        let healed = until("the cluster to work", limit, pause, || async {
            match self.gcp.cluster(location, &self.inputs.name).await {
                Ok(Some(cluster)) if works(&cluster) => Ok(Probe::Ready(true)),
                Ok(Some(cluster)) if cluster.status == Status::Error => Ok(Probe::Ready(false)),
                Ok(Some(cluster)) => Ok(Probe::Pending(complaint(&cluster))),
                Ok(None) => Ok(Probe::Ready(false)),
                Err(error) if error.is_passing() => Ok(Probe::Pending(error.to_string())),
                Err(error) => Err(error),
            }
        });
        match healed.await {
            Ok(works) => Ok(works),
            Err(WaitError::TimedOut { .. }) => Ok(false),
            Err(WaitError::Stopped(error)) => Err(error),
        }
    }

    /// What is wrong with a cluster whose operation said nothing of it.
    async fn broken(&self, location: &str) -> Result<Error, Error> {
        let found = self.gcp.cluster(location, &self.inputs.name).await?;
        let message = found.as_deref().map_or_else(|| "it is not there".to_owned(), complaint);
        Ok(if Error::is_stockout_text(&message) {
            Error::Stockout { zone: Some(location.to_owned()), message }
        } else {
            Error::Failed { message }
        })
    }

    /// Announces the milestone once the API server answers, while the rest is still being made; never ends.
    ///
    /// Where other zones may be tried, nobody may build on a cluster that may be removed again.
    async fn announce(&self, location: &str) -> Infallible {
        let stays = !matches!(self.inputs.place, Place::Zone { others: OtherZones::Any | OtherZones::Named(_), .. });
        if stays && self.wait_for_answer(location, ANSWER_LIMIT, EARLY_PAUSE).await.is_ok() {
            self.context.milestone(API);
        }
        std::future::pending().await
    }

    async fn answers(&self, location: &str, limit: Duration) -> Result<(), Failure> {
        self.wait_for_answer(location, limit, PAUSE).await.map_err(|error| {
            let mut failure = failure::of(format!("reach the cluster {}", self.inputs.name), error);
            failure.remains = Remains::Something;
            failure
        })
    }

    /// Waits until the API server has an address and answers there; and writes the kubeconfig.
    async fn wait_for_answer(&self, location: &str, limit: Duration, pause: Duration) -> Result<(), Error> {
        let inputs = self.inputs;
        let clients = Clients::with_tokens(std::sync::Arc::new(self.gcp.clone()));
        let answered = until("the API server", limit, self.gcp.pause(pause), || async {
            let cluster = match self.gcp.cluster(location, &inputs.name).await {
                Ok(Some(cluster)) => cluster,
                Ok(None) => return Ok(Probe::Pending("the cluster is not there".to_owned())),
                Err(error) if error.is_passing() => return Ok(Probe::Pending(error.to_string())),
                Err(error) => return Err(error),
            };
            let Some(entry) = entry(inputs, &cluster) else {
                return Ok(Probe::Pending("it has no address yet".to_owned()));
            };
            kubeconfig::write_private(&inputs.kubeconfig, &inputs.name, &entry)
                .map_err(|error| Error::Protocol(Box::new(error)))?;
            let probe = Identity::new("v1", "Namespace", None, "kube-system");
            Ok(match clients.get(&inputs.kubeconfig).get(&probe).await {
                Ok(_) => Probe::Ready(()),
                Err(error) => Probe::Pending(error.to_string()),
            })
        });
        match answered.await {
            Ok(()) => Ok(()),
            Err(WaitError::Stopped(error)) => Err(error),
            Err(timed_out) => Err(Error::TimedOut(timed_out.to_string())),
        }
    }

    async fn remove(&self, location: &str) -> Result<(), Failure> {
        delete(self.gcp, self.context, &self.inputs.name, location).await.map_err(|error| {
            let mut failure = failure::of(format!("remove the broken cluster in {location}"), error);
            failure.remains = Remains::Something;
            failure
        })
    }

    fn failed(&self, error: Error) -> Failure {
        failure::of(format!("make the cluster {}", self.inputs.name), error)
    }

    /// A failure, with what a look says is left.
    async fn left(&self, error: Error, location: &str) -> Failure {
        let there = self.gcp.cluster(location, &self.inputs.name).await.map(|found| found.is_some());
        failure::leaving(format!("make the cluster {}", self.inputs.name), error, there.ok())
    }

    /// No zone had machines left: says which ones were tried, and which ones could be.
    async fn stockout(&self, error: Error, tried: &[String]) -> Failure {
        let region = self.inputs.place.region();
        let mut others = self.gcp.zones(region).await.unwrap_or_default();
        others.retain(|zone| !tried.contains(zone));
        let failure = self.left(error, tried.last().map(String::as_str).unwrap_or_default()).await;
        let hint = if others.is_empty() {
            format!("all zones of {region} were tried: choose another region or machine type")
        } else {
            format!(
                "try `zone: {}`, or `zones: any` to have every zone of {region} tried: {}",
                others[0],
                others.join(", ")
            )
        };
        failure.class(Class::Blocked).hint(hint)
    }
}

/// How a cluster is reached, once it has an address.
pub(super) fn entry(inputs: &Inputs, cluster: &model::Cluster) -> Option<Entry> {
    let certificate = cluster.master_auth.as_ref().map(|auth| auth.cluster_ca_certificate.as_str())?;
    let known = !cluster.endpoint.is_empty() && !certificate.is_empty();
    known.then(|| Entry::of_program(&server(cluster), certificate, &inputs.token_program))
}
